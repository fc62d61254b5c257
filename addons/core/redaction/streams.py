"""Secrets that a model's answer holds in pieces, cut over the events of a stream.

`{"delta": "sk-pro"}` and `{"delta": "j-Ab3…"}` hold no secret each. Strings that stand at the same place of successive
events are therefore joined and looked at as one text (which may be JSON: a tool's arguments); a secret's first piece is where it is
replaced, its other pieces go away. The place is the path of object keys with the `index` values on it, so no dialect need be known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import orjson

from addons.core.redaction.jsonstrings import JsonStrings, raw_span
from addons.core.redaction.located import Located
from addons.core.redaction.opaque import MIN_BLOB_BYTES, is_media

Find = Callable[[Sequence[bytes]], Sequence[Sequence[Located]]]
"""What stands in each of several texts."""

_STREAM_TYPES = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json")

_STREAM_STARTS = (b"data:", b"event:", b": ", b"[")

_MARKS = ("index", "output_index", "content_index", "summary_index", "item_id")
_DISCRIMINATORS = frozenset(_MARKS)

_OPAQUE = frozenset(
    (
        *("id", "type", "object", "model", "role", "data", "event_id", "item_id", "call_id", "responseId", "modelVersion", "created_at"),
        *("signature", "thoughtSignature", "encrypted_content", "obfuscation", "system_fingerprint", "service_tier"),
    )
)
"""The protocol's own values: joined they mean nothing, and masked they would be ruined."""


class _Leaf(NamedTuple):
    """One string of one event: the `number`th of the event's string values, keys not counted."""

    event: int
    number: int
    text: bytes


_Place = tuple[Any, ...]
_Places = dict[_Place, list[_Leaf]]


def comes_in_pieces(content: bytes, content_type: str | None) -> bool:
    """Is this a body of several JSON texts (SSE, JSON lines, Gemini's array)? Streams come labelled `application/json` too."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind in _STREAM_TYPES or content[:16].lstrip().startswith(_STREAM_STARTS)


def find_across_events(content: bytes, find: Find) -> list[Located]:
    """The secrets in joined strings, each as one `Located` per piece of it, in order; lines that hold no JSON are left to others."""
    events = [(start, payload) for start, payload in _payloads(content) if payload.startswith((b"{", b"["))]
    places: _Places = {}
    for number, (_, payload) in enumerate(events):
        _sort_in(_parsed(payload), (), number, 0, places)
    lanes = [(leaves, b"".join(leaf.text for leaf in leaves)) for leaves in places.values() if not _is_media(leaves)]
    written = _Written(events)
    found = find([text for _, text in lanes])
    pieces = [piece for (leaves, _), own in zip(lanes, found, strict=True) if own for piece in _in_leaves(leaves, own, written)]
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


def _sort_in(value: Any, place: _Place | None, event: int, count: int, places: _Places) -> int:
    """Put the string values of an event, of which there were `count` before, to those at the same place; without a place they are only
    counted. Gives the new count."""
    if isinstance(value, str):
        if place is not None:
            places.setdefault(place, []).append(_Leaf(event, count, value.encode("utf-8", "surrogatepass")))
        return count + 1
    if isinstance(value, dict):
        if place is not None and not _DISCRIMINATORS.isdisjoint(value):
            place += tuple(value[name] for name in _MARKS if isinstance(value.get(name), (int, str)))
        for key, child in value.items():
            if isinstance(child, str):  # most are: without a call of its own
                if place is not None and key not in _OPAQUE:
                    places.setdefault((*place, key), []).append(_Leaf(event, count, child.encode("utf-8", "surrogatepass")))
                count += 1
            elif isinstance(child, (dict, list)):
                count = _sort_in(child, None if place is None or key in _OPAQUE else (*place, key), event, count, places)
    elif isinstance(value, list):
        for child in value:
            count = _sort_in(child, place, event, count, places)
    return count


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


def _is_media(leaves: Sequence[_Leaf]) -> bool:
    """Audio or an image, in pieces."""
    return any(len(leaf.text) >= MIN_BLOB_BYTES and is_media(None, leaf.text) for leaf in leaves)


def _in_leaves(leaves: Sequence[_Leaf], findings: Sequence[Located], written: _Written) -> Iterator[Located]:
    texts = [leaf.text for leaf in leaves]
    ends = list(accumulate(map(len, texts)))
    for found in findings:
        numbers = range(bisect_right(ends, found.start), bisect_right(ends, found.end - 1) + 1)
        begins = [ends[number] - len(texts[number]) for number in numbers]
        spans = [
            written.span(leaves[number], max(0, found.start - begin), min(found.end, ends[number]) - begin)
            for number, begin in zip(numbers, begins, strict=True)
            if texts[number]
        ]
        for piece, span in enumerate(span for span in spans if span):
            yield found._replace(start=span[0], end=span[1], escapes=found.escapes + 1, piece=piece)
