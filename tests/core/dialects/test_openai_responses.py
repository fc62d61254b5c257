"""OpenAI responses: the last event, the finished items, or the deltas, whichever are there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.core.call import AnswerReading, Message, Part, Usage
from addons.core.dialects import answer_reader, read_request

MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "xxx"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
PARTS = (Part("reasoning", "hm"), Part("text", "Hello"), Part("tool_call", '{"a":1}', {"id": "c1", "name": "f"}))
USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 2},
}
EXPECTED = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=2)


def response(status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"object": "response", "model": "gpt", "status": status, "error": None, "output": output, **more}


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


CREATED = event("response.created", response=response("in_progress", []))
DELTAS = [
    event("response.reasoning_summary_text.delta", output_index=0, delta="hm"),
    event("response.output_text.delta", output_index=1, delta="Hel"),
    event("response.output_text.delta", output_index=1, delta="lo"),
    event("response.output_text.done", output_index=1, text="Hello"),
    event("response.output_item.added", output_index=2, item={**CALL, "arguments": ""}),
    event("response.function_call_arguments.delta", output_index=2, delta='{"a"'),
    event("response.function_call_arguments.delta", output_index=2, delta=":1}"),
]
DONE = [event("response.output_item.done", output_index=at, item=item) for at, item in enumerate([REASONING, MESSAGE, CALL])]


def stream(events: list[dict[str, Any]], named: bool = True) -> AnswerReading:
    reader = answer_reader("openai.responses", "text/event-stream", 200)
    for one in events:
        reader.feed((f"event: {one['type']}\n" if named else "").encode() + b"data: " + json.dumps(one).encode() + b"\n\n")
    return reader.finish()


@pytest.mark.parametrize("named", [True, False])
def test_what_is_said_three_times_is_read_once(named: bool) -> None:
    """All three, an empty output in the last event (ChatGPT's backend), deltas alone: the same message, event names or not."""
    full = stream(
        [CREATED, *DELTAS, *DONE, event("response.completed", response=response("completed", [REASONING, MESSAGE, CALL], usage=USAGE))],
        named,
    )
    empty = stream([CREATED, *DELTAS, *DONE, event("response.completed", response=response("completed", [], usage=USAGE))], named)
    cut = stream([CREATED, *DELTAS], named)
    assert full.messages == empty.messages == cut.messages == (Message("assistant", PARTS),)
    assert full.usage == empty.usage == EXPECTED
    assert (full.finished, full.finish_reason, full.model, full.first_content) == (True, "completed", "gpt", 1)
    assert (cut.finished, cut.usage, cut.model) == (False, Usage(), "gpt")


def test_cut_within_an_item() -> None:
    """Finished items stay, the one that was begun is added from its deltas."""
    begun = event("response.output_text.delta", output_index=3, delta="and")
    assert stream([CREATED, *DELTAS, *DONE, begun]).messages[0].parts == (*PARTS, Part("text", "and"))


def test_whole_incomplete_and_failed() -> None:
    """A whole body; the reason why it is incomplete; the error of a failed one."""
    reader = answer_reader("openai.responses", "application/json", 200)
    body = response("incomplete", [MESSAGE], usage=USAGE, incomplete_details={"reason": "max_output_tokens"})
    reader.feed(json.dumps(body).encode())
    reading = reader.finish()
    assert (reading.finished, reading.finish_reason, reading.usage) == (True, "max_output_tokens", EXPECTED)
    failed = stream([event("response.failed", response=response("failed", [], error={"code": "server_error", "message": "m"}))])
    assert (failed.error_type, failed.error, failed.finished) == ("server_error", "m", True)
    broken = stream([CREATED, event("error", code="rate", message="slow")])
    assert (broken.error_type, broken.error, broken.finished) == ("rate", "slow", False)


def test_requests() -> None:
    """Instructions, the assistant's items as one message, results of tools, media, the session."""
    body = {
        "model": "gpt",
        "stream": True,
        "instructions": "sys",
        "prompt_cache_key": "thread-1",
        "tools": [{}],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "https://x/y.png"}]},
            REASONING,
            MESSAGE,
            CALL,
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ],
    }
    reading = read_request("openai.responses", "/v1/responses", json.dumps(body).encode())
    assert (reading.model, reading.stream, reading.tools, reading.session) == ("gpt", True, 1, "thread-1")
    assert reading.messages == (
        Message("system", (Part("text", "sys"),)),
        Message("user", (Part("text", "hi"), Part("image", None, {"url": "https://x/y.png"}))),
        Message("assistant", PARTS),
        Message("tool", (Part("tool_result", "42", {"id": "c1"}),)),
    )
    assert read_request("openai.responses", "", b'{"input": "hi"}').messages == (Message("user", (Part("text", "hi"),)),)


def test_pictures_leave_only_their_size() -> None:
    """A generated image comes as base64 in the item."""
    item = {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "QUJD"}
    assert stream([event("response.completed", response=response("completed", [item]))]).messages[0].parts == (
        Part("image", None, {"media_type": "image/png", "bytes": 3}),
    )


@pytest.mark.parametrize(
    ("status", "used"), [("queued", False), ("in_progress", False), ("incomplete", True), ("failed", True), ("completed", True)]
)
def test_a_background_response_is_used_when_it_has_ended(status: str, used: bool) -> None:
    """Whatever its end was; its id tells a poll from the call that made it."""
    reader = answer_reader("openai.responses", "application/json", 200)
    reader.feed(json.dumps(response(status, [], id="resp_1", usage=USAGE)).encode())
    found = reader.finish()
    assert (found.usage.known, found.id) == (used, "resp_1")
