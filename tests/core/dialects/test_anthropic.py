"""Anthropic messages: usage that is cumulative and excludes the cache, blocks, sessions, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.core.call import AnswerReading, Message, Part, Usage
from addons.core.dialects import answer_reader, read_request
from addons.core.dialects.anthropic import session_of


def stream(*events: dict[str, Any]) -> AnswerReading:
    reader = answer_reader("anthropic.messages", "text/event-stream; charset=utf-8", 200)
    for event in events:
        reader.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    return reader.finish()


def start(**usage: Any) -> dict[str, Any]:
    return {
        "type": "message_start",
        "message": {"model": "claude", "role": "assistant", "content": [], "stop_reason": None, "usage": usage},
    }


def end(reason: str, **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def block(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **more}}


def delta(index: int, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": more}


STOP = {"type": "message_stop"}


def test_input_is_the_sum_of_read_written_and_neither() -> None:
    """Anthropic's `input_tokens` excludes what went through the cache; ours is the total, the one-hour part noted."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    details = {"cache_creation": {"ephemeral_1h_input_tokens": 15}, "output_tokens_details": {"thinking_tokens": 2}}
    assert stream(start(**usage, **details, output_tokens=1), end("end_turn", output_tokens=9), STOP).usage == Usage(
        input_tokens=125, output_tokens=9, cache_read_tokens=100, cache_write_tokens=20, cache_write_1h_tokens=15, reasoning_tokens=2
    )


def test_web_searches_are_counted() -> None:
    """They are billed beside the tokens; the count grows as the answer does."""
    first, last = {"web_search_requests": 1}, {"web_search_requests": 2}
    reading = stream(start(input_tokens=5, output_tokens=1, server_tool_use=first), end("end_turn", output_tokens=2, server_tool_use=last))
    assert reading.usage == Usage(input_tokens=5, output_tokens=2, web_searches=2)


def test_deltas_are_cumulative_and_may_end_in_zeros() -> None:
    """The maximum per key, never a sum: keys repeated, left out, or zero at the end."""
    reading = stream(
        start(input_tokens=10, output_tokens=1),
        end("tool_use", output_tokens=5),
        end("end_turn", input_tokens=30, output_tokens=8),
        end("end_turn", input_tokens=0, output_tokens=0, cache_read_input_tokens=None),
    )
    assert reading.usage == Usage(input_tokens=30, output_tokens=8)


def test_streamed_and_whole_read_the_same() -> None:
    """Thinking, text, a tool call with arguments, one without, and a server tool's result."""
    found = [{"type": "web_search_result", "title": "T", "url": "https://u"}]
    streamed = stream(
        start(input_tokens=1, output_tokens=1),
        {"type": "ping"},
        block(0, "thinking", thinking=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="s"),
        block(1, "text", text=""),
        delta(1, type="text_delta", text="Hel"),
        delta(1, type="text_delta", text="lo"),
        block(2, "tool_use", id="t1", name="f", input={}),
        delta(2, type="input_json_delta", partial_json=""),
        delta(2, type="input_json_delta", partial_json='{"a": 1}'),
        block(3, "tool_use", id="t2", name="g", input={}),
        block(4, "web_search_tool_result", tool_use_id="s1", content=found),
        end("tool_use", output_tokens=7),
        STOP,
    )
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": found},
    ]
    reader = answer_reader("anthropic.messages", "application/json", 200)
    body = {
        "type": "message",
        "model": "claude",
        "content": content,
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 7},
    }
    reader.feed(json.dumps(body).encode())
    assert streamed.messages == reader.finish().messages
    assert streamed.messages[0].parts == (
        Part("reasoning", "hm"),
        Part("text", "Hello"),
        Part("tool_call", '{"a":1}', {"id": "t1", "name": "f"}),
        Part("tool_call", "{}", {"id": "t2", "name": "g"}),
        Part("tool_result", "T https://u", {"id": "s1"}),
    )
    assert (streamed.finished, streamed.finish_reason, streamed.model, streamed.first_content) == (True, "tool_use", "claude", 3)


def test_an_error_in_mid_stream() -> None:
    """What was said and counted so far stays; the stream has not finished."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reading = stream(start(input_tokens=4, output_tokens=1), block(0, "text", text="x"), error)
    assert (reading.error_type, reading.error, reading.finished) == ("overloaded_error", "Overloaded", False)
    assert reading.usage.input_tokens == 4
    assert reading.messages[0].parts[0].text == "x"


def test_requests() -> None:
    """The system's text, results of tools as the tool's message, images of any source, tools, the session."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    body = {
        "model": "claude",
        "stream": True,
        "system": [{"type": "text", "text": "sys"}],
        "metadata": {"user_id": json.dumps({"session_id": "s-1"})},
        "tools": [{"name": "f"}],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}]}]},
            {"role": "user", "content": [image, {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}}]},
        ],
    }
    reading = read_request("anthropic.messages", "/v1/messages?beta=true", json.dumps(body).encode())
    assert (reading.model, reading.stream, reading.tools, reading.session) == ("claude", True, 1, "s-1")
    assert reading.messages == (
        Message("system", (Part("text", "sys"),)),
        Message("user", (Part("text", "hi"),)),
        Message("assistant", (Part("tool_call", '{"a":1}', {"id": "t1", "name": "f"}),)),
        Message("tool", (Part("tool_result", "r", {"id": "t1"}),)),
        Message("user", (Part("image", None, {"media_type": "image/png", "bytes": 3}), Part("file", None, {"url": "https://x/y.pdf"}))),
    )


@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        ('{"device_id": "d", "session_id": "abc"}', "abc"),
        ("user_1_account__session_0c1b7e9a-1111-2222-3333-444455556666", "0c1b7e9a-1111-2222-3333-444455556666"),
        ("user-7", None),
        ("{broken", None),
        ('{"session_id": 7}', None),
        (None, None),
        (5, None),
    ],
)
def test_sessions(user_id: object, session: str | None) -> None:
    """Both forms that Claude Code has used; a plain user id is no session."""
    assert session_of(user_id) == session


def test_vertex_has_the_model_in_the_path() -> None:
    """`rawPredict` and `streamRawPredict`."""
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@1:streamRawPredict"
    reading = read_request("anthropic.messages", path, b"{}")
    assert (reading.model, reading.stream) == ("claude-x@1", True)
