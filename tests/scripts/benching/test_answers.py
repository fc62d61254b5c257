"""The upstream's answers."""

from __future__ import annotations

import json

import pytest

from scripts.benching.answers import TOOL_ARGUMENTS, framed, stream_events, whole_chat, whole_embedding


def test_whole_answers_have_the_wanted_size() -> None:
    """And usage, which Turnpike reads."""
    body = whole_chat(600).partition(b"\r\n\r\n")[2]
    assert len(body) == 600
    assert json.loads(body)["usage"]["completion_tokens"] == 40


def test_an_embedding_is_one() -> None:
    """Its length is as it says."""
    head, _, body = whole_embedding().partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert len(json.loads(body)["data"][0]["embedding"]) == 256


@pytest.mark.parametrize("tool", [False, True])
def test_streams_have_so_many_chunks(tool: bool) -> None:
    """The usage comes only where it was asked for; [DONE] always."""
    assert len(stream_events(40, usage=False, tool=tool)) == 41
    events = stream_events(40, usage=True, tool=tool)
    assert len(events) == 42
    assert json.loads(events[-2][6:])["choices"] == []
    assert events[-1] == b"data: [DONE]\n\n"
    assert json.loads(events[39][6:])["choices"][0]["finish_reason"] == ("tool_calls" if tool else "stop")


def test_the_tool_call_is_that_of_the_prompts() -> None:
    """Its arguments, put together, are those that the next turn sends."""
    deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in stream_events(20, usage=False, tool=True)[:-1]]
    assert "".join(delta["tool_calls"][0]["function"]["arguments"] for delta in deltas) == TOOL_ARGUMENTS


def test_each_event_is_a_piece() -> None:
    """The head goes with the first, the end with the last."""
    pieces = framed(stream_events(3, usage=False))
    assert len(pieces) == 4
    assert pieces[0].startswith(b"HTTP/1.1 200 OK") and pieces[-1].endswith(b"0\r\n\r\n")
