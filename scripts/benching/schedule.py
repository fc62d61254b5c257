"""Who sends when: one after the other's end, or at times that were fixed before.

Both are asked by every client in turn. With fixed times a client that comes late to one sends at once, and the call's time counts
from when it should have been sent: what waited behind a slow answer is seen, not left out (Gil Tene's coordinated omission).
"""

from __future__ import annotations

from typing import Protocol


class Schedule(Protocol):
    """`next(now)`: when the next call is to be sent, None when there is none any more. All in seconds of one clock."""

    def next(self, now: float) -> float | None: ...


class Closed:
    """As soon as somebody asks: until `duration_s` has passed or, where `requests` is given, for so many."""

    def __init__(self, start: float, duration_s: float, requests: int | None = None) -> None:
        self._end = start + duration_s if requests is None else float("inf")
        self._left = float("inf") if requests is None else requests

    def next(self, now: float) -> float | None:
        if now >= self._end or self._left <= 0:
            return None
        self._left -= 1
        return now


class Open:
    """At `rate` per second, from `start` on, evenly: as many as belong into `duration_s`, or `requests`."""

    def __init__(self, start: float, rate: float, duration_s: float, requests: int | None = None) -> None:
        self._start, self._rate = start, rate
        self._count = requests if requests is not None else max(1, round(rate * duration_s))
        self._sent = 0

    @property
    def left(self) -> int:
        """Calls that nobody has asked for yet."""
        return self._count - self._sent

    def next(self, now: float) -> float | None:
        if self._sent >= self._count:
            return None
        self._sent += 1
        return self._start + (self._sent - 1) / self._rate
