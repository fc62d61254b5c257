"""Reading an answer: what the body is made of, gaps, first content, and hostile bytes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from addons.core.call import AnswerReading
from addons.core.dialects import DIALECTS, answer_reader, read_request

EVENT = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
END = LAST + b"data: [DONE]\n\n"


def read(*chunks: bytes, kind: str | None = None, status: int | None = 200, api: str = "openai.chat") -> AnswerReading:
    reader = answer_reader(api, kind, status)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


@pytest.mark.parametrize("kind", [None, "text/event-stream", "application/json", "text/plain; charset=utf-8"])
def test_the_first_byte_tells_a_stream_from_a_body(kind: str | None) -> None:
    """Streams labelled as JSON, errors labelled as streams, spaces and a BOM before."""
    assert read(b"\xef\xbb", b"\xbf\n", EVENT, END, kind=kind).usage.input_tokens == 3
    assert read(b' \n{"error": {"message": "m"}}', kind=kind, status=400).error == "m"


def test_first_content_is_the_chunk_that_held_it() -> None:
    """Not a comment, a role or an empty piece; the chunk in which the event became whole; None without content."""
    role = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    assert read(b": ping\n\n", role, EVENT[:30], EVENT[30:], END).first_content == 3
    assert read(role, END).first_content is None


def test_a_gap_loses_only_what_lies_in_it() -> None:
    """Text before, usage and end after; the halves of the events at the edges say nothing."""
    reader = answer_reader("openai.chat", "text/event-stream", 200)
    reader.feed(EVENT + EVENT[:40])
    reader.resume()
    reader.feed(EVENT[60:] + EVENT + END)
    reading = reader.finish()
    assert (reading.messages[0].parts[0].text, reading.usage.output_tokens, reading.finished) == ("xx", 2, True)


def test_a_gap_in_a_whole_body() -> None:
    """What stands before it and the usage after it; not finished."""
    body = json.dumps({"model": "m", "choices": [{"message": {"content": "y" * 500}}], "usage": {"prompt_tokens": 3}}).encode()
    reader = answer_reader("openai.chat", "application/json", 200)
    reader.feed(body[:60])
    reader.resume()
    reader.feed(body[-60:])
    reading = reader.finish()
    assert (reading.model, reading.usage.input_tokens, reading.finished) == ("m", 3, False)


def test_pages_and_silence() -> None:
    """A gateway's page is the error; nothing at all is an unfinished answer."""
    assert read(b"<html><title>502 Bad Gateway</title>", kind="text/html", status=502).error == "502 Bad Gateway"
    assert read(b"internal error", status=500).error == "internal error"
    assert read() == read(b"", b"  ") == AnswerReading()


JUNK: list[Any] = [None, True, 0, -1, 1.5, "x", "7", [], {}, [[]], [None], {"a": None}, "9" * 400, 2**70, [{"index": "a"}], {"0": 0}]
KEYS = [
    "usage",
    "choices",
    "delta",
    "message",
    "content",
    "tool_calls",
    "function",
    "index",
    "error",
    "type",
    "response",
    "item",
    "candidates",
    "parts",
    "usageMetadata",
    "input_tokens",
    "content_block",
    "output",
    "status",
    "finish_reason",
    "model",
    "done",
    "prompt_eval_count",
    "functionCall",
    "partialArgs",
    "willContinue",
    "promptFeedback",
    "x_groq",
    "completion_tokens_details",
    "reasoning_content",
    "output_index",
    "images",
    "audio",
    "messages",
    "input",
    "contents",
    "system",
    "tools",
    "metadata",
    "user_id",
    "prompt",
]
KINDS = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "message_delta",
    "error",
    "response.created",
    "response.completed",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_item.added",
    "tool_use",
    "tool_result",
    "text",
    "image",
]


def junk(source: random.Random, depth: int = 0) -> Any:
    """JSON in which every known key holds something of the wrong kind somewhere."""
    if depth > 4 or source.random() < 0.2:
        return source.choice(JUNK)
    if source.random() < 0.3:
        return [junk(source, depth + 1) for _ in range(source.randrange(4))]
    value = {source.choice(KEYS): junk(source, depth + 1) for _ in range(source.randrange(1, 9))}
    if source.random() < 0.5:
        value["type"] = source.choice(KINDS)
    return value


@pytest.mark.parametrize("api", DIALECTS)
def test_wrong_types_never_raise(api: str) -> None:
    """Whatever stands under the known keys, as lines, events, arrays, whole bodies and requests."""
    source = random.Random(api)
    for _ in range(120):
        values = [json.dumps(junk(source)).encode() for _ in range(4)]
        event = b"event: " + source.choice(KINDS).encode() + b"\ndata: "
        read(*(event + value + b"\n\n" for value in values), api=api)
        read(*(value + b"\n" for value in values), api=api, kind="application/x-ndjson")
        read(b"[" + b",".join(values) + b"]", api=api)
        read(values[0], api=api, status=source.choice([200, 400, None]))
        read_request(api, "/v1beta/models/g:streamGenerateContent", values[1])
        read_request(api, "", values[2][: len(values[2]) // 2])


@pytest.mark.parametrize("api", DIALECTS)
def test_garbage_never_raises(api: str) -> None:
    """Random bytes, nesting without end, strings without end."""
    source = random.Random(api)
    bodies = [
        source.randbytes(300),
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b'{"a": "' + b"x" * 1000,
        b"data: " + b"[" * 5000 + b"\n\n",
        b"\x00\r\n\r",
    ]
    for body in bodies:
        read(body, api=api)
        read(body[:10], body[10:], api=api, kind="text/event-stream", status=None)
        read_request(api, body.decode("latin-1"), body)
