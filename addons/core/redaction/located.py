"""A secret with its place in a body, and putting something else there without touching any other byte."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote_plus, unquote_to_bytes

from addons.core.redaction.jsonstrings import escaped, unescaped
from addons.core.redaction.memory import Trace


class Located(NamedTuple):
    """A secret at `body[start:end]`, as written there: of a JSON string its escaped characters, without the quotes.

    `secret` is the decoded value (bytes that are no UTF-8 as surrogate escapes); `where` a path such as
    `request.body.messages[3].content`; `escapes` the number of JSON strings that it stands in (arguments of a tool are JSON in
    a string: 2); `bare`: a number of a JSON text, which has no quotes; `form`: percent-encoded; `charset`: of the body;
    `piece`: 0, or 1, 2 … where it is the continuation of a secret that a stream holds in pieces.
    """

    start: int
    end: int
    secret: str
    rule: str
    where: str
    keep_tail: bool = True
    escapes: int = 0
    bare: bool = False
    form: bool = False
    charset: str = "utf-8"
    piece: int = 0

    def __repr__(self) -> str:
        return f"Located({self.start}:{self.end} {self.rule} in {self.where})"


def apart(more: Sequence[Located], found: Sequence[Located]) -> list[Located]:
    """Of `more` those that touch nothing that was `found` (in order, without overlap)."""
    ends, kept = [place.end for place in found], []
    for place in more:
        at = bisect_right(ends, place.start)
        if at == len(found) or found[at].start >= place.end:
            kept.append(place)
    return kept


def locate(body: bytes, base: int, trace: Trace, where: str) -> Located:
    """A trace in the body that it was found in (or in an equal piece of another one), `base` being where that piece begins."""
    start, end, rule, keep_tail, escapes, bare, form = trace
    start, end = base + start, base + end
    raw = body[start:end]
    if form:
        raw = unquote_to_bytes(raw.replace(b"+", b" "))
    for _ in range(escapes):
        raw = unescaped(raw)
    return Located(start, end, raw.decode("utf-8", "surrogateescape"), rule, where, keep_tail, escapes, bare, form)


def replaced(body: bytes, found: Sequence[Located], replacement: Callable[[Located], str]) -> bytes:
    """`body` with a text in place of every secret (in any order, without overlap), escaped as its place demands. Every other byte
    stays; without a finding the same object comes back."""
    if not found:
        return body
    pieces, done = [], 0
    for place in sorted(found, key=lambda place: place.start):
        pieces += [body[done : place.start], b"" if place.piece else _written(replacement(place), place)]
        done = place.end
    return b"".join([*pieces, body[done:]])


_PLAIN = re.compile(r"[A-Za-z0-9*_.-]+")
"""Is the same in JSON and in a form."""


def _written(text: str, place: Located) -> bytes:
    if not place.bare and _PLAIN.fullmatch(text):
        return text.encode(place.charset)
    if place.bare:
        text = f'"{escaped(text)}"'
    for _ in range(place.escapes):
        text = escaped(text)
    if place.form:
        text = quote_plus(text, safe="*", errors="replace")
    return codecs.encode(text, place.charset, "replace")
