"""What the event loop must know of a request body before it is sent: the model, and whether the answer is to be streamed.

Everything else is read later, in the writer's thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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


class BodyFields:
    """The members of a request's body that decide about the call, which is parsed at most once, when somebody asks: it may be long."""

    __slots__ = ("_read", "_request")

    def __init__(self, request: Request) -> None:
        self._request: Request | None = request
        self._read: Mapping[str, object] | None = None

    def read(self) -> Mapping[str, object] | None:
        """Those of NAMES that are there; None where the body can't be read, or is no object."""
        request, self._request = self._request, None
        if request is not None:
            self._read = _fields(request)
        return self._read

    @property
    def model(self) -> str | None:
        """The model that the body names."""
        value = (self.read() or {}).get("model")
        return value if isinstance(value, str) else None


NAMES = ("model", "stream", "stream_options")


def peek(api: Api, request: Request, fields: BodyFields | None = None) -> Peek:
    """Never raises: of a body that can't be read, or is not held, the path alone is looked at. `fields` are those of this request."""
    fields = fields or BodyFields(request)
    looked_into = request.body and (api.model is None or b'"stream"' in request.body)
    stream = (fields.read() or {}).get("stream") if looked_into else None
    streams = stream is True or streams_by_path(request.path) or (api.name in STREAMS_UNASKED and stream is not False)
    return Peek(api.model or (fields.model if looked_into else None), streams)


def streams_by_path(path: str) -> bool:
    """Does the path (which may have a query) ask for a stream?"""
    return "stream" in path and STREAM_PATH.search(path.partition("?")[0]) is not None


def _fields(request: Request) -> Mapping[str, object] | None:
    if not request.body:
        return None
    try:
        encoding = content_encoding(request.headers)
        value = orjson.loads(decode(request.body, encoding) if encoding else request.body)
    except (UndecodableBody, orjson.JSONDecodeError):
        return None
    return {name: value[name] for name in NAMES if name in value} if isinstance(value, dict) else None
