"""Secrets that a model's answer holds in pieces, cut over the events of a stream.

`{"delta": "sk-pro"}` and `{"delta": "j-Ab3…"}` hold no secret each. Strings that stand at the same place of successive
events are therefore joined and looked at as one text (which may be JSON: a tool's arguments); a secret's first piece is where it is
replaced, its other pieces go away. The place is the path of object keys with the `index` values on it, so no dialect need be known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import orjson

from addons.core.redaction.jsonstrings import JsonStrings, raw_span
from addons.core.redaction.located import Located
from addons.core.redaction.opaque import MIN_BLOB_BYTES, is_media
from addons.core.redaction.parts import bare_type

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


_Leaf = tuple[int, int, str]
"""One string of one event: the number of the event, the number of the string among the event's string values (keys not counted), and it."""


class _Place:
    """A place that strings stand at: `inside` has those below it, by key or by the value of a mark."""

    __slots__ = ("inside", "leaves")

    def __init__(self) -> None:
        self.leaves: list[_Leaf] = []
        self.inside: dict[Any, _Place] = {}

    def below(self, step: Any) -> _Place:
        """The place that one step leads to."""
        found = self.inside.get(step)
        if found is None:
            found = self.inside[step] = _Place()
        return found

    def all_leaves(self) -> Iterator[list[_Leaf]]:
        """Those of this place and of all below it."""
        waiting = [self]
        while waiting:
            place = waiting.pop()
            waiting += place.inside.values()
            if place.leaves:
                yield place.leaves


def comes_in_pieces(content: bytes, content_type: str | None) -> bool:
    """Is this a body of several JSON texts (SSE, JSON lines, Gemini's array)? Streams come labelled `application/json` too."""
    return bare_type(content_type) in _STREAM_TYPES or content[:16].lstrip().startswith(_STREAM_STARTS)


def find_across_events(content: bytes, find: Find) -> list[Located]:
    """The secrets in joined strings, each as one `Located` per piece of it, in order; lines that hold no JSON are left to others."""
    events = list(_events(content))
    lanes = _lanes(payload for _, payload in events)
    written = _Written(events)
    found = find([text for _, text in lanes])
    pieces = [piece for (leaves, _), own in zip(lanes, found, strict=True) if own for piece in _in_leaves(leaves, own, written)]
    return sorted(pieces, key=lambda piece: piece.start)


def joined_texts(content: bytes) -> list[bytes]:
    """The texts that `find_across_events` has looked through, in any order."""
    return joined_of_events(payload for _, payload in _events(content))


def joined_of_events(payloads: Iterable[bytes]) -> list[bytes]:
    """The same, of the JSON of each event. Every stream is read so, and hardly any for more than that."""
    joining = _Joining()
    for payload in payloads:
        joining.add(_parsed(payload), joining.root)
    return [_encoded("".join(texts)) for texts in joining.lanes if not _is_media(texts)]


_Steps = dict[Any, Any]
"""A place as `_Joining` has it: by step (a key, the value of a mark) what is below it; under None the strings right there."""


class _Joining:
    """What stands at each place, as `_sort_in` has it, but not where it came from. Objects come in few forms, by their keys, so that of
    each form it is told once which of them lead to a place."""

    def __init__(self) -> None:
        self.lanes: list[list[str]] = []
        self.root: _Steps = {}
        self._forms: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}

    def add(self, value: Any, place: _Steps) -> None:
        """The strings of an object or an array that stands at a place."""
        if type(value) is dict:
            self._add_object(value, place)
        elif type(value) is list:
            for child in value:
                if type(child) is str:
                    self._texts_at(place).append(child)
                else:
                    self.add(child, place)

    def _add_object(self, value: dict[str, Any], place: _Steps) -> None:
        keys = tuple(value)
        form = self._forms.get(keys)
        if form is None:
            form = self._forms[keys] = [name for name in _MARKS if name in value], [key for key in keys if key not in _OPAQUE]
        marks, leading = form
        for name in marks:
            if isinstance(mark := value[name], (int, str)):
                place = place.setdefault(mark, {})
        for key in leading:
            child = value[key]
            kind = type(child)
            if kind is str:
                self._texts_at(place.setdefault(key, {})).append(child)
            elif kind is dict:
                self._add_object(child, place.setdefault(key, {}))
            elif kind is list and child:
                self.add(child, place.setdefault(key, {}))

    def _texts_at(self, place: _Steps) -> list[str]:
        texts: list[str] | None = place.get(None)
        if texts is None:
            texts = place[None] = []
            self.lanes.append(texts)
        return texts


