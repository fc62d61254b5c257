"""Conversations and calls to look at on pages of their own: an agent's session with its turns, and calls of which something is missing."""

from __future__ import annotations

import json
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

from addons.core.call import AttemptRecord, Message, Part, PartKind, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.storage.store import Store
from tests.views.samples import HOSTILE, call_id

START_MS = 1_764_000_000_000
SESSION = "agent/session ?#%2F 東京"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(60))
GIF = b"GIF89a" + bytes(range(50))
HOSTILE_ATTRIBUTE = '" onmouseover="alert(1)" x="'


def text(role: str, said: str) -> Message:
    return Message(role, (Part("text", said),))


def tool_call(name: str, number: str, arguments: str) -> Part:
    return Part("tool_call", arguments, {"id": number, "name": name})


def tool_result(number: str, said: str) -> Message:
    return Message("tool", (Part("tool_result", said, {"id": number}),))


def body(kind: Any, content: bytes, content_type: str = "application/json", **more: Any) -> StoredBody:
    headers = (("Host", "api.anthropic.com"), ("Content-Type", content_type), ("x-api-key", "***"), *more.pop("headers", ()))
    fields: dict[str, Any] = {"encoding": None, "size": len(content), "truncated": False, "redacted": False, **more}
    return StoredBody(kind, headers, content, **fields)


def call(number: int, at_s: float, asked: list[Message], answer: list[Message], **columns: SqlValue) -> StoredCall:
    """Call `number` of the session, `at_s` seconds after its beginning."""
    ts_ms = START_MS + int(at_s * 1000)
    row: dict[str, SqlValue] = {
        "id": call_id(number),
        "started_at": f"2025-11-24T16:00:00.{number % 1000:03}Z",
        "ts_ms": ts_ms,
        "conversation_id": SESSION,
        "client": "claude-cli",
        "method": "POST",
        "host": "api.anthropic.com",
        "path": "/v1/messages?beta=true",
        "provider": "anthropic",
        "upstream": "anthropic",
        "api": "anthropic.messages",
        "model": "claude-sonnet-4-5",
        "served_model": "claude-sonnet-4-5",
        "stream": 1,
        "status": 200,
        "outcome": "ok",
        "input_tokens": 5000 + number,
        "output_tokens": 40,
        "tokens_source": "reported",
        "cost_usd": 0.02,
        "cost_source": "priced",
        "key_hint": "Ab1z",
        "attempts": 1,
        "n_messages": len(asked),
        "connect_ms": 30.0,
        "ttfb_ms": 180.0,
        "ttft_ms": 210.0,
        "duration_ms": 900.0,
    }
    return StoredCall(
        row=row | columns,
        attempts=(AttemptRecord(1, "anthropic", "api.anthropic.com", "claude-sonnet-4-5", "Ab1z", 200, None, 0.0, 890.0),),
        bodies=(body("request", json.dumps({"n": number}).encode()), body("response", b"{}")),
        messages=(*asked, *answer),
        answers=len(answer),
        deltas_ms=(210.0, *(5.0,) * 100),
    )


SYSTEM = text("system", "You are an agent. " * 60)
OPENING = text("user", "Which files are there?")
LISTING = Message("assistant", (Part("reasoning", "I should look."), tool_call("list_files", "t1", '{"path":"."}')))
LISTED = tool_result("t1", '["README.md","router.py"]')
READING = Message("assistant", (Part("text", "Two files."), tool_call("read_file", "t2", '{"path":"router.py"}')))
ECHOED = Message("assistant", (tool_call("list_files", "t1", '{"path": "."}'),))  # as clients send it back: no reasoning, other spaces
READ = tool_result("t2", "addons = [Scope()]")
SAID = text("assistant", "It lists the rooms.")


def session() -> list[StoredCall]:
    """An agent's: two tool calls, a side task between, a changed history, a compaction; the cache is missed at calls 5 and 6."""
    first = [SYSTEM, OPENING]
    second = [*first, ECHOED, LISTED]
    third = [*second, READING, READ]
    edited = [*first, ECHOED, tool_result("t1", "[]"), text("user", "And now?")]
    compacted = [SYSTEM, text("user", "Summary: two files were read. Go on.")]
    cached: list[dict[str, SqlValue]] = [
        {"cache_read_tokens": 0, "cache_write_tokens": 4000},
        {"model": "claude-haiku-4-5", "served_model": "claude-haiku-4-5", "cost_usd": None},
        {"cache_read_tokens": 4000, "cache_write_tokens": 500},
        {"cache_read_tokens": 4500, "cache_write_tokens": 300},
        {"cache_read_tokens": 4000, "cache_write_tokens": 900},
        {"cache_read_tokens": 0, "cache_write_tokens": 2000},
    ]
    return [
        call(100, 0, first, [LISTING], **cached[0]),
        call(101, 0.3, [text("system", "Write a title."), OPENING], [text("assistant", "Files")], **cached[1]),
        call(102, 2, second, [READING], **cached[2]),
        call(103, 4, third, [SAID], **cached[3]),
        call(104, 60, edited, [text("assistant", "Nothing.")], **cached[4]),
        call(105, 1200, compacted, [text("assistant", "Going on.")], **cached[5]),
    ]


