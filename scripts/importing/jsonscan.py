"""Walking a JSON text without parsing it, so that of a file of hundreds of megabytes one element at a time is made into values.

Positions are offsets into the text. Only strings and brackets are looked at; what is between them is left to the parser.

    NotJSON(ValueError)   the text ends, or is no JSON, at `at`
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.importing.source import Plain

BOM = b"\xef\xbb\xbf"

# Possessive, so that a string of megabytes costs neither stack nor a second try.
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,\[\]{}":]++')
_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL)


class NotJSON(ValueError):
    """The text ends too early, or is something else."""

    def __init__(self, text: Plain, at: int) -> None:
        super().__init__("cut off" if at >= len(text) else f"not JSON at byte {at}")
        self.at = at


def start_of(text: Plain) -> int:
    """Where the value begins, behind a byte order mark and spaces."""
    return _space(text, len(BOM) if text[: len(BOM)] == BOM else 0)


def members(text: Plain, at: int) -> Iterator[tuple[bytes, int]]:
    """(key as it is written, where its value begins) of the object at `at`. Raises NotJSON."""
    for key_at in _items(text, at, b"{", b"}"):
        key = _STRING.match(text, key_at)
        colon = _space(text, key.end()) if key else 0
        if key is None or text[colon : colon + 1] != b":":
            raise NotJSON(text, key_at)
        yield key.group()[1:-1], _space(text, colon + 1)


def elements(text: Plain, at: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of each element of the array at `at`. Raises NotJSON."""
    for begin in _items(text, at, b"[", b"]"):
        yield begin, value_end(text, begin)


def value_end(text: Plain, at: int) -> int:
    """Where the value that begins at `at` ends. Raises NotJSON."""
    first = text[at : at + 1]
    if first not in (b"{", b"["):
        found = (_STRING if first == b'"' else _SCALAR).match(text, at)
        if found is None:
            raise NotJSON(text, len(text) if first == b'"' else at)
        return found.end()
    depth, end = 0, at
    while bracket := _BRACKET.match(text, end):
        depth += 1 if bracket.group(1) in b"{[" else -1
        end = bracket.end()
        if depth == 0:
            return end
    raise NotJSON(text, len(text))


def _items(text: Plain, at: int, opening: bytes, closing: bytes) -> Iterator[int]:
    """Where each key or element begins."""
    if text[at : at + 1] != opening:
        raise NotJSON(text, at)
    at = _space(text, at + 1)
    if text[at : at + 1] == closing:
        return
    while True:
        yield at
        end = value_end(text, at)
        if opening == b"{":  # that was the key
            end = value_end(text, _space(text, _space(text, end) + 1))
        at = _space(text, end)
        mark = text[at : at + 1]
        if mark == closing:
            return
        if mark != b",":
            raise NotJSON(text, at)
        at = _space(text, at + 1)


def _space(text: Plain, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
