"""Captures to export: recorded traffic, made by hand and imported by the real importer, so that every table has rows."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from addons.core.call import AttemptRecord, Message, Part, RedactionNote, StoredBody, StoredCall
from addons.core.redaction.redactor import Redactor
from addons.storage.database import open_reader
from addons.storage.reading import read_stored
from addons.storage.store import Store
from scripts.exporting.captures import Captures
from scripts.exporting.selection import Selection
from scripts.importing.importer import Importer, Tally
from scripts.importing.source import opened
from scripts.running import load_config
from tests.scripts.importing.samples import har, har_entry, pairs

HOSTILE = '</script></style><img src=x onerror="alert(1)"> javascript:alert(1) \u202e東京 🚀 {{ 7 * 7 }}'
MESSAGES_URL = "https://api.anthropic.com/v1/messages"
SESSION = "a-session"
TOOL = {"name": "look", "description": "Looks", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}}}


def png(width: int = 2) -> bytes:
    """A grey image that a browser shows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(2))
    header = struct.pack(">IIBBBBB", width, 2, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def image(content: bytes = b"", media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": b64encode(content or png()).decode()}}


TURNS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    (
        {"role": "user", "content": [{"type": "text", "text": "What is on this picture? " + HOSTILE}, image()]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I should look closer.", "signature": "c2lnbmF0dXJl"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "left"}},
            ],
        },
    ),
    (
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a grey square"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A grey square."}]},
    ),
    (
        {
            "role": "user",
            "content": [{"type": "text", "text": "And on this one?"}, image(png(3)), image(b"<svg onload=alert(1)>", "image/svg+xml")],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "A wider one, and =1+1 " + HOSTILE}]},
    ),
)


def session_entries() -> Iterator[dict[str, Any]]:
    """An agent's calls, each with all that was said before."""
    history: list[dict[str, Any]] = []
    for number, (asked, answered) in enumerate(TURNS):
        history.append(asked)
        request = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 1024,
            "temperature": 0.5,
            "system": f"You look at pictures. It is turn {number % 2}.",
            "tools": [TOOL],
            "messages": history,
        }
        answer = {
            "id": f"msg_{number}",
            "type": "message",
            "model": "claude-sonnet-4-5-20250929",
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 1000 + number, "cache_read_input_tokens": 500, "output_tokens": 20},
            **answered,
        }
        yield entry(request, answer, number)
        history.append(answered)


def entry(request: dict[str, Any], answer: dict[str, Any], number: int) -> dict[str, Any]:
    made = har_entry(MESSAGES_URL, {"X-Turnpike-Session": SESSION, "X-Turnpike-Tag": "=cmd()"})
    made["startedDateTime"] = f"2026-03-01T11:{number:02}:00.250Z"
    made["request"]["postData"]["text"] = json.dumps(request)
    made["response"]["content"]["text"] = json.dumps(answer)
    return made


def other_entries() -> Iterator[dict[str, Any]]:
    """One of each other kind: no answer, an error, a body that is no UTF-8, a WebSocket, cookies and a query."""
    yield har_entry(response={"status": 0})
    yield har_entry(response={"status": 529, "content": {"text": "busy"}})
    yield har_entry(content={"size": 4, "mimeType": "application/json", "text": b64encode(b"\xff\xfe{}").decode(), "encoding": "base64"})
    cookies = har_entry("https://api.openai.com/v1/chat/completions?trace=a%20b&empty=", {"Cookie": "theme=dark; sid=abcdefghijklmnop"})
    cookies["response"]["headers"] += pairs({"Set-Cookie": "sid=abcdefghijklmnop; Path=/; HttpOnly", "Location": "/elsewhere"})
    yield cookies
    sent = {"type": "send", "time": 1_772_359_200.5, "opcode": 1, "data": '{"type": "response.create"}'}
    done = {"type": "response.done", "response": {"status": "completed", "usage": {"input_tokens": 12, "output_tokens": 5}}}
    yield har_entry(
        "wss://api.openai.com/v1/realtime?model=m",
        request={"method": "GET", "url": "wss://api.openai.com/v1/realtime?model=m"},
        response={"status": 101},
        _webSocketMessages=[sent, sent | {"type": "receive", "data": "{}"}, sent | {"type": "receive", "data": json.dumps(done)}],
    )


def run_import(file: Path, database: Path) -> Tally:
    """As `turnpike import --pinned` does."""
    with closing(Store(database)) as store, opened(file) as source:
        return Importer(load_config(None, {}), store, keep_pins=True).run(source, lambda _: None)


