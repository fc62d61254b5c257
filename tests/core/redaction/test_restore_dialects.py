"""Which strings of an event go on with which text, and which texts it ends."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.jsonvalues import dig
from addons.core.redaction.restore_dialects import EVERY, OTHER, STREAMS

ODD: list[Any] = [None, 1, "x", [], [1], {}, {"delta": []}, [{"index": "x", "delta": {"tool_calls": [None, {"function": 1}]}}]]


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 1, "delta": fields}]}


def part(**fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [fields]}}]}


@pytest.mark.parametrize(
    ("api", "event", "expected"),
    [
        ("openai.chat", delta(content="a"), [("a", 1, "content", "text")]),
        ("openai.chat", delta(content="", role="assistant"), []),
        ("openai.chat", delta(reasoning="a", reasoning_content="a"), [("a", 1, "reasoning", "text")] * 2),
        (
            "openai.chat",
            delta(reasoning_details=[{"type": "reasoning.text", "text": "a", "signature": "b"}]),
            [("a", 1, "reasoning", "text")],
        ),
        ("openai.chat", delta(content=[{"type": "text", "text": "a"}]), [("a", 1, "content", "text")]),
        (
            "openai.chat",
            delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]),
            [("a", 1, "reasoning", "text")],
        ),
        ("openai.chat", delta(audio={"transcript": "a", "data": "b"}), [("a", 1, "audio", "text")]),
        ("openai.chat", delta(refusal="a"), [("a", 1, "refusal", "text")]),
        ("openai.chat", delta(tool_calls=[{"index": 0, "function": {"arguments": "a"}}]), [("a", 1, "call", "tool_json")]),
        ("openai.chat", delta(tool_calls=[{"index": 0, "custom": {"input": "a"}}]), [("a", 1, "call", "tool")]),
        ("openai.chat", delta(function_call={"arguments": "a"}), [("a", 1, "call", "tool_json")]),
        ("openai.completions", {"choices": [{"text": "a"}]}, [("a", 0, "content", "text")]),
        (
            "openai.responses",
            {"type": "response.output_text.delta", "delta": "a", "output_index": 2, "content_index": 0, "obfuscation": "b"},
            [("a", 2, "response.output_text.delta", "text")],
        ),
        (
            "openai.responses",
            {"type": "response.function_call_arguments.delta", "delta": "a", "item_id": "i"},
            [("a", "i", "response.function_call_arguments.delta", "tool_json")],
        ),
        (
            "openai.responses",
            {"type": "response.mcp_call_arguments.delta", "delta": "a", "output_index": 0},
            [("a", 0, "response.mcp_call_arguments.delta", "tool_json")],
        ),
        (
            "openai.responses",
            {"type": "response.custom_tool_call_input.delta", "delta": "a", "output_index": 0},
            [("a", 0, "response.custom_tool_call_input.delta", "tool")],
        ),
        (
            "openai.responses",
            {"type": "response.code_interpreter_call_code.delta", "delta": "a", "output_index": 0},
            [("a", 0, "response.code_interpreter_call_code.delta", "tool")],
        ),
        ("openai.responses", {"type": "response.audio.delta", "delta": "a"}, []),
        ("openai.responses", {"type": "response.output_text.done", "text": "a"}, []),
        (
            "anthropic.messages",
            {"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": "a"}},
            [("a", 3, "text", "text")],
        ),
        (
            "anthropic.messages",
            {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "a"}},
            [("a", 3, "partial_json", "tool_json")],
        ),
        ("anthropic.messages", {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "a"}}, []),
        ("gemini.generate", part(text="a"), [("a", 0, "text", "text")]),
        ("gemini.generate", {"response": part(text="a", thought=True)}, [("a", 0, "thought", "text")]),
        ("gemini.generate", part(functionCall={"args": {"x": "a"}}), []),
        (
            "gemini.generate",
            part(functionCall={"partialArgs": [{"jsonPath": "$.x", "stringValue": "a", "willContinue": True}]}),
            [("a", 0, ("args", "$.x"), "tool")],
        ),
        ("ollama.chat", {"message": {"content": "a", "thinking": "b"}}, [("b", 0, "reasoning", "text"), ("a", 0, "content", "text")]),
        ("ollama.generate", {"response": "a", "done": False}, [("a", 0, "content", "text")]),
    ],
)
def test_pieces(api: str, event: dict[str, Any], expected: list[tuple[Any, ...]]) -> None:
    """Each with its owner, its group and its form."""
    pieces = [piece for piece in STREAMS[api].pieces(event) if piece.path and dig(event, *piece.path)]
    assert [(dig(event, *piece.path), piece.owner, piece.group, piece.form) for piece in pieces] == expected
    assert list(OTHER.pieces(event)) == [] and "any" not in OTHER.ended(event)


def test_what_grows_side_by_side_has_lanes_of_its_own() -> None:
    """Parallel calls, the same reasoning under two names, two kinds of blocks."""
    events = [
        delta(tool_calls=[{"index": n, "function": {"arguments": "a"}} for n in range(3)]),
        delta(reasoning="a", reasoning_content="a", reasoning_details=[{"text": "a"}]),
        delta(content=[{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"text": "b"}]}]),
    ]
    lanes = [{piece.lane for piece in STREAMS["openai.chat"].pieces(event) if dig(event, *piece.path) in ("a", "b")} for event in events]
    assert [len(found) for found in lanes] == [3, 3, 2]


def test_calls_without_an_index_are_told_apart() -> None:
    """By their ids, or by their places."""
    calls = [{"id": "x", "function": {"arguments": "a"}}, {"function": {"arguments": "a"}}]
    assert [piece.sub for piece in STREAMS["openai.chat"].pieces(delta(tool_calls=calls)) if piece.path[-1:] == ("arguments",)] == ["x", 1]


@pytest.mark.parametrize(
    ("api", "event", "ended", "open_"),
    [
        ("openai.chat", {"choices": [{"index": 1, "finish_reason": "stop"}, {"index": 2, "finish_reason": None}]}, 1, 2),
        ("openai.chat", {"error": {"message": "x"}}, 7, None),
        ("openai.chat", delta(content="a"), None, 1),
        ("openai.responses", {"type": "response.output_text.done", "output_index": 1}, 1, 2),
        ("openai.responses", {"type": "response.output_item.done", "output_index": 1}, 1, 2),
        ("openai.responses", {"type": "response.output_text.annotation.added", "output_index": 1}, None, 1),
        ("openai.responses", {"type": "response.completed", "response": {}}, 7, None),
        ("openai.responses", {"type": "response.in_progress", "response": {}}, None, 1),
        ("openai.responses", {"type": "error"}, 7, None),
        ("anthropic.messages", {"type": "content_block_stop", "index": 1}, 1, 2),
        ("anthropic.messages", {"type": "content_block_delta", "index": 1, "delta": {"type": "signature_delta"}}, 1, 2),
        ("anthropic.messages", {"type": "message_delta"}, 7, None),
        ("anthropic.messages", {"type": "error"}, 7, None),
        ("anthropic.messages", {"type": "ping"}, None, 0),
        ("gemini.generate", {"candidates": [{"index": 1, "finishReason": "STOP"}]}, 1, 0),
        ("gemini.generate", {"response": {"candidates": [{"finishReason": "STOP"}]}}, 0, 1),
        ("gemini.generate", {"promptFeedback": {"blockReason": "x"}}, 7, None),
        ("ollama.chat", {"done": True}, 0, None),
        ("ollama.chat", {"done": False}, None, 0),
    ],
)
def test_ends(api: str, event: dict[str, Any], ended: Any, open_: Any) -> None:
    """Of one owner, of all, of none."""
    found = STREAMS[api].ended(event)
    assert ended is None or ended in found
    assert open_ is None or open_ not in found
    assert "whatever" in EVERY


@pytest.mark.parametrize("api", STREAMS)
def test_odd_events_have_nothing(api: str) -> None:
    """Whatever stands in the places that are looked at."""
    for odd in ODD:
        for key in ("choices", "delta", "message", "candidates", "response", "type", "error", "content", "index"):
            for event in ({key: odd}, {"type": "content_block_delta", key: odd}, {"type": "response.x.delta", key: odd}):
                pieces = list(STREAMS[api].pieces(event))
                assert 0 in STREAMS[api].ended(event) or True
                assert all(isinstance(piece.path, tuple) and hash(piece.lane) is not None for piece in pieces)
