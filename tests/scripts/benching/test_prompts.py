"""Request bodies."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from scripts.benching.prompts import Prompts, agent, chat, embeddings, filler
from scripts.benching.upstream import LOOKED_AT


@pytest.mark.parametrize("size", [1000, 2000, 1_000_000])
def test_bodies_have_the_wanted_size(size: int) -> None:
    """To the byte, also after the serial number has taken its place."""
    assert len(chat("gpt-4o-mini", True, size)) == size
    assert len(embeddings("m", size)) == size
    assert len(Prompts("chat", "gpt-4o-mini", False, size).next(0)) == size


def test_a_size_too_small_gives_the_smallest() -> None:
    """Which is still a call."""
    body = json.loads(chat("m", False, 1))
    assert body["messages"][0]["role"] == "user" and "stream" not in body


def test_no_two_are_the_same() -> None:
    """Nothing on the way can take one for another."""
    prompts = Prompts("chat", "m", True, 1000)
    assert len({prompts.next(client) for client in (0, 1, 0, 1)}) == 4


def test_stream_stands_where_the_upstream_looks() -> None:
    """At the beginning."""
    assert b'"stream":true' in chat("m", True, 10**6)[:LOOKED_AT]


def test_sessions_grow_up_to_the_size() -> None:
    """Each turn begins with what the one before sent, and answers its tool call; the last is the longest that fits."""
    turns = [json.loads(body)["messages"] for body in agent("m", True, 50_000)]
    assert len(turns) > 4
    for before, after in pairwise(turns):
        assert after[: len(before)] == before
        call, result = after[len(before) :]
        assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert 42_000 < len(agent("m", True, 50_000)[-1]) <= 50_000


def test_a_client_goes_through_its_session_and_begins_another() -> None:
    """With a serial number of its own throughout."""
    prompts = Prompts("agent", "m", True, 20_000)
    count = len(agent("m", True, 20_000))
    first = [prompts.next(0) for _ in range(count)]
    other, again = prompts.next(1), prompts.next(0)
    assert [len(body) for body in first] == sorted({len(body) for body in first})
    assert all(b"000000000000" in body for body in first)
    assert b"000000000001" in other and b"000000000002" in again
    assert len(again) == len(other) == len(first[0])


def test_filler_is_the_same_at_every_call() -> None:
    """A run can be repeated."""
    assert filler(500) == filler(500)
    assert len(filler(501)) == 501 and filler(0) == ""
