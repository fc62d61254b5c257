"""Call ids: ULIDs (https://github.com/ulid/spec), so that ids sort by time."""

from __future__ import annotations

from addons.core.memo import Memo

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
TIME_LENGTH, LENGTH = 10, 26
RANDOM_LENGTH = LENGTH - TIME_LENGTH
RANDOM_BYTES = 10

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Two characters by ten bits: half the steps of one by one, of which every call pays for each."""

_ANY = bytes(ord(ALPHABET[byte % 32]) for byte in range(256))
"""A character by a byte, each for eight of them."""


def ulid(unix_ms: int, randomness: bytes) -> str:
    """26 characters of a 48-bit time in milliseconds and 80 random bits (`randomness`: 10 bytes)."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"a ULID takes {RANDOM_BYTES} random bytes, not {len(randomness)}")
    number = int.from_bytes(randomness)
    return time_part(unix_ms) + "".join([_PAIRS[number >> shift & 1023] for shift in range(70, -1, -10)])


def time_part(unix_ms: int) -> str:
    """The first 10 characters, by which ids sort."""
    return _QUARTERS[unix_ms >> 20] + _PAIRS[unix_ms >> 10 & 1023] + _PAIRS[unix_ms & 1023]


def _quarter(high: int) -> str:
    number = high & (1 << 28) - 1
    return "".join([_PAIRS[number >> shift & 1023] for shift in (20, 10, 0)])


_QUARTERS = Memo[int, str](_quarter)
"""The first 6 characters, which stay the same for a quarter of an hour."""


def random_characters(randomness: bytes) -> str:
    """Characters of random parts, five bits of a byte for each: for many ids at once, of which each then takes the next 16."""
    return randomness.translate(_ANY).decode()


def is_ulid(text: str) -> bool:
    """Is this the form of a call id? Used before a client's word for one is believed."""
    return len(text) == LENGTH and text[0] in "01234567" and all(c in ALPHABET for c in text)
