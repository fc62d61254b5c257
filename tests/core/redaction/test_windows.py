"""Windows cover every place, in order, in pieces of bounded size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.windows import _MAX_PIECE, MAX_REACH, MIN_REACH, reach_of, widths_of, windows


@given(st.lists(st.tuples(st.integers(-500, 30_000), st.integers(0, 20_000))), st.integers(1, 30_000))
def test_every_place_is_in_a_window(places: list[tuple[int, int]], size: int) -> None:
    """Each byte that was asked for lies in one, and none is too large or outside of the data."""
    spans = [(start, start + length) for start, length in places]
    made = list(windows(spans, size, 300))
    assert all(0 <= begin < end <= size and end - begin <= _MAX_PIECE for begin, end in made)
    assert made == sorted(made)
    for first, last in spans:
        inside = range(max(0, first), min(size, last))
        assert all(any(begin <= at < end for begin, end in made) for at in (*inside[:1], *inside[-1:], *inside[::997]))


def test_pieces_overlap() -> None:
    """By the reach, so that a match lies whole in one of them."""
    first, second, *_ = windows([(0, 20_000)], 20_000, 300)
    assert first[1] - second[0] == 300


@pytest.mark.parametrize(
    ("pattern", "widths", "reach"),
    [("a{3,700}b", (4, 701), 702), ("abc", (3, 3), MIN_REACH), ("a+", (1, 2**31), MAX_REACH), (r"\pL", (0, 2**31), MAX_REACH)],
)
def test_widths(pattern: str, widths: tuple[int, int], reach: int) -> None:
    """Known where `re` knows the expression, else without bound."""
    assert widths_of(pattern) == widths
    assert reach_of(pattern) == reach
