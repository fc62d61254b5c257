"""How fast upstreams answer, from what was stored of their calls."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.call import AttemptRecord, StoredCall
from addons.core.speeds import FORGOTTEN_AFTER_S, HALF_LIFE_CALLS, Measured, Speeds, measured
from addons.core.strategies import TYPICAL

TOKENS = TYPICAL.output_tokens or 0


def test_the_expected_time_is_that_of_a_typical_answer() -> None:
    """First token, then the rest at the measured rate; what was not measured is None."""
    speeds = Speeds()
    speeds.note("openai", "m", 400.0, 100.0, now=5)
    assert speeds.expected_s("openai", "m", 5) == pytest.approx(0.4 + TOKENS / 100)
    assert speeds.expected_s("openai", "other", 5) is None
    assert speeds.expected_s("azure", "m", 5) is None


def test_the_first_measurements_count_alike() -> None:
    """Their mean, so that the very first does not stay the measure of all."""
    speeds = Speeds()
    for ttft_ms in (100.0, 200.0, 600.0):
        speeds.note("a", "m", ttft_ms, None, now=0)
    assert speeds.expected_s("a", "m", 0) == pytest.approx(0.3)


def test_a_measurement_counts_half_after_its_half_life() -> None:
    """Once there are many, `HALF_LIFE_CALLS` new ones are half of the average."""
    speeds = Speeds()
    for _ in range(200):
        speeds.note("a", "m", 1000.0, None, now=0)
    for _ in range(HALF_LIFE_CALLS):
        speeds.note("a", "m", 0.0, None, now=0)
    assert speeds.expected_s("a", "m", 0) == pytest.approx(0.5)


def test_a_burst_does_not_hide_slow_answers() -> None:
    """Times are averaged, not rates: an answer that came in one piece looks as if it were endlessly fast."""
    speeds = Speeds()
    speeds.note("a", "m", 0.0, 1_000_000.0, now=0)
    speeds.note("a", "m", 0.0, 50.0, now=0)
    assert speeds.expected_s("a", "m", 0) == pytest.approx(TOKENS / 100, rel=0.01)


def test_what_one_call_does_not_show_another_may() -> None:
    """First token and rate are kept apart; a call that shows neither leaves everything as it was."""
    speeds = Speeds()
    speeds.note("a", "m", None, None, now=0)
    speeds.note("a", "m", None, 0.0, now=0)
    assert speeds.expected_s("a", "m", 0) is None
    speeds.note("a", "m", None, 50.0, now=0)
    speeds.note("a", "m", 500.0, None, now=0)
    assert speeds.expected_s("a", "m", 0) == pytest.approx(0.5 + TOKENS / 50)


def test_an_old_average_is_forgotten() -> None:
    """Who was slow once is tried again, and what is measured then is not mixed with the old."""
    speeds = Speeds()
    speeds.note("a", "m", 9000.0, None, now=0)
    assert speeds.expected_s("a", "m", FORGOTTEN_AFTER_S) == 9
    assert speeds.expected_s("a", "m", FORGOTTEN_AFTER_S + 1) is None
    speeds.note("a", "m", 1000.0, None, now=FORGOTTEN_AFTER_S + 1)
    assert speeds.expected_s("a", "m", FORGOTTEN_AFTER_S + 1) == 1


def test_memory_is_bounded() -> None:
    """What was not added to for longest makes room."""
    speeds = Speeds(limit=2)
    for now, model in enumerate(("a", "b", "a", "c")):
        speeds.note("u", model, 1000.0, None, now)
    assert [speeds.expected_s("u", model, 4) for model in "abc"] == [1, None, 1]


def stored(**row: Any) -> StoredCall:
    """A streamed call of 2 s, whose first content came after 0.5 s."""
    usual = {"upstream": "u", "model": "m", "served_model": None, "outcome": "ok", "attempts": 1, "ttft_ms": 500.0, "duration_ms": 2000.0}
    return StoredCall({**usual, "output_tokens": 300, **row})


@pytest.mark.parametrize(
    ("call", "ttft_ms", "rate"),
    [
        (stored(), 500, 200),
        (stored(output_tokens=15), 500, None),
        (stored(output_tokens=None), 500, None),
        (stored(duration_ms=500.0), 500, None),
        (stored(ttft_ms=None), None, 150),
        (stored(ttft_ms=None, output_tokens=3), 2000, None),
        (stored(ttft_ms=None, output_tokens=None), 2000, None),
    ],
)
def test_what_a_stored_call_shows(call: StoredCall, ttft_ms: float | None, rate: float | None) -> None:
    """A stream its first token and its rate; a whole answer one of them. Of few tokens no rate is told."""
    assert measured(call) == Measured("u", "m", ttft_ms, rate)


def test_a_wait_before_the_attempt_is_not_the_upstreams() -> None:
    """For a key, say."""
    call = StoredCall(stored().row, attempts=(AttemptRecord(1, "u", "h", wait_ms=300.0),))
    assert measured(call) == Measured("u", "m", 200, 200)
    whole = StoredCall(stored(ttft_ms=None).row, attempts=(AttemptRecord(1, "u", "h", wait_ms=500.0),))
    assert measured(whole) == Measured("u", "m", None, 200)


def test_the_model_is_the_one_that_was_sent() -> None:
    """A route's, where it put another in."""
    found = measured(stored(served_model="put-in"))
    assert found and found.model == "put-in"


@pytest.mark.parametrize(
    "row", [{"outcome": "partial"}, {"attempts": 2}, {"attempts": 0}, {"upstream": None}, {"model": None}, {"duration_ms": None}]
)
def test_what_shows_nothing(row: dict[str, Any]) -> None:
    """Failures, calls that were tried elsewhere first, and what names no model or no time."""
    assert measured(stored(**row)) is None
