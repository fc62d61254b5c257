"""Cooldowns: how long, and whom they concern."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.cooldowns import LOCK_STEPS_S, LOCKED, LONGEST_S, STEPS_S, WHOLE_KEY, Cooldown, QuotaGroups

NOW = 1_000_000.0


def lengths(times: int, fresh: bool = True, steps: Sequence[float] = STEPS_S) -> list[float]:
    """How long it lasts each time when it is set again after it is over, without a hint."""
    cooldown, now, seconds = Cooldown(), NOW, []
    for _ in range(times):
        cooldown.extend(now, None, why="rate_limit", fresh=fresh, steps=steps)
        seconds.append(cooldown.until - now)
        now = cooldown.until
    return seconds


def test_without_a_hint_it_escalates() -> None:
    """10, 30, 60, then 120 seconds each time."""
    assert lengths(6) == [10, 30, 60, 120, 120, 120]


def test_a_lock_doubles_up_to_a_day() -> None:
    """From five minutes."""
    assert lengths(4, steps=LOCK_STEPS_S) == [300, 600, 1200, 2400]
    assert lengths(12, steps=LOCK_STEPS_S)[-2:] == [86_400, 86_400]


def test_a_burst_does_not_escalate() -> None:
    """Calls that were sent before it was set lead no step further."""
    assert lengths(3, fresh=False) == [10, 10, 10]


def test_a_hint_is_kept_to_and_is_no_step() -> None:
    """The named seconds, however often."""
    cooldown = Cooldown()
    for now in (NOW, NOW + 100):
        cooldown.extend(now, 7.5, why="rate_limit", fresh=True)
        assert (cooldown.until, cooldown.step) == (now + 7.5, 0)


@pytest.mark.parametrize("seconds", [-1.0, nan, -inf])
def test_a_hint_that_makes_no_sense_is_none(seconds: float) -> None:
    """As without one."""
    cooldown = Cooldown()
    cooldown.extend(NOW, seconds, why="rate_limit", fresh=True)
    assert (cooldown.until, cooldown.step) == (NOW + 10, 1)


def test_no_hint_lasts_for_ever() -> None:
    """A month at most."""
    cooldown = Cooldown()
    cooldown.extend(NOW, inf, why="quota", fresh=True)
    assert cooldown.until == NOW + LONGEST_S


def test_the_reason_is_that_of_the_longest() -> None:
    """What sets no later end changes nothing."""
    cooldown = Cooldown()
    cooldown.extend(NOW, 3600, why="quota", fresh=True)
    cooldown.extend(NOW, 5, why="rate_limit", fresh=True)
    assert (cooldown.until, cooldown.why) == (NOW + 3600, "quota")


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(-10, 1e6), st.booleans()), max_size=20))
def test_it_never_ends_earlier_for_having_been_set_again(changes: list[tuple[float, float | None, bool]]) -> None:
    """Whatever comes, with or without a hint."""
    cooldown, now = Cooldown(), NOW
    for passed, seconds, fresh in changes:
        now += passed
        before = cooldown.until
        cooldown.extend(now, seconds, why="rate_limit", fresh=fresh)
        assert cooldown.until >= max(before, now)


def test_groups_are_learned_from_refusals() -> None:
    """A model counts towards a group since a call to it was refused for that."""
    groups = QuotaGroups()
    assert groups.learn("images", "painter") and not groups.learn("images", "painter")
    assert groups.learn("images", "drawer")
    assert sorted(groups.models("images")) == ["drawer", "images", "painter"]
    assert groups.groups("painter") == [WHOLE_KEY, LOCKED, "painter", "images"]
    copy = groups.copy()
    groups.forget("painter")
    assert groups.groups("painter") == [WHOLE_KEY, LOCKED, "painter"]
    assert copy.groups("painter") == [WHOLE_KEY, LOCKED, "painter", "images"]


@pytest.mark.parametrize("group", [WHOLE_KEY, LOCKED, "painter"])
def test_a_group_of_its_own_is_not_learned(group: str) -> None:
    """The model itself, and what holds for every model."""
    assert not QuotaGroups().learn(group, "painter")
