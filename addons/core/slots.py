"""A key's `max_concurrent` shared by several processes: pure, the clock passed in (seconds; whose, the state says).

    a claim per process and key:   held    slots that it may use
                                   wanted  slots that its waiting calls lack
                                   spare   whether it would like one more, if nobody lacks any

Slots that a process holds are its own, whether a call uses them or not, so that most calls ask nobody. It hands them on when another
lacks some: those that are idle at once, and one in use when its call ends, where the other has none or two fewer. Of a process that has
not been heard of for `EXPIRY_S` the claim is void.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

EXPIRY_S = 5.0
BEAT_S = 1.0
"""How often a process says that it is still there."""

UNEVEN = 2
"""So many more slots than one that waits, and one of them is handed on; with one more they would go to and fro with every call."""


class Claim(NamedTuple):
    """What one process has of a key. `since`: when it began to want, or was last given one; `beat`: when it was last heard of."""

    worker: str
    held: int = 0
    wanted: int = 0
    spare: bool = False
    since: float = 0.0
    beat: float = 0.0


class Demand(NamedTuple):
    """What a process asks for of a key (`name`, unique to upstream and key). `given`: slots handed on, counted since its start."""

    name: str
    limit: int
    given: int
    wanted: int
    spare: bool


class Share(NamedTuple):
    """What a process is told of a key. `granted`: slots given to it, counted since its start (less those that were lost); `wanted`,
    `spare`: what it asks for still; `sharers`: how many processes there are, with it; `lacking`: slots that others want; `wished`: others
    that have fewer and would like one to spare; `hand_on`: the next one that comes back belongs to another."""

    name: str
    granted: int
    wanted: int
    spare: bool
    sharers: int
    lacking: int
    wished: int
    hand_on: bool


@dataclass(slots=True, eq=False)
class Slots:
    """Of one key in this process: `held` calls at once may use it. `touch` is called when that or the need for it may have changed.

    The rest is as in `Demand` and `Share`; `said` is the `given` that was asked with last; `alone`: the state can't be reached.
    """

    name: str
    touch: Callable[[], None]
    held: int = 0
    given: int = 0
    granted: int = 0
    wanted: int = 0
    spare: bool = False
    sharers: int = 1
    lacking: int = 0
    wished: int = 0
    hand_on: bool = False
    alone: bool = False
    said: int = 0

    def returned(self) -> None:
        """A call has given the key back; the slot goes on to another process, where one is to get the next."""
        if self.hand_on:
            self.hand_on = False
            self.give(1)
        self.touch()

    def give(self, slots: int) -> None:
        """So many fewer are ours."""
        slots = 0 if self.alone else min(slots, self.held)
        self.held -= slots
        self.given += slots

    def demand(self, limit: int, in_flight: int, waiting: int) -> Demand | None:
        """What to ask for, where that is not what was asked for last; what is idle and lacks elsewhere is handed on. `limit` 0: the key
        is none of ours any more."""
        idle = self.held - in_flight
        if not limit:
            self.give(max(0, idle))
        elif self.lacking and idle > 0 and not waiting:
            self.give(min(idle, max(self.lacking, idle - 1)))
            self.lacking = 0  # until told again
        elif self.wished and idle > 1:
            self.give(min(self.wished, idle - 1))
            self.wished = 0
        held = self.granted - self.given
        wanted = max(0, min(limit, in_flight + waiting) - held)
        spare = held < limit and (self.spare or (not wanted and held <= in_flight))
        if self.given == self.said and (wanted > 0) == (self.wanted > 0) and wanted <= self.wanted and spare == self.spare:
            return None
        self.wanted, self.spare, self.said = wanted, spare, self.given
        return Demand(self.name, limit, self.given, wanted, spare)

    def told(self, share: Share) -> bool:
        """What the state says; are there more than before?"""
        before, self.alone = self.held, False
        self.granted, self.wanted, self.spare = share.granted, share.wanted, share.spare
        self.sharers, self.lacking, self.wished, self.hand_on = share.sharers, share.lacking, share.wished, share.hand_on
        self.held = max(0, self.granted - self.given)
        return self.held > before

    def cut_off(self, limit: int, processes: int) -> bool:
        """Nobody can be asked: an even share holds until then, at least one. Are that more than before?"""
        before, self.alone, self.hand_on, self.lacking, self.wished = self.held, True, False, 0, 0
        self.held = max(1, limit // max(1, processes, self.sharers))
        return self.held > before


def settle(claims: Iterable[Claim], worker: str, demand: Demand, giving: int, now: float) -> list[Claim]:
    """All claims to a key after this process has handed `giving` slots on and said what it wants; the void ones are gone, and what is
    free is given out: to the one with the fewest first, then to the one that has waited longest."""
    living = {claim.worker: claim for claim in claims if claim.worker == worker or 0 <= now - claim.beat <= EXPIRY_S}
    mine = living.get(worker, Claim(worker))
    since = now if giving or not mine.wanted else mine.since
    living[worker] = Claim(worker, max(0, mine.held - giving), demand.wanted, demand.spare, since, now)
    free = demand.limit - sum(claim.held for claim in living.values())
    while free > 0 and (first := _first(living.values())):
        free -= 1
        living[first.worker] = Claim(
            first.worker, first.held + 1, max(0, first.wanted - 1), first.spare and first.wanted > 0, since=now, beat=first.beat
        )
    return list(living.values())


def _first(claims: Iterable[Claim]) -> Claim | None:
    """Who gets the next free slot: whoever lacks one before whoever would like one to spare."""
    asking = [claim for claim in claims if claim.wanted or claim.spare]
    return min(asking, key=lambda claim: (not claim.wanted, claim.held, claim.since), default=None)


def share_of(claims: Sequence[Claim], worker: str, demand: Demand) -> Share:
    """What the claims to a key mean for this process, which has asked for `demand`. Without a claim of its own it was taken for dead, and
    has lost what it had."""
    mine = next((claim for claim in claims if claim.worker == worker), None)
    held, wanted, spare = (mine.held, mine.wanted, mine.spare) if mine else (0, demand.wanted, demand.spare)
    others = [claim for claim in claims if claim.worker != worker]
    hand_on = held > 0 and any(other.wanted and (other.held == 0 or other.held + UNEVEN <= held) for other in others)
    lacking = sum(other.wanted for other in others)
    wished = sum(other.spare and not other.wanted and other.held + UNEVEN <= held for other in others)
    return Share(demand.name, held + demand.given, wanted, spare, max(1, len(claims)), lacking, wished, hand_on)
