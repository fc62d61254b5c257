"""What a dialect makes of a speech, and the ways of putting JSON on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream; charset=utf-8"
NDJSON_TYPE = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Body:
    """A body: opening, one delta per piece, closing (whole bodies are one delta). `failing` takes the closing's place when the
    stream is to end in an error."""

    content_type: str
    deltas: tuple[bytes, ...]
    opening: bytes = b""
    closing: bytes = b""
    failing: bytes = b""
    whole: bool = False


def whole(value: object, content_type: str = JSON_TYPE, *, indent: bool = False) -> Body:
    return Body(content_type, (pretty(value) if indent else orjson.dumps(value),), whole=True)


def pretty(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def data(value: object, newline: bytes = b"\n") -> bytes:
    """An SSE event without a name."""
    return b"data: " + orjson.dumps(value) + newline * 2


def event(value: dict[str, Any]) -> bytes:
    """An SSE event that is named after its own `type`."""
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), orjson.dumps(value))


def line(value: object) -> bytes:
    """A line of NDJSON."""
    return orjson.dumps(value) + b"\n"
