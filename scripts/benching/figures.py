"""Percentiles of one measurement, medians and spreads over rounds, ratios between what was measured side by side."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RANKS = (50, 90, 99)
MS = 1000.0


def percentiles(seconds: array[float]) -> dict[str, float] | None:
    """Milliseconds at p50, p90, p99 and the maximum, by nearest rank (each is a value that occurred); None where there are none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    found = {f"p{rank}": ordered[max(0, -(-len(ordered) * rank // 100) - 1)] * MS for rank in RANKS}
    return found | {"max": ordered[-1] * MS}


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of a few rounds, and the least and most of them."""

    median: float
    least: float
    most: float
    count: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None of none."""
        return cls(statistics.median(values), min(values), max(values), len(values)) if values else None

    def overlaps(self, other: Spread) -> bool:
        return self.least <= other.most and other.least <= self.most


Round = dict[str, Any]
"""One measurement as `rounds.measure` makes it: what `load` told, with `drain_s`, `cpu_s`, `rss_bytes` and so on beside it."""

FIGURES: dict[str, tuple[str, ...]] = {
    "requests_per_s": ("requests_per_s",),
    "chunks_per_s": ("chunks_per_s",),
    "cpu_ms_per_call": ("cpu_ms_per_call",),
    "latency_p50_ms": ("latency_ms", "p50"),
    "latency_p90_ms": ("latency_ms", "p90"),
    "latency_p99_ms": ("latency_ms", "p99"),
    "latency_max_ms": ("latency_ms", "max"),
    "ttft_p50_ms": ("ttft_ms", "p50"),
    "ttft_p90_ms": ("ttft_ms", "p90"),
    "ttft_p99_ms": ("ttft_ms", "p99"),
    "ttft_max_ms": ("ttft_ms", "max"),
    "gap_p50_ms": ("gap_ms", "p50"),
    "gap_p90_ms": ("gap_ms", "p90"),
    "gap_p99_ms": ("gap_ms", "p99"),
    "gap_max_ms": ("gap_ms", "max"),
    "peak_rss_mb": ("peak_rss_mb",),
    "rss_mb": ("rss_mb",),
    "drain_s": ("drain_s",),
}
"""Name → where it stands in a round."""

ADDED = ("latency", "ttft")
"""What the upstream asked directly has too, so that what is added can be told: `added_latency_p50_ms` …"""

BETTER_HIGH = {"requests_per_s", "chunks_per_s"}


def figure(measured: Round, name: str) -> float | None:
    """One figure of one round; None where it was not measured."""
    value: Any = measured
    for step in FIGURES[name]:
        if value is None:
            return None
        value = value.get(step)
    return None if value is None else float(value)


def flat(measured: Round, direct: Round | None) -> dict[str, float]:
    """All figures of a round that there are, with what was added to the direct way in the same round."""
    found = {name: value for name in FIGURES if (value := figure(measured, name)) is not None}
    if direct is not None:
        for name in [name for name in found if name.startswith(ADDED)]:
            if (base := figure(direct, name)) is not None:
                found[f"added_{name}"] = found[name] - base
    return found


def spreads(rounds: Sequence[dict[str, float]]) -> dict[str, Spread]:
    """Name → spread over the rounds, of those that have it."""
    names = dict.fromkeys(name for one in rounds for name in one)
    return {name: spread for name in names if (spread := Spread.of([one[name] for one in rounds if name in one]))}


def ratios(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> dict[str, Spread]:
    """Ours by theirs, round by round: what happens to the machine meanwhile happens to both."""
    each = [
        {name: one[name] / other[name] for name in one if not name.startswith("added_") and other.get(name, 0.0) > 0.0}
        for one, other in zip(ours, theirs, strict=False)
    ]
    return spreads(each)
