"""Bedrock's invoke: every model's own dialect in AWS's frames, and whose usage counts."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.call import Message, Part, Usage
from tests.core.dialects.feeding import asked, chunk, frame, framed, whole

METRICS = {"inputTokenCount": 14, "outputTokenCount": 97}
HEADERS = (("X-Amzn-Bedrock-Input-Token-Count", "4"), ("x-amzn-bedrock-output-token-count", "9"))
CLAUDE = (
    {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 14, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 133}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
)
NOVA = (
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hello"}}},
    {"messageStop": {"stopReason": "end_turn"}},
    {
        "metadata": {"usage": {"inputTokens": 6, "outputTokens": 3, "cacheReadInputTokenCount": 10}},
        "amazon-bedrock-invocationMetrics": METRICS,
    },
)
OPENAI = (
    {"choices": [{"index": 0, "delta": {"content": "Hello"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 17, "completion_tokens": 8}},
)
TITAN = (
    {"outputText": "Hel", "inputTextTokenCount": 5},
    {"outputText": "lo", "totalOutputTextTokenCount": 8, "completionReason": "FINISH"},
)
UNCOUNTED = ({"generation": "Hello"}, {"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": METRICS})


@pytest.mark.parametrize(
    ("events", "expected"), [(CLAUDE, (14, 133)), (NOVA, (16, 3)), (OPENAI, (17, 8)), (TITAN, (5, 8)), (UNCOUNTED, (14, 97))]
)
def test_streams(events: tuple[dict[str, Any], ...], expected: tuple[int, int]) -> None:
    """The first event tells the dialect. AWS's metrics count only where the model says nothing: for Claude they were seen to disagree."""
    found = framed("bedrock.invoke", map(chunk, events))
    assert (found.usage.input_tokens, found.usage.output_tokens) == expected
    assert found.messages == (Message("assistant", (Part("text", "Hello"),)),)
    assert found.finish_reason and found.finished


BODIES: tuple[tuple[dict[str, Any], tuple[int, int]], ...] = (
    ({"type": "message", "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1, "output_tokens": 2}}, (1, 2)),
    ({"output": {"message": {"content": [{"text": "Hi"}]}}, "usage": {"inputTokens": 3, "outputTokens": 4}}, (3, 4)),
    ({"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": 5, "completion_tokens": 6}}, (5, 6)),
    ({"object": "text_completion", "choices": [{"text": "Hi"}], "usage": {"prompt_tokens": 5, "completion_tokens": 6}}, (5, 6)),
    ({"generation": "Hi", "prompt_token_count": 7, "generation_token_count": 8, "stop_reason": "stop"}, (7, 8)),
    ({"inputTextTokenCount": 6, "results": [{"tokenCount": 26, "outputText": "Hi", "completionReason": "FINISH"}]}, (6, 26)),
    ({"outputs": [{"text": "Hi", "stop_reason": "length"}]}, (4, 9)),
    ({"generations": [{"text": "Hi", "finish_reason": "COMPLETE"}]}, (4, 9)),
    ({"completion": "Hi", "stop_reason": "stop_sequence"}, (4, 9)),
)


@pytest.mark.parametrize(("body", "expected"), BODIES)
def test_whole_answers(body: dict[str, Any], expected: tuple[int, int]) -> None:
    """The body's own usage, else the headers that AWS adds."""
    found = whole("bedrock.invoke", body, headers=HEADERS)
    assert (found.usage.input_tokens, found.usage.output_tokens) == expected
    assert found.messages == (Message("assistant", (Part("text", "Hi"),)),)
    assert found.finished


def test_headers_exclude_the_cache() -> None:
    """As converse counts; ours is the total."""
    headers = (*HEADERS, ("x-amzn-bedrock-cache-read-input-token-count", "100"))
    assert whole("bedrock.invoke", {"outputs": []}, headers=headers).usage == Usage(104, 9, 100)


def test_vectors_have_input_alone() -> None:
    """Titan's embeddings."""
    found = whole("bedrock.invoke", {"embedding": [0.1], "inputTextTokenCount": 5}, headers=())
    assert (found.usage.input_tokens, found.usage.output_tokens, found.messages) == (5, None, ())


def test_frames_that_hold_no_json_are_left_out() -> None:
    """Broken base64, text in place of an event."""
    found = framed("bedrock.invoke", [frame(b'{"bytes": "%%%"}', event_type="chunk"), frame(b'{"bytes": "SGk="}', event_type="chunk")])
    assert found.messages == () and not found.usage.known


@pytest.mark.parametrize(
    "body",
    [
        {"anthropic_version": "bedrock-2023-05-31", "messages": [{"role": "user", "content": "Hi"}]},
        {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
        {"prompt": "Hi"},
        {"inputText": "Hi"},
    ],
)
def test_requests(body: dict[str, Any]) -> None:
    """Read as the dialect that the body is in; the model stands in the path."""
    found = asked("bedrock.invoke", body, "/model/some.model-v1%3A0/invoke-with-response-stream")
    assert (found.model, found.stream) == ("some.model-v1:0", True)
    assert found.messages == (Message("user", (Part("text", "Hi"),)),)
