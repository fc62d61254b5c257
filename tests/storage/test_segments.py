"""addons/storage/segments.py: cutting, joining, packing."""

from __future__ import annotations

import base64
import json
import random
import re
from typing import Any

import pytest
import zstandard

from addons.storage import segments
from addons.storage.segments import SEGMENT_MAX, SEGMENT_MIN, cut, cut_long, pack, unpack

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "while", "seventeen", "zebras", "munch", "grass"]


def prose(rng: random.Random, size: int) -> str:
    """About `size` characters of words and line breaks."""
    return " ".join(rng.choice(WORDS) + str(rng.randrange(1000)) for _ in range(size // 8)) + "\n"


def new_bytes(before: bytes, after: bytes) -> int:
    """Bytes of `after` that are in no segment of `before`."""
    return sum(map(len, set(cut(after)) - set(cut(before))))


def anthropic_turn(history: list[dict[str, Any]], cached: bool) -> bytes:
    """A coding agent's request: cache_control moves to the last block, system and tools come after the messages."""
    messages = json.loads(json.dumps(history))
    if cached:
        messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    tools = [{"name": f"tool{n}", "description": "does a thing. " * 60, "input_schema": {"type": "object"}} for n in range(20)]
    system = [{"type": "text", "text": "You are an agent. " * 200}]
    return json.dumps({"model": "claude", "messages": messages, "system": system, "tools": tools, "stream": True}).encode()


@pytest.mark.parametrize("seed", range(40))
def test_joining_gives_the_very_bytes_back(seed: int) -> None:
    """Whatever the bytes are, the segments join to them, none is empty and none is too long."""
    rng = random.Random(seed)
    bits = [b'{"role":', b'{ "type" : "message"', b'"messages":[', b'],"tools":[', b" " * 200, b"]}" * 90, b"\\n", "né\u2028".encode()]
    content = b"".join(rng.choice([*bits, rng.randbytes(rng.randrange(3000)), prose(rng, 3000).encode()]) for _ in range(rng.randrange(60)))
    segments = cut(content)
    assert b"".join(segments) == content
    assert all(0 < len(segment) <= SEGMENT_MAX for segment in segments)


@pytest.mark.parametrize("content", [b"", b"x", b"{" * 100_000, b" " * 100_000, b'"' * 100_000, bytes(100_000)])
def test_degenerate_bodies_are_cut_too(content: bytes) -> None:
    """Nothing to cut at is no reason to fail."""
    assert b"".join(cut(content)) == content


@pytest.mark.parametrize("cached", [False, True])
def test_a_longer_history_adds_only_what_is_new(cached: bool) -> None:
    """The next turn of an agent adds its new messages, not its history, system prompt or tools."""
    rng = random.Random(7)
    history: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": prose(rng, 3000)}]} for _ in range(30)]
    before = anthropic_turn(history, cached)
    new = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": prose(rng, 5000)}]}
    after = anthropic_turn([*history, new], cached)
    assert new_bytes(before, after) < len(json.dumps(new)) + 2500 < len(after) / 10


@pytest.mark.parametrize("kind", ["prose", "base64"])
def test_an_edit_in_a_long_message_stores_only_its_part(kind: str) -> None:
    """Three bytes put into a message of 2 MB move the cuts near them and no others."""
    rng = random.Random(3)
    text = prose(rng, 2_000_000) if kind == "prose" else base64.b64encode(rng.randbytes(1_500_000)).decode()
    before = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    after = before[:500_000] + b"xyz" + before[500_000:]
    assert new_bytes(before, after) <= 4 * SEGMENT_MAX


def test_answers_are_cut_by_length_alone() -> None:
    """An event stream full of role markers is not cut into crumbs."""
    stream = b'data: {"role":"assistant","content":"x"}\n\n' * 700
    assert cut_long(stream) == [stream]


@pytest.mark.parametrize("segment", [b"", b"short", b"long " * 1000, random.Random(1).randbytes(5000)])
def test_packing_is_undone(segment: bytes) -> None:
    """What was packed is unpacked, and never stored longer than it is."""
    codec, data = pack(segment, zstandard.ZstdCompressor())
    assert len(data) <= len(segment)
    assert unpack(codec, data, len(segment)) == segment


def test_an_unknown_codec_is_named() -> None:
    """A database of another version is not read as rubbish."""
    with pytest.raises(ValueError, match="lzma"):
        unpack("lzma", b"", 0)


STARTS = re.compile(
    rb'\{\s{0,32}"(?:' + segments._OBJECT_KEYS + rb')"\s{0,8}:|"(?:' + segments._TOP_KEYS + rb')"\s{0,8}:',
)


def cut_slowly(body: bytes) -> list[bytes]:
    """By the definition: every beginning of a message is looked at, and is a boundary where enough stands before it."""
    found: list[bytes] = []
    start = 0
    for position in [*(match.start() for match in STARTS.finditer(body)), len(body)]:
        end = segments._before_closers(body, position)
        if end - start >= SEGMENT_MIN:
            found += cut_long(body[start:end])
            start = end
    return found + cut_long(body[start:])


PIECES = [
    b'{"role":',
    b'{ "role" :',
    b'{\n  "type": ',
    b'"messages":',
    b'"model" :',
    b"}]}",
    b"], ",
    b" " * 150,
    b"x" * 300,
    b'\\"',
    b"{",
    b'"',
]
PIECES += [
    b":",
    b'"content":',
    b'{"content":"input":',
    b'{"name":"tools":',
    b",\n",
    b"y" * 1000,
    b'{"parts":[{"text":',
    b'"role"',
    b"{" + b" " * 30,
    b"{" + b"\t" * 33,
]


@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_be_a_boundary_is_not_looked_at(seed: int) -> None:
    """And the cuts are where they would be if it were; also those of what only resembles JSON."""
    rng = random.Random(seed)
    for _ in range(600):
        chosen = [rng.choice(PIECES) if rng.random() < 0.97 else rng.randbytes(rng.randrange(50_000)) for _ in range(rng.randrange(60))]
        body = b"".join(chosen)
        assert cut(body) == cut_slowly(body)
