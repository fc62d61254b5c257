"""What the upstream answers: fixed bytes in OpenAI's dialect, made once."""

from __future__ import annotations

import json
from typing import Any

TOOL_CALL_ID, TOOL_NAME, TOOL_ARGUMENTS = "call_bench", "read_file", '{"path":"tests/test_layout.py"}'
USAGE = {"prompt_tokens": 250, "completion_tokens": 40, "total_tokens": 290}
DIMENSIONS = 256
CREATED = 1_700_000_000
END = b"0\r\n\r\n"
WORD = " word"


def whole_chat(size: int) -> bytes:
    """An answer, head and all, whose body has about `size` bytes (at least what the fields take)."""

    def body(text: str) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return _json(_envelope("chat.completion", choices=[choice], usage=USAGE))

    return _whole(body("x" * max(1, size - len(body("")))))


def whole_embedding() -> bytes:
    """One vector of DIMENSIONS numbers."""
    data = [{"object": "embedding", "index": 0, "embedding": [round((n % 17 - 8) / 64, 6) for n in range(DIMENSIONS)]}]
    usage = {"prompt_tokens": 250, "total_tokens": 250}
    return _whole(_json({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}))


def stream_events(chunks: int, *, usage: bool, tool: bool = False) -> list[bytes]:
    """The events of a streamed answer, `chunks` of them with content; then the usage where it was asked for, and `[DONE]`."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if tool:
        function = {"name": TOOL_NAME, "arguments": ""}
        deltas = [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"index": 0, "id": TOOL_CALL_ID, "type": "function", "function": function}],
            }
        ]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in _pieces(TOOL_ARGUMENTS, chunks - 1)]
    else:
        deltas += [{"content": WORD}] * (chunks - 1)
    reason = "tool_calls" if tool else "stop"
    choices = [{"index": 0, "delta": delta, "finish_reason": reason if n == len(deltas) - 1 else None} for n, delta in enumerate(deltas)]
    events = [_json(_envelope("chat.completion.chunk", choices=[choice])) for choice in choices]
    if usage:
        events.append(_json(_envelope("chat.completion.chunk", choices=[], usage=USAGE)))
    return [b"data: %s\n\n" % event for event in (*events, b"[DONE]")]


def framed(events: list[bytes]) -> list[bytes]:
    """As they go over an HTTP/1.1 connection: the head with the first, each a chunk of its own, the end with the last."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [b"%x\r\n%s\r\n" % (len(event), event) for event in events]
    pieces[0] = head + pieces[0]
    pieces[-1] += END
    return pieces


def not_found() -> bytes:
    """For what is none of the calls that are known here."""
    return _whole(b'{"error":{"message":"the bench\'s upstream has no such path","type":"invalid_request_error"}}', b"404 Not Found")


def _envelope(kind: str, **rest: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-bench", "object": kind, "created": CREATED, "model": "gpt-4o-mini-2024-07-18", **rest}


def _pieces(text: str, count: int) -> list[str]:
    """The text in so many pieces, the last ones empty where it is short."""
    step = max(1, -(-len(text) // max(1, count)))
    return [text[n * step : (n + 1) * step] for n in range(count)]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
