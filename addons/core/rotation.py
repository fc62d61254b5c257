"""Which of the keys that are free is taken: four modes in one table.

sequential    the first in the order of the file
round_robin   the next one after the last taken
least_used    the one with the fewest calls in flight, then the fewest turns
balanced      of the best priority, by weight (smooth weighted round robin, as nginx does it)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class Rotated(Protocol):
    """What a mode looks at and keeps of a key."""

    weight: float
    priority: int
    in_flight: int
    turns: int
    credit: float


@dataclass(slots=True)
class Turn:
    """Whose turn it is. `place`: from which place on round_robin looks; `turns`: of the key that least_used took last."""

    place: int = 0
    turns: int = 0


Pick = Callable[[Sequence[Rotated], Sequence[int], Turn], int]
"""(all keys, the places of those that are free, in order and not empty, the turn) → the place that is taken."""


def _sequential(keys: Sequence[Rotated], free: Sequence[int], turn: Turn) -> int:
    return free[0]


def _round_robin(keys: Sequence[Rotated], free: Sequence[int], turn: Turn) -> int:
    place = next((place for place in free if place >= turn.place), free[0])
    turn.place = place + 1
    return place


def _least_used(keys: Sequence[Rotated], free: Sequence[int], turn: Turn) -> int:
    """Turns that a key missed while it cooled are not made up for, else it would then get every call."""
    place = min(free, key=lambda place: (keys[place].in_flight, keys[place].turns))  # min keeps the order of the file among equals
    key = keys[place]
    turn.turns = max(turn.turns, key.turns)
    key.turns = turn.turns + 1
    return place


def _balanced(keys: Sequence[Rotated], free: Sequence[int], turn: Turn) -> int:
    if len(free) == 1:  # what it would gain it would pay at once
        return free[0]
    best = min([keys[place].priority for place in free])
    total, chosen = 0.0, -1
    for place in free:
        key = keys[place]
        if key.priority == best:
            key.credit += key.weight
            total += key.weight
            if chosen < 0 or key.credit > keys[chosen].credit:
                chosen = place
    keys[chosen].credit -= total
    return chosen


ROTATIONS: Mapping[str, Pick] = {
    "sequential": _sequential,
    "round_robin": _round_robin,
    "least_used": _least_used,
    "balanced": _balanced,
}
