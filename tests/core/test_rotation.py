"""Whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.pooledkey import PooledKey
from addons.core.rotation import ROTATIONS, Turn
from tests.core.pools import make_key


def take(mode: str, keys: list[PooledKey], free: Sequence[int], times: int, turn: Turn | None = None) -> str:
    """The labels of the keys that are taken, of those at the places that are free."""
    turn = turn or Turn()
    return "".join(keys[ROTATIONS[mode](keys, free, turn)].label for _ in range(times))


def three() -> list[PooledKey]:
    return [make_key(label) for label in "abc"]


@pytest.mark.parametrize(
    ("mode", "expected"), [("sequential", "aaaaaa"), ("round_robin", "abcabc"), ("least_used", "abcabc"), ("balanced", "abcabc")]
)
def test_order(mode: str, expected: str) -> None:
    """Each mode takes equal keys in its own order."""
    assert take(mode, three(), range(3), 6) == expected


@pytest.mark.parametrize("mode", ["round_robin", "least_used", "balanced"])
def test_a_key_that_comes_back_is_not_hammered(mode: str) -> None:
    """It takes its turns again, and does not make up for those that it missed."""
    keys, turn = three(), Turn()
    take(mode, keys, range(3), 3, turn)
    assert take(mode, keys, [1, 2], 40, turn).count("b") == 20
    back = take(mode, keys, range(3), 12, turn)
    assert max(Counter(back[:6]).values()) <= 3
    assert all(3 <= Counter(back)[label] <= 5 for label in "abc")


def test_round_robin_goes_on_where_it_was() -> None:
    """A key that is passed over loses its turn to the next."""
    keys, turn = three(), Turn()
    assert take("round_robin", keys, [0, 2], 3, turn) == "aca"
    assert take("round_robin", keys, range(3), 3, turn) == "bca"


def test_least_used_looks_at_calls_in_flight() -> None:
    """A key whose call is still running comes after one that is free, however often that was used."""
    keys = three()[:2]
    keys[0].in_flight = 1
    assert take("least_used", keys, range(2), 3) == "bbb"


def test_balanced_keeps_to_weights_and_priority() -> None:
    """In the best priority that is free keys are taken by weight, spread out; others not at all."""
    keys = [make_key("a", weight=3), make_key("b"), make_key("c", weight=9, priority=2)]
    taken = take("balanced", keys, range(3), 8)
    assert Counter(taken) == {"a": 6, "b": 2}
    assert "b" in taken[:4]
    assert take("balanced", keys, [2], 3) == "ccc"


@pytest.mark.parametrize("mode", ROTATIONS)
@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True).map(sorted), max_size=30))
def test_only_free_keys_are_taken(mode: str, steps: list[list[int]]) -> None:
    """Whatever is free from one time to the next."""
    keys, turn = [make_key(weight=number + 0.5, priority=number % 2) for number in range(5)], Turn()
    for free in steps:
        assert ROTATIONS[mode](keys, free, turn) in free
