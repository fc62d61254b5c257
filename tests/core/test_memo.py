"""Answers that are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.memo import LONGEST, Memo


@given(st.lists(st.text(alphabet="ab", max_size=3)))
def test_it_gives_what_the_function_gives(questions: list[str]) -> None:
    """Asked for the first time, again, and after it was full."""
    memo = Memo[str, int](len, most=2)
    assert [memo[asked] for asked in questions] == [len(asked) for asked in questions]
    assert len(memo) <= 2


def test_the_function_is_asked_once() -> None:
    """As long as the answer is kept."""
    asked: list[str] = []
    memo = Memo[str, None](asked.append)
    assert (memo["a"], memo["a"], asked) == (None, None, ["a"])


@pytest.mark.parametrize("long", ["x" * (LONGEST + 1), b"x" * (LONGEST + 1), ("x" * LONGEST, 1, b"y"), (("x" * LONGEST, "y"), None)])
def test_long_questions_are_answered_and_not_kept(long: str | bytes | tuple[object, ...]) -> None:
    """Whoever asks them is to take no memory."""
    memo = Memo[str | bytes | tuple[object, ...], bool](bool)
    assert memo[long] is True
    assert not memo


def test_what_cannot_be_answered_is_not_kept() -> None:
    """The error is the function's own, each time."""
    memo = Memo[str, int](int)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            memo["x"]
    assert not memo
