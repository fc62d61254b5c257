"""A key in a pool, and a lease of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol
from weakref import ReferenceType, ref

from addons.core.cooldowns import Cooldown
from addons.core.slots import Slots

if TYPE_CHECKING:
    from addons.core.lanes import Lane

MAX_COOLDOWNS = 1000
"""Remembered of one key, as model names come from clients; beyond that those that are over are forgotten, with their escalation."""


class Holder(Protocol):
    """A pool, as its keys see it: after a reload a key may be in the old one and in the new one."""

    def loosened(self, now: float) -> None:
        """A key may have become free."""

    def tightened(self, model: str, now: float, switched: bool) -> None:
        """A key cools for a model, or longer; `switched`: it was in use until now."""

    def forgot(self, model: str) -> None:
        """A key has no lane any more for a model."""

    def lacking(self, key: PooledKey, now: float) -> int:
        """How many calls wait that the key could serve, had this process more of its slots?"""


class Holders:
    """The pools that hold a key, as long as anybody else has them. Asked with each call, of one or two: a `WeakSet` guards its iteration
    at ten times the cost."""

    __slots__ = ("_pools",)

    def __init__(self) -> None:
        self._pools: list[ReferenceType[Holder]] = []

    def add(self, pool: Holder) -> None:
        """Once, however often it is said."""
        if pool not in self.all():
            self._pools = [known for known in self._pools if known() is not None] + [ref(pool)]

    def all(self) -> list[Holder]:
        """Those that are still there."""
        return [pool for known in self._pools if (pool := known()) is not None]


@dataclass(slots=True, eq=False, repr=False)
class PooledKey:
    """`value` is the secret, and in no repr. Lower `priority` is preferred; `max_concurrent` None: as many calls as come.

    The rest is state: `used` counts leases, `events` orders leases and cooldowns, `cooldowns` is by group, `lanes` by model; `slots` is
    what this process has of `max_concurrent`, where others share it.
    """

    value: str
    hint: str | None
    label: str
    weight: float = 1.0
    priority: int = 1
    max_concurrent: int | None = None
    in_flight: int = field(default=0, init=False)
    used: int = field(default=0, init=False)
    turns: int = field(default=0, init=False)
    credit: float = field(default=0.0, init=False)
    events: int = field(default=0, init=False)
    cooldowns: dict[str, Cooldown] = field(default_factory=dict, init=False)
    lanes: dict[str, Lane] = field(default_factory=dict, init=False)
    holders: Holders = field(default_factory=Holders, init=False)
    slots: Slots | None = field(default=None, init=False)

    def __repr__(self) -> str:
        return f"PooledKey({self.label}, in_flight={self.in_flight}, used={self.used})"

    @property
    def id(self) -> str:
        """Names the key where its value must not stand."""
        return blake2b(self.value.encode(), digest_size=16, person=b"turnpike key").hexdigest()

    def configure(self, new: PooledKey) -> None:
        """As the configuration has it now."""
        self.hint, self.label = new.hint, new.label
        self.weight, self.priority, self.max_concurrent = new.weight, new.priority, new.max_concurrent

    @property
    def is_full(self) -> bool:
        """Has it as many calls in flight as this process may have?"""
        if self.slots is not None and self.in_flight >= self.slots.held:
            return True
        return self.max_concurrent is not None and self.in_flight >= self.max_concurrent

    def tick(self) -> int:
        """The number of the event that happens now."""
        self.events += 1
        return self.events

    def cooldown(self, group: str, now: float) -> Cooldown:
        """The one of a group, made where there is none."""
        if group not in self.cooldowns:
            if len(self.cooldowns) >= MAX_COOLDOWNS:
                self.cooldowns = {name: cooldown for name, cooldown in self.cooldowns.items() if cooldown.until > now}
            self.cooldowns[group] = Cooldown()
        return self.cooldowns[group]

    def loosened(self, now: float) -> None:
        """Tell the pools that it may be free."""
        for pool in self.holders.all():
            pool.loosened(now)

    def forget(self, model: str) -> None:
        """Its lane for a model, in all the pools that hold it."""
        self.lanes.pop(model, None)
        for pool in self.holders.all():
            pool.forgot(model)


@dataclass(slots=True, eq=False)
class Lease:
    """A key given to one attempt. Whoever has it gives it back once (`KeyPool.release`), whatever the end.

    `event` is its place among the events of its key, `ramp` the one that it counts in while nothing is known of its call; `refused` and
    `succeeded` say what was known last.
    """

    key: PooledKey
    model: str
    at: float
    returned: bool = False
    lane: Lane = field(kw_only=True, repr=False)
    event: int = field(kw_only=True, repr=False)
    ramp: int = field(kw_only=True, repr=False)
    refused: bool = field(default=False, init=False)
    succeeded: bool = field(default=False, init=False)

    def sent_after(self, cooldown: Cooldown, now: float) -> bool:
        """Was its call sent after the cooldown was set? Also where it was refused, waited for the end, and was sent again."""
        return self.event > cooldown.set_at or (self.refused and now >= cooldown.until)
