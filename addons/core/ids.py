"""Call ids: ULIDs (https://github.com/ulid/spec), so that ids sort by time."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
TIME_LENGTH, LENGTH = 10, 26
RANDOM_BYTES = 10

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Two characters by ten bits: half the steps of one by one, of which every call pays for each."""


def ulid(unix_ms: int, randomness: bytes) -> str:
    """26 characters of a 48-bit time in milliseconds and 80 random bits (`randomness`: 10 bytes)."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"a ULID takes {RANDOM_BYTES} random bytes, not {len(randomness)}")
    number = (unix_ms & (1 << 48) - 1) << 80 | int.from_bytes(randomness)
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * (LENGTH - 2), -1, -10)])


def is_ulid(text: str) -> bool:
    """Is this the form of a call id? Used before a client's word for one is believed."""
    return len(text) == LENGTH and text[0] in "01234567" and all(c in ALPHABET for c in text)
