"""Who sends when."""

from __future__ import annotations

from scripts.benching.schedule import Closed, Open


def test_closed_sends_at_once_until_the_time_is_over() -> None:
    """A call counts from when it is sent."""
    schedule = Closed(10.0, 2.0)
    assert [schedule.next(now) for now in (10.0, 11.5, 12.0)] == [10.0, 11.5, None]


def test_closed_ends_after_so_many() -> None:
    """However long they take."""
    schedule = Closed(10.0, 2.0, requests=2)
    assert [schedule.next(now) for now in (10.0, 99.0, 99.0)] == [10.0, 99.0, None]


def test_open_sends_evenly_whenever_it_is_asked() -> None:
    """A client that comes late gets the time at which the call was due: what it waited is seen."""
    schedule = Open(10.0, 4.0, 1.0)
    assert [schedule.next(now) for now in (10.0, 10.0, 14.0, 14.0)] == [10.0, 10.25, 10.5, 10.75]
    assert schedule.next(14.0) is None


def test_open_knows_how_many() -> None:
    """By rate and duration, or by number; at least one."""
    assert [Open(0.0, rate, 2.0).left for rate in (100.0, 0.7, 0.01)] == [200, 1, 1]
    assert Open(0.0, 100.0, 2.0, requests=3).left == 3
