"""Times laid out for drawing: the phases of one call with a mark per chunk, and the bars of many calls one below the other.

Pure; milliseconds in, fractions of a drawing's width out (0 … 1000, as in the SVGs' `viewBox`). What is unknown is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

WIDTH = 1000
IDLE_SHARE = 0.04  # of the whole width: how much of a waterfall a longer pause between calls takes
IDLE_MIN_MS = 1000.0  # shorter pauses are drawn as they are


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a call; `x` and `width` in the drawing, `at_ms` and `length_ms` for people."""

    name: str
    label: str
    at_ms: float
    length_ms: float
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Timing:
    """A call's bar. `marks` is an SVG path with a stroke for each chunk (those of one pixel share one), "" without any."""

    total_ms: float
    phases: tuple[Phase, ...]
    marks: str
    chunks: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A call in a waterfall. `first_x`: where its first content came, None where that is unknown. `idle_ms`: a pause before it that
    the drawing shortens, None without one."""

    x: float
    width: float
    first_x: float | None
    idle_ms: float | None


def timing_of(call: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]] = (), deltas_ms: Sequence[float] = ()) -> Timing | None:
    """The bar of a call, from its columns, its attempts and the gaps between its chunks. None where its duration is unknown."""
    total = _known(call.get("duration_ms"))
    arrivals = list(accumulate(deltas_ms))
    total = max([total or 0.0, *arrivals[-1:]])
    if total <= 0:
        return None
    bounds = [(name, label, min(max(start, 0.0), total), min(end, total)) for name, label, start, end in _stretches(call, attempts, total)]
    phases = tuple(
        Phase(name, label, start, end - start, _scaled(start, total), _scaled(end - start, total))
        for name, label, start, end in bounds
        if end > start
    )
    return Timing(total, phases, _marks(arrivals, total), len(arrivals))


def _stretches(call: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]], total: float) -> list[tuple[str, str, float, float]]:
    """(name, label, from, to). What came before the last try, then connecting, waiting for the first byte, for the first content, and the
    rest; each begins where the one before it ends."""
    stretches = []
    at = _before_last(attempts, total)
    if at:
        stretches.append(("retries", "earlier tries and waits", 0.0, at))
    first_byte = _known(call.get("ttfb_ms"))
    first_content = _known(call.get("ttft_ms"))
    connect = _known(call.get("connect_ms"))
    until_byte = total if first_byte is None else max(first_byte, at)
    if connect:
        end = min(at + connect, until_byte)
        stretches.append(("connect", "connect", at, end))
        at = end
    stretches.append(("wait", "wait for the first byte" if first_byte is not None else "wait, without a byte", at, until_byte))
    at = until_byte
    if first_content is not None and first_content > at:
        stretches.append(("first", "first byte to first content", at, first_content))
        at = first_content
    return [*stretches, ("stream", "stream" if first_content is not None else "answer", at, total)]


def _before_last(attempts: Sequence[Mapping[str, Any]], total: float) -> float:
    """Milliseconds that went by before the last try was sent."""
    if len(attempts) < 2:
        return 0.0
    spent = sum((_known(attempt.get("duration_ms")) or 0.0) + (_known(attempt.get("wait_ms")) or 0.0) for attempt in attempts[:-1])
    return min(spent + (_known(attempts[-1].get("wait_ms")) or 0.0), total)


def _marks(arrivals: Sequence[float], total: float) -> str:
    places = sorted({min(WIDTH, round(at * WIDTH / total)) for at in arrivals if at >= 0})
    return "".join(f"M{place} 0V10" for place in places)


def waterfall(calls: Sequence[tuple[float, float | None, float | None]]) -> tuple[Bar, ...]:
    """One bar for each (start in Unix milliseconds, duration, time to the first content), in the order of their starts.

    A session lasts hours, most of them between calls: pauses are cut to a small share of the width.
    """
    moves: list[tuple[float, float | None]] = []
    ended, cut = 0.0, 0.0
    busy = sum(duration or 0.0 for _, duration, _ in calls)
    allowed = max(IDLE_MIN_MS, busy * IDLE_SHARE)
    for number, (start, duration, _) in enumerate(calls):
        pause = start - ended if number else 0.0
        if number == 0:
            cut = start
        elif pause > allowed:
            cut += pause - allowed
        moves.append((start - cut, pause if pause > allowed else None))
        ended = max(ended, start + (duration or 0.0))
    total = max([1.0, *(at + (duration or 0.0) for (at, _), (_, duration, _) in zip(moves, calls, strict=True))])
    return tuple(
        Bar(_scaled(at, total), max(_scaled(duration or 0.0, total), 1.0), None if first is None else _scaled(at + first, total), idle)
        for (at, idle), (_, duration, first) in zip(moves, calls, strict=True)
    )


def _scaled(ms: float, total: float) -> float:
    return round(ms * WIDTH / total, 1)


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
