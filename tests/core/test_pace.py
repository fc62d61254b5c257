"""A key's rate is learned from its refusals."""

from __future__ import annotations

import pytest

from addons.core.pace import FORGET_S, LONGEST_GAP_S, Pace

NOW = 1_000_000.0


def work(pace: Pace, now: float, calls: int, gap_s: float) -> float:
    """So many calls, none sooner than the pace allows; the time after them."""
    for _ in range(calls):
        now = max(now, pace.next_at)
        pace.send(now)
        pace.wanted_at = now = now + gap_s  # somebody else waits all the while
    return now


def learned(calls: int, gap_s: float, rest_s: float = 2.0) -> Pace:
    """After two refusals with so many calls between them."""
    pace = Pace()
    pace.refused(NOW, NOW + rest_s)
    now = work(pace, NOW + rest_s, calls, gap_s)
    pace.refused(now, now + rest_s)
    return pace


def test_nothing_is_known_before_a_second_refusal() -> None:
    """Calls go as they come."""
    pace = Pace()
    work(pace, NOW, 50, 0.1)
    pace.refused(NOW + 5, NOW + 6)
    now = work(pace, NOW + 6, 50, 0.01)
    assert pace.rate == 0 and pace.next_at <= now


def test_the_rate_is_calls_by_time() -> None:
    """Of the whole time between the refusals, the cooldown included."""
    pace = learned(calls=10, gap_s=0.8)
    pace.send(pace.next_at)
    assert pace.rate == pytest.approx(10 / (2 + 10 * 0.8))


def test_calls_are_spaced_by_it() -> None:
    """And the first comes with the end of the cooldown."""
    pace = learned(calls=10, gap_s=0.8)
    first = pace.next_at
    pace.send(first)
    assert pace.next_at - first == pytest.approx(1)


def test_without_refusals_they_come_closer() -> None:
    """So that a limit that was raised is found out: within a minute five times as fast."""
    pace = learned(calls=10, gap_s=0.8)
    start = pace.next_at
    times = []
    while pace.next_at < start + 61:
        times.append(pace.next_at)
        pace.send(pace.next_at)
    assert 50 < len(times) < 150
    assert times[-1] - times[-2] == pytest.approx(0.2, rel=0.1)


def test_time_in_which_nobody_wanted_the_key_does_not_count() -> None:
    """Else the calls of a quiet minute would pass for a low limit."""
    pace = Pace()
    pace.refused(NOW, NOW + 2)
    now = work(pace, NOW + 2, 4, 0.5)
    now = work(pace, now + 50, 4, 0.5)
    pace.refused(now, now + 2)
    pace.send(now + 2)
    assert pace.rate == pytest.approx(8 / (2 + 8 * 0.5))


def test_time_in_which_the_pace_held_calls_back_does() -> None:
    """It was not for want of calls that few were sent."""
    pace = learned(calls=10, gap_s=0.8)
    for _ in range(5):
        pace.send(now := pace.next_at)
    pace.refused(now, now + 1)
    pace.send(now + 1)
    assert 0.8 < pace.rate < 1.2


def test_calls_that_are_refused_later_do_not_count() -> None:
    """The answers to calls that were sent together come one after the other."""
    pace = learned(calls=10, gap_s=0.8)
    for _ in range(4):
        pace.refused_too()
    pace.send(pace.next_at)
    assert pace.rate == pytest.approx(6 / 10)


def test_of_few_calls_nothing_is_concluded() -> None:
    """Three are no rate."""
    pace = learned(calls=3, gap_s=0.1)
    pace.send(pace.next_at)
    assert pace.rate == 0


def test_a_low_rate_is_not_taken_at_its_word() -> None:
    """No gap is longer than a few seconds."""
    pace = learned(calls=5, gap_s=20)
    first = pace.next_at
    pace.send(first)
    assert 0 < pace.rate < 0.1
    assert pace.next_at == first + LONGEST_GAP_S


@pytest.mark.parametrize("rest_s", [FORGET_S, 3600.0])
def test_a_long_cooldown_is_no_matter_of_rate(rest_s: float) -> None:
    """A quota that is spent says nothing of the time after it."""
    pace = learned(calls=10, gap_s=0.8)
    pace.send(pace.next_at)
    pace.refused(NOW + 20, NOW + 20 + rest_s)
    pace.send(NOW + 20 + rest_s)
    assert pace.rate == 0 and pace.next_at <= NOW + 20 + rest_s


def test_what_lies_far_back_is_forgotten() -> None:
    """A refusal after a long time is a first one."""
    pace = learned(calls=10, gap_s=0.8)
    later = work(pace, pace.next_at, calls=200, gap_s=2 * FORGET_S / 200)
    pace.refused(later, later + 2)
    pace.send(later + 2)
    assert pace.rate == 0


def test_the_newest_counts_most() -> None:
    """A limit that was lowered is known after two minutes."""
    pace = learned(calls=40, gap_s=0.2)
    for _ in range(14):
        now = pace.next_at
        for _ in range(4):
            pace.send(now)
            now += 2.0
            pace.wanted_at = now
        pace.refused(now, now + 1)
    pace.send(pace.next_at)
    assert pace.rate == pytest.approx(4 / 9, rel=0.15)