def pictures() -> StoredCall:
    """Two images in the request (one of them in a data URL), one in the streamed answer, and one that is only said to be one."""
    fake = b"<svg onload=alert(1)>" * 4
    blocks = [{"source": {"data": b64encode(PNG).decode()}}, {"url": f"data:image/gif;base64,{b64encode(GIF).decode()}"}]
    said_to_be = [{"source": {"media_type": "image/png", "data": b64encode(fake).decode()}}]
    content = {"messages": [{"role": "user", "content": blocks}, {"role": "user", "content": said_to_be}]}
    event = json.dumps({"inlineData": {"data": b64encode(PNG + b"2").decode()}})
    asked = [
        Message(
            "user",
            (
                Part("text", "What is this?"),
                Part("image", None, {"media_type": "image/png", "bytes": len(PNG)}),
                Part("image", None, {"media_type": "image/gif", "bytes": len(GIF)}),
            ),
        ),
        Message(
            "user",
            (
                Part("image", None, {"media_type": "image/png", "bytes": len(fake)}),
                Part("image", None, {"url": "https://example.org/a.png"}),
            ),
        ),
    ]
    answer = Message("assistant", (Part("image", None, {"bytes": len(PNG) + 1}),))
    made = call(110, 2000, asked, [answer], conversation_id="pictures")
    streamed = body("response", f"event: part\ndata: {event}\n\n".encode(), "text/event-stream")
    bodies = (body("request", json.dumps(content).encode()), streamed)
    return StoredCall(made.row, made.attempts, bodies, made.messages, 1, (1.0, 2.0))


def hostile() -> StoredCall:
    """Hostile text in every column and everything beside them that holds text."""
    evil = f"{HOSTILE}{HOSTILE_ATTRIBUTE}\u202e\x00\x1b[31m"
    half = f"{evil}\ud83d"  # of a surrogate pair: JSON may hold it, UTF-8 may not
    plain = call(120, 3000, [], [])
    row = {name: evil if isinstance(value, str) and name not in ("id", "started_at") else value for name, value in plain.row.items()}
    more = {name: evil for name in ("project", "tag", "user_agent", "route", "error_type", "error", "finish_reason", "prompt", "response")}
    kinds: tuple[PartKind, ...] = ("text", "reasoning", "tool_call", "tool_result", "image", "audio", "file", "refusal", "other")
    data = {"id": half, "name": half, "type": half, "media_type": half, "url": f"javascript:{half}"}
    parts = (*(Part(kind, evil, data) for kind in kinds), tool_call("odd", half, json.dumps({"of": half})))
    events = f"event: {evil}\ndata: {json.dumps([half])}\n\n".replace("\x00", "").encode()
    return StoredCall(
        row=row | more | {"decision": json.dumps([{"upstream": half, "model": half, "passed_over": half, "unknown": [half], half: half}])},
        attempts=(AttemptRecord(1, evil, evil, evil, evil, 500, evil, 1.0, 2.0),),  # type: ignore[arg-type] # what a damaged row may hold
        bodies=(
            body("request", json.dumps({half: half}).encode(), headers=((evil, evil), ("X-Odd`$(id)`", evil))),
            body("response", events, "text/event-stream", encoding=evil),
        ),
        messages=(Message(evil, parts), Message("assistant", parts)),
        answers=1,
        redactions=(RedactionNote(evil, evil, evil),),  # type: ignore[arg-type] # as above
    )


def incomplete() -> list[StoredCall]:
    """130: no bodies; 131: plain facts only; 132: cut; 133: to be damaged; 134: a WebSocket; 135: all NULL; 136: long body; 137: binary."""
    said = [text("user", "hello")]
    answer = [text("assistant", "hi")]
    made = {number: call(number, 4000 + number, said, answer, conversation_id=f"incomplete {number}") for number in range(130, 138)}
    bare: dict[str, SqlValue] = {"id": call_id(135), "conversation_id": call_id(135)}
    long = json.dumps({"messages": ["x" * 100_000] * 3}).encode()
    cut = (body("request", b'{"messages": [{"role": "us', truncated=True, size=10**7), body("response", b"", size=0))
    return [
        StoredCall(made[130].row),
        StoredCall(made[131].row | {"error_type": "digest_failed"}, made[131].attempts),
        StoredCall(made[132].row, made[132].attempts, cut),
        made[133],
        StoredCall(made[134].row | {"status": 101}, made[134].attempts, made[134].bodies),
        StoredCall(bare),
        StoredCall(made[136].row, made[136].attempts, (body("request", long), made[136].bodies[1]), made[136].messages, 1),
        StoredCall(made[137].row, (), (body("request", b"\xff\x00\xfe", "audio/wav"), body("response", b"plain", "text/plain"))),
    ]


def fill_talks(path: Path) -> None:
    """All of the above into the database at `path`; then the segments of call 133's answer are damaged and its request's are gone."""
    store = Store(path)
    try:
        replay = call(140, 5000, [SYSTEM, OPENING], [SAID], conversation_id="replay", replay_of=call_id(100))
        store.write([*session(), pictures(), hostile(), *incomplete(), replay])
        store.set_pinned(call_id(102), True)
    finally:
        store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE bodies SET segments = '[999999]' WHERE call_id = ? AND kind = 'request'", (call_id(133),))
        connection.execute("UPDATE bodies SET segments = '[1' WHERE call_id = ? AND kind = 'response'", (call_id(133),))
