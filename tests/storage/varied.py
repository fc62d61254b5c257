"""Calls of all kinds: what agents, batches, failures and hostile clients leave, from a seed."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from addons.core.call import AttemptRecord, Message, Part, RedactionNote, SqlValue, StoredBody, StoredCall
from tests.storage.support import body, say, stored_call

HOSTILE: tuple[Any, ...] = ("\ud83d", "a\0b", "ä→\U0001f600", 2**70, -(2**63), True, float("inf"), ["no", "text"], b"bytes", "")
WORDS = ("where", "is", "the", "aardvark", "Löwe", "a\0b", "\udcff", "{", '"', "tool", "x" * 300)


class Varied:
    """Makes one call after the other; many share a history, a body, a system prompt or an id with another."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._histories: list[list[Message]] = [[]]
        self._made: list[StoredCall] = []

    def calls(self, count: int) -> list[StoredCall]:
        """The next ones."""
        return [self._call() for _ in range(count)]

    def _call(self) -> StoredCall:
        chance = self._random.random
        if self._made and chance() < 0.08:
            known = self._random.choice(self._made)
            return known if chance() < 0.5 else replace(self._new(), row={**known.row, "status": 500})
        self._made.append(self._new())
        return self._made[-1]

    def _new(self) -> StoredCall:
        pick, chance = self._random, self._random.random
        columns: dict[str, Any] = {"status": pick.choice((200, 429, None)), "n_messages": pick.randrange(9)}
        for name in ("prompt", "error", "input_tokens", "cost_usd", "ts_ms", "started_at", "conversation_id", "replay_of"):
            if chance() < 0.05:
                columns[name] = pick.choice((None, *HOSTILE))
        messages, answers = self._messages()
        return stored_call(
            columns=columns,
            attempts=tuple(self._attempt(n) for n in range(1, pick.choice((1, 2, 2, 4)))),
            bodies=tuple(self._body(kind) for kind in pick.choice((("request",), ("request", "response"), ()))),
            messages=messages,
            answers=answers,
            deltas_ms=tuple(round(chance() * 9, 3) for _ in range(pick.choice((0, 0, 3)))),
            redactions=tuple(RedactionNote("cookie", self._words(2), "mask") for _ in range(pick.choice((0, 0, 2)))),
        )

    def _attempt(self, n: int) -> AttemptRecord:
        return AttemptRecord(n, "openai", "api.openai.com", self._words(1), None, 200, None, 0.0, self._random.choice((None, 1.5)))

    def _body(self, kind: str) -> StoredBody:
        turns = self._random.choice((0, 1, 3, 12, 30))
        content = "[" + ",".join('{"role": "user", "content": "%s"}' % (self._words(3) * 40) for _ in range(turns)) + "]"
        shared = self._random.choice(("", "short", '{"role": "system", "content": "%s"}' % ("be brief. " * 400)))
        headers = (("Content-Type", "application/json"), ("X", self._words(1)), ("X", ""))
        made = body((shared + content).encode("utf-8", "replace") * self._random.choice((1, 1, 1, 4)), kind)
        return replace(made, headers=headers, encoding=self._random.choice((None, "gzip")), truncated=self._random.random() < 0.2)

    def _messages(self) -> tuple[tuple[Message, ...], int]:
        """Of a new conversation, or of one that goes on."""
        pick = self._random
        history = [] if pick.random() < 0.3 else pick.choice(self._histories)
        system = [say("system", f"be brief {pick.randrange(3)}")] if pick.random() < 0.5 else []
        asked = [*history, *(self._message("user") for _ in range(pick.randrange(3)))]
        answers = [self._message("assistant") for _ in range(pick.choice((0, 1, 1, 3)))]
        if asked and answers:
            self._histories = [*self._histories[-20:], [*asked, pick.choice(answers)]]
        return (*system, *asked, *answers), len(answers)

    def _message(self, role: str) -> Message:
        pick = self._random
        data: dict[str, Any] = {"id": self._words(1), "b": [1, None], "a": 2**70 if pick.random() < 0.1 else 1.5}
        parts = (Part("text", self._words(5)), Part("tool_call", None, data), Part("reasoning", ""))
        return Message(role, parts[: pick.randrange(4)])

    def _words(self, count: int) -> str:
        return " ".join(self._random.choices(WORDS, k=count))


def poisoned() -> list[StoredCall]:
    """Calls that no transaction takes as they are, each for a reason of its own."""
    twice: dict[str, SqlValue] = {}
    return [
        stored_call(bodies=(replace(body(b""), content="text"),)),  # type: ignore[arg-type]
        stored_call(attempts=(AttemptRecord(1, "a", "h"), AttemptRecord(1, "a", "h"))),
        stored_call(bodies=(body(b"a"), body(b"b")), columns=twice),
    ]
