"""Runs of assistants: usage once the run has ended."""

from __future__ import annotations

from typing import Any

from addons.core.call import Message, Part
from tests.core.dialects.feeding import asked, stream, whole

USAGE = {"prompt_tokens": 381, "completion_tokens": 88, "prompt_token_details": {"cached_tokens": 7}}


def run(status: str, **more: Any) -> dict[str, Any]:
    return {"object": "thread.run", "id": "run_1", "model": "gpt-4o", "status": status, **more}


def text(piece: str) -> dict[str, Any]:
    return {"object": "thread.message.delta", "id": "msg", "delta": {"content": [{"index": 0, "type": "text", "text": {"value": piece}}]}}


def test_a_streamed_run() -> None:
    """Its steps have usages of their own, parts of the run's; text comes in deltas of messages."""
    step = {"object": "thread.run.step", "id": "step", "status": "completed", "usage": {"prompt_tokens": 5, "completion_tokens": 5}}
    found = stream("openai.runs", run("queued", usage=None), text("Hel"), text("lo"), step, run("completed", usage=USAGE))
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.cache_read_tokens) == (381, 88, 7)
    assert found.messages == (Message("assistant", (Part("text", "Hello"),)),)
    assert (found.id, found.model, found.finish_reason, found.finished) == ("run_1", "gpt-4o", "completed", True)


def test_a_polled_run() -> None:
    """While it is going on nothing is used yet; at its end all is."""
    assert not whole("openai.runs", run("in_progress", usage=USAGE)).usage.known
    assert whole("openai.runs", run("completed", usage=USAGE)).usage.output_tokens == 88


def test_what_a_run_waits_for_and_why_it_failed() -> None:
    """Tool calls, and the last error."""
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    waiting = whole("openai.runs", run("requires_action", required_action={"submit_tool_outputs": {"tool_calls": [call]}}))
    failed = whole("openai.runs", run("failed", last_error={"code": "rate_limit_exceeded", "message": "Slow"}))
    assert waiting.messages == (Message("assistant", (Part("tool_call", "{}", {"id": "c", "name": "now"}),)),)
    assert (failed.error_type, failed.error) == ("rate_limit_exceeded", "Slow")


def test_requests() -> None:
    """Instructions, messages of a new thread, results of tools."""
    found = asked("openai.runs", {"instructions": "Be kind", "thread": {"messages": [{"role": "user", "content": "Hi"}]}, "stream": True})
    handed_in = asked("openai.runs", {"tool_outputs": [{"tool_call_id": "c", "output": "7"}]})
    assert [message.role for message in found.messages] == ["system", "user"] and found.stream
    assert handed_in.messages == (Message("tool", (Part("tool_result", "7", {"id": "c"}),)),)
