"""Captures to look at: a few dozen calls of several kinds, written by the real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from addons.core.call import AttemptRecord, FailureClass, Message, Part, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.core.ids import ulid
from addons.storage.store import Store

CALLS = 40
HOSTILE = '</script><img src=x onerror="alert(1)"> javascript:alert(1) 東京 🚀'
MODELS = (
    ("openai", "gpt-4o-mini", "openai.chat"),
    ("anthropic", "claude-sonnet-4-5", "anthropic.messages"),
    ("gemini", "gemini-2.5-flash", "gemini.generate"),
)
ENDS: tuple[dict[str, SqlValue], ...] = (
    {"status": 429, "outcome": "error", "error_type": "rate_limit_error", "error": "Rate limit reached. Try again in 20s."},
    {"status": None, "outcome": "cancelled", "finish_reason": None},
    {"status": 200, "outcome": "partial", "error": "the upstream closed the connection before the end"},
)


def call_id(number: int) -> str:
    return ulid(1_760_000_000_000 + number, number.to_bytes(10))


def fill(path: Path, calls: int = CALLS, now: datetime | None = None) -> None:
    """Writes the sample into the database at `path`, which is made when it is missing; the newest call is of `now`."""
    store = Store(path)
    try:
        store.write([sample(number, (now or datetime.now(UTC)) - timedelta(minutes=37 * (calls - number))) for number in range(calls)])
    finally:
        store.close()


def sample(number: int, started: datetime) -> StoredCall:
    """Call `number`: every seventh ends badly, every fifth replays the one before, number 3 is hostile text."""
    question = HOSTILE if number == 3 else f"Please compare the {number} lighthouse keepers of the northern coast. " * 6
    answer = f"Certainly: keeper {number} wrote the longest log book. " * 6
    failure: FailureClass | None = "rate_limit" if number % 7 == 6 else None
    return StoredCall(
        row=_row(number, started, question[:300], answer[:300]),
        attempts=(AttemptRecord(1, "openai", "api.openai.com", status=200, key_hint="Ab1z", failure=failure, duration_ms=812.5),),
        bodies=(_body("request", {"messages": [question]}), _body("response", {"answer": answer})),
        messages=(Message("user", (Part("text", question),)), Message("assistant", (Part("text", answer),))),
        answers=1,
        deltas_ms=(210.0, 33.1, 35.9),
        redactions=(RedactionNote("openai-key", "request.body", "mask"),) if number % 9 == 0 else (),
    )


def _row(number: int, started: datetime, question: str, answer: str) -> dict[str, SqlValue]:
    provider, model, api = MODELS[number % len(MODELS)]
    row: dict[str, SqlValue] = {
        "id": call_id(number),
        "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ts_ms": int(started.timestamp() * 1000),
        "conversation_id": call_id(number - number % 4),
        "replay_of": call_id(number - 1) if number % 5 == 4 else None,
        "client": ("claude-cli", "codex", "OpenAI")[number % 3],
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "provider": provider,
        "upstream": provider,
        "api": api,
        "model": model,
        "response_model": f"{model}-2025-09-01",
        "decision": json.dumps([{"upstream": provider, "chosen": True}]),
        "stream": number % 2,
        "status": 200,
        "outcome": "ok",
        "finish_reason": "stop",
        "input_tokens": 1200 + 991 * number,
        "output_tokens": 90 + 17 * number,
        "cache_read_tokens": 1000 if number % 2 else None,
        "tokens_source": "reported",
        "cost_usd": 0.00021 * (number + 1) ** 2 if number % 8 else None,
        "attempts": 1 + number % 3,
        "n_tool_calls": number % 3,
        "request_bytes": 2048 * (number + 1),
        "ttfb_ms": 180.0 + number,
        "ttft_ms": 210.25 + 11 * number,
        "duration_ms": 900.0 + 1700 * number,
        "prompt": question,
        "response": answer,
    }
    return row | ENDS[number // 7 % len(ENDS)] if number % 7 == 6 else row


def _body(kind: Any, content: dict[str, object]) -> StoredBody:
    data = json.dumps(content).encode()
    return StoredBody(kind, (("Content-Type", "application/json"),), data, None, len(data), False, False)
