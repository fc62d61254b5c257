"""Recorded traffic for the tests of `turnpike import`, made by hand, and the captures as JSON lines."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from addons.storage.database import open_reader
from addons.storage.reading import ATTEMPT_COLUMNS, read_body, read_call

REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is a turnpike?"}]}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A toll road."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 14, "completion_tokens": 5, "total_tokens": 19},
}
STREAM = (
    b'data: {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "A toll road."}}]}\n\n'
    b'data: {"object": "chat.completion.chunk", "model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 4}}\n\n'
    b"data: [DONE]\n\n"
)
URL = "https://api.openai.com/v1/chat/completions"


def har_entry(url: str = URL, headers: dict[str, str] | None = None, content: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One entry as Chrome writes it; `content` is the answer's, `more` goes over the entry's own fields."""
    return {
        "startedDateTime": "2026-03-01T10:00:00.250Z",
        "time": 900,
        "request": {
            "method": "POST",
            "url": url,
            "headers": pairs({"content-type": "application/json", "user-agent": "my-agent/1.2 (x)"} | (headers or {})),
            "bodySize": -1,
            "postData": {"mimeType": "application/json", "text": json.dumps(REQUEST)},
        },
        "response": {
            "status": 200,
            "headers": pairs({"content-type": "application/json"}),
            "bodySize": -1,
            "content": {"size": 100, "mimeType": "application/json", "text": json.dumps(ANSWER)} if content is None else content,
        },
        "timings": {"blocked": 10, "dns": -1, "connect": 40, "ssl": 30, "send": 1, "wait": 549, "receive": 300},
    } | more


def pairs(headers: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers.items()]


def har(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"log": {"version": "1.2", "pages": [{"title": '"entries": ['}], "entries": list(entries)}}, indent=1).encode()


def flow(path: str = "/v1/chat/completions", content: bytes | None = None, headers: dict[str, str] | None = None) -> http.HTTPFlow:
    """A flow as mitmproxy records it, of one second; `content` is on the wire, the answer as JSON without it."""
    made = tflow.tflow(
        req=http.Request.make("POST", f"https://api.openai.com{path}", json.dumps(REQUEST), http.Headers(user_agent="my-agent/1.2")),
        resp=http.Response.make(200, b"", dict({"Content-Type": "application/json"} | (headers or {}))),
    )
    made.request.timestamp_start, made.request.timestamp_end = 1_772_359_200.0, 1_772_359_200.1
    assert made.response
    made.response.raw_content = json.dumps(ANSWER).encode() if content is None else content
    made.response.timestamp_start, made.response.timestamp_end = 1_772_359_200.4, 1_772_359_201.0
    return made


def save_flows(path: Path, *flows: Any) -> Path:
    with path.open("wb") as file:
        writer = FlowWriter(file)
        for one in flows:
            writer.add(one)
    return path


def exported(database: Path) -> bytes:
    """All captures as our own JSON lines, from the tables themselves."""
    connection = open_reader(database)
    lines = []
    for (call_id,) in connection.execute("SELECT id FROM calls ORDER BY id").fetchall():
        call = read_call(connection, call_id)
        assert call
        columns = ", ".join(ATTEMPT_COLUMNS)
        attempts = connection.execute(f"SELECT {columns} FROM attempts WHERE call_id = ? ORDER BY n", (call_id,)).fetchall()
        line: dict[str, Any] = {"turnpike": 1, "call": call, "attempts": [dict(zip(ATTEMPT_COLUMNS, row, strict=True)) for row in attempts]}
        for kind in ("request", "response"):
            if body := read_body(connection, call_id, kind):
                line[kind] = {
                    "headers": body.headers,
                    "body": {"base64": base64.b64encode(body.content).decode()},
                    "encoding": body.encoding,
                    "size": body.size,
                    "truncated": body.truncated,
                    "redacted": body.redacted,
                }
        if timings := connection.execute("SELECT deltas_ms FROM stream_timings WHERE call_id = ?", (call_id,)).fetchone():
            line["deltas_ms"] = json.loads(timings[0])
        notes = connection.execute('SELECT rule, "where", action FROM redactions WHERE call_id = ?', (call_id,)).fetchall()
        line["redactions"] = [dict(zip(("rule", "where", "action"), note, strict=True)) for note in notes]
        lines.append(json.dumps(line).encode())
    connection.close()
    return b"\n".join(lines) + b"\n"
