"""addons/views/charts.py: from sums to what is shown, by plain values."""

from __future__ import annotations

from typing import Any

import pytest

from addons.views.charts import (
    POINTS_FAILED,
    ROWS,
    SERIES,
    Row,
    by_model,
    endings,
    failures,
    percentile,
    plus,
    points,
    series_of,
    shortened,
    speeds,
    spend,
    steps,
    totals,
)
from addons.views.figures import Block, End, Failure, ModelSums, Reading, Sample, Spend


def sums(model: str | None = "m", rowid: int = 1, **values: Any) -> ModelSums:
    """One call of a model, with what a test changes."""
    row: dict[str, Any] = {
        "calls": 1,
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_tokens": None,
        "cache_base_tokens": None,
        "cost_usd": 0.5,
        "no_cost": 0,
        "slowest_ms": 1000.0,
        "ts_ms": 5,
        "outcome": "ok",
    }
    return ModelSums(model=model, rowid=rowid, **row | values)


def sample(rowid: int, **values: Any) -> Sample:
    """A streamed answer: 100 tokens in a second, after 200 ms."""
    row: dict[str, Any] = {"model": "m", "outcome": "ok", "stream": 1, "ttft_ms": 200.0, "duration_ms": 1200.0, "output_tokens": 100}
    return Sample(rowid=rowid, **{"ts_ms": 5, **row, **values})


def end(outcome: str | None, calls: int, rowid: int = 1, **values: Any) -> End:
    row: dict[str, Any] = {"status": 429, "error_type": "rate_limit", "slowest_ms": 50.0, "ts_ms": 5, "model": "m"}
    return End(outcome=outcome, calls=calls, rowid=rowid, **row | values)


def reading(*blocks: Block, samples: tuple[Sample, ...] = ()) -> Reading:
    return Reading("token", blocks, len(blocks), samples, 1, (), {}, 5)


def test_what_nobody_knows_is_not_zero() -> None:
    """Sums of unknowns are unknown; of some, those that are known."""
    assert plus([None, None]) is None
    assert plus([]) is None
    assert plus([None, 2, 0.5]) == 2.5
    nothing = totals([Block((0, 10), (sums(input_tokens=None, output_tokens=None, cost_usd=None, no_cost=1),))])
    assert (nothing.input_tokens, nothing.cost_usd, nothing.no_cost, nothing.cache_share) == (None, None, 1, None)
    assert totals([]).calls == 0


def test_totals_are_those_of_all_steps() -> None:
    """The cache share is of the calls that told; a client that left is no error."""
    known = sums(cache_read_tokens=30, cache_base_tokens=40, calls=3)
    ends = (end("error", 2), end("partial", 1), end("blocked", 1), end("cancelled", 5))
    found = totals([Block((0, 10), (known,)), Block((10, 20), (sums(cost_usd=None, no_cost=1),), ends=ends)])
    assert (found.calls, found.input_tokens, found.cost_usd, found.no_cost) == (4, 200, 0.5, 1)
    assert found.cache_share == 0.75
    assert (found.errors, found.ends["cancelled"]) == (4, 5)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (95, 95), (99, 99), (100, 100), (1, 1)])
def test_percentiles_are_measured_values(percent: int, expected: float) -> None:
    """Nearest rank."""
    assert percentile(range(1, 101), percent) == expected
    assert percentile([7.0], percent) == 7.0
    assert percentile([], percent) is None


def test_models_are_ranked_by_cost_then_tokens() -> None:
    """Those whose cost is not known come after those with one."""
    blocks = [Block((0, 10), (sums("cheap", cost_usd=1), sums(None, cost_usd=None, input_tokens=9000), sums("dear", cost_usd=2)))]
    assert [row.value for row in by_model(blocks)] == ["dear", "cheap", None]
    assert by_model(blocks)[2] == Row(None, 1, 9010, None, 0)


def test_spend_has_a_row_per_value() -> None:
    """Over all steps; not known is a value of its own."""
    one, two = Spend("a", 1, 5, 5, 0.1, 0), Spend(None, 2, None, None, None, 2)
    blocks = [Block((0, 10), spend={"client": (one, two)}), Block((10, 20), spend={"client": (one,)})]
    assert spend(blocks)["client"] == [Row("a", 2, 20, 0.2, 0), Row(None, 2, None, None, 2)]
    assert spend(blocks)["tag"] == []


def test_long_tables_end_with_the_others() -> None:
    """Nothing is lost in the sum."""
    rows = [Row(str(number), 1, number, 0.5, 1) for number in range(ROWS + 3)]
    short = shortened(rows)
    assert len(short) == ROWS
    assert short[-1].others == 4
    assert sum(row.calls for row in short) == len(rows)
    assert shortened(rows[:ROWS]) == rows[:ROWS]


