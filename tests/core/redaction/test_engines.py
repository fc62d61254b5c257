"""Keywords are all found, by either engine, however the data is cut into chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction import engines
from addons.core.redaction.engines import NATIVE, Keywords, compile_pattern, trie

WORDS = [b"key", b"eyj", b"api_key", b"k", b"ab", b"abab"]
ENGINES = [False, pytest.param(True, marks=pytest.mark.skipif(not NATIVE, reason="the libraries are not here"))]


def places(keywords: Keywords, data: bytes) -> list[tuple[int, int, int]]:
    return sorted((number, begin + start, begin + end) for begin, hits in keywords.chunks(data) for number, start, end in hits)


def expected(data: bytes) -> list[tuple[int, int, int]]:
    low = data.lower()
    at = (
        (number, start, start + len(word)) for number, word in enumerate(WORDS) for start in range(len(data)) if low.startswith(word, start)
    )
    return sorted(at)


@pytest.mark.parametrize("native", ENGINES)
@given(data=st.lists(st.sampled_from([b"API_", b"key", b"K", b"eyJ", b"ab", b" ", b"\xff"]), max_size=30).map(b"".join))
def test_every_place_is_found(native: bool, data: bytes) -> None:
    """Of every word, also inside another, in any case."""
    assert places(Keywords(WORDS, native=native), data) == expected(data)


@pytest.mark.parametrize("native", ENGINES)
def test_chunks_hide_nothing(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word over the edge of two chunks is found once."""
    for size in range(1, 12):
        monkeypatch.setattr(engines, "CHUNK", size)
        data = b"xxapi_keyababkeyjk"
        assert places(Keywords(WORDS, native=native), data) == expected(data)


@pytest.mark.parametrize("native", ENGINES)
def test_no_words_find_nothing(native: bool) -> None:
    """An empty list is no list of the empty word."""
    assert places(Keywords([], native=native), b"abc") == []


@pytest.mark.parametrize("native", ENGINES)
def test_a_bad_pattern_says_what_is_wrong(native: bool) -> None:
    """As a ValueError with words."""
    with pytest.raises(ValueError, match=r"\w"):
        compile_pattern("(a", native=native)


def test_trie_of_words() -> None:
    """Shared beginnings stand once; the longest word is taken."""
    assert trie([b"ab", b"abc", b"x"]) == b"(?:a(?:b(?:c)?)|x)"
