"""Calls that wait for a key: a `Ticket` for each, and the `Line` of one pool, first come, first served.

A call that was refused and keeps its key (DESIGN §5, a named wait) stands apart until that wait is over, then before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from addons.core.pooledkey import Lease, PooledKey

if TYPE_CHECKING:
    from addons.core.keypool import KeyPool

Order = tuple[int, float, int]
_KEPT, _ORDINARY = 0, 1


class Ticket:
    """A call that waits, in one pool or in several at once; the first that has a key for it grants a lease.

    `on_granted` is called from within whatever made the key free: it should do no more than wake the call. From then on `lease` and
    `pool` are set, and the lease is the call's, which says so with `take`, or simply goes on with it.
    """

    __slots__ = ("affinity", "closed", "home", "kept", "lease", "model", "on_granted", "pool")

    def __init__(self, model: str, affinity: str | None, on_granted: Callable[[Ticket], None]) -> None:
        self.model, self.affinity, self.on_granted = model, affinity, on_granted
        self.lease: Lease | None = None
        self.pool: KeyPool | None = None
        self.kept: tuple[KeyPool, Lease] | None = None
        self.home: PooledKey | None = None  # preferred, as the key that was kept
        self.closed = False

    @property
    def waits(self) -> bool:
        return self.lease is None and not self.closed

    def grant(self, pool: KeyPool, lease: Lease, now: float) -> None:
        """For pools: the wait is over. A lease that was kept for the time of it is given back."""
        self.pool, self.lease = pool, lease
        self.give_up_kept(now)
        self.on_granted(self)

    def take(self) -> Lease | None:
        """The lease, if there is one, is now the call's own: `cancel` has no effect any more."""
        self.closed = self.closed or self.lease is not None
        return self.lease

    def cancel(self, now: float) -> None:
        """The call no longer waits. A lease that was granted, or kept, and not taken is given back."""
        if not self.closed:
            self.closed = True
            self.give_up_kept(now)
            if self.pool and self.lease:
                self.pool.release(self.lease, now)

    def give_up_kept(self, now: float) -> None:
        """Give back the lease that was kept for the time of the wait."""
        kept, self.kept = self.kept, None
        if kept:
            kept[0].release(kept[1], now)


class Line:
    """The tickets that wait for one pool, by model. Those that need no key any more are dropped as they come up."""

    def __init__(self) -> None:
        self._by_model: dict[str, list[tuple[Order, Ticket]]] = {}
        self._keeping: list[tuple[float, int, Ticket, Lease]] = []  # until when
        self._count = 0

    def add(self, ticket: Ticket, model: str) -> None:
        """At the end."""
        self._push(ticket, model, (_ORDINARY, 0.0, self._next()))

    def keep(self, ticket: Ticket, lease: Lease, until: float) -> None:
        """Aside until that time; then before those that hold no key, in the order in which the keys were leased."""
        heappush(self._keeping, (until, self._next(), ticket, lease))

    def ended(self, now: float) -> Iterator[Lease]:
        """Those that have kept a key until now are put in line; gives the leases that they held."""
        while self._keeping and self._keeping[0][0] <= now:
            _, _, ticket, lease = heappop(self._keeping)
            if ticket.waits:
                ticket.kept, ticket.home = None, lease.key
                self._push(ticket, lease.model, (_KEPT, lease.at, self._next()))
                yield lease

    def first(self, but: Collection[str] = ()) -> tuple[str, Ticket] | None:
        """Of the models that are not among `but`, the ticket that comes first."""
        heads = [(line[0][0], model) for model in list(self._by_model) if model not in but and (line := self._living(model))]
        if not heads:
            return None
        _, model = min(heads)
        return model, self._by_model[model][0][1]

    def models(self) -> list[str]:
        """Those that somebody waits for."""
        return [model for model in list(self._by_model) if self._living(model)]

    def count(self, model: str, most: int) -> int:
        """How many wait for a model, counted up to `most`."""
        return sum(1 for _ in islice((1 for _, ticket in self._by_model.get(model, ()) if ticket.waits), most))

    def next_end(self) -> float:
        """When the first of those that keep a key is put in line (inf: there is none)."""
        while self._keeping and not self._keeping[0][2].waits:
            heappop(self._keeping)
        return self._keeping[0][0] if self._keeping else inf

    def __bool__(self) -> bool:
        return bool(self._by_model or self._keeping)

    def _push(self, ticket: Ticket, model: str, order: Order) -> None:
        heappush(self._by_model.setdefault(model, []), (order, ticket))

    def _living(self, model: str) -> list[tuple[Order, Ticket]]:
        """The line of a model, with a ticket that waits at its head; empty and forgotten if there is none."""
        line = self._by_model.get(model, [])
        while line and not line[0][1].waits:
            heappop(line)
        if not line:
            self._by_model.pop(model, None)
        return line

    def _next(self) -> int:
        self._count += 1
        return self._count
