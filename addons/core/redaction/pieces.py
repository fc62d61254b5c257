"""Texts that are looked through together: all strings of a body in one go, and the way back from a hit to the body's bytes.

A scanner costs its start-up for each text it is given, and a body has thousands of strings. So they are joined, with a separator
that no rule reaches over (a line end, a NUL); only between a key and its value stands what JSON has there, so that rules that go by
a name before a value see both. A hit that does reach over is looked for again in each of its strings alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, compress, repeat
from operator import is_
from typing import Protocol
from urllib.parse import unquote_to_bytes

from addons.core.redaction.findings import Finding
from addons.core.redaction.jsonstrings import JsonStrings, follows_key, raw_span
from addons.core.redaction.keyvalues import credential, is_credential_key
from addons.core.redaction.opaque import MIN_BLOB_BYTES, is_media

APART, AFTER_KEY = b'"\n\0\n"', b'": "'

_NAMES = frozenset((b"name", b"key", b"header"))
"""`{"name": "API_KEY", "value": "…"}`: how environments, headers and form fields are written in JSON."""

_MAYBE_JSON = (b"{", b"[", b'"', b" ", b"\n", b"\t", b"\r")
"""First characters of JSON in a string."""

_GAPS_KEPT = 1024


class _Separators(dict[bytes, bytes]):
    """What stands in the joined text for a gap between two strings: looked up, since a body has hundreds of gaps of some ten kinds."""

    def __missing__(self, gap: bytes) -> bytes:
        if len(self) >= _GAPS_KEPT:  # some have numbers in them
            self.clear()
        found = self[gap] = AFTER_KEY if follows_key(gap) else APART
        return found


_SEPARATORS = _Separators()


@lru_cache(maxsize=4096)
def _gives_name(key: bytes) -> bool:
    """May what stands under this key be a credential by its name?"""
    return key in _NAMES or is_credential_key(key)


class Piece:
    """Texts of one kind. `up` is the piece, and the text in it, that these were decoded from; None where they stand in the body itself.
    `escapes`, `bare` and `form` as in `Located`."""

    escapes = 0
    bare = False
    form = False

    def __init__(self, texts: list[bytes], up: tuple[Piece, int] | None = None) -> None:
        self.texts = texts
        self.up = up
        self.at = 0  # in the joined text
        self.begins: list[int] | None = None
        if up:
            self.escapes, self.form = up[0].escapes, up[0].form

    def separators(self) -> list[bytes]:
        """One behind each text."""
        return [APART] * len(self.texts)

    def span(self, index: int, start: int, end: int) -> tuple[int, int]:
        """Where a part of a text stands in what it was taken from."""
        return start, end

    def key(self, index: int) -> bytes | None:
        """The key (decoded) whose value a text is."""
        return None

    def by_name(self) -> Iterator[tuple[int, Finding]]:
        """Values that are credentials because of their keys."""
        return iter(())

    def maybe_json(self) -> list[int]:
        """Indexes of the texts that may be JSON themselves, by how they begin; JSON without a quote has no string to look at."""
        return [index for index, text in enumerate(self.texts) if text.startswith(_MAYBE_JSON) and b'"' in text]

    def text_at(self, offset: int) -> int:
        """The index of the text in which an offset of the joined piece lies."""
        if self.begins is None:
            lengths = (len(text) + len(gap) for text, gap in zip(self.texts, self.separators(), strict=True))
            self.begins = [0, *accumulate(lengths)]
        return bisect_right(self.begins, offset) - 1

    def begin(self, index: int) -> int:
        """Where a text begins in the joined piece."""
        self.text_at(0)
        return self.begins[index] if self.begins else 0


class TextPiece(Piece):
    """Plain texts, which stand one byte apart in what they were taken from."""

    def __init__(self, texts: list[bytes]) -> None:
        super().__init__(texts)
        self._starts: list[int] | None = None

    def span(self, index: int, start: int, end: int) -> tuple[int, int]:
        if self._starts is None:
            self._starts = [0, *accumulate(len(text) + 1 for text in self.texts)]
        return self._starts[index] + start, self._starts[index] + end


class JsonPiece(Piece):
    """The strings of a JSON text. What is not to be scanned here (base64, JSON in a string) is taken out of `texts`, not of `decoded`."""

    def __init__(self, strings: JsonStrings, up: tuple[Piece, int] | None = None) -> None:
        super().__init__(strings.decoded(), up)
        self.strings = strings
        self.decoded = self.texts.copy()
        self.escapes += 1
        self.starts: list[int] | None = None
        self._gaps: list[bytes] | None = None

    def separators(self) -> list[bytes]:
        if self._gaps is None:
            self._gaps = list(map(_SEPARATORS.__getitem__, self.strings.gaps[1:]))
        return self._gaps

    def maybe_json(self) -> list[int]:
        """Only a string with escapes can hold a quote."""
        texts = self.texts
        return [index for index in self.strings.escaping() if texts[index].startswith(_MAYBE_JSON) and b'"' in texts[index]]

    def span(self, index: int, start: int, end: int) -> tuple[int, int]:
        if self.starts is None:
            self.starts = self.strings.starts()
        first, last = raw_span(self.strings.raws[index], start, end)
        return self.starts[index] + first, self.starts[index] + last

    def key(self, index: int) -> bytes | None:
        key = self.strings.key_of(index)
        return None if key is None else self.decoded[key]

    def by_name(self) -> Iterator[tuple[int, Finding]]:
        texts, last = self.decoded, len(self.decoded) - 1
        keys = set(compress(texts, map(is_, self.separators(), repeat(AFTER_KEY))))
        if not any(map(_gives_name, keys)):
            return
        for index in [i for i, gap in enumerate(self.separators()[:last]) if gap is AFTER_KEY]:
            name = texts[index]
            if is_credential_key(name):
                pair = (index, index + 1)
            elif name in _NAMES and index + 3 <= last and texts[index + 2] == b"value" and self.key(index + 3) == b"value":
                pair = (index + 1, index + 3)
            else:
                continue
            if found := credential(texts[pair[0]], texts[pair[1]]):
                yield pair[1], found

    def take_blobs(self) -> list[int]:
        """Take media and sealed values out of what is scanned; gives their indexes."""
        raws = self.strings.raws
        if max(map(len, raws), default=0) < MIN_BLOB_BYTES:
            return []
        long = [index for index, raw in enumerate(raws) if len(raw) >= MIN_BLOB_BYTES and b" " not in raw]
        blobs = [index for index in long if is_media(self._named(index), raws[index])]
        for index in blobs:
            self.texts[index] = b""
        return blobs

    def _named(self, index: int) -> bytes | None:
        return b"" if self.strings.is_key(index) else self.key(index)


class NumberPiece(Piece):
    """The long whole numbers of a JSON text."""

    bare = True

    def __init__(self, strings: JsonStrings, texts: list[bytes], up: tuple[Piece, int] | None, escapes: int) -> None:
        super().__init__(texts, up)
        self.escapes = escapes
        self._strings = strings
        self._spans: list[tuple[int, int]] | None = None

    def span(self, index: int, start: int, end: int) -> tuple[int, int]:
        if self._spans is None:
            self._spans = self._strings.numbers()
        return self._spans[index]  # all of it: half a number and a text make no JSON


class FormPiece(Piece):
    """Names and values of `application/x-www-form-urlencoded` (WHATWG URL, "application/x-www-form-urlencoded parsing")."""

    def __init__(self, text: bytes) -> None:
        pairs = [pair.partition(b"=") for pair in text.split(b"&")]
        self.raws = [part for name, _, value in pairs for part in (name, value)]
        lengths = [len(part) + (len(mark) if n == 0 else 1) for name, mark, value in pairs for n, part in enumerate((name, value))]
        self.starts = [0, *accumulate(lengths)]
        super().__init__([_plain(raw) for raw in self.raws])
        self.form = True

    def separators(self) -> list[bytes]:
        return [AFTER_KEY, APART] * (len(self.texts) // 2)

    def span(self, index: int, start: int, end: int) -> tuple[int, int]:
        raw, at = self.raws[index], self.starts[index]
        return at + _raw_offset(raw, start), at + _raw_offset(raw, end)

    def key(self, index: int) -> bytes | None:
        return self.texts[index - 1] if index % 2 else None

    def by_name(self) -> Iterator[tuple[int, Finding]]:
        for index in range(0, len(self.texts), 2):
            if found := credential(self.texts[index], self.texts[index + 1]):
                yield index + 1, found


def _plain(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" ")) if b"%" in raw or b"+" in raw else raw


def _raw_offset(raw: bytes, offset: int) -> int:
    at = decoded = 0
    while decoded < offset and at < len(raw):
        escape = raw[at : at + 1] == b"%" and len(unquote_to_bytes(raw[at : at + 3])) == 1 and len(raw) > at + 2
        at, decoded = at + (3 if escape else 1), decoded + 1
    return at


class Scanning(Protocol):
    """What a scanner gives; offsets are of `data`."""

    def find(self, data: bytes, cut: bool = False) -> Sequence[Finding]: ...


def joined(pieces: Sequence[Piece], cut: bool) -> bytes:
    """All texts in one, and in every piece where it begins there. With `cut` nothing stands behind the last one."""
    if len(pieces) == 1 and len(pieces[0].texts) == 1:
        pieces[0].at = 0
        return pieces[0].texts[0]
    blocks, at = [b'"'], 1
    for piece in pieces:
        parts = [b""] * (2 * len(piece.texts))
        parts[::2], parts[1::2] = piece.texts, piece.separators()
        if cut and parts and piece is pieces[-1]:
            parts.pop()
        blocks.append(b"".join(parts))
        piece.at = at
        at += len(blocks[-1])
    return b"".join(blocks)


def placed(pieces: Sequence[Piece], findings: Sequence[Finding], scanner: Scanning) -> Iterator[tuple[Piece, int, Finding]]:
    """The texts that findings in the joined text stand in, with their offsets there."""
    begins = [piece.at for piece in pieces]
    for found in findings:
        first = max(0, bisect_right(begins, found.start) - 1)
        piece = pieces[first]
        index = piece.text_at(found.start - piece.at)
        base = piece.at + piece.begin(index)
        if found.end - base <= len(piece.texts[index]):
            yield piece, index, Finding(found.start - base, found.end - base, found.rule, found.keep_tail)
        else:
            last = max(0, bisect_right(begins, max(found.start, found.end - 1)) - 1)
            yield from _each(pieces[first : last + 1], found, scanner)


def _each(pieces: Sequence[Piece], found: Finding, scanner: Scanning) -> Iterator[tuple[Piece, int, Finding]]:
    """What is found in each of these texts alone, over which a finding reaches."""
    for piece in pieces:
        low = piece.text_at(max(0, found.start - piece.at))
        high = piece.text_at(max(0, found.end - 1 - piece.at))
        for index in range(low, min(high, len(piece.texts) - 1) + 1):
            for again in scanner.find(piece.texts[index]):
                yield piece, index, again