def fill(database: Path) -> None:
    """The session, the others, and a call with what no import gives: several attempts, a cut binary body, a pin, a replay."""
    file = database.with_suffix(".har")
    file.write_bytes(har(*session_entries(), *other_entries()))
    run_import(file, database)
    with closing(Store(database)) as store:
        first = ids(database)[0]
        store.write([rich_call(first)])
        store.set_pinned(first, True)


def rich_call(replay_of: str) -> StoredCall:
    """Figures that no reading of the bodies would give, and messages that are not in them."""
    row: dict[str, Any] = {
        "id": "01KJMQ7V8Y6QXKTR0ZB5N4M7WC",
        "started_at": "2026-03-01T12:00:00.001Z",
        "ts_ms": 1_772_366_400_001,
        "conversation_id": "another conversation",
        "replay_of": replay_of,
        "method": "POST",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "provider": "openai",
        "upstream": "openai",
        "api": "openai.chat",
        "model": "gpt-4o",
        "decision": json.dumps([{"upstream": "openai", "chosen": True}]),
        "stream": 1,
        "status": 200,
        "outcome": "partial",
        "input_tokens": 7,
        "tokens_source": "estimated",
        "cost_usd": 0.1 + 0.2,
        "cost_source": "priced",
        "key_hint": "Ab1z",
        "attempts": 2,
        "redactions": 3,
        "request_bytes": 123,
        "response_bytes": 456,
        "ttft_ms": 1 / 3,
        "duration_ms": 1234.5678,
        "prompt": "said elsewhere",
        "response": "-1 is a number",
    }
    headers = (("Content-Type", "application/json"), ("X-Two", "a"), ("x-two", "b"), ("X-Empty", ""))
    return StoredCall(
        row,
        attempts=(
            AttemptRecord(1, "openai", "api.openai.com", "gpt-4o", "Ab1z", 429, "rate_limit", 0.0, 12.25),
            AttemptRecord(2, "openai", "api.openai.com", "gpt-4o", "Cd2y", 200, None, 1500.5, 900.0),
        ),
        bodies=(
            StoredBody("request", headers, b'{"messages": [\xff\x00 cut', "gzip", 123, True, True),
            StoredBody("response", (("Content-Type", "text/event-stream"),), b"data: {}\n\n", "br", 456, False, False),
        ),
        messages=(
            Message("system", (Part("text", "be brief"),)),
            Message("user", (Part("text", "said elsewhere"), Part("other", None, {"type": "odd", "more": [1, {"a": None}]}))),
            Message("assistant", (Part("tool_call", "{not json", {"id": "c1", "name": "look"}), Part("text", "x" * 40_000))),
            Message("assistant", (Part("text", "another choice"),)),
        ),
        answers=2,
        deltas_ms=(210.0, 33.125, 0.001),
        redactions=(RedactionNote("cookie", "request.header.cookie", "mask"), RedactionNote("aws-key", "request.body", "placeholder")),
    )


def ids(database: Path) -> list[str]:
    """Of all calls, in the order of time."""
    with closing(open_reader(database)) as connection:
        return list(Selection().ids(connection))


def stored(database: Path) -> list[StoredCall]:
    """All that the captures hold, but for when it was stored."""
    with closing(open_reader(database)) as connection:
        calls = [read_stored(connection, call_id) for call_id in ids(database)]
    return [replace(call, row=call.row | {"stored_at": None}) for call in calls if call]


def shared(database: Path) -> list[list[Any]]:
    """What calls share, by its hashes."""
    queries = (
        "SELECT m.hash, p.hash, m.role, m.n FROM messages m LEFT JOIN messages p ON p.id = m.parent ORDER BY 1",
        "SELECT hash, size FROM segments ORDER BY 1",
        "SELECT m.hash, p.n, p.kind, p.text, p.data FROM parts p JOIN messages m ON m.id = p.message_id ORDER BY 1, 2",
        "SELECT k.call_id, k.position, m.hash, k.is_answer FROM call_messages k JOIN messages m ON m.id = k.message_id ORDER BY 1, 2",
        "SELECT call_id, kind, headers, encoding, sha256, size, truncated, redacted FROM bodies ORDER BY 1, 2",
        "SELECT * FROM stream_timings ORDER BY 1",
        "SELECT * FROM attempts ORDER BY 1, 2",
    )
    with closing(sqlite3.connect(database)) as connection:
        return [connection.execute(sql).fetchall() for sql in queries]


def captures_of(connection: sqlite3.Connection, selection: Selection | None = None) -> Captures:
    """All calls, or those that are chosen."""
    return Captures(connection, Redactor(), (selection or Selection()).ids(connection), _raise)


def _raise(error: Exception) -> None:
    raise error
