"""Calls and records made up for the storage tests."""

from __future__ import annotations

import itertools
import time
from contextlib import closing
from typing import Any

from addons.core.call import AttemptRecord, CallRecord, CapturedBody, Message, Part, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.core.ids import ulid
from addons.storage.database import open_reader
from addons.storage.store import Store

_numbers = itertools.count(1)


def new_id() -> str:
    """A call id that no other call of this process has."""
    return ulid(time.time_ns() // 1_000_000, next(_numbers).to_bytes(10, "big"))


def say(role: str, text: str) -> Message:
    """A message of one text part."""
    return Message(role, (Part("text", text),))


def body(content: bytes, kind: Any = "request") -> StoredBody:
    """A whole body without an encoding."""
    return StoredBody(
        kind, (("Content-Type", "application/json"), ("X-Two", "a"), ("X-Two", "b")), content, None, len(content), False, False
    )


def stored_call(call_id: str | None = None, *, columns: dict[str, SqlValue] | None = None, **fields: Any) -> StoredCall:
    """A call as the digest would give it, with what a test changes."""
    row: dict[str, SqlValue] = {
        "id": call_id or new_id(),
        "started_at": "2026-11-21T11:29:00.123Z",
        "ts_ms": 1795260540123,
        "conversation_id": "c1",
        "model": "gpt-4o",
        "upstream": "openai",
        "outcome": "ok",
        "status": 200,
        "attempts": 1,
        "key_hint": "abcd",
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_usd": 0.01,
        "ttft_ms": 20.0,
        "duration_ms": 120.0,
    }
    return StoredCall(row=row | (columns or {}), **fields)


def full_call(call_id: str | None = None) -> StoredCall:
    """A call with something in every table."""
    return stored_call(
        call_id,
        attempts=(AttemptRecord(1, "openai", "api.openai.com", "gpt-4o", "abcd", 200, None, 0.0, 120.0),),
        bodies=(body(b'{"messages":[{"role":"user","content":"where is the aardvark"}]}'), body(b'{"choices":[]}', "response")),
        messages=(say("system", "be brief"), say("user", "where is the aardvark"), say("assistant", "in the garden")),
        answers=1,
        deltas_ms=(1.0, 2.5),
        redactions=(RedactionNote("cookie", "request.header.cookie", "mask"),),
    )


def call_record(content: bytes = b"{}", **fields: Any) -> CallRecord:
    """A finished call as the event loop hands it over."""
    started_ms = time.time_ns() // 1_000_000
    record = CallRecord(
        new_id(), started_ms, "POST", "api.openai.com", "/v1/chat/completions", "openai.chat", upstream="openai", status=200
    )
    record.request = CapturedBody((("Content-Type", "application/json"),), content, len(content))
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def plain_digest(record: CallRecord) -> StoredCall:
    """A digest that only copies: enough to see what arrives in the database."""
    request = StoredBody(
        "request", record.request.headers, record.request.content, None, record.request.size, record.request.truncated, False
    )
    return stored_call(record.id, bodies=(request,))


def rows(store: Store, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """A query over a reader's connection."""
    with closing(open_reader(store.path)) as connection:
        return connection.execute(sql, values).fetchall()
