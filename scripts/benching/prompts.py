"""Request bodies: of the wanted size, each a little different, so that nothing on the way can take two for the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import count
from typing import Any

from scripts.benching.answers import TOOL_ARGUMENTS, TOOL_CALL_ID, TOOL_NAME
from scripts.benching.shapes import Kind

PATHS: dict[Kind, str] = {"chat": "/chat/completions", "agent": "/chat/completions", "embeddings": "/embeddings"}
"""Kind → what follows `/v1`."""

SERIAL = "@@@@@@@@@@@@"  # as long as what takes its place
TURN_BYTES = 8000
WORDS = (
    "the agent",
    "reads a file",
    "and writes what it found",
    "into another one",
    "before it asks",
    "which test failed last night",
    "on whose machine",
    "since nobody",
    "has seen this error",
    "under load",
)


def filler(size: int) -> str:
    """So many characters of words, the same at every call."""
    chosen, length, source = [], 0, random.Random(7)
    while length < size:
        word = source.choice(WORDS)
        chosen.append(word)
        length += len(word) + 1
    return " ".join(chosen)[:size]


def chat(model: str, stream: bool, size: int) -> bytes:
    """A call whose body has `size` bytes (more where that is too few for one)."""
    return _filled(lambda text: _request(model, stream, messages=[{"role": "user", "content": f"{SERIAL} {text}"}]), size)


def embeddings(model: str, size: int) -> bytes:
    """A call for the vector of one text."""
    return _filled(lambda text: _request(model, False, input=[f"{SERIAL} {text}"]), size)


def agent(model: str, stream: bool, size: int) -> list[bytes]:
    """The turns of one session: each sends what was sent before, the answer's tool call and its result, until `size` is reached."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": filler(2000)},
        {"role": "user", "content": f"{SERIAL} Find out why the test fails."},
    ]
    turns: list[bytes] = []
    body = _request(model, stream, messages=messages, tools=TOOLS)
    while not turns or len(body) <= size:
        turns.append(body)
        call = {"id": TOOL_CALL_ID, "type": "function", "function": {"name": TOOL_NAME, "arguments": TOOL_ARGUMENTS}}
        result = f"{SERIAL} turn {len(turns)} {filler(TURN_BYTES - 400)}"
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": TOOL_CALL_ID, "content": result})
        body = _request(model, stream, messages=messages, tools=TOOLS)
    return turns


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": TOOL_NAME,
            "description": "Reads a file of the project.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        },
    }
]


class Prompts:
    """The bodies of one measurement. `start` sets apart those of different processes."""

    def __init__(self, kind: Kind, model: str, stream: bool, size: int, start: int = 0) -> None:
        if kind == "embeddings":
            self._turns = [embeddings(model, size)]
        else:
            self._turns = agent(model, stream, size) if kind == "agent" else [chat(model, stream, size)]
        self._serials = count(start)
        self._sessions: dict[int, tuple[int, bytes]] = {}

    def next(self, client: int) -> bytes:
        """The next body of this client: with `agent` the next turn of its session, or the first of another."""
        turn, serial = self._sessions.get(client, (0, b""))
        if turn == 0:
            serial = b"%012d" % next(self._serials)
        self._sessions[client] = ((turn + 1) % len(self._turns), serial)
        return self._turns[turn].replace(SERIAL.encode(), serial)


def _request(model: str, stream: bool, **rest: Any) -> bytes:
    """`stream` stands at the beginning, where the upstream looks for it."""
    return json.dumps({"model": model, **({"stream": True} if stream else {}), **rest}, separators=(",", ":")).encode()


def _filled(make: Callable[[str], bytes], size: int) -> bytes:
    return make(filler(max(0, size - len(make("")))))
