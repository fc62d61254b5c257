"""Gemini's interactions: steps whole and streamed, usage with thoughts and tools, answers that are not done."""

from __future__ import annotations

from typing import Any

from addons.core.call import Message, Part
from tests.core.dialects.feeding import asked, stream, whole

USAGE = {
    "total_input_tokens": 22,
    "total_output_tokens": 15,
    "total_thought_tokens": 41,
    "total_tool_use_tokens": 129,
    "total_cached_tokens": 5,
}
STEPS = [
    {"type": "thought", "summary": [{"type": "text", "text": "Hm"}]},
    {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]},
    {"type": "function_call", "id": "c", "name": "now", "arguments": {"a": 1}},
]
SAID = (Message("assistant", (Part("reasoning", "Hm"), Part("text", "Hello"), Part("tool_call", '{"a":1}', {"id": "c", "name": "now"}))),)


def step(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"event_type": f"step.{kind}", "index": index, **more}


def interaction(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "v1_x", "object": "interaction", "model": "gemini", "status": status, **more}


EVENTS = (
    {"event_type": "interaction.created", "interaction": interaction("in_progress")},
    {"event_type": "interaction.status_update", "interaction_id": "v1_x", "status": "in_progress"},
    step(0, "start", step={"type": "thought"}),
    step(0, "delta", delta={"type": "thought_summary", "content": {"type": "text", "text": "Hm"}}),
    step(0, "delta", delta={"type": "thought_signature", "signature": "xyz"}),
    step(0, "stop"),
    step(1, "start", step={"type": "model_output"}),
    step(1, "delta", delta={"type": "text", "text": "Hel"}),
    step(1, "delta", delta={"type": "text", "text": "lo"}),
    step(2, "start", step={"type": "function_call", "id": "c", "name": "now", "arguments": {}}),
    step(2, "delta", delta={"type": "arguments_delta", "arguments": '{"a": 1}'}),
    {"event_type": "interaction.completed", "interaction": interaction("requires_action", usage=USAGE)},
)


def test_streamed_and_whole_read_the_same() -> None:
    """Output = output + thoughts, input = input + what tools gave to read."""
    streamed = stream("gemini.interactions", *EVENTS, name="event_type")
    at_once = whole("gemini.interactions", interaction("requires_action", usage=USAGE, steps=STEPS))
    for found in (streamed, at_once):
        assert found.messages == SAID
        assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (151, 56, 41)
        assert found.usage.cache_read_tokens == 5
        assert (found.finish_reason, found.model, found.id, found.finished) == ("requires_action", "gemini", "v1_x", True)
    assert streamed.first_content == 3


def test_one_that_is_not_done_has_no_usage() -> None:
    """A background interaction that is polled early."""
    found = whole("gemini.interactions", interaction("in_progress", usage=USAGE))
    assert not found.usage.known and found.finish_reason is None


def test_a_cut_stream_is_not_finished() -> None:
    """Without its last event."""
    assert not stream("gemini.interactions", *EVENTS[:-1]).finished


def test_older_outputs() -> None:
    """Before steps there were outputs: content blocks of their own."""
    found = whole("gemini.interactions", interaction("completed", outputs=[{"type": "text", "text": "Hi"}]))
    assert found.messages == (Message("assistant", (Part("text", "Hi"),)),)


def test_requests() -> None:
    """A string, a block, blocks, turns and steps."""
    user = (Message("user", (Part("text", "Hi"),)),)
    block = {"type": "text", "text": "Hi"}
    for given in ("Hi", block, [block], [{"role": "user", "content": "Hi"}], [{"type": "user_input", "content": [block]}]):
        found = asked("gemini.interactions", {"model": "gemini", "input": given, "stream": True, "tools": [{}]})
        assert (found.model, found.stream, found.tools, found.messages) == ("gemini", True, 1, user)
    result = asked("gemini.interactions", {"input": [{"type": "function_result", "call_id": "c", "result": {"a": 1}}]})
    assert result.messages == (Message("tool", (Part("tool_result", '{"a":1}', {"id": "c"}),)),)