def _lanes(payloads: Iterable[bytes]) -> list[tuple[list[_Leaf], bytes]]:
    """What stands at each place, and its text."""
    root = _Place()
    for number, payload in enumerate(payloads):
        value = _parsed(payload)
        if type(value) is dict:
            _sort_in(value, root, number, 0)
        elif type(value) is list:
            _sort_list(value, root, number, 0)
    lanes = [(leaves, [text for _, _, text in leaves]) for leaves in root.all_leaves()]
    return [(leaves, _encoded("".join(texts))) for leaves, texts in lanes if not _is_media(texts)]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _events(content: bytes) -> Iterator[tuple[int, bytes]]:
    return ((start, payload) for start, payload in _payloads(content) if payload.startswith((b"{", b"[")))


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


def _sort_in(value: dict[str, Any], place: _Place | None, event: int, count: int) -> int:
    """Put the string values of an object of an event, of which there were `count` before, to those at the same place; without a place they
    are only counted. Gives the new count. Called for each object of each event of each stream: exact types, which JSON's are, for speed."""
    if place is not None and not _DISCRIMINATORS.isdisjoint(value):
        for name in _MARKS:
            if isinstance(mark := value.get(name), (int, str)):
                place = place.below(mark)
    for key, child in value.items():
        kind = type(child)
        if kind is str:
            if place is not None and key not in _OPAQUE:
                place.below(key).leaves.append((event, count, child))
            count += 1
        elif (kind is dict or kind is list) and child:
            below = None if place is None or key in _OPAQUE else place.below(key)
            count = (_sort_in if kind is dict else _sort_list)(child, below, event, count)
    return count


def _sort_list(values: list[Any], place: _Place | None, event: int, count: int) -> int:
    """The same of the elements of an array, which all stand at one place."""
    for child in values:
        kind = type(child)
        if kind is dict:
            count = _sort_in(child, place, event, count)
        elif kind is list:
            count = _sort_list(child, place, event, count)
        elif kind is str:
            if place is not None:
                place.leaves.append((event, count, child))
            count += 1
    return count


class _Written:
    """Where the strings of events stand as they were written; looked at only where something was found."""

    def __init__(self, events: Sequence[tuple[int, bytes]]) -> None:
        self._events = events
        self._seen: dict[int, tuple[JsonStrings, list[int], list[int]]] = {}

    def span(self, leaf: _Leaf, start: int, end: int) -> tuple[int, int] | None:
        """Of a part of a leaf's text, in the whole body. None where an object has a key twice, of which a parser keeps one."""
        event, number, text = leaf
        if event not in self._seen:
            strings = JsonStrings(self._events[event][1])
            values = [index for index in range(len(strings.raws)) if not strings.is_key(index)]
            self._seen[event] = strings, values, strings.starts()
        strings, values, starts = self._seen[event]
        index = values[number] if number < len(values) else None
        if index is None or strings.text(index) != _encoded(text):
            return None
        base = self._events[event][0] + starts[index]
        first, last = raw_span(strings.raws[index], start, end)
        return base + first, base + last


def _is_media(texts: Iterable[str]) -> bool:
    """Audio or an image, in pieces."""
    return any([len(text) >= MIN_BLOB_BYTES and is_media(None, _encoded(text)) for text in texts])


def _in_leaves(leaves: Sequence[_Leaf], findings: Sequence[Located], written: _Written) -> Iterator[Located]:
    texts = [_encoded(text) for _, _, text in leaves]
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
