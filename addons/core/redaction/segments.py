"""Bodies in segments: stretches that are looked at, and remembered, by themselves.

JSON is cut before objects, so that what a call adds to a history leaves the segments before it as they were. What is to be looked at
is taken together again: neighbours as one text, and the many short parts of an event stream as one group of each kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from addons.core.redaction.memory import Trace, Traces, digests
from addons.core.redaction.parts import Part, divide

SEGMENT_BYTES = 2048
"""JSON is cut at the first object after so many bytes."""

MIN_REMEMBERED_BYTES = 4096

_COMPACT, _INDENTED = b'{"', b"{\n"
_KEY_CHARACTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$@0123456789")

_MOST_MISSES = 10_000
"""Strings that end in a brace: with more of them than anybody writes the rest is one segment."""


class Segment:
    """`body[start:end]`, of one part. `key`: under which it is remembered; `traces`: what is found in it, None while unknown."""

    __slots__ = ("end", "key", "part", "start", "traces")

    def __init__(self, part: Part, start: int, end: int, key: bytes | None = None, traces: Traces | None = None) -> None:
        self.part, self.start, self.end, self.key, self.traces = part, start, end, key, traces


Run = list[Segment]
"""Neighbours of one part that are all to be looked at: one text, which costs less than many."""


class Divided:
    """A body with its parts. Whoever looks through it again, for something else, need not read it again to tell what is in it."""

    def __init__(self, body: bytes, parts: Sequence[Part], content_type: str | None = None) -> None:
        self.body, self.parts, self.content_type = body, parts, content_type
        self._spans: list[tuple[Part, int, int, bytes | None]] | None = None

    def spans(self) -> list[tuple[Part, int, int, bytes | None]]:
        """Of each segment the part, where it begins and ends, and its digest if it is long enough to be remembered."""
        if self._spans is None:
            self._spans = [span for part in self.parts for span in _spans(self.body, part)]
        return self._spans


def divided(body: bytes, content_type: str | None) -> Divided:
    """A body by what it is made of."""
    return Divided(body, divide(body, content_type), content_type)


def divided_each(texts: Sequence[bytes]) -> Divided:
    """Several bodies of unknown types as one, none of whose parts reaches over two of them."""
    parts, at = [], 0
    for text in texts:
        parts += [Part(at + start, at + end, kind) for start, end, kind in divide(text, None)]
        at += len(text)
    return Divided(b"".join(texts), parts)


def _spans(body: bytes, part: Part) -> Iterator[tuple[Part, int, int, bytes | None]]:
    if part.end - part.start < MIN_REMEMBERED_BYTES or part.kind == "binary":
        yield part, part.start, part.end, None
        return
    spans = list(pairwise(_edges(body, part) if part.kind == "json" else [part.start, part.end]))
    keys = digests(part.kind.encode(), [body[start:end] for start, end in spans])
    for (start, end), key in zip(spans, keys, strict=True):
        yield part, start, end, key


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


def runs(segments: Sequence[Segment]) -> Iterator[Run]:
    """What is to be looked at of these."""
    run: Run = []
    for segment in segments:
        if run and (segment.traces is not None or segment.part is not run[-1].part):
            yield run
            run = []
        if segment.traces is None:
            run.append(segment)
    if run:
        yield run


def grouped(waiting: Sequence[Run], alone: frozenset[Part]) -> list[list[Run]]:
    """Runs that may be read as one: of JSON, of text. The last run's group comes last, since a body's end may be cut."""
    groups: dict[object, list[Run]] = {}
    for number, run in enumerate(waiting):
        part = run[0].part
        groups.setdefault(part.kind if part.kind in ("json", "text") and part not in alone else number, []).append(run)
    return sorted(groups.values(), key=lambda group: group[-1] is waiting[-1])


def hand_out(traces: Sequence[Trace], group: Sequence[Run]) -> None:
    """To each segment those that begin in it, counted from its own beginning; in the group's text one byte stands between two runs."""
    at = base = 0
    for run in group:
        for segment in run:
            end, first = base + segment.end - segment.start, at
            while at < len(traces) and traces[at].start < end:
                at += 1
            mine = traces[first:at]
            segment.traces = tuple(Trace(t[0] - base, t[1] - base, *t[2:]) for t in mine) if base else tuple(mine)
            base = end
        base += 1
