"""Bedrock's converse: frames, usage beside the cache, blocks."""

from __future__ import annotations

import json
from typing import Any

from addons.core.call import Message, Part
from tests.core.dialects.feeding import asked, frame, framed, stream, whole

USAGE = {"inputTokens": 12, "outputTokens": 5, "totalTokens": 1050, "cacheReadInputTokens": 1028, "cacheReadInputTokenCount": 1028}
EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Hel"}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "lo"}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t1", "name": "now"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"a": '}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": "1}"}}}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 3}}),
)
BLOCKS = [
    {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "x"}}},
    {"text": "Hello"},
    {"toolUse": {"toolUseId": "t1", "name": "now", "input": {"a": 1}}},
]
SAID = (Part("reasoning", "Hm"), Part("text", "Hello"), Part("tool_call", '{"a":1}', {"id": "t1", "name": "now"}))


def test_streamed_whole_and_as_sse_read_the_same() -> None:
    """Frames with the event's name in a header; a proxy's SSE with it as the one key; one JSON body."""
    frames = framed("bedrock.converse", [frame(json.dumps(value).encode(), event_type=kind) for kind, value in EVENTS])
    events = stream("bedrock.converse", *({kind: value} for kind, value in EVENTS))
    body = {"output": {"message": {"role": "assistant", "content": BLOCKS}}, "stopReason": "tool_use", "usage": USAGE}
    for found in (frames, events, whole("bedrock.converse", body)):
        assert found.messages == (Message("assistant", SAID),)
        assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.cache_read_tokens) == (1040, 5, 1028)
        assert found.finish_reason == "tool_use" and found.finished
    assert frames.first_content == 1


def test_one_hour_writes_are_told_apart() -> None:
    """`cacheDetails` says how long what was written lives."""
    usage = {
        "inputTokens": 3,
        "outputTokens": 1,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"inputTokens": 10, "ttl": "1h"}, {"ttl": "5m"}],
    }
    found = whole("bedrock.converse", {"output": {"message": {"content": []}}, "usage": usage}).usage
    assert (found.input_tokens, found.cache_write_tokens, found.cache_write_1h_tokens) == (33, 30, 10)


def test_an_exception_in_place_of_an_event_is_the_error() -> None:
    """The stream has status 200 all the same."""
    failure = frame(b'{"message": "Too many tokens"}', exception_type="throttlingException", message_type="exception")
    found = framed("bedrock.converse", [frame(b"{}", event_type="messageStart"), failure])
    assert (found.error_type, found.error, found.finished) == ("throttlingException", "Too many tokens", False)


def test_request() -> None:
    """The model stands percent-encoded in the path, and so does streaming; blocks are told by their one key."""
    body = {
        "system": [{"text": "Be kind"}],
        "messages": [
            {"role": "user", "content": [{"text": "Look"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}}, {"cachePoint": {}}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "ok"}, {"json": {"a": 1}}]}}]},
        ],
        "toolConfig": {"tools": [{}, {}]},
    }
    found = asked("bedrock.converse", body, "/model/us.amazon.nova-lite-v1%3A0/converse-stream")
    assert (found.model, found.stream, found.tools) == ("us.amazon.nova-lite-v1:0", True, 2)
    assert [message.role for message in found.messages] == ["system", "user", "assistant", "tool"]
    assert found.messages[1].parts[1] == Part("image", None, {"media_type": "image/png", "bytes": 3})
    assert found.messages[3].parts == (Part("tool_result", 'ok\n{"a":1}', {"id": "t"}),)
