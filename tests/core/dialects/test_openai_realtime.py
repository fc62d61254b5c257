"""OpenAI's realtime sessions: every answer has a usage of its own."""

from __future__ import annotations

from typing import Any

from addons.core.call import Message, Part
from addons.core.dialects import read_request
from tests.core.dialects.feeding import lines, session


def done(given: int, made: int, cached: int, *output: dict[str, Any], **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": given, "output_tokens": made, "input_token_details": {"cached_tokens": cached}}
    return {"type": "response.done", "response": {"status": "completed", "usage": usage, "output": list(output), **more}}


SPOKEN = {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "Hello"}]}
CALLED = {"type": "function_call", "call_id": "c", "name": "now", "arguments": '{"a": 1}'}
MESSAGES = (
    {"type": "session.created", "session": {"model": "gpt-realtime"}},
    {"type": "response.output_audio_transcript.delta", "delta": "Hel"},
    {"type": "conversation.item.input_audio_transcription.completed", "usage": {"type": "duration", "seconds": 3}},
    done(12, 5, 0, SPOKEN),
    done(149, 33, 128, CALLED),
)


def test_the_usage_of_a_session_is_the_sum_of_its_answers() -> None:
    """Each `response.done` is billed; the same as one body of JSON lines. What transcribed the user is another model."""
    for found in (session("openai.realtime", *MESSAGES), lines("openai.realtime", *MESSAGES)):
        assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.cache_read_tokens) == (161, 38, 128)
        assert found.messages == (
            Message("assistant", (Part("text", "Hello"),)),
            Message("assistant", (Part("tool_call", '{"a":1}', {"id": "c", "name": "now"}),)),
        )
        assert (found.model, found.finish_reason, found.finished) == ("gpt-realtime", "completed", True)
    assert session("openai.realtime", *MESSAGES).first_content == 1


def test_failures_are_errors() -> None:
    """An error event, and an answer that failed."""
    event = session("openai.realtime", {"type": "error", "error": {"type": "invalid_request_error", "message": "No"}})
    failed = session("openai.realtime", done(1, 0, 0, status="failed", status_details={"error": {"code": "quota", "message": "Spent"}}))
    assert (event.error_type, event.error) == ("invalid_request_error", "No")
    assert (failed.error_type, failed.error, failed.finish_reason) == ("quota", "Spent", "failed")


def test_the_handshake_names_the_model() -> None:
    """In the query; Azure calls it a deployment."""
    assert read_request("openai.realtime", "/v1/realtime?model=gpt-realtime", b"").model == "gpt-realtime"
    assert read_request("openai.realtime", "/openai/realtime?api-version=1&deployment=mine", b"").model == "mine"


def test_broken_messages_are_passed_over() -> None:
    """What is no JSON object says nothing."""
    assert session("openai.realtime", "text", [], None, done(1, 2, 0)).usage.input_tokens == 1
