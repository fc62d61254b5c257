"""When an upstream is left alone, and when it is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from addons.core.breaker import FAILURES_TO_OPEN, OPEN_S, PROBE_S, Breaker, BreakerRecord

NOW = 1_800_000_000.0
COUNTED = ("server", "overloaded", "connect", "timeout")

# What happens to a breaker, and how many seconds later.
EVENTS = st.lists(
    st.tuples(st.sampled_from(["begin", "succeeded", "abandoned", *COUNTED]), st.floats(0, 200) | st.sampled_from([0.0, 59.9, 60.0, 60.1])),
    max_size=40,
)


def opened(now: float = NOW) -> Breaker:
    """One that has just been opened."""
    breaker = Breaker()
    for why in ("server", "overloaded", "connect"):
        breaker.failed(now, why)
    return breaker


def play(breaker: Breaker, events: list[tuple[str, float]], now: float = NOW) -> float:
    """Let all that happen; gives the time afterwards."""
    for event, seconds in events:
        now += seconds
        if event in COUNTED:
            breaker.failed(now, event)
        else:
            getattr(breaker, event)(now)
    return now


def test_three_failures_in_a_row_open_it_for_a_minute() -> None:
    """Not two; from then on nothing is let through until the minute is over."""
    breaker = Breaker()
    breaker.failed(NOW, "server")
    breaker.failed(NOW + 100, "timeout")
    assert (breaker.state(NOW + 100), breaker.allows(NOW + 100)) == ("closed", True)
    breaker.failed(NOW + 200, "connect")
    assert (breaker.open_until, breaker.last_failure) == (NOW + 260, "connect")
    assert [breaker.state(NOW + 200 + s) for s in (0, 59.9, 60, 1000)] == ["open", "open", "half_open", "half_open"]
    assert [breaker.allows(NOW + 200 + s) for s in (0, 59.9, 60, 1000)] == [False, False, True, True]


def test_a_success_between_begins_the_count_anew() -> None:
    """In a row means in a row."""
    breaker = Breaker()
    play(breaker, [(event, 0) for event in ("server", "server", "succeeded", "server", "server")])
    assert breaker.state(NOW) == "closed"


def test_one_probe_at_a_time() -> None:
    """Half open, one call is let through; the others are not, until it has ended or given up its place."""
    breaker, later = opened(), NOW + OPEN_S
    breaker.begin(later)
    assert [breaker.allows(later + s) for s in (0, PROBE_S - 1, PROBE_S)] == [False, False, True]
    breaker.begin(later + 30)  # sent although it may not be: there was nobody else
    assert breaker.allows(later + PROBE_S)
    breaker.abandoned(later + 31)
    assert breaker.allows(later + 31)


def test_a_probe_that_succeeds_closes_it() -> None:
    """And the count begins anew."""
    breaker, later = opened(), NOW + OPEN_S
    breaker.begin(later)
    breaker.succeeded(later + 1)
    assert (breaker.state(later + 1), breaker.failures, breaker.open_until) == ("closed", 0, None)


def test_a_probe_that_fails_opens_it_again() -> None:
    """For another minute from then, after which there is one probe again."""
    breaker, later = opened(), NOW + OPEN_S
    breaker.begin(later)
    breaker.failed(later + 2, "timeout")
    assert (breaker.open_until, breaker.allows(later + 3)) == (later + 62, False)
    assert breaker.allows(later + 62)


def test_calls_that_end_late_do_not_keep_it_open() -> None:
    """They were sent before it opened, or since there was nobody else: their failures are no news, an answer is."""
    breaker = opened()
    breaker.failed(NOW + 50, "timeout")
    assert breaker.open_until == NOW + OPEN_S
    breaker.succeeded(NOW + 55)
    assert breaker.state(NOW + 55) == "closed"


def test_a_clock_that_is_set_back_does_not_keep_it_open() -> None:
    """Nor a probe's place taken; being set back a little, as clocks are by the network, changes nothing."""
    breaker = opened()
    assert breaker.state(NOW - 5) == "open"
    assert breaker.allows(NOW - 3600)
    breaker.begin(NOW - 3600)
    assert breaker.allows(NOW - 7200)


def test_it_stands_as_before_after_a_restart() -> None:
    """With its reason; the place of a probe of the last run is free."""
    before, after = opened(), Breaker()
    before.begin(NOW + OPEN_S)
    record = before.snapshot()
    assert record == BreakerRecord(3, NOW + OPEN_S, "connect")
    after.restore(record, NOW + 30)
    assert [after.state(NOW + s) for s in (30, 59, 60)] == ["open", "open", "half_open"]
    assert (after.last_failure, after.allows(NOW + OPEN_S)) == ("connect", True)
    after.begin(NOW + OPEN_S)
    after.failed(NOW + OPEN_S, "server")
    assert after.state(NOW + OPEN_S) == "open"


def test_a_record_from_the_future_is_cut() -> None:
    """The clock was set back meanwhile: a minute at most. Whatever it counted, a failed probe opens it again."""
    after = Breaker()
    after.restore(BreakerRecord(1, NOW + 86_400, "server"), NOW)
    assert after.open_until == NOW + OPEN_S
    after.failed(NOW + OPEN_S, "server")
    assert after.state(NOW + OPEN_S) == "open"


@given(EVENTS)
def test_fewer_than_three_in_a_row_never_open_it(events: list[tuple[str, float]]) -> None:
    """Whatever else happens, and whenever."""
    breaker, row, now = Breaker(), 0, NOW
    for event, seconds in events:
        now += seconds
        if event in COUNTED and row == FAILURES_TO_OPEN - 1:
            event = "succeeded"  # noqa: PLW2901 - the third is left out
        play(breaker, [(event, 0)], now)
        row = 0 if event == "succeeded" else row + (event in COUNTED)
        assert breaker.state(now) == "closed"


@given(EVENTS)
def test_it_is_always_tried_again(events: list[tuple[str, float]]) -> None:
    """Whatever has happened and if nothing more does, a call is let through after a minute, and after a probe's time at the latest."""
    breaker = Breaker()
    now = play(breaker, events)
    assert breaker.allows(now + max(OPEN_S, PROBE_S) + 0.001)


@given(st.lists(st.tuples(st.sampled_from(["ask", "server", "succeeded", "abandoned"]), st.floats(0, 40)), max_size=60))
def test_callers_that_ask_first_send_one_probe_at_a_time(steps: list[tuple[str, float]]) -> None:
    """While it is not closed there is never a second call out that was begun less than a probe's time ago."""
    breaker, now, out = opened(), NOW, list[float]()
    for step, seconds in steps:
        now += seconds
        if step == "ask":
            if breaker.allows(now):
                breaker.begin(now)
                out = [*out, now] if breaker.state(now) == "half_open" else []
        elif out:  # the call that was sent last ends
            out = []
            play(breaker, [(step, 0)], now)
        assert len([begun for begun in out if now - begun < PROBE_S]) <= 1


@given(EVENTS, st.floats(0, 200))
def test_a_restart_changes_only_the_probe(events: list[tuple[str, float]], later: float) -> None:
    """The state is the same at any time after it."""
    before, after = Breaker(), Breaker()
    now = play(before, events)
    after.restore(before.snapshot(), now)
    assert after.state(now + later) == before.state(now + later)
    assert after.snapshot() == before.snapshot()
