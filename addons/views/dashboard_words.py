"""What the dashboard says: numbers as words for the template, and as values for its script.

What is not known is a dash, never a zero. Times are UTC.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from addons.core.wording import counted
from addons.views import charts
from addons.views.cells import duration, money
from addons.views.figures import Failure, Reading
from addons.views.filters import DAY_S, RANGES, Filters, Query, Span

SLOWEST = 20
NOT_KNOWN = "\u2013"
OTHER_MODELS = "other models"
UNNAMED = "(not known)"
SHOWN = 60  # characters of a name in a table; a client may call itself anything
LINKED = 500  # longer names have no link of their own: addresses have limits


@dataclass(frozen=True, slots=True)
class Numbers:
    """All that is made of a reading. `names`: the series' words, `steps` and `points` refer to them by their place."""

    reading: Reading
    totals: charts.Totals
    models: Sequence[charts.Row]
    names: Sequence[str]
    steps: Sequence[charts.Step]
    speeds: Sequence[charts.Speed]
    points: Sequence[charts.Point]

    @classmethod
    def of(cls, reading: Reading) -> Numbers:
        """The numbers of what was read."""
        models = charts.by_model(reading.blocks)
        named, series = charts.series_of(models)
        names = [*(_name(name)[:LINKED] for name in named), *([OTHER_MODELS] if len(models) > len(named) else [])]
        return cls(
            reading,
            charts.totals(reading.blocks),
            models,
            names,
            charts.steps(reading, series, len(names)),
            charts.speeds(reading.samples),
            charts.points(reading, series),
        )


def figures(query: Query, numbers: Numbers, ids: Mapping[int, str], call_url: Callable[[str], str]) -> dict[str, Any]:
    """What changes when calls come in: words for the template, and `charts` for the script. `ids`: of the points' rows."""
    reading, blocks = numbers.reading, numbers.reading.blocks
    return {
        "figures": True,
        "token": reading.token,
        "empty": reading.newest_ms is None,
        "unfinished": f"{len(blocks)} of {reading.steps}" if len(blocks) < reading.steps else "",
        "charts": _plain(_charts(query.span, numbers, ids)),
        "span": {"from": _minute(query.span.from_ms), "to": _minute(query.span.to_ms), "step": _words(query.span.step_ms)},
        "tiles": _tiles(numbers.totals),
        "models": [_line(query, "model", row) for row in charts.shortened(numbers.models)],
        "spend": {name: [_line(query, name, row) for row in charts.shortened(rows)] for name, rows in _told(charts.spend(blocks))},
        "steps": [_step(query.span, step) for step in numbers.steps if step.calls],
        "speeds": [_speed(speed) for speed in numbers.speeds[: charts.ROWS]],
        "stride": reading.stride,
        "endings": [_ending(query, *ending) for ending in charts.endings(blocks)[: charts.ROWS]],
        "failures": [_failure(query, failure) for failure in charts.failures(blocks)[: charts.ROWS]],
        "latest": [_call(call, call_url(call["id"])) for call in reading.latest],
        "slowest": _slowest(numbers, ids, call_url),
        "shown_points": len(numbers.points),
        "names": {name: [known for known in values if len(known) <= LINKED] for name, values in reading.names.items()},
        "elsewhere": None if numbers.totals.calls or reading.newest_ms is None else _elsewhere(query, reading.newest_ms),
    }


def local_time(moment_ms: int) -> str:
    """As `<input type="datetime-local">` has it; with seconds only where there are some."""
    return _iso(moment_ms).removesuffix(":00")


def clipped[T: (str, str | None)](name: T) -> T:
    """A name as it fits a table."""
    return name if name is None or len(name) <= SHOWN else f"{name[:SHOWN]}…"


