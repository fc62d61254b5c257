"""Find secrets in whole bodies: every decoded string of JSON (JSON within strings too), texts, forms, and the fields of multipart.

parts ── what is JSON, text, a form ──► segments ── known from before? (memory)
                                          └─ gathering: strings, decoded, joined ──► scanner ──► back to the bytes as written

`BodyScanner.find` gives the places, `replaced` puts something there; without a finding nothing is made anew.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter

from addons.core.redaction.gathering import Finder, Gathering
from addons.core.redaction.located import Located, apart, locate, replaced
from addons.core.redaction.memory import Memory, Trace, digests
from addons.core.redaction.parts import Part, divide
from addons.core.redaction.paths import paths

__all__ = ["BodyScanner", "Finder", "Located", "replaced"]

SEGMENT_BYTES = 2048
"""JSON is cut at the first object after so many bytes: what a call adds to a history leaves the segments before it as they were."""

MIN_REMEMBERED_BYTES = 4096

_COMPACT, _INDENTED = b'{"', b"{\n"
_KEY_CHARACTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$@0123456789")

_by_start = attrgetter("start")

_MOST_MISSES = 10_000
"""Strings that end in a brace: with more of them than anybody writes the rest is one segment."""

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class _Segment:
    """A stretch of a body that is looked at, and remembered, by itself."""

    __slots__ = ("end", "key", "part", "start", "traces")

    def __init__(self, part: Part, start: int, end: int, key: bytes | None = None, traces: Sequence[Trace] | None = None) -> None:
        self.part, self.start, self.end, self.key, self.traces = part, start, end, key, traces


class BodyScanner:
    """`memory` is shared by those that give the same `identity`, which stands for all that their findings depend on (rules, exact
    strings); without one nobody else's findings are taken over. `fine`: does `where` tell the place within JSON?"""

    def __init__(self, scanner: Finder, memory: Memory | None = None, identity: bytes | None = None, fine: bool = True) -> None:
        self._scanner = scanner
        self._memory = memory
        self._identity = memory.serial() if memory and identity is None else identity or b""
        self._fine = fine

    def find(self, body: bytes, content_type: str | None, where: str, cut: bool = False) -> list[Located]:
        """All secrets of a content-decoded body, in order and without overlap. `cut`: its end is missing, so that a secret may stand
        there in part. Does not raise, whatever the bytes are."""
        found = self._find_narrow(body, content_type, where, cut)
        if codec := _wide_codec(body):  # or bytes that only look so: both ways then
            found += apart(self._find_wide(body, codec, content_type, where, cut), found)
            found.sort(key=_by_start)
        return found

    def _find_narrow(self, body: bytes, content_type: str | None, where: str, cut: bool) -> list[Located]:
        parts = divide(body, content_type)
        segments = [segment for part in parts for segment in self._segments(body, part)]
        if cut and segments:
            segments[-1].key = segments[-1].traces = None  # it may have been whole when it was seen
        if any(segment.traces is None for segment in segments):
            segments = self._scanned(body, segments, cut)
        found = [locate(body, segment.start, trace, where) for segment in segments for trace in segment.traces or ()]
        return _with_paths(body, parts, found) if found and self._fine else found

    def _find_wide(self, body: bytes, codec: str, content_type: str | None, where: str, cut: bool) -> list[Located]:
        """UTF-16 and UTF-32: found in UTF-8, and counted back."""
        text = body.decode(codec, "replace")
        narrow = text.encode("utf-8", "replace")
        found = self._find_narrow(narrow, content_type, where, cut)
        wide = _wide_offsets(narrow, codec, [offset for place in found for offset in (place.start, place.end)])
        ends = [min(len(body), offset) for offset in wide]
        return [
            place._replace(start=start, end=end, charset=codec) for place, start, end in zip(found, ends[::2], ends[1::2], strict=True)
        ]

    def _segments(self, body: bytes, part: Part) -> Iterator[_Segment]:
        memory = self._memory
        if memory is None or part.end - part.start < MIN_REMEMBERED_BYTES or part.kind == "binary":
            yield _Segment(part, part.start, part.end)
            return
        edges = _edges(body, part) if part.kind == "json" else [part.start, part.end]
        spans = list(pairwise(edges))
        keys = digests(self._identity + part.kind.encode(), [body[start:end] for start, end in spans])
        for (start, end), key in zip(spans, keys, strict=True):
            yield _Segment(part, start, end, key, memory.get(key))

    def _scanned(self, body: bytes, segments: Sequence[_Segment], cut: bool) -> list[_Segment]:
        """The segments with the traces of all of them; a part that is no JSON after all has become one."""
        gathering = Gathering(self._scanner)
        runs = list(_runs(segments))
        broken: dict[Part, None] = {}
        for owner, run in enumerate(runs):
            start, end, part = run[0].start, run[-1].end, run[0].part
            if part not in broken and not gathering.add(owner, part.kind, body[start:end], last=end == part.end):
                broken[part] = None
        if broken:
            return self._read_again(body, segments, broken, cut)
        traces = gathering.traces(cut)
        for owner, run in enumerate(runs):
            _hand_out(traces.get(owner, ()), run)
            for segment in run:
                if self._memory is not None and segment.key:
                    self._memory.put(segment.key, segment.traces or ())
        return list(segments)

    def _read_again(self, body: bytes, segments: Sequence[_Segment], broken: dict[Part, None], cut: bool) -> list[_Segment]:
        kept = [segment for segment in segments if segment.part not in broken]
        again = sorted([*kept, *(_Segment(part, part.start, part.end) for part in broken)], key=lambda segment: segment.start)
        gathering = Gathering(self._scanner)
        for owner, segment in enumerate(again):
            text = body[segment.start : segment.end]
            if segment.part in broken:
                gathering.add_broken(owner, text)
            elif segment.traces is None:
                gathering.add(owner, segment.part.kind, text)
        traces = gathering.traces(cut)
        for owner, segment in enumerate(again):
            if segment.traces is None:
                segment.traces = traces.get(owner, ())
        return again


