"""What a pool knows of each of its keys for one model: a `Lane`, and all of them together (`Lanes`).

A lane ramps up when it comes back from a cooldown, and when it is taken into use right after another key began to cool: one call at
first, one more at once for each success. What counts is calls that may still be refused: neither those from before, nor those whose
answer has begun, so that a stream of minutes holds nobody back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from addons.core.pace import Pace
from addons.core.pooledkey import Lease, PooledKey

RAMP_SUCCESSES = 100
"""After so many a ramp is over; as many calls at once are more than the agents of one user make."""

PATIENCE_S = 3.0
"""Refusals come at once, so calls that have run so long count as accepted, and the limit doubles: a ramp must not wait for long answers."""

LATELY_S = 60.0
"""A key is in use that had a success so lately: the window of most limits, and longer than calls wait for a key (DESIGN §3)."""

UNLIMITED = 1 << 30
ANSWERED = -1
"""In place of the ramp that a lease counts in."""


@dataclass(slots=True, eq=False)
class Lane:
    """One key for one model. `until` is when the last of the cooldowns ends that concern it. `ramp` numbers its ramps; `unanswered` counts
    the calls of the present one of which nothing is known yet, `limit` how many there may be until `doubles_at`."""

    key: PooledKey = field(repr=False)
    until: float = 0.0
    in_flight: int = 0
    ramp: int = 0
    unanswered: int = 0
    limit: int = UNLIMITED
    doubles_at: float = inf
    succeeded_at: float = -inf
    pace: Pace = field(default_factory=Pace)

    def opens_at(self, now: float) -> float:
        """`now` if a call may use it; else the earliest time at which, without anything else happening, one may (inf: never)."""
        if self.until > now:
            return self.until
        if self.pace.next_at > now:
            return self.pace.next_at
        if self.unanswered >= self.limit and self.doubles_at > now:
            return self.doubles_at
        if self.key.is_full:
            return inf
        return now

    def lacks_slot(self, now: float) -> bool:
        """Would a call go, if other processes had not the key's slots?"""
        key = self.key
        if key.slots is None or key.in_flight < key.slots.held or key.in_flight >= (key.max_concurrent or UNLIMITED):
            return False
        return self.until <= now and self.pace.next_at <= now and (self.unanswered < self.limit or self.doubles_at <= now)

    def admit(self, model: str, now: float, switched_at: float) -> Lease:
        """A lease of it; whether it is free, the caller has seen. `switched_at`: when a key last began to cool for this model."""
        key = self.key
        if not self.in_flight and now - switched_at < LATELY_S <= now - self.succeeded_at:
            self._begin_ramp()
        if self.limit < UNLIMITED and not self.unanswered:
            self.doubles_at = now + PATIENCE_S
        elif now >= self.doubles_at:
            self.doubles_at = now + PATIENCE_S
            self._raise_limit(2 * self.limit)
        self.pace.send(now)
        self.unanswered += 1
        self.in_flight += 1
        key.in_flight += 1
        key.used += 1
        if key.slots is not None:
            key.slots.touch()
        return Lease(key, model, now, lane=self, event=key.tick(), ramp=self.ramp)

    def leave(self, lease: Lease, now: float) -> None:
        """The call of a lease has ended."""
        self._note_wanted(now)
        lease.returned = True
        self.in_flight -= 1
        self.key.in_flight -= 1
        if self._answered(lease) and lease.refused:
            self.pace.sent -= 1  # it was kept to be sent again, which it was not

    def succeed(self, lease: Lease, now: float) -> bool:
        """A call was accepted; is another one let in for it?"""
        self._note_wanted(now)
        self.succeeded_at = now
        if not self._answered(lease) or self.limit == UNLIMITED:
            return False
        self._raise_limit(self.limit + 1)
        return True

    def refuse(self, lease: Lease) -> None:
        """A call was refused; to be told before `cool`."""
        if lease.ramp == self.ramp:
            self.pace.sent -= 1
        else:
            self.pace.refused_too()

    def cool(self, now: float, until: float) -> bool:
        """Not before `until`; did that begin now? Then it will ramp up."""
        begins, longer = self.until <= now < until, until > self.until
        if longer:
            self.until = until
        if begins:
            self._begin_ramp()
            self.pace.refused(now, until)
        elif longer and until > now:
            self.pace.extended(until)
            self.doubles_at = until + PATIENCE_S if self.unanswered else inf
        return begins

    def stay(self, lease: Lease) -> None:
        """A call that was refused still holds its lease: it counts in the ramp after the cooldown, when it is sent again."""
        if lease.returned:
            return
        self.pace.sent += 1
        if lease.ramp != self.ramp:
            lease.ramp = self.ramp
            self.unanswered += 1
            self.doubles_at = self.until + PATIENCE_S

    def _answered(self, lease: Lease) -> bool:
        """Something is known of a call now; was it of the present ramp?"""
        counted = lease.ramp == self.ramp
        if counted:
            self.unanswered -= 1
            lease.ramp = ANSWERED
        return counted

    def _begin_ramp(self) -> None:
        self.ramp += 1
        self.unanswered, self.limit, self.doubles_at = 0, 1, inf

    def _raise_limit(self, limit: int) -> None:
        self.limit = limit
        if limit > RAMP_SUCCESSES:
            self.limit, self.doubles_at = UNLIMITED, inf

    def _note_wanted(self, now: float) -> None:
        """A lane that is full until now was not idle."""
        if self.unanswered >= self.limit or self.key.is_full:
            self.pace.wanted_at = max(self.pace.wanted_at, now)


def lane_of(key: PooledKey, model: str, groups: Iterable[str], now: float) -> Lane:
    """The lane of a key, made where there is none; `groups`: those whose cooldowns concern the model."""
    if model not in key.lanes:
        lane = key.lanes[model] = Lane(key)
        for group in groups:
            if group in key.cooldowns:
                lane.cool(now, key.cooldowns[group].until)
    return key.lanes[model]


class Lanes:
    """The lanes of all keys for one model, in the order of the keys, and what was found out by looking at all of them.

    `state` is a number that the pool changes whenever something may have become free other than by time.
    """

    def __init__(self, lanes: list[Lane]) -> None:
        self.lanes = lanes
        self._closed_until, self._closed_in = 0.0, -1
        self._cool_until: float | None = None

    def tightened(self) -> None:
        """A cooldown has begun or become longer; what else would have opened a lane counts no more."""
        self._cool_until, self._closed_in = None, -1

    def cool_until(self) -> float:
        """When the first of them has cooled."""
        if self._cool_until is None:
            self._cool_until = min([lane.until for lane in self.lanes], default=inf)
        return self._cool_until

    def free(self, now: float, state: int) -> list[int]:
        """The places of those that are free. That none is, is remembered until that may have changed."""
        if self._closed_in == state and now < self._closed_until:
            return []
        opens_at = [lane.opens_at(now) for lane in self.lanes]
        free = [place for place, at in enumerate(opens_at) if at <= now]
        if not free:
            self._closed_until, self._closed_in = min(opens_at, default=inf), state
        return free

    def opens_at(self, now: float, state: int) -> float:
        """`now` if one is free, else when one may be by time alone (inf: never)."""
        return now if self.free(now, state) else self._closed_until
