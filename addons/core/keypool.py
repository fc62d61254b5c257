"""Which key of an upstream's pool the next attempt takes: pure, four modes of rotation in one table.

sequential    always the first key in the order of the file
round_robin   each in turn
least_used    the one with the fewest calls in flight, then the fewest so far
balanced      the best priority only, in it by weight (smooth weighted round robin, as nginx does it)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class PooledKey:
    """A key in its pool. `value` is the secret; it is in no repr. Lower `priority` is preferred."""

    value: str
    hint: str | None
    label: str
    weight: float = 1.0
    priority: int = 1
    in_flight: int = 0
    used: int = 0
    credit: float = 0.0

    @property
    def identity(self) -> tuple[str, str, float, int]:
        """What makes two keys the same key in the same place of the order."""
        return self.value, self.label, self.weight, self.priority

    def __repr__(self) -> str:
        return f"PooledKey({self.label}, in_flight={self.in_flight}, used={self.used})"


@dataclass(slots=True)
class Lease:
    """A key given to one attempt; hand it back once with `KeyPool.release`."""

    key: PooledKey
    returned: bool = False


class KeyPool:
    """The keys of one upstream."""

    def __init__(self, keys: Sequence[PooledKey], rotation: str) -> None:
        self.keys = list(keys)
        self.rotation = rotation
        self._pick = ROTATIONS[rotation]

    def lease(self) -> Lease | None:
        """The next key, None if the pool is empty."""
        if not self.keys:
            return None
        key = self._pick(self.keys)
        key.used += 1
        key.in_flight += 1
        return Lease(key)

    def release(self, lease: Lease) -> None:
        """Give a key back; a second time does nothing, since several ends of one call may come."""
        if not lease.returned:
            lease.returned = True
            lease.key.in_flight -= 1


def _sequential(keys: list[PooledKey]) -> PooledKey:
    return keys[0]


def _round_robin(keys: list[PooledKey]) -> PooledKey:
    return min(keys, key=lambda key: key.used)  # min keeps the order of the file among equals


def _least_used(keys: list[PooledKey]) -> PooledKey:
    return min(keys, key=lambda key: (key.in_flight, key.used))


def _balanced(keys: list[PooledKey]) -> PooledKey:
    best = min(key.priority for key in keys)
    group = [key for key in keys if key.priority == best]
    for key in group:
        key.credit += key.weight
    chosen = max(group, key=lambda key: key.credit)
    chosen.credit -= sum(key.weight for key in group)
    return chosen


ROTATIONS: dict[str, Callable[[list[PooledKey]], PooledKey]] = {
    "sequential": _sequential,
    "round_robin": _round_robin,
    "least_used": _least_used,
    "balanced": _balanced,
}
