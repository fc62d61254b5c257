"""Ask an OpenAI-dialect stream for its usage where the client did not, and take the answer to that out again.

With `stream_options.include_usage` the provider sends one more chunk before `[DONE]`, with empty `choices` and the usage
(https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options). A client that did not ask for it
must not see it: some index `choices[0]` of every chunk. Nothing else of request and answer is changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import orjson

from addons.core.jsonbytes import find_value

APIS = frozenset({"openai.chat", "openai.completions"})
PROVIDERS = frozenset({"openai", "openrouter", "deepseek", "groq", "xai", "together", "fireworks", "ollama", "gemini"})
"""Known to take `stream_options`. Mistral, Perplexity and Cohere send usage unasked; Azure refuses it in older API versions."""

OPTION = b'"stream_options":{"include_usage":true}'
MAX_HELD_BYTES = 64 * 1024  # of one event; the chunk with the usage has about 0.5 kB

_BREAKS = b"\r\n"
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")  # of an event
_EVENT_END = re.compile(b"|".join(_ENDS))
_USAGE = b'"usage"'
_HAS_USAGE = re.compile(rb'"usage"\s*:\s*\{')


def supports(api: str, provider: str) -> bool:
    """May this call be asked for its usage?"""
    return api in APIS and provider in PROVIDERS


Fields = Mapping[str, object]


def with_usage(body: bytes, read: Callable[[], Fields | None] | None = None) -> bytes | None:
    """The request body that asks for usage; None where it does not stream, asks already, or is no JSON object.

    `read` gives `stream` and `stream_options` of the body, where somebody has parsed it already; None: it is no object.
    """
    if b'"stream"' not in body:
        return None
    request = read() if read else _parsed(body)
    if request is None or request.get("stream") is not True:
        return None
    options = request.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        return None
    if "stream_options" not in request:
        start = body.index(b"{") + 1
        return b"".join((body[:start], OPTION, b",", memoryview(body)[start:]))  # one copy: it may be long
    return _with_options(body, options)


def _parsed(body: bytes) -> Fields | None:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return request if isinstance(request, dict) else None


def _with_options(body: bytes, options: object) -> bytes | None:
    """The client's other options stay (OpenAI has `include_obfuscation`)."""
    span = find_value(body, "stream_options")
    if span is None or not (options is None or isinstance(options, dict)):
        return None  # what is neither is for the provider to refuse
    return body[: span[0]] + orjson.dumps((options or {}) | {"include_usage": True}) + body[span[1] :]


class UsageFilter:
    """Takes the usage chunk out of an SSE stream: feed bytes as they come, in any cut, and pass on what it gives back.

    Only an event that has not ended is held, and no more than `MAX_HELD_BYTES` of it: a client can make nothing of half an
    event anyway. Comments, blank lines, `[DONE]` and events with choices pass as they are.
    """

    def __init__(self) -> None:
        self._held = b""
        self._passing = False  # inside an event that was too long to be held

    def feed(self, data: bytes) -> bytes:
        """The bytes that may go to the client now."""
        if not self._held and not self._passing and _USAGE not in data and data.endswith((b"\n\n", b"\r\n\r\n")):
            return data  # whole events without a usage: nearly every chunk
        data, self._held = self._held + data, b""
        at = 0
        if self._passing:
            at = _first_end(data, 0)
            if not at:
                return data
            self._passing = False
        ended = _last_end(data, at, len(data))
        passed: list[bytes] = []
        kept = 0
        while (found := data.find(_USAGE, at, ended)) >= 0:
            begin, at = _last_end(data, at, found), _first_end(data, found)
            event = data[begin:at].lstrip(_BREAKS)
            if is_usage_chunk(event):
                passed.append(data[kept : at - len(event)])
                kept = at
        if len(data) - ended > MAX_HELD_BYTES:
            self._passing, ended = True, len(data)
        self._held = data[ended:]
        passed.append(data[kept:ended])
        return b"".join(passed)

    def flush(self) -> bytes:
        """What was held when the stream ended inside an event."""
        held, self._held = self._held, b""
        return b"" if is_usage_chunk(held) else held


def _first_end(data: bytes, start: int) -> int:
    """Where the event ends that stands at `start`; 0 where it has not ended."""
    end = _EVENT_END.search(data, start)
    return end.end() if end else 0


def _last_end(data: bytes, start: int, stop: int) -> int:
    """Where the last event before `stop` ends; `start` where none does."""
    ends = _ENDS if b"\r" in data else _ENDS[:1]  # searching for what is not there is what takes long
    last = start
    for end in ends:
        if (at := data.rfind(end, start, stop)) >= 0:
            last = max(last, at + len(end))
    return last


def is_usage_chunk(event: bytes) -> bool:
    """Is this SSE event the extra chunk: usage, and no choice?"""
    if not _HAS_USAGE.search(event):
        return False
    lines = (line for line in re.split(rb"\r\n|\n|\r", event) if line.startswith(b"data:"))
    try:
        chunk = orjson.loads(b"\n".join(line[5:] for line in lines))
    except orjson.JSONDecodeError:
        return False
    return isinstance(chunk, dict) and not chunk.get("choices") and isinstance(chunk.get("usage"), dict)
