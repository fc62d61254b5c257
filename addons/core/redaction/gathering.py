"""The texts of many segments of bodies, gathered for one run of the scanner, and its findings brought back to each of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Sequence
from typing import Protocol

from addons.core.redaction.findings import Finding, merge
from addons.core.redaction.jsonstrings import JsonStrings
from addons.core.redaction.memory import Trace
from addons.core.redaction.opaque import DataUrls, data_urls, is_id, is_sealed
from addons.core.redaction.parts import Kind
from addons.core.redaction.pieces import FormPiece, JsonPiece, NumberPiece, Piece, TextPiece, joined, placed

MAX_DEPTH = 6
"""JSON in a string in a string …: each level doubles its backslashes, so nobody goes far; what is deeper is read as text."""

_JSON_START = re.compile(rb'\s*+(?:\{\s*+["}]|\[\s*+[\[{"\]0-9tfn-]|"(?!""))')
"""As JSON in a string begins; three quotes begin a docstring."""


class Finder(Protocol):
    """A scanner of texts. `find_shapes`: only what is a secret by its shape, wherever it stands; `find_exact`: only known values."""

    def find(self, data: bytes, cut: bool = False) -> Sequence[Finding]: ...

    def find_shapes(self, data: bytes) -> Sequence[Finding]: ...

    def find_exact(self, data: bytes) -> Sequence[Finding]: ...


class Gathering:
    """`owner`: a number that the caller gives to each segment, by which its traces are handed out."""

    def __init__(self, scanner: Finder) -> None:
        self._scanner = scanner
        self._pieces: list[Piece] = []
        self._named: list[Piece] = []
        self._blobs: list[tuple[Piece, int]] = []
        self._owners: dict[int, int] = {}  # by id of a piece
        self._urls: dict[tuple[int, int], DataUrls] = {}  # in the texts where something was found
        self.passed_over: set[int] = set()  # owners in which something was found that is left alone where it stands
        self.found_in: set[bytes] = set()  # the texts in which anything was found, left alone or not

    def add(self, owner: int, kind: Kind, *texts: bytes, last: bool = True) -> bool:
        """One text, or several (of JSON or plain text) that are read in one go; to the traces they are one, with a byte between two.

        False where this is no JSON although it should be. A string without an end may only stand at the end of them all, and only in a
        part's last segment."""
        if kind == "json":
            text = b"\n".join(texts)
            strings = JsonStrings(text)
            if not strings.clean or not (last or strings.closed) or (len(texts) > 1 and _reaches_over(strings)):
                return False
            self._pieces += self._json(owner, JsonPiece(strings))
        elif kind == "form":
            self._pieces += self._form(owner, FormPiece(*texts))
        elif kind == "text":
            self._pieces.append(self._owned(owner, TextPiece(list(texts))))
        else:
            self._blobs += [(self._owned(owner, TextPiece(list(texts))), index) for index in range(len(texts))]
        return True

    def add_broken(self, owner: int, text: bytes) -> None:
        """What is no JSON after all: nobody knows where its strings end, so it is read as a text, and besides whatever could be a string
        with escapes."""
        piece = JsonPiece(JsonStrings(text))
        piece.texts = [decoded if b"\\" in raw else b"" for decoded, raw in zip(piece.decoded, piece.strings.raws, strict=True)]
        self._named.append(piece)
        self._pieces += [self._owned(owner, piece), self._owned(owner, TextPiece([text]))]

    def texts_of(self, owners: Container[int]) -> list[tuple[int, Sequence[bytes]]]:
        """The texts of these owners as they will be looked at, of each piece."""
        pieces = [(self._owners[id(piece)], piece.texts) for piece in self._pieces]
        return [(owner, texts) for owner, texts in pieces if owner in owners]

    def traces(self, cut: bool) -> dict[int, tuple[Trace, ...]]:
        """Owner → what was found in its segment, in order and without overlap."""
        texts: defaultdict[tuple[int, int], list[Finding]] = defaultdict(list)
        if self._pieces:
            found = self._scanner.find(joined(self._pieces, cut), cut)
            for piece, index, finding in placed(self._pieces, found, self._scanner):
                texts[id(piece), index] += self._counting(piece, index, finding)
                self.found_in.add(piece.texts[index])
        for piece, index in self._blobs:
            texts[id(piece), index] += self._scanner.find_exact(_text(piece, index))
        for piece in self._named:
            for index, finding in piece.by_name():
                texts[id(piece), index].append(finding)
                self.found_in.add(piece.texts[index])
        if not texts:
            return {}
        pieces = {id(piece): piece for piece in (*self._pieces, *(piece for piece, _ in self._blobs))}
        found_by: defaultdict[int, list[Trace]] = defaultdict(list)
        for (number, index), findings in texts.items():
            piece = pieces[number]
            found_by[self._owners[number]] += [_trace(piece, index, finding) for finding in merge(findings)]
        return {owner: _apart(traces) for owner, traces in found_by.items()}

    def _counting(self, piece: Piece, index: int, finding: Finding) -> Sequence[Finding]:
        """The finding itself; of a value that is left alone (`opaque.py`) only what is exact in it."""
        value = piece.texts[index]
        key = piece.key(index) if piece.escapes == 1 else None
        urls = self._urls.get((id(piece), index))
        if urls is None:
            urls = self._urls[id(piece), index] = data_urls(value)
        if urls.hold(finding.start) or (key is not None and self._is_opaque(key, value)):
            self.passed_over.add(self._owners[id(piece)])
            return self._scanner.find_exact(value)
        return (finding,)

    def _is_opaque(self, key: bytes, value: bytes) -> bool:
        opaque = is_sealed(key, value) or is_id(key, value)
        return opaque and not any(s.start == 0 and s.end == len(value) for s in self._scanner.find_shapes(value))

    def _json(self, owner: int, piece: JsonPiece) -> list[Piece]:
        """The piece and what stands in it, in an order in which a text that was cut comes last."""
        self._owned(owner, piece)
        self._named.append(piece)
        self._blobs += [(piece, index) for index in piece.take_blobs()]
        inner, tail = self._inner(owner, piece)
        if numbers := piece.strings.number_texts():
            inner.append(self._owned(owner, NumberPiece(piece.strings, numbers, piece.up, piece.escapes - 1)))
        return [*inner, piece, *tail]

    def _form(self, owner: int, piece: FormPiece) -> list[Piece]:
        self._owned(owner, piece)
        self._named.append(piece)
        inner, tail = self._inner(owner, piece)
        return [*inner, piece, *tail]

    def _inner(self, owner: int, piece: Piece) -> tuple[list[Piece], list[Piece]]:
        """What is JSON in a string; that of the last string apart."""
        inner: list[Piece] = []
        tail: list[Piece] = []
        if piece.escapes >= MAX_DEPTH:
            return inner, tail
        for index in piece.maybe_json():
            text = piece.texts[index]
            if not _JSON_START.match(text):
                continue
            strings = JsonStrings(text)
            if strings.clean:
                piece.texts[index] = b""
                (tail if index == len(piece.texts) - 1 else inner).extend(self._json(owner, JsonPiece(strings, (piece, index))))
        return inner, tail

    def _owned(self, owner: int, piece: Piece) -> Piece:
        self._owners[id(piece)] = owner
        return piece


