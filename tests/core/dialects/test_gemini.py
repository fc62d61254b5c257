"""Gemini: model and streaming in the path, SSE and JSON arrays, usage in many chunks, parts of every kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.core.call import AnswerReading, Message, Part, Usage
from addons.core.dialects import answer_reader, read_request


def candidate(*parts: dict[str, Any], finish: str | None = None, **usage: Any) -> dict[str, Any]:
    said = {"content": {"role": "model", "parts": list(parts)}, **({"finishReason": finish} if finish else {})}
    return {"candidates": [said], "modelVersion": "gemini-x", **({"usageMetadata": usage} if usage else {})}


def sse(*events: dict[str, Any]) -> AnswerReading:
    reader = answer_reader("gemini.generate", "text/event-stream", 200)
    for event in events:
        reader.feed(b"data: " + json.dumps(event).encode() + b"\r\n\r\n")
    return reader.finish()


def array(*events: dict[str, Any], gap: bool = False) -> AnswerReading:
    body = ("[" + "\n,\r\n".join(json.dumps(event, indent=2) for event in events) + "\n]").encode()
    reader = answer_reader("gemini.generate", "application/json; charset=UTF-8", 200)
    reader.feed(body[: len(body) // 3])
    if gap:
        reader.resume()
    reader.feed(body[len(body) // 3 + (20 if gap else 0) :])
    return reader.finish()


STREAM = (
    candidate({"text": "hm", "thought": True}, promptTokenCount=9, totalTokenCount=9),
    candidate({"text": "Hel"}, promptTokenCount=9, candidatesTokenCount=1, thoughtsTokenCount=4, totalTokenCount=14),
    candidate({"text": "lo"}, {"functionCall": {"name": "f", "args": {"a": 1}}}),
    candidate({"text": ""}, finish="STOP", promptTokenCount=9, candidatesTokenCount=3, thoughtsTokenCount=4, cachedContentTokenCount=2),
)


def test_sse_and_array_read_the_same() -> None:
    """Both forms of a stream; the last usage counts, output = candidates + thoughts, cached tokens are part of the prompt."""
    reading = sse(*STREAM)
    assert reading.messages == array(*STREAM).messages
    assert reading.usage == array(*STREAM).usage == Usage(input_tokens=9, output_tokens=7, cache_read_tokens=2, reasoning_tokens=4)
    parts = (Part("reasoning", "hm"), Part("text", "Hello"), Part("tool_call", '{"a":1}', {"id": None, "name": "f"}))
    assert reading.messages == (Message("assistant", parts),)
    assert (reading.finished, reading.finish_reason, reading.model, reading.first_content) == (True, "STOP", "gemini-x", 0)


def test_a_gap_keeps_the_usage_at_the_end() -> None:
    """With the middle missing, the array's last elements are still read."""
    assert array(*STREAM, gap=True).usage == sse(*STREAM).usage


def test_zeros_are_left_out_by_protobuf() -> None:
    """An answer that ended without candidate tokens has none; one that was cut has an unknown number."""
    assert sse(candidate(finish="SAFETY", promptTokenCount=9)).usage == Usage(input_tokens=9, output_tokens=0)
    assert sse(candidate({"text": "x"}, promptTokenCount=9)).usage == Usage(input_tokens=9)


def test_what_tools_gave_to_read_is_input() -> None:
    """`toolUsePromptTokenCount` lies outside the prompt."""
    usage = {"promptTokenCount": 9, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 1}
    assert sse(candidate(finish="STOP", **usage)).usage == Usage(input_tokens=14, output_tokens=1)


def test_blocked_prompts_and_errors() -> None:
    """A block is an end with its reason; an error in an array is an error."""
    blocked = sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}})
    assert (blocked.finished, blocked.finish_reason) == (True, "SAFETY")
    reader = answer_reader("gemini.generate", "application/json", 429)
    reader.feed(json.dumps([{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}]).encode())
    failed = reader.finish()
    assert (failed.error_type, failed.error) == ("RESOURCE_EXHAUSTED", "slow down")


def test_streamed_arguments_are_put_together() -> None:
    """A function call in pieces by JSON path."""

    def call(**more: Any) -> dict[str, Any]:
        return candidate({"functionCall": more})

    def piece(path: str, value: str) -> dict[str, str]:
        return {"jsonPath": path, "stringValue": value}

    reading = sse(
        call(name="f", willContinue=True),
        call(partialArgs=[piece("$.city", "Par")], willContinue=True),
        call(partialArgs=[piece("$.city", "is"), {"jsonPath": "$.at.n", "numberValue": 2}], willContinue=True),
        call(),
        candidate(finish="STOP"),
    )
    assert reading.messages[0].parts == (Part("tool_call", '{"city":"Paris","at":{"n":2}}', {"id": None, "name": "f"}),)


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-2:generateContent?key=x", "gemini-2", False),
        ("/v1beta/models/gemini-2:streamGenerateContent?alt=sse", "gemini-2", True),
        ("/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent", "g", True),
        ("/v1internal:streamGenerateContent", "m", True),
    ],
)
def test_model_and_streaming_stand_in_the_path(path: str, model: str, stream: bool) -> None:
    """Gemini API, Vertex, and Code Assist, which has the model in the body."""
    reading = read_request("gemini.generate", path, b'{"model": "models/m", "request": {"contents": "hi"}}')
    assert (reading.model, reading.stream) == (model, stream)
    assert reading.messages == (Message("user", (Part("text", "hi"),)),)


def test_requests() -> None:
    """System instruction in either spelling, model → assistant, function responses → tool results, media without content."""
    body = {
        "system_instruction": {"parts": [{"text": "sys"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "q"}, {"inline_data": {"mime_type": "image/png", "data": "QUJD"}}]},
            {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {}}}, {"thoughtSignature": "x"}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"result": "42"}}}]},
            {"parts": {"fileData": {"mimeType": "application/pdf", "fileUri": "https://f/1"}}},
        ],
        "tools": [{"functionDeclarations": [{}, {}]}, {"googleSearch": {}}],
    }
    reading = read_request("gemini.generate", "/v1beta/models/g:generateContent", json.dumps(body).encode())
    assert reading.tools == 3
    assert reading.messages == (
        Message("system", (Part("text", "sys"),)),
        Message("user", (Part("text", "q"), Part("image", None, {"media_type": "image/png", "bytes": 3}))),
        Message("assistant", (Part("tool_call", "{}", {"id": "1", "name": "f"}),)),
        Message("tool", (Part("tool_result", "42", {"id": "1"}),)),
        Message("user", (Part("file", None, {"url": "https://f/1"}),)),
    )
