"""From the sums of the steps to tiles, series and tables; nothing here reads or waits.

None is "not known" everywhere, and stays so: a sum is None when none of its parts was known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from addons.views.figures import SPENDERS, Block, End, Failure, ModelSums, Reading, Sample, Spend

SERIES = 5  # models with a colour of their own; the rest is one series more
ROWS = 12  # of a table; the rest is one row more
POINTS = 1500
POINTS_FAILED = 500  # as many of them are kept for calls that did not end well, and for the slowest
FAILED = ("error", "partial", "blocked")
"""Outcomes that are counted as errors, as in the view `errors`; a client that left is none."""

RATE_TOKENS, RATE_MS = 10, 100
"""Shorter answers, and those that came all at once, have no speed: two tokens in 0.4 ms are not 5000 a second."""

Number = int | float | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the range. `ends`: calls by outcome, without ok. `cache_share`: of the input tokens of calls that told what came from the
    prompt cache, the part that did (0…1)."""

    calls: int
    input_tokens: Number
    output_tokens: Number
    cache_read_tokens: Number
    cost_usd: Number
    no_cost: int
    errors: int
    ends: Mapping[str, int]
    cache_share: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of time. `cost_usd` and `tokens` have a value per series."""

    from_ms: int
    calls: int
    errors: int
    input_tokens: Number
    output_tokens: Number
    total_usd: Number
    cost_usd: tuple[Number, ...]
    tokens: tuple[Number, ...]
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Speed:
    """A model's streamed answers: milliseconds to the first token, output tokens per second after it; `streamed`: of how many."""

    model: str | None
    streamed: int
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    tokens_per_s: float | None


class Point(NamedTuple):
    """A call in the scatter plot; `series` is the index of its model's colour."""

    rowid: int
    ts_ms: int
    duration_ms: float
    series: int
    outcome: str | None


class Row(NamedTuple):
    """A line of a table of sums; `others` > 0: it stands for so many lines."""

    value: str | None
    calls: int
    tokens: Number
    cost_usd: Number
    no_cost: int
    others: int = 0


