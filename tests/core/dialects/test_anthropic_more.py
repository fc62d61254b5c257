"""Anthropic's batches and the completions before messages."""

from __future__ import annotations

from typing import Any

from addons.core.call import Message, Part
from tests.core.dialects.feeding import asked, lines, stream, whole


def result(custom_id: str, text: str, given: int, made: int) -> dict[str, Any]:
    usage = {"input_tokens": given, "output_tokens": made, "cache_read_input_tokens": 10, "service_tier": "batch"}
    message = {"model": "claude", "type": "message", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}
    return {"custom_id": custom_id, "result": {"type": "succeeded", "message": message}}


def test_results_of_a_batch_are_summed() -> None:
    """A line for each request; those that failed used nothing."""
    failed = {"custom_id": "2", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "No"}}}}
    found = lines("anthropic.batches", result("0", "4", 20, 4), failed, result("1", "Jupiter", 19, 5))
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.cache_read_tokens) == (59, 9, 20)
    assert found.messages == (Message("assistant", (Part("text", "4"),)), Message("assistant", (Part("text", "Jupiter"),)))
    assert (found.model, found.finish_reason, found.finished) == ("claude", "end_turn", True)
    assert found.error


def test_completions_stream_pieces_and_report_nothing() -> None:
    """The same streamed and whole."""
    pieces = [{"type": "completion", "completion": piece, "stop_reason": None, "model": "claude-2.1"} for piece in (" Hi", " you")]
    last = {"type": "completion", "completion": "", "stop_reason": "stop_sequence", "model": "claude-2.1"}
    at_once = whole("anthropic.complete", {**last, "completion": " Hi you"})
    for found in (stream("anthropic.complete", *pieces, last, name="type"), at_once):
        assert found.messages == (Message("assistant", (Part("text", " Hi you"),)),)
        assert (found.model, found.finish_reason, found.finished, found.usage.known) == ("claude-2.1", "stop_sequence", True, False)
    assert asked("anthropic.complete", {"model": "m", "prompt": "\n\nHuman: Hi"}).messages[0].parts[0].text == "\n\nHuman: Hi"