def _runs(segments: Sequence[_Segment]) -> Iterator[list[_Segment]]:
    """Neighbours of one part that are all to be looked at: one text, which costs less than many."""
    run: list[_Segment] = []
    for segment in segments:
        if run and (segment.traces is not None or segment.part != run[-1].part):
            yield run
            run = []
        if segment.traces is None:
            run.append(segment)
    if run:
        yield run


def _hand_out(traces: Sequence[Trace], run: Sequence[_Segment]) -> None:
    """To each segment those that begin in it, counted from its own beginning."""
    base = run[0].start
    at = 0
    for segment in run:
        offset, first = segment.start - base, at
        while at < len(traces) and traces[at].start < segment.end - base:
            at += 1
        segment.traces = tuple(t._replace(start=t.start - offset, end=t.end - offset) for t in traces[first:at])


def _edges(body: bytes, part: Part) -> list[int]:
    """Where JSON is cut: before an object, which in JSON can't be within a string (a quote after `{` ends one, and then no key follows)."""
    start, end, _ = part
    mark = _COMPACT if body.find(_COMPACT, start, start + SEGMENT_BYTES) >= 0 else _INDENTED
    edges, at, misses = [start], start + SEGMENT_BYTES, 0
    while misses < _MOST_MISSES and (at := body.find(mark, at, end)) >= 0:
        if mark is _INDENTED or (at + 2 < end and body[at + 2] in _KEY_CHARACTERS):
            edges.append(at)
            at += SEGMENT_BYTES
        else:
            at, misses = at + 1, misses + 1
    return [*edges, end]


def _with_paths(body: bytes, parts: Sequence[Part], found: Sequence[Located]) -> list[Located]:
    placed: list[Located] = []
    for part in parts:
        inside = [place for place in found if part.start <= place.start < part.end]
        if part.kind == "json" and inside:
            spans = [(place.start - part.start, place.end - part.start) for place in inside]
            steps = paths(body[part.start : part.end], spans)
            inside = [place._replace(where=place.where + step) for place, step in zip(inside, steps, strict=True)]
        placed += inside
    return placed


def _wide_offsets(narrow: bytes, codec: str, offsets: Sequence[int]) -> list[int]:
    """Offsets in UTF-8, in order, as offsets in another encoding of the same text; one within a character counts as its beginning."""
    found, at, wide = [], 0, 0
    for offset in offsets:
        while offset < len(narrow) and 0x80 <= narrow[offset] < 0xC0:
            offset -= 1
        if offset > at:  # each stretch is looked at once
            wide += len(narrow[at:offset].decode("utf-8").encode(codec))
            at = offset
        found.append(wide)
    return found


def _wide_codec(body: bytes) -> str | None:
    """By its mark, or by the NULs of JSON in UTF-16 (RFC 4627 §3; RFC 8259 §8.1 leaves only UTF-8, which not all know)."""
    for mark, codec in _BOMS:
        if body.startswith(mark):
            return codec
    head = body[:4]
    if len(head) == 4 and head[1] == head[3] == 0 and head[0] and head[2]:
        return "utf-16-le"
    if len(head) == 4 and head[0] == head[2] == 0 and head[1] and head[3]:
        return "utf-16-be"
    return None
