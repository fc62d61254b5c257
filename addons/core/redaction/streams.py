"""Secrets that a model's answer holds in pieces, cut over the events of a stream.

`{"delta": "sk-pro"}` and `{"delta": "j-Ab3…"}` hold no secret each. Strings that stand at the same place of successive
events are therefore joined and looked at as one text (which may be JSON: a tool's arguments); a secret's first piece is where it is
replaced, its other pieces go away. The place is the path of object keys with the `index` values on it, so no dialect need be known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import orjson

from addons.core.redaction.jsonstrings import JsonStrings, raw_span
from addons.core.redaction.located import Located
from addons.core.redaction.opaque import MIN_BLOB_BYTES, is_media

Find = Callable[[bytes], Sequence[Located]]

_STREAM_TYPES = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json")

_STREAM_STARTS = (b"data:", b"event:", b": ", b"[")

_DISCRIMINATORS = ("index", "output_index", "content_index", "summary_index", "item_id")

_OPAQUE = frozenset(
    (
        *("id", "type", "object", "model", "role", "data", "event_id", "item_id", "call_id", "responseId", "modelVersion", "created_at"),
        *("signature", "thoughtSignature", "encrypted_content", "obfuscation", "system_fingerprint", "service_tier"),
    )
)
"""The protocol's own values: joined they mean nothing, and masked they would be ruined."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One string of one event: the `number`th of the event's string values, keys not counted."""

    event: int
    number: int
    text: bytes


def comes_in_pieces(content: bytes, content_type: str | None) -> bool:
    """Is this a body of several JSON texts (SSE, JSON lines, Gemini's array)? Streams come labelled `application/json` too."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind in _STREAM_TYPES or content[:16].lstrip().startswith(_STREAM_STARTS)


def find_across_events(content: bytes, find: Find) -> list[Located]:
    """The secrets in joined strings, each as one `Located` per piece of it, in order; lines that hold no JSON are left to others."""
    events = [(start, payload) for start, payload in _payloads(content) if payload.startswith((b"{", b"["))]
    places: dict[tuple[Any, ...], list[_Leaf]] = {}
    for number, (_, payload) in enumerate(events):
        for count, (place, text) in enumerate(_strings(_parsed(payload), ())):
            if place is not None:
                places.setdefault(place, []).append(_Leaf(number, count, text))
    written = _Written(events)
    pieces = [piece for leaves in places.values() for piece in _in_leaves(leaves, find, written)]
    return sorted(pieces, key=lambda piece: piece.start)


def _payloads(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each line's JSON begins, and the JSON."""
    at = 0
    for line in [content] if content[:16].lstrip().startswith(b"[") else content.split(b"\n"):
        head = len(b"data:") if line.startswith(b"data:") else 0
        payload = line[head:].lstrip()
        yield at + len(line) - len(payload), payload.rstrip()
        at += len(line) + 1


def _parsed(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None  # a line that was cut, or no JSON: the scan of the whole body sees it


def _strings(value: Any, place: tuple[Any, ...] | None) -> Iterator[tuple[tuple[Any, ...] | None, bytes]]:
    """All string values in the order of the text; without a place where they are not to be joined."""
    if isinstance(value, str):
        yield place, value.encode("utf-8", "surrogatepass")
    elif isinstance(value, dict):
        marks = tuple(value[name] for name in _DISCRIMINATORS if isinstance(value.get(name), (int, str)))
        for key, child in value.items():
            yield from _strings(child, None if place is None or key in _OPAQUE else (*place, *marks, key))
    elif isinstance(value, list):
        for child in value:
            yield from _strings(child, place)


class _Written:
    """Where the strings of events stand as they were written; looked at only where something was found."""

    def __init__(self, events: Sequence[tuple[int, bytes]]) -> None:
        self._events = events
        self._seen: dict[int, tuple[JsonStrings, list[int], list[int]]] = {}

    def span(self, leaf: _Leaf, start: int, end: int) -> tuple[int, int] | None:
        """Of a part of a leaf's text, in the whole body. None where an object has a key twice, of which a parser keeps one."""
        if leaf.event not in self._seen:
            strings = JsonStrings(self._events[leaf.event][1])
            values = [index for index in range(len(strings.raws)) if not strings.is_key(index)]
            self._seen[leaf.event] = strings, values, strings.starts()
        strings, values, starts = self._seen[leaf.event]
        index = values[leaf.number] if leaf.number < len(values) else None
        if index is None or strings.text(index) != leaf.text:
            return None
        base = self._events[leaf.event][0] + starts[index]
        first, last = raw_span(strings.raws[index], start, end)
        return base + first, base + last


def _in_leaves(leaves: Sequence[_Leaf], find: Find, written: _Written) -> Iterator[Located]:
    texts = [leaf.text for leaf in leaves]
    if any(len(text) >= MIN_BLOB_BYTES and is_media(None, text) for text in texts):
        return  # audio or an image, in pieces
    ends = list(accumulate(map(len, texts)))
    for found in find(b"".join(texts)):
        numbers = range(bisect_right(ends, found.start), bisect_right(ends, found.end - 1) + 1)
        begins = [ends[number] - len(texts[number]) for number in numbers]
        spans = [
            written.span(leaves[number], max(0, found.start - begin), min(found.end, ends[number]) - begin)
            for number, begin in zip(numbers, begins, strict=True)
            if texts[number]
        ]
        for piece, span in enumerate(span for span in spans if span):
            yield found._replace(start=span[0], end=span[1], escapes=found.escapes + 1, piece=piece)
