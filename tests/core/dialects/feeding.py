"""Answers fed to their readers, in the ways in which they come."""

from __future__ import annotations

import json
from base64 import b64encode
from binascii import crc32
from collections.abc import Iterable
from typing import Any

from addons.core.call import AnswerReading, Headers, RequestReading
from addons.core.dialects import answer_reader, read_request, session_reader


def asked(api: str, body: Any, path: str = "/") -> RequestReading:
    return read_request(api, path, json.dumps(body).encode())


def whole(api: str, value: Any, status: int = 200, headers: Headers = ()) -> AnswerReading:
    reader = answer_reader(api, "application/json", status, headers)
    reader.feed(json.dumps(value).encode())
    return reader.finish()


def stream(api: str, *events: dict[str, Any], name: str = "") -> AnswerReading:
    """Server-sent events; `name` is the key that their SSE name is taken from."""
    reader = answer_reader(api, "text/event-stream", 200)
    for event in events:
        start = f"event: {event[name]}\n" if name else ""
        reader.feed(f"{start}data: {json.dumps(event)}\n\n".encode())
    return reader.finish()


def lines(api: str, *values: Any) -> AnswerReading:
    reader = answer_reader(api, "application/x-ndjson", 200)
    for value in values:
        reader.feed(json.dumps(value).encode() + b"\n")
    return reader.finish()


def session(api: str, *messages: Any) -> AnswerReading:
    reader = session_reader(api)
    for message in messages:
        reader.feed(json.dumps(message).encode())
    return reader.finish()


def frame(payload: bytes, **headers: str) -> bytes:
    """One message of an AWS event stream; `event_type="x"` is the header `:event-type`."""
    named = [(":" + name.replace("_", "-"), value.encode()) for name, value in headers.items()]
    packed = b"".join(bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2) + value for name, value in named)
    start = (16 + len(packed) + len(payload)).to_bytes(4) + len(packed).to_bytes(4)
    body = start + crc32(start).to_bytes(4) + packed + payload
    return body + crc32(body).to_bytes(4)


def chunk(event: Any) -> bytes:
    """An event of invoke-with-response-stream."""
    return frame(json.dumps({"bytes": b64encode(json.dumps(event).encode()).decode(), "p": "abc"}).encode(), event_type="chunk")


def framed(api: str, frames: Iterable[bytes], headers: Headers = ()) -> AnswerReading:
    reader = answer_reader(api, "application/vnd.amazon.eventstream", 200, headers)
    for piece in frames:
        reader.feed(piece)
    return reader.finish()