def _reaches_over(strings: JsonStrings) -> bool:
    """Does a string go on in the next of several texts? A line of an event stream has no line end within; what has one is read alone."""
    return b"\n" in b"".join(strings.raws)


def _text(piece: Piece, index: int) -> bytes:
    return piece.decoded[index] if isinstance(piece, JsonPiece) else piece.texts[index]


def _trace(piece: Piece, index: int, finding: Finding) -> Trace:
    start, end = piece.span(index, finding.start, finding.end)
    at = piece.up
    while at:
        start, end = at[0].span(at[1], start, end)
        at = at[0].up
    return Trace(start, end, finding.rule, finding.keep_tail, piece.escapes, piece.bare, piece.form)


def _apart(traces: list[Trace]) -> tuple[Trace, ...]:
    """Sorted; what overlaps (a text that is no JSON is read in two ways) is joined, so that nothing of it is left over."""
    if len(traces) < 2:
        return tuple(traces)
    apart: list[Trace] = []
    for trace in sorted(traces, key=lambda trace: (trace.start, -trace.end)):
        if apart and trace.start < apart[-1].end:
            last = apart[-1]
            apart[-1] = last._replace(end=max(last.end, trace.end), keep_tail=last.keep_tail and trace.keep_tail)
        else:
            apart.append(trace)
    return tuple(apart)
