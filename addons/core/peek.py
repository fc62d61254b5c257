"""What the event loop must know of a request body before it is sent: the model, and whether the answer is to be streamed.

Everything else is read later, in the writer's thread.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from addons.core.attempt import Request, content_encoding
from addons.core.encodings import UndecodableBody, decode
from addons.core.providers import Api

STREAM_PATH = re.compile(r":stream\w+$|-stream$|-with-response-stream$")
"""Gemini's, Vertex's and Bedrock's method names."""

STREAMS_UNASKED = frozenset({"ollama.chat", "ollama.generate"})  # https://github.com/ollama/ollama/blob/main/docs/api.md


class Peek(NamedTuple):
    """`model` is None where neither path nor body names one."""

    model: str | None
    streams: bool


def peek(api: Api, request: Request) -> Peek:
    """Never raises: of a body that can't be read, or is not held, the path alone is looked at."""
    value = _fields(request) if request.body and (api.model is None or b'"stream"' in request.body) else {}
    model, stream = value.get("model"), value.get("stream")
    streams = (
        stream is True or bool(STREAM_PATH.search(request.path.partition("?")[0])) or (api.name in STREAMS_UNASKED and stream is not False)
    )
    return Peek(api.model or (model if isinstance(model, str) else None), streams)


def _fields(request: Request) -> dict[str, object]:
    try:
        value = orjson.loads(decode(request.body or b"", content_encoding(request.headers)))
    except (UndecodableBody, orjson.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