def _tiles(totals: charts.Totals) -> list[dict[str, Any]]:
    unknown = (
        f"without {counted(totals.no_cost, 'call')} whose cost is not known"
        if totals.no_cost
        else "all costs are known"
        if totals.calls
        else ""
    )
    rows: tuple[tuple[str, str, charts.Number, str, str], ...] = (
        ("calls", "Calls", totals.calls, f"{totals.calls:,}", ""),
        ("cost_usd", "Cost", totals.cost_usd, _known(totals.cost_usd, money), unknown),
        ("input_tokens", "Input tokens", totals.input_tokens, _count(totals.input_tokens), "those from the cache included"),
        ("output_tokens", "Output tokens", totals.output_tokens, _count(totals.output_tokens), "reasoning included"),
        ("cache_read_tokens", "Cached tokens", totals.cache_read_tokens, _count(totals.cache_read_tokens), "read from prompt caches"),
        (
            "cache_share",
            "Cache hit share",
            totals.cache_share,
            _known(totals.cache_share, lambda share: f"{100 * share:.1f} %"),
            "of the input tokens, where the provider told",
        ),
        ("errors", "Errors", totals.errors, f"{totals.errors:,}", _error_note(totals)),
    )
    return [
        {"key": key, "label": label, "exact": "" if exact is None else exact, "value": value, "note": note}
        for key, label, exact, value, note in rows
    ]


def _error_note(totals: charts.Totals) -> str:
    """What the errors are, and what did not end well and is none."""
    share = f"{100 * totals.errors / totals.calls:.1f} % of calls" if totals.calls else ""
    counted = " · ".join(part for part in (share, _ends(totals, counted=True)) if part)
    others = _ends(totals, counted=False)
    return "; ".join(part for part in (counted, others and f"not counted: {others}") if part)


def _ends(totals: charts.Totals, counted: bool) -> str:
    ends = [(outcome, calls) for outcome, calls in totals.ends.items() if (outcome in charts.FAILED) == counted]
    return " · ".join(f"{calls:,} {outcome or 'not known'}" for outcome, calls in sorted(ends, key=lambda end: -end[1]))


def _told(spend: Mapping[str, Sequence[charts.Row]]) -> list[tuple[str, Sequence[charts.Row]]]:
    """Projects come with client tokens: without any there is nothing to tell."""
    return [(name, rows) for name, rows in spend.items() if name != "project" or any(row.value is not None for row in rows)]


def _charts(span: Span, numbers: Numbers, ids: Mapping[int, str]) -> dict[str, Any]:
    """Values of the charts: a list per series, a value per step; points are [ms since 1970, duration in ms, series, outcome, call id]."""
    steps, speeds = numbers.steps, numbers.speeds[: charts.ROWS]
    return {
        "from_ms": span.from_ms,
        "to_ms": span.to_ms,
        "labels": [_label(span, step.from_ms) for step in steps],
        "series": list(numbers.names),
        "cost": [[step.cost_usd[place] for step in steps] for place in range(len(numbers.names))],
        "tokens": [[step.tokens[place] for step in steps] for place in range(len(numbers.names))],
        "ttft": [[step.ttft_p50_ms for step in steps], [step.ttft_p95_ms for step in steps]],
        "speeds": {
            "models": [_name(speed.model)[:LINKED] for speed in speeds],
            "ttft_p50_ms": [speed.ttft_p50_ms for speed in speeds],
            "ttft_p95_ms": [speed.ttft_p95_ms for speed in speeds],
            "tokens_per_s": [speed.tokens_per_s for speed in speeds],
        },
        "points": [[point.ts_ms, point.duration_ms, point.series, point.outcome, ids[point.rowid]] for point in _there(numbers, ids)],
    }


def _there(numbers: Numbers, ids: Mapping[int, str]) -> list[charts.Point]:
    """Without calls that were pruned a moment ago."""
    return [point for point in numbers.points if point.rowid in ids]


def _slowest(numbers: Numbers, ids: Mapping[int, str], call_url: Callable[[str], str]) -> list[dict[str, Any]]:
    slowest = sorted(_there(numbers, ids), key=lambda point: -point.duration_ms)[:SLOWEST]
    return [
        {
            "href": call_url(ids[point.rowid]),
            "at": _second(point.ts_ms),
            "model": clipped(numbers.names[point.series]),
            "outcome": point.outcome,
            "duration": _ms(point.duration_ms),
        }
        for point in slowest
    ]


