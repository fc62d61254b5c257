"""Where a rule is searched: around its keywords, in pieces of bounded size."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from re import _parser  # type: ignore[attr-defined] # knows how wide a match can be

from addons.core.redaction.gopatterns import Untranslatable, translate

MIN_REACH = 256
"""A keyword need not be in the match: gitleaks asks only that it is in the file."""

MAX_REACH = 2048
"""Of a rule whose matches have no greatest length, or one above this."""

_UNKNOWN = 2**31

_MAX_PIECE = 8192
"""Bytes that are searched at a time: bounds what a rule costs where its keyword stands everywhere."""


def widths_of(pattern: str) -> tuple[int, int]:
    """The least and the most bytes that a match may have, as far as is known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            least, most = _parser.parse(translate(pattern).encode()).getwidth()
    except (Untranslatable, re.error, OverflowError, RecursionError):
        return 0, _UNKNOWN
    return int(least), min(int(most), _UNKNOWN)


def reach_of(pattern: str) -> int:
    """Bytes that are looked at on either side of a keyword."""
    return min(max(widths_of(pattern)[1] + 1, MIN_REACH), MAX_REACH)


def windows(places: Sequence[tuple[int, int]], size: int, reach: int) -> Iterator[tuple[int, int]]:
    """The places, within the data and in order, overlapping ones joined, long ones in pieces that overlap by what a match may take."""
    begin = end = -1
    for first, last in sorted(places):
        if first > end:
            yield from _pieces(begin, end, size, reach)
            begin, end = first, last
        else:
            end = max(end, last)
    yield from _pieces(begin, end, size, reach)


def _pieces(begin: int, end: int, size: int, reach: int) -> Iterator[tuple[int, int]]:
    begin, end = max(0, begin), min(size, end)
    while end - begin > _MAX_PIECE:
        yield begin, begin + _MAX_PIECE
        begin += _MAX_PIECE - reach
    if end > begin:
        yield begin, end
