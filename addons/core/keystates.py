"""What is told of keys: to people (`KeyState`) and to the file that outlives a restart (`KeyCooldown`). Never a key's value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from addons.core.cooldowns import LOCKED, WHOLE_KEY
from addons.core.lanes import UNLIMITED
from addons.core.pooledkey import PooledKey


class KeyCooldown(NamedTuple):
    """A cooldown that runs: the hash of its key, its group, its end (Unix seconds), how often it was set in a row without a hint, and
    the class of the failure."""

    key_id: str
    group: str
    until: float
    step: int
    why: str


@dataclass(frozen=True, slots=True)
class GroupState:
    """A cooldown that runs, for a model or quota group, or for the whole key (`*`). `until` in Unix seconds."""

    group: str
    until: float
    why: str


@dataclass(frozen=True, slots=True)
class KeyState:
    """`hint` are the last characters; `limit` of concurrent calls, None without one; `used`: calls since the start; `ramps`: how many
    calls at once a model is allowed for now, while it ramps up."""

    label: str
    hint: str | None
    in_flight: int
    limit: int | None
    used: int
    cooldowns: tuple[GroupState, ...]
    ramps: dict[str, int]


def key_state(key: PooledKey, now: float) -> KeyState:
    running = tuple(
        GroupState(WHOLE_KEY if group == LOCKED else group, cooldown.until, cooldown.why)
        for group, cooldown in key.cooldowns.items()
        if cooldown.until > now
    )
    ramps = {model: lane.limit for model, lane in key.lanes.items() if lane.limit < UNLIMITED and lane.until <= now}
    return KeyState(key.label, key.hint, key.in_flight, key.max_concurrent, key.used, running, ramps)


def key_cooldowns(key: PooledKey, now: float) -> list[KeyCooldown]:
    """Those that run. The id is a hash, and made only where one does."""
    return [KeyCooldown(key.id, group, c.until, c.step, c.why) for group, c in key.cooldowns.items() if c.until > now]
