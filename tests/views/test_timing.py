"""addons/views/timing.py: where the time of a call, and of many, went."""

from __future__ import annotations

from typing import Any

import pytest

from addons.views.timing import timing_of, waterfall


def phases(call: dict[str, Any], attempts: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    timing = timing_of(call, attempts)
    assert timing is not None
    return [(phase.name, phase.at_ms, phase.length_ms) for phase in timing.phases]


STREAM = {"duration_ms": 1000.0, "connect_ms": 100.0, "ttfb_ms": 300.0, "ttft_ms": 400.0}


@pytest.mark.parametrize(
    ("call", "attempts", "expected"),
    [
        pytest.param(STREAM, [], [("connect", 0, 100), ("wait", 100, 200), ("first", 300, 100), ("stream", 400, 600)], id="a stream"),
        pytest.param(
            {**STREAM, "connect_ms": None}, [], [("wait", 0, 300), ("first", 300, 100), ("stream", 400, 600)], id="a kept connection"
        ),
        pytest.param({**STREAM, "ttft_ms": None}, [], [("connect", 0, 100), ("wait", 100, 200), ("stream", 300, 700)], id="a whole answer"),
        pytest.param({"duration_ms": 50.0}, [], [("wait", 0, 50)], id="no byte came"),
        pytest.param(
            {"duration_ms": 1000.0, "ttfb_ms": 900.0},
            [{"duration_ms": 200.0, "wait_ms": 0.0}, {"duration_ms": None, "wait_ms": 300.0}],
            [("retries", 0, 500), ("wait", 500, 400), ("stream", 900, 100)],
            id="after a failed try and a wait",
        ),
        pytest.param({"duration_ms": 100.0, "connect_ms": 5000.0, "ttfb_ms": 9000.0}, [], [("connect", 0, 100)], id="times that cannot be"),
    ],
)
def test_phases(call: dict[str, Any], attempts: list[dict[str, Any]], expected: list[tuple[str, float, float]]) -> None:
    """One follows the other without a gap; what is unknown is left out."""
    assert phases(call, attempts) == expected


def test_an_unknown_duration_has_no_bar() -> None:
    """Not one of length 0."""
    assert timing_of({"duration_ms": None}) is None
    assert timing_of({}) is None


def test_every_chunk_has_a_mark_and_many_share_one() -> None:
    """In the drawing's units; a hundred thousand chunks are no more than its pixels."""
    timing = timing_of({"duration_ms": 100.0}, (), (10.0, 40.0, 50.0))
    assert timing is not None
    assert (timing.marks, timing.chunks) == ("M100 0V10M500 0V10M1000 0V10", 3)
    many = timing_of({"duration_ms": 100_000.0}, (), (1.0,) * 100_000)
    assert many is not None
    assert many.chunks == 100_000
    assert many.marks.count("M") <= 1001


def test_chunks_after_the_noted_end_lengthen_the_bar() -> None:
    """So that all of them are within it."""
    timing = timing_of({"duration_ms": 10.0}, (), (10.0, 10.0))
    assert timing is not None
    assert timing.total_ms == 20


def test_calls_below_each_other() -> None:
    """By their starts; parallel ones overlap."""
    bars = waterfall([(5000, 100.0, 50.0), (5050, 50.0, None)])
    assert [(bar.x, bar.width, bar.first_x, bar.idle_ms) for bar in bars] == [(0, 1000, 500, None), (500, 500, None, None)]


def test_a_long_pause_is_cut_and_told() -> None:
    """An hour between two calls would leave nothing of them to be seen."""
    bars = waterfall([(0, 4500.0, None), (3_600_000, 4500.0, None)])
    assert bars[1].idle_ms == 3_595_500
    assert (bars[0].width, bars[1].width) == (450, 450)


def test_no_calls_and_no_durations() -> None:
    """Neither is an error; a call of unknown duration is a line."""
    assert waterfall([]) == ()
    assert waterfall([(0, None, None)])[0].width == 1.0