def _plain(value: Any) -> Any:
    """Without infinities, which JSON does not have: a provider's own figure may be anything."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(query: Query, name: str, row: charts.Row) -> dict[str, Any]:
    others = f"{row.others:,} others" if row.others else ""
    return {
        "label": others or clipped(_name(row.value)),
        "title": None if others else _name(row.value)[:LINKED],
        "href": None if row.others or len(row.value or "") > LINKED else query.narrowed(name, row.value).address(),
        "calls": f"{row.calls:,}",
        "tokens": _count(row.tokens),
        "cost": _known(row.cost_usd, money),
        "exact": "" if row.cost_usd is None else row.cost_usd,
        "no_cost": row.no_cost,
    }


def _step(span: Span, step: charts.Step) -> dict[str, str]:
    return {
        "at": _label(span, step.from_ms),
        "calls": f"{step.calls:,}",
        "errors": f"{step.errors:,}",
        "input": _count(step.input_tokens),
        "output": _count(step.output_tokens),
        "cost": _known(step.total_usd, money),
        "ttft_p50": _ms(step.ttft_p50_ms),
        "ttft_p95": _ms(step.ttft_p95_ms),
    }


def _speed(speed: charts.Speed) -> dict[str, str]:
    return {
        "model": clipped(_name(speed.model)),
        "streamed": f"{speed.streamed:,}",
        "ttft_p50": _ms(speed.ttft_p50_ms),
        "ttft_p95": _ms(speed.ttft_p95_ms),
        "rate": _known(speed.tokens_per_s, lambda rate: f"{rate:,.1f}"),
    }


def _ending(query: Query, outcome: str | None, status: int | None, error_type: str | None, calls: int) -> dict[str, Any]:
    narrowed = query.narrowed("outcome", outcome)
    if status is not None and 100 <= status <= 599:
        narrowed = narrowed.narrowed("status", str(status))
    if error_type is not None and len(error_type) <= LINKED:
        narrowed = narrowed.narrowed("error_type", error_type)
    return {"outcome": outcome, "status": status, "error_type": clipped(error_type), "calls": f"{calls:,}", "href": narrowed.address()}


def _failure(query: Query, failure: Failure) -> dict[str, Any]:
    """The link leads to all calls with such an attempt: the attempt's upstream need not be the call's."""
    href = query.narrowed("failure", failure.failure).address()
    return {"failure": failure.failure, "upstream": clipped(failure.upstream), "tries": f"{failure.tries:,}", "href": href}


def _call(call: Mapping[str, Any], href: str) -> dict[str, Any]:
    words = {"input": _count(call["input_tokens"]), "output": _count(call["output_tokens"]), "cost": _known(call["cost_usd"], money)}
    times = {"ttft": _ms(call["ttft_ms"]), "duration": _ms(call["duration_ms"]), "at": str(call["started_at"])[:19].replace("T", " ")}
    names = {name: clipped(call.get(name)) for name in ("client", "model", "upstream")}
    return {**call, **names, **words, **times, "href": href}


def _elsewhere(query: Query, newest_ms: int) -> dict[str, str]:
    """Where calls are, for a range without any: the shortest range from now that holds the newest one, else the days around it."""
    age_s = time.time() - newest_ms / 1000
    name = next((name for name, length in RANGES.items() if 0 <= age_s < length), None)
    day = datetime.fromtimestamp(newest_ms / 1000, UTC).date().isoformat()
    address = (
        replace(query.within(name), filters=Filters()).address() if name else f"?from={day}&to={_minute(newest_ms + DAY_S * 1000)[:10]}"
    )
    return {"newest": _second(newest_ms), "href": address}


def _name(value: str | None) -> str:
    return UNNAMED if value is None else value


def _known[T: (int, float)](value: T | None, words: Any) -> str:
    return NOT_KNOWN if value is None or not math.isfinite(value) else str(words(value))


def _count(value: charts.Number) -> str:
    return _known(value, lambda count: f"{count:,.0f}")


def _ms(value: float | None) -> str:
    return _known(value, duration)


def _words(step_ms: int) -> str:
    for name, length_ms in (("day", DAY_S * 1000), ("hour", 3_600_000), ("minute", 60_000)):
        if step_ms % length_ms == 0:
            count = step_ms // length_ms
            return f"{count} {name}{'s' * (count > 1)}"
    return f"{step_ms // 1000} s"


def _iso(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def _second(moment_ms: int) -> str:
    return _iso(moment_ms).replace("T", " ")


def _minute(moment_ms: int) -> str:
    return _second(moment_ms)[:16]


def _label(span: Span, moment_ms: int) -> str:
    """A step by its beginning, no longer than its length asks for."""
    text = _second(moment_ms)
    if span.step_ms >= DAY_S * 1000:
        return text[:10]
    return text[5:16] if span.step_ms >= 60_000 else text[11:19]
