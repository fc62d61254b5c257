"""Ollama: JSON lines unless asked otherwise, counts in the last line."""

from __future__ import annotations

import json
from typing import Any

from addons.core.call import AnswerReading, Message, Part, Usage
from addons.core.dialects import answer_reader, read_request

CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
LAST = {
    "model": "q",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 9,
    "eval_count": 3,
}


def lines(*values: dict[str, Any], kind: str = "application/x-ndjson", api: str = "ollama.chat") -> AnswerReading:
    reader = answer_reader(api, kind, 200)
    for value in values:
        reader.feed(json.dumps(value).encode() + b"\n")
    return reader.finish()


def said(**message: Any) -> dict[str, Any]:
    return {"model": "q", "message": {"role": "assistant", **message}, "done": False}


def test_streamed_and_whole_read_the_same() -> None:
    """Thinking, text and calls; one value over several lines is read as well as one on each."""
    streamed = lines(said(thinking="hm"), said(content="Hel"), said(content="lo"), said(content="", tool_calls=[CALL]), LAST)
    reader = answer_reader("ollama.chat", "application/json", 200)
    message = {"role": "assistant", "thinking": "hm", "content": "Hello", "tool_calls": [CALL]}
    reader.feed(json.dumps({**LAST, "message": message}, indent=1).encode())
    whole = reader.finish()
    parts = (Part("reasoning", "hm"), Part("text", "Hello"), Part("tool_call", '{"a":1}', {"id": None, "name": "f"}))
    assert streamed.messages == whole.messages == (Message("assistant", parts),)
    assert streamed.usage == whole.usage == Usage(input_tokens=9, output_tokens=3)
    assert (streamed.finished, streamed.finish_reason, streamed.model, streamed.first_content) == (True, "stop", "q", 0)


def test_a_cut_stream_has_not_finished() -> None:
    """Without `done: true` it was cut, also when only one line came; an error line is an error."""
    assert not lines(said(content="x")).finished
    assert not lines(said(content="x"), said(content="y")).finished
    assert lines(said(content="x"), {"error": "out of memory"}).error == "out of memory"


def test_generate() -> None:
    """`response` instead of a message; an unknown prompt count (all cached) stays unknown."""
    reading = lines({"response": "a", "done": False}, {"response": "b", "done": True, "eval_count": 2}, api="ollama.generate")
    assert reading.messages == (Message("assistant", (Part("text", "ab"),)),)
    assert reading.usage == Usage(output_tokens=2)


def test_requests_stream_unless_told_otherwise() -> None:
    """`stream` is true by default; images and results of tools."""
    body = {
        "model": "q",
        "tools": [{}],
        "messages": [{"role": "user", "content": "hi", "images": ["QUJD"]}, {"role": "tool", "tool_name": "f", "content": "42"}],
    }
    reading = read_request("ollama.chat", "/api/chat", json.dumps(body).encode())
    assert (reading.stream, reading.tools) == (True, 1)
    assert reading.messages == (
        Message("user", (Part("text", "hi"), Part("image", None, {"media_type": None, "bytes": 3}))),
        Message("tool", (Part("tool_result", "42", {"id": "f"}),)),
    )
    generate = read_request("ollama.generate", "/api/generate", b'{"model": "q", "prompt": "p", "system": "s", "stream": false}')
    assert (generate.stream, [message.role for message in generate.messages]) == (False, ["system", "user"])


def test_embeddings_have_input_alone() -> None:
    """Many inputs in one request have one count."""
    reader = answer_reader("ollama.embed", "application/json", 200)
    reader.feed(b'{"model": "m", "embeddings": [[0.1], [0.2]], "prompt_eval_count": 8}')
    reading = reader.finish()
    assert (reading.usage, reading.messages) == (Usage(input_tokens=8), ())
    assert read_request("ollama.embed", "/api/embed", b'{"model": "m", "input": ["a", "b"]}').messages[0].parts[1].text == "b"
