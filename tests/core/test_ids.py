"""Call ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.ids import ALPHABET, is_ulid, random_characters, time_part, ulid

NO_RANDOM = bytes(10)


def test_sorts_by_time() -> None:
    """A later call has a greater id, whatever its random part."""
    assert ulid(1_000, b"\xff" * 10) < ulid(1_001, NO_RANDOM)


def test_known_value() -> None:
    """The example of the ULID specification: 1469918176385 ms is 01ARYZ6S41."""
    assert ulid(1_469_918_176_385, NO_RANDOM) == "01ARYZ6S41" + "0" * 16


def test_form_is_recognised() -> None:
    """What ulid makes is an id; other texts are not."""
    assert is_ulid(ulid(2**48 - 1, b"\xff" * 10))
    assert not is_ulid("01ARYZ6S41")
    assert not is_ulid("8" + "0" * 25)  # over 128 bits
    assert not is_ulid("01ARYZ6S41" + "'" * 16)


def test_needs_ten_random_bytes() -> None:
    """Too little randomness is an error, not a weak id."""
    with pytest.raises(ValueError, match="10 random bytes"):
        ulid(0, b"")


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_says_the_number_in_base_32(unix_ms: int, randomness: bytes) -> None:
    """Read back character by character, it is the time and the random bits again."""
    number = 0
    for character in ulid(unix_ms, randomness):
        number = number * 32 + ALPHABET.index(character)
    assert (number >> 80, (number & (1 << 80) - 1).to_bytes(10)) == (unix_ms, randomness)


def test_random_characters_are_all_alike() -> None:
    """Each character for as many bytes as any other, so that an id is no easier to guess."""
    made = random_characters(bytes(range(256)))
    assert [made.count(character) for character in ALPHABET] == [8] * 32
    assert is_ulid(time_part(2**48 - 1) + made[:16])
    assert time_part(1_469_918_176_385) == "01ARYZ6S41"