@pytest.mark.parametrize(("models", "named", "others"), [(2, 2, 0), (SERIES + 1, SERIES + 1, 0), (SERIES + 2, SERIES, 2)])
def test_few_models_have_colours(models: int, named: int, others: int) -> None:
    """The others share the last one."""
    names, series = series_of([Row(str(number), 1, 1, 1.0, 0) for number in range(models)])
    assert len(names) == named
    assert sum(series(str(number)) == named for number in range(models)) == others


def test_series_have_a_value_per_step() -> None:
    """Unknown stays unknown, and latency belongs to the step of its call."""
    first = Block((0, 10), (sums("a", cost_usd=1), sums("b", cost_usd=None)), ends=(end("error", 1), end("cancelled", 1)))
    samples = (sample(1, ts_ms=3, ttft_ms=100.0), sample(2, ts_ms=3, ttft_ms=300.0), sample(3, ts_ms=25, ttft_ms=50.0))
    found = steps(reading(first, Block((10, 20)), Block((20, 30)), samples=samples), lambda model: int(model == "b"), 2)
    assert [step.cost_usd for step in found] == [(1, None), (None, None), (None, None)]
    assert found[0].tokens == (110, 110)
    assert (found[0].calls, found[0].errors, found[0].total_usd) == (2, 1, 1)
    assert [(step.ttft_p50_ms, step.ttft_p95_ms) for step in found] == [(100, 300), (None, None), (50, 50)]


def test_speed_is_that_of_streamed_answers_that_ended_well() -> None:
    """Whole answers have no first token, broken ones no speed; an answer that came at once, or is a few tokens, has no rate."""
    samples = [
        sample(1),
        sample(2, ttft_ms=400.0, duration_ms=900.0),
        sample(3, stream=0, ttft_ms=9.0),
        sample(4, outcome="partial", ttft_ms=9.0),
        sample(5, ttft_ms=None),
        sample(6, model=None, ttft_ms=70.0, duration_ms=70.0),
        sample(7, ttft_ms=300.0, duration_ms=300.4),
        sample(8, ttft_ms=300.0, duration_ms=900.0, output_tokens=9),
    ]
    first, second = speeds(samples)
    assert (first.model, first.streamed, first.ttft_p50_ms, first.ttft_p95_ms, first.tokens_per_s) == ("m", 4, 300, 400, 100)
    assert (second.model, second.ttft_p50_ms, second.tokens_per_s) == (None, 70, None)


def test_points_keep_errors_and_outliers() -> None:
    """However many calls there are, and no more points than asked for; each call once, in the order of time."""
    slow = sums(rowid=50_000, slowest_ms=99_000.0, ts_ms=7)
    failed = end("error", 3, rowid=60_000, slowest_ms=1.0, ts_ms=8)
    samples = tuple(sample(number, ts_ms=number % 10) for number in range(5000))
    found = points(reading(Block((0, 10), (slow,), ends=(failed,)), samples=samples), lambda model: 0, limit=100)
    assert len(found) == 100
    assert {50_000, 60_000} <= {point.rowid for point in found}
    assert len({point.rowid for point in found}) == 100
    assert [point.ts_ms for point in found] == sorted(point.ts_ms for point in found)


def test_errors_leave_room_for_the_rest() -> None:
    """Also when all but a few calls failed."""
    samples = tuple(sample(number, outcome="error" if number % 10 else "ok") for number in range(5000))
    found = points(reading(Block((0, 10), (sums(rowid=1),)), samples=samples), lambda model: 0, limit=POINTS_FAILED + 100)
    assert sum(point.outcome == "ok" for point in found) > 5


def test_a_call_without_a_duration_is_no_point() -> None:
    """It has no place in time."""
    blocks = Block((0, 10), (sums(slowest_ms=None),), ends=(end("blocked", 1, slowest_ms=None),))
    assert points(reading(blocks, samples=(sample(1, duration_ms=None),)), lambda model: 0) == []


def test_what_went_wrong_is_counted_by_kind() -> None:
    """The most frequent first, over all steps."""
    failed = (Failure("auth", None, 1), Failure("server", "a", 2))
    blocks = [Block((0, 10), ends=(end("error", 1), end("cancelled", 5, status=None)), failures=failed)] * 2
    assert endings(blocks) == [("cancelled", None, "rate_limit", 10), ("error", 429, "rate_limit", 2)]
    assert failures(blocks) == [Failure("server", "a", 4), Failure("auth", None, 2)]
