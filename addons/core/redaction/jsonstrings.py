r"""The strings of a JSON text, decoded all at once, and the way back from a decoded string to its bytes.

Nothing is parsed into values: one regular expression splits a text into its strings and what stands between them, so that
a megabyte takes about 3 ms and every offset is known. What is found in a decoded string is traced back to the bytes as they
were written, `\n` and `é` included, only where something was found.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import orjson

_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\\?\Z)', re.DOTALL)
_ODD = rb"|".join(rb"(?<=[^\\]" + rb"\\" * count + rb")" for count in (1, 3, 5, 7))
_STRING_FAST = re.compile(rb'"([^"]*+(?:(?<=\\)(?:' + _ODD + rb')"[^"]*+)*+)(?:"|\Z)')
"""The fast one stops at quotes only, not at every escape, and counts the backslashes before them: at most 8. Both go on to the end of
the text where a string has no end, so that each byte is looked at once, whatever stands there."""

_MANY_BACKSLASHES = b"\\" * 8 + b'"'
_ESCAPED_QUOTE = b'\\"'
_BACKSLASH = ord("\\")

_BETWEEN = b' \t\r\n{}[],:"0123456789.eE+-'
_LITERALS = re.compile(rb"(?:tru|fals|null|NaN|Infinity)*(?:t|tr|f|fa|fal|n|nu|nul)?")
"""What is left between strings when all of `_BETWEEN` is taken away (the letter e too); a cut text may end within a literal."""

NUMBER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{8,40}(?![0-9.eE+-])")
"""Whole numbers that may be a card, a phone or somebody's exact string; shorter ones are no secret."""

