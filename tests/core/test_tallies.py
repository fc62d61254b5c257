"""Counting calls, with bounded labels."""

from __future__ import annotations

from addons.core.call import AttemptRecord, CallRecord, SqlValue, StoredCall
from addons.core.tallies import MAX_MODEL_CHARACTERS, Histogram, Models, Tallies


def record(**facts: object) -> CallRecord:
    made = CallRecord("id", 0, "POST", "host", "/", "openai.chat")
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def stored(**row: SqlValue) -> StoredCall:
    return StoredCall(row={"outcome": "ok", "tokens_source": "reported", "upstream": "up", "model": "m", **row})


def test_a_histogram_counts_up_to_each_bound() -> None:
    """Bounds are inclusive; what is above all of them is in the last bucket only."""
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.note(value)
    assert histogram.buckets() == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert histogram.total == 7.65


def test_calls_attempts_and_failures_are_counted_by_upstream() -> None:
    """A call that failed over counts once, as its last upstream's; each attempt as its own."""
    tallies = Tallies()
    attempts = [AttemptRecord(1, "first", "h", failure="overloaded"), AttemptRecord(2, "second", "h")]
    tallies.ended(record(upstream="second", attempts=attempts, duration_ms=1500.0))
    assert tallies.calls == {("second", "ok"): 1}
    assert tallies.attempts == {"first": 1, "second": 1}
    assert tallies.failures == {("first", "overloaded"): 1}
    assert tallies.durations["second"].total == 1.5


def test_a_call_that_was_refused_has_no_duration() -> None:
    """Refusals take no time, and would hide how long answers take."""
    tallies = Tallies()
    tallies.ended(record(outcome="blocked", duration_ms=1.0))
    assert tallies.calls == {("", "blocked"): 1}
    assert not tallies.durations


def test_tokens_and_cost_are_added_up_by_model() -> None:
    """Unknown counts are not zeros; what was sent under another name is counted under that one."""
    tallies = Tallies()
    tallies.stored(stored(input_tokens=3, output_tokens=4, reasoning_tokens=None, cost_usd=0.5, ttft_ms=250.0))
    tallies.stored(stored(input_tokens=1, served_model="other-name"))
    assert tallies.tokens == {("input", "m"): 3, ("output", "m"): 4, ("input", "other-name"): 1}
    assert tallies.cost_usd == {("up", "m"): 0.5}
    assert tallies.ttft["up"].total == 0.25


def test_a_model_that_no_provider_has_answered_for_has_no_label() -> None:
    """Clients may ask for whatever they like: estimates and errors count as `other`."""
    tallies = Tallies()
    for n in range(50):
        tallies.stored(stored(model=f"made-up-{n}", input_tokens=1, tokens_source="estimated"))
        tallies.stored(stored(model=f"made-up-{n}", input_tokens=1, outcome="error"))
    assert tallies.tokens == {("input", "other"): 100}


def test_only_so_many_models_have_a_label() -> None:
    """Those that have one keep it."""
    models = Models(limit=2)
    assert [models.label(name) for name in ("a", "b", "c", "a", None, "")] == ["a", "b", "other", "a", "other", "other"]
    assert Models().label("x" * (MAX_MODEL_CHARACTERS + 1)) == "other"
