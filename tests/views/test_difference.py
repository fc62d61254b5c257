"""What differs between two texts: nothing is lost or invented, words are found, and hopeless cases cost no more than is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.views.difference import Budget, Piece, compare, matches

ALPHABETS = st.sampled_from(["ab", "ab \n", "a é東京.\n", "a\u202eb🚀\u200d👧 \x00"])
TEXTS = ALPHABETS.flatmap(lambda letters: st.tuples(st.text(letters, max_size=60), st.text(letters, max_size=60)))


def joined(pieces: list[Piece]) -> tuple[str, str]:
    return "".join(piece.a for piece in pieces), "".join(piece.b for piece in pieces)


def shuffled(step: int) -> str:
    return " ".join(f"w{number * step % 1000}" for number in range(15_000))


@given(TEXTS, st.sampled_from([0, 5, 80_000]), st.sampled_from([0, 10, 250_000]))
def test_the_pieces_are_the_texts(texts: tuple[str, str], steps: int, characters: int) -> None:
    """Joined, the one side is the one text and the other the other, whatever the budget; kinds alternate; equal texts are one piece."""
    pieces = compare(*texts, Budget(steps, characters))
    assert joined(pieces) == texts
    assert all(piece.a or piece.b for piece in pieces)
    if texts[0] == texts[1]:
        assert len(pieces) == bool(texts[0])


@given(TEXTS)
def test_matches_are_equal_and_in_order(texts: tuple[str, str]) -> None:
    """Each run is equal in both, and lies behind the one before it in both."""
    a, b = list(texts[0]), list(texts[1])
    at_a = at_b = 0
    for x, y, n in matches(a, b, Budget()):
        assert n > 0
        assert a[x : x + n] == b[y : y + n]
        assert x >= at_a
        assert y >= at_b
        at_a, at_b = x + n, y + n


@pytest.mark.parametrize(
    ("a", "b", "gone", "new"),
    [
        ("the quick brown fox", "the quick red fox", "brown", "red"),
        ("one\ntwo\nthree\n", "one\nthree\n", "two\n", ""),
        ("one\nthree\n", "one\ntwo\nthree\n", "", "two\n"),
        ("costs 12 dollars.", "costs 13 dollars.", "12", "13"),
        ("东京很大", "北京很大", "东", "北"),
        ("a family 👩‍👩‍👧 here", "a family 👩‍👩‍👦 here", "👩‍👩‍👧", "👩‍👩‍👦"),
        ("", "all of it", "", "all of it"),
        ("x\n" * 50 + "old word\n" + "y\n" * 50, "x\n" * 50 + "new word\n" + "y\n" * 50, "old", "new"),
    ],
)
def test_words_that_differ_are_found(a: str, b: str, gone: str, new: str) -> None:
    """And no more than those: a sign of a word, of an emoji or of Chinese is no piece of its own or is, as one reads it."""
    changed = [piece for piece in compare(a, b, Budget()) if not piece.same]
    assert [(piece.a.strip(" "), piece.b.strip(" ")) for piece in changed] == [(gone, new)]


def test_texts_without_anything_in_common_are_one_change() -> None:
    """A word that happens to be in both does not tear them apart."""
    a, b = "Please tell me the way to the station, now", "Bananas are yellow, unlike the sky and the grass"
    assert compare(a, b, Budget()) == [Piece(a, b)]


def test_a_new_sentence_is_marked_in_one() -> None:
    """The blanks between new words belong to them."""
    assert [piece.b for piece in compare("Yes. Good.", "Yes. It is so. Good.", Budget()) if not piece.same] == ["It is so. "]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("".join(f"a{number}\n" for number in range(20_000)), "".join(f"b{number}\n" for number in range(20_000))),
        ("a\n" * 20_000, "a\nb\n" * 10_000),
        ("a b\n" * 20_000, "b a\n" * 20_000),
        ("x" * 1_000_000, "x" * 500_000 + "y" + "x" * 500_000),
        (shuffled(7919), shuffled(104_729)),
    ],
    ids=["other lines", "one line in two", "swapped words", "one long word", "shuffled words"],
)
def test_what_would_take_long_is_not_finished(a: str, b: str) -> None:
    """The budget bounds the work: it is never overdrawn by more than one round, and what was given up is said."""
    budget = Budget()
    assert joined(compare(a, b, budget)) == (a, b)
    assert budget.steps >= 0
    assert budget.characters >= 0


def test_giving_up_is_said() -> None:
    """With nothing to spend only the equal beginning is found."""
    budget = Budget(steps=0, characters=0)
    assert compare("one\nword here\n", "one\nword there\n", budget) == [Piece("one\nword ", "one\nword "), Piece("here\n", "there\n")]
    assert budget.coarse


def test_a_change_in_a_long_history_is_found() -> None:
    """One megabyte of lines, one word of them changed: that word."""
    lines = [f"line {number} says {number * number}\n" for number in range(40_000)]
    other = [*lines[:30_000], lines[30_000].replace("says", "said"), *lines[30_001:]]
    budget = Budget()
    changed = [piece for piece in compare("".join(lines), "".join(other), budget) if not piece.same]
    assert [(piece.a.strip(), piece.b.strip()) for piece in changed] == [("says", "said")]
    assert not budget.coarse