_MIN_DIGITS = 8
_OF_NUMBERS = b"0123456789.eE+-"
_NO_NUMBERS = bytes(byte if byte in _OF_NUMBERS else ord(" ") for byte in range(256))
"""For `translate`: leaves what NUMBER looks at, and a space for everything else."""

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[\"\\/bfnrt])")
_PLAIN = {b"\\b": b"\b", b"\\f": b"\f", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
_LONGEST_ESCAPE = 12


class JsonStrings:
    """The strings (keys too) of a piece of JSON text that begins outside of a string.

    raws     as written, without their quotes
    gaps     what stands before, between and behind them: one more than strings
    clean    is all that stands between them what JSON has there? If not, this is no JSON, or not all of it
    closed   does the last string have its end?
    escapes  is there any backslash?
    """

    __slots__ = ("_between", "_escaping", "_parts", "_size", "clean", "escapes", "gaps", "raws")

    def __init__(self, text: bytes) -> None:
        parts = self._parts = _split(text)
        self._size = len(text)
        self.gaps, self.raws = parts[::2], parts[1::2]
        self.escapes = b"\\" in text
        self._escaping: list[int] | None = None
        self._between = b" ".join(self.gaps)
        strange = self._between.translate(None, _BETWEEN)
        self.clean = not strange or _LITERALS.fullmatch(strange) is not None

    @property
    def closed(self) -> bool:
        return sum(map(len, self._parts)) + 2 * len(self.raws) == self._size

    def decoded(self) -> list[bytes]:
        """Every string as UTF-8; half of a surrogate pair in three bytes, what is no escape as it is."""
        texts = list(self.raws)
        escaping = self.escaping()
        if escaping:
            for index, text in zip(escaping, _decoded([texts[index] for index in escaping]), strict=True):
                texts[index] = text
        return texts

    def escaping(self) -> list[int]:
        """The indexes of the strings with a backslash in them."""
        if self._escaping is None:
            self._escaping = [index for index, raw in enumerate(self.raws) if _BACKSLASH in raw] if self.escapes else []
        return self._escaping

    def text(self, index: int) -> bytes:
        """One string, decoded."""
        return unescaped(self.raws[index])

    def starts(self) -> list[int]:
        """Where each string's first character stands in the text."""
        lengths = [len(gap) + len(raw) + 2 for gap, raw in zip(self.gaps, (b"", *self.raws), strict=True)]
        return [end - 1 for end in accumulate(lengths[:-1])]

    def numbers(self) -> list[tuple[int, int]]:
        """Spans of the long whole numbers between the strings."""
        starts = [0, *(start + len(raw) + 1 for start, raw in zip(self.starts(), self.raws, strict=True))]
        return [
            (at + m.start(), at + m.end())
            for at, gap in zip(starts, self.gaps, strict=True)
            if len(gap) >= _MIN_DIGITS
            for m in NUMBER.finditer(gap)
        ]

    def number_texts(self) -> list[bytes]:
        """The long whole numbers themselves, in the same order. Most texts have none, and of most nobody asks where they stand."""
        words = self._between.translate(_NO_NUMBERS).split()
        return [word for word in words if len(word) >= _MIN_DIGITS and NUMBER.fullmatch(word)]

    def key_of(self, index: int) -> int | None:
        """The index of the key whose value (or array of values) the string is the first of; None for keys and other elements."""
        return index - 1 if index and follows_key(self.gaps[index]) else None

    def is_key(self, index: int) -> bool:
        return self.gaps[index + 1].lstrip()[:1] == b":"


def _split(text: bytes) -> list[bytes]:
    """Gap, string, gap, string … gap."""
    if _ESCAPED_QUOTE in text:
        return (_STRING if _MANY_BACKSLASHES in text else _STRING_FAST).split(text)
    parts = text.split(b'"')  # no quote is escaped: each begins or ends a string
    if len(parts) % 2 == 0:
        parts.append(b"")  # behind a string without an end
    return parts


def _decoded(raws: Sequence[bytes]) -> list[bytes]:
    try:
        texts: list[str] = orjson.loads(b'["' + b'","'.join(raws) + b'"]')
    except orjson.JSONDecodeError:  # broken UTF-8, half a surrogate pair, a bare control character, a cut escape
        return [unescaped(raw) for raw in raws]
    return [text.encode() for text in texts]


@lru_cache(maxsize=1024)
def follows_key(gap: bytes) -> bool:
    """Does a string after this gap belong to the key before it? `: "` or `: ["`."""
    return gap.strip() == b":" or gap.split() == [b":", b"["] or gap.strip() == b":["


def unescaped(raw: bytes) -> bytes:
    r"""A string's bytes with its escapes decoded; never raises.

    >>> unescaped(rb'a\n\u00e9\x')
    b'a\n\xc3\xa9\\x'
    """
    return _ESCAPE.sub(lambda escape: _character(escape.group()), raw) if b"\\" in raw else raw


@lru_cache(maxsize=4096)
def _character(escape: bytes) -> bytes:
    if escape[1:2] != b"u":
        return _PLAIN.get(escape, escape[1:])
    if len(escape) == _LONGEST_ESCAPE:
        pair = bytes.fromhex((escape[2:6] + escape[8:]).decode())
        return pair.decode("utf-16-be").encode()
    return chr(int(escape[2:], 16)).encode("utf-8", "surrogatepass")


def raw_span(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Where `unescaped(raw)[start:end]` stands in `raw`; an escape that it holds in part is taken whole."""
    if b"\\" not in raw:
        return start, end
    begins, ends, raw_begins, raw_ends = _escapes(raw)
    first, last = bisect_right(ends, start), bisect_left(ends, end)
    raw_start = raw_begins[first] if first < len(ends) and begins[first] < start else start + _shift(ends, raw_ends, first)
    raw_end = raw_ends[last] if last < len(ends) and begins[last] < end else end + _shift(ends, raw_ends, last)
    return raw_start, raw_end


def _shift(ends: Sequence[int], raw_ends: Sequence[int], escapes: int) -> int:
    """How much longer the raw text is than the decoded one, behind so many escapes."""
    return raw_ends[escapes - 1] - ends[escapes - 1] if escapes else 0


@lru_cache(maxsize=4)  # the findings of one string are located one after the other
def _escapes(raw: bytes) -> tuple[list[int], list[int], list[int], list[int]]:
    """Of each escape: begin and end in the decoded bytes, begin and end in the raw ones."""
    begins, ends, raw_begins, raw_ends, shift = [], [], [], [], 0
    for escape in _ESCAPE.finditer(raw):
        begins.append(escape.start() - shift)
        ends.append(begins[-1] + len(_character(escape.group())))
        raw_begins.append(escape.start())
        raw_ends.append(escape.end())
        shift = raw_ends[-1] - ends[-1]
    return begins, ends, raw_begins, raw_ends


def escaped(text: str) -> str:
    """As it stands in a JSON string; ASCII, since it may go into any body.

    >>> escaped('a"\\n')
    'a\\\\"\\\\n'
    """
    return orjson.dumps(text.encode("utf-8", "replace").decode()).decode()[1:-1]
