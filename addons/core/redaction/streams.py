"""Secrets that a model's answer holds in pieces, cut over the events of a stream.

`{"delta": "sk-pro"}` and `{"delta": "j-Ab3…"}` hold no secret each. Strings that stand at the same place of successive
events are therefore joined and looked at as one text; the mask goes where the secret began, its other pieces go away.
The place is the path of object keys with the `index` values on it, so no dialect need be known. Only events that
change are written anew; everything else keeps its bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import orjson

from addons.core.redaction.masking import mask
from addons.core.redaction.scanner import Finding

Find = Callable[[bytes], list[Finding]]

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


@dataclass(slots=True)
class _Leaf:
    """One string of one event, and where it hangs."""

    event: int
    holder: Any
    key: Any
    text: str


def comes_in_pieces(content: bytes, content_type: str | None) -> bool:
    """Is this a body of several JSON texts (SSE, JSON lines, Gemini's array)? Streams come labelled `application/json` too."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind in _STREAM_TYPES or content[:16].lstrip().startswith(_STREAM_STARTS)


def mask_across_events(content: bytes, find: Find) -> tuple[bytes, list[str]]:
    """The stream with cut secrets masked, and the rule of each; lines that hold no JSON are left alone."""
    lines = [content] if content[:16].lstrip().startswith(b"[") else content.split(b"\n")
    events = [_parsed(line) for line in lines]
    places: dict[tuple[Any, ...], list[_Leaf]] = {}
    for number, event in enumerate(events):
        for place, leaf in _leaves(event, number, ()):
            places.setdefault(place, []).append(leaf)
    rules: list[str] = []
    changed: set[int] = set()
    for leaves in places.values():
        _mask_joined(leaves, find, rules, changed)
    for number in changed:
        lines[number] = _written(lines[number], events[number])
    return (b"\n".join(lines), rules) if rules else (content, rules)


def _parsed(line: bytes) -> Any:
    data = _payload(line)
    if not data.startswith((b"{", b"[")):
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None  # a line that was cut, or no JSON: the scan of the whole body has seen it


def _payload(line: bytes) -> bytes:
    return line.removeprefix(b"data:").strip()


def _written(line: bytes, event: Any) -> bytes:
    head, tail = line.split(_payload(line), 1)
    return head + orjson.dumps(event) + tail


def _leaves(value: Any, event: int, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], _Leaf]]:
    if isinstance(value, dict):
        marks = tuple(value[name] for name in _DISCRIMINATORS if isinstance(value.get(name), (int, str)))
        pairs: Any = ((key, child, (*place, *marks, key)) for key, child in value.items() if key not in _OPAQUE)
    elif isinstance(value, list):
        pairs = ((key, child, place) for key, child in enumerate(value))
    else:
        return
    for key, child, child_place in pairs:
        if isinstance(child, str):
            yield child_place, _Leaf(event, value, key, child)
        else:
            yield from _leaves(child, event, child_place)


def _mask_joined(leaves: Sequence[_Leaf], find: Find, rules: list[str], changed: set[int]) -> None:
    pieces = [leaf.text.encode("utf-8", "surrogatepass") for leaf in leaves]
    joined = b"".join(pieces)
    findings = find(joined)
    if not findings:
        return
    ends = list(accumulate(map(len, pieces)))
    for found in reversed(findings):  # from the back: what stands before keeps its offsets
        numbers = range(bisect_right(ends, found.start), bisect_right(ends, found.end - 1) + 1)
        begins = [ends[n - 1] if n else 0 for n in numbers]
        for number, begin in zip(numbers, begins, strict=True):
            shown = mask(joined[found.start : found.end], found.keep_tail) if begin <= found.start else b""
            pieces[number] = _replaced(pieces[number], found.start - begin, min(found.end, ends[number]) - begin, shown)
            changed.add(leaves[number].event)
        rules.append(found.rule)
    for leaf, piece in zip(leaves, pieces, strict=True):
        leaf.holder[leaf.key] = piece.decode("utf-8", "surrogatepass")


def _replaced(piece: bytes, start: int, end: int, new: bytes) -> bytes:
    return piece[: max(0, start)] + new + piece[end:]
