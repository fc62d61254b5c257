"""JSON lines, a call a line, in the form that `scripts/importing/jsonl.py` describes and `turnpike import` reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import orjson

from addons.core.call import Message, StoredBody, StoredCall
from scripts.exporting.captures import Captures
from scripts.importing.jsonl import VERSION


def pieces(captures: Captures) -> Iterator[bytes]:
    """A line for each call."""
    for call in captures.calls():
        yield json_bytes(line(call)) + b"\n"


def line(call: StoredCall) -> dict[str, Any]:
    """The values of a line."""
    asked = len(call.messages) - call.answers
    return {
        **facts(call),
        **{body.kind: _body(body) for body in call.bodies},
        "messages": [_message(message) for message in call.messages[:asked]],
        "answer": [_message(message) for message in call.messages[asked:]],
    }


def facts(call: StoredCall) -> dict[str, Any]:
    """What there is of a line beside its content."""
    return {
        "turnpike": VERSION,
        "call": call.row,
        "attempts": [asdict(attempt) for attempt in call.attempts],
        "deltas_ms": call.deltas_ms,
        "redactions": [asdict(note) for note in call.redactions],
    }


def body_facts(body: StoredBody) -> dict[str, Any]:
    """What there is of a body beside headers and content."""
    return {"encoding": body.encoding, "size": body.size, "truncated": body.truncated, "redacted": body.redacted}


def content(data: bytes) -> str | None:
    """The text that these bytes are, None where they are no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def json_bytes(value: Any) -> bytes:
    """JSON in UTF-8, without spaces."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer over 64 bits, nested deeper than 254
        return json.dumps(value, separators=(",", ":")).encode()


def _body(body: StoredBody) -> dict[str, Any]:
    text = content(body.content)
    return {
        "headers": body.headers,
        "body": {"base64": base64.b64encode(body.content).decode()} if text is None else text,
        **body_facts(body),
    }


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [asdict(part) for part in message.parts]}