def plus(values: Iterable[Number]) -> Number:
    """The sum of those that are known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Nearest rank, as in the view `latency`: a value that was measured. None of none."""
    return ordered[(len(ordered) * percent + 99) // 100 - 1] if ordered else None


def totals(blocks: Sequence[Block]) -> Totals:
    """The tiles."""
    models = [sums for block in blocks for sums in block.models]
    ends: dict[str, int] = defaultdict(int)
    for end in (end for block in blocks for end in block.ends):
        ends[end.outcome or ""] += end.calls
    cached, base = plus(sums.cache_read_tokens for sums in models), plus(sums.cache_base_tokens for sums in models)
    return Totals(
        calls=sum(sums.calls for sums in models),
        input_tokens=plus(sums.input_tokens for sums in models),
        output_tokens=plus(sums.output_tokens for sums in models),
        cache_read_tokens=cached,
        cost_usd=plus(sums.cost_usd for sums in models),
        no_cost=sum(sums.no_cost for sums in models),
        errors=sum(ends[outcome] for outcome in FAILED),
        ends={outcome: calls for outcome, calls in ends.items() if calls},
        cache_share=cached / base if cached is not None and base else None,
    )


def by_model(blocks: Sequence[Block]) -> list[Row]:
    """The models, the dearest first, then those with the most tokens."""
    return _ranked((sums.model, sums.calls, sums.input_tokens, sums.output_tokens, sums.cost_usd, sums.no_cost) for sums in _models(blocks))


def spend(blocks: Sequence[Block]) -> dict[str, list[Row]]:
    """Client, project, key, tag → its values, the dearest first."""
    return {name: _ranked(row for block in blocks for row in (block.spend or {}).get(name, ())) for name in SPENDERS}


def shortened(rows: Sequence[Row], limit: int = ROWS) -> list[Row]:
    """The first ones, and the rest as one row."""
    if len(rows) <= limit:
        return list(rows)
    rest = rows[limit - 1 :]
    cost = plus(row.cost_usd for row in rest)
    others = Row(None, sum(row.calls for row in rest), plus(row.tokens for row in rest), cost, sum(row.no_cost for row in rest), len(rest))
    return [*rows[: limit - 1], others]


def series_of(rows: Sequence[Row]) -> tuple[list[str | None], Callable[[str | None], int]]:
    """(the models that have a series, model → index of its series); the index after the last is that of all others."""
    names = [row.value for row in rows[: SERIES if len(rows) > SERIES + 1 else SERIES + 1]]
    index = {name: number for number, name in enumerate(names)}
    return names, lambda model: index.get(model, len(names))


def steps(reading: Reading, series: Callable[[str | None], int], width: int) -> list[Step]:
    """The series, step by step; `width` is their number."""
    ttft: dict[int, list[float]] = defaultdict(list)
    starts = [block.edges[0] for block in reading.blocks]
    for sample in filter(_streamed, reading.samples):
        ttft[bisect_right(starts, sample.ts_ms) - 1].append(float(sample.ttft_ms or 0))
    return [_step(block, series, width, sorted(ttft[number])) for number, block in enumerate(reading.blocks)]


def rate_of(tokens: float | None, ttft_ms: float | None, duration_ms: float | None) -> float | None:
    """Output tokens per second after the first content, as in the view `latency`; None where so few came, or so fast, that it is chance."""
    if not tokens or tokens < RATE_TOKENS or ttft_ms is None or duration_ms is None or duration_ms - ttft_ms < RATE_MS:
        return None
    return float(tokens * 1000 / (duration_ms - ttft_ms))


def speeds(samples: Iterable[Sample]) -> list[Speed]:
    """By model, the one with the most answers first; answers that were not streamed have no first token to wait for."""
    ttft: dict[str | None, list[float]] = defaultdict(list)
    rates: dict[str | None, list[float]] = defaultdict(list)
    for sample in filter(_streamed, samples):
        first = float(sample.ttft_ms or 0)
        ttft[sample.model].append(first)
        rate = rate_of(sample.output_tokens, sample.ttft_ms, sample.duration_ms)
        if rate is not None:
            rates[sample.model].append(rate)
    found = []
    for model, times in sorted(ttft.items(), key=lambda item: (-len(item[1]), item[0] or "")):
        times.sort()
        rates[model].sort()
        found.append(Speed(model, len(times), percentile(times, 50), percentile(times, 95), percentile(rates[model], 50)))
    return found


def points(reading: Reading, series: Callable[[str | None], int], limit: int = POINTS) -> list[Point]:
    """At most `limit` calls: first those that failed, then the slowest of each step and model, then a thinned out rest."""
    failed = [_point(end, end.slowest_ms, series) for block in reading.blocks for end in block.ends if end.slowest_ms is not None]
    slow = [_point(sums, sums.slowest_ms, series) for sums in _models(reading.blocks) if sums.slowest_ms is not None]
    sampled = [_point(sample, sample.duration_ms, series) for sample in reading.samples if sample.duration_ms is not None]
    failed += [point for point in sampled if point.outcome != "ok"]
    chosen: dict[int, Point] = {}
    for group, most in ((failed, POINTS_FAILED), (slow, POINTS_FAILED)):
        unlike = {point.rowid: point for point in group if point.rowid not in chosen}
        for point in sorted(unlike.values(), key=lambda point: (-point.duration_ms, point.rowid))[: min(most, limit - len(chosen))]:
            chosen[point.rowid] = point
    rest = [point for point in sampled if point.rowid not in chosen]
    room = limit - len(chosen)
    if len(rest) > room:
        rest = [rest[number * len(rest) // room] for number in range(room)]
    return sorted([*chosen.values(), *rest], key=lambda point: (point.ts_ms, point.rowid))


def endings(blocks: Sequence[Block]) -> list[tuple[str | None, int | None, str | None, int]]:
    """(outcome, status, error type, calls) of what did not end well, the most frequent first."""
    counts: dict[tuple[str | None, int | None, str | None], int] = defaultdict(int)
    for end in (end for block in blocks for end in block.ends):
        counts[end.outcome, end.status, end.error_type] += end.calls
    return sorted(((*way, calls) for way, calls in counts.items()), key=lambda row: (-row[3], str(row)))


def failures(blocks: Sequence[Block]) -> list[Failure]:
    """Failed attempts by class and upstream, the most frequent first."""
    counts: dict[tuple[str, str | None], int] = defaultdict(int)
    for failure in (failure for block in blocks for failure in block.failures):
        counts[failure.failure, failure.upstream] += failure.tries
    return sorted((Failure(*way, tries) for way, tries in counts.items()), key=lambda row: (-row.tries, str(row)))


def _models(blocks: Sequence[Block]) -> Iterable[ModelSums]:
    return (sums for block in blocks for sums in block.models)


def _ranked(parts: Iterable[tuple[Any, ...]]) -> list[Row]:
    gathered: dict[str | None, list[Spend]] = defaultdict(list)
    for part in map(Spend._make, parts):
        gathered[part.value].append(part)
    rows = [
        Row(
            value,
            sum(part.calls for part in found),
            plus(tokens for part in found for tokens in (part.input_tokens, part.output_tokens)),
            plus(part.cost_usd for part in found),
            sum(part.no_cost for part in found),
        )
        for value, found in gathered.items()
    ]
    return sorted(rows, key=lambda row: (-(row.cost_usd or 0), -(row.tokens or 0), -row.calls, str(row.value)))


def _streamed(sample: Sample) -> bool:
    return bool(sample.stream) and sample.outcome == "ok" and sample.ttft_ms is not None


def _step(block: Block, series: Callable[[str | None], int], width: int, ttft: Sequence[float]) -> Step:
    cost: list[list[Number]] = [[] for _ in range(width)]
    tokens: list[list[Number]] = [[] for _ in range(width)]
    for sums in block.models:
        cost[series(sums.model)].append(sums.cost_usd)
        tokens[series(sums.model)] += [sums.input_tokens, sums.output_tokens]
    return Step(
        from_ms=block.edges[0],
        calls=block.calls,
        errors=sum(end.calls for end in block.ends if end.outcome in FAILED),
        input_tokens=plus(sums.input_tokens for sums in block.models),
        output_tokens=plus(sums.output_tokens for sums in block.models),
        total_usd=plus(sums.cost_usd for sums in block.models),
        cost_usd=tuple(map(plus, cost)),
        tokens=tuple(map(plus, tokens)),
        ttft_p50_ms=percentile(ttft, 50),
        ttft_p95_ms=percentile(ttft, 95),
    )


def _point(call: ModelSums | End | Sample, duration_ms: float | None, series: Callable[[str | None], int]) -> Point:
    return Point(call.rowid, call.ts_ms, float(duration_ms or 0), series(call.model), call.outcome)
