"""What the event loop reads of a request."""

from __future__ import annotations

import gzip

import pytest

from addons.core.attempt import Request
from addons.core.peek import BodyFields, Peek, peek
from addons.core.providers import identify


def peeked(provider: str, path: str, body: bytes | None, *headers: tuple[bytes, bytes]) -> Peek:
    api = identify(provider, "POST", path)
    assert api
    return peek(api, Request("POST", "https", "x.test", 443, path, headers, body))


@pytest.mark.parametrize(
    ("provider", "path", "body", "expected"),
    [
        ("openai", "/v1/chat/completions", b'{"model": "gpt-4o", "stream": true}', Peek("gpt-4o", True)),
        ("openai", "/v1/chat/completions", b'{"messages": [{"content": "\\"stream\\": true"}], "model": "gpt-4o"}', Peek("gpt-4o", False)),
        ("openai", "/v1/chat/completions", b'{"model": 4, "stream": "yes"}', Peek(None, False)),
        ("openai", "/v1/chat/completions", b"[1, 2]", Peek(None, False)),
        ("openai", "/v1/chat/completions", b"no JSON", Peek(None, False)),
        ("openai", "/v1/chat/completions", None, Peek(None, False)),
        ("gemini", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", b"{}", Peek("gemini-2.5-pro", True)),
        ("gemini", "/v1beta/models/gemini-2.5-pro:generateContent", b"{}", Peek("gemini-2.5-pro", False)),
        ("bedrock", "/model/nova/converse-stream", b"{}", Peek("nova", True)),
        ("bedrock", "/model/claude/invoke-with-response-stream", b"{}", Peek("claude", True)),
        ("ollama", "/api/chat", b'{"model": "llama3.2"}', Peek("llama3.2", True)),
        ("ollama", "/api/chat", b'{"model": "llama3.2", "stream": false}', Peek("llama3.2", False)),
    ],
)
def test_model_and_stream(provider: str, path: str, body: bytes | None, expected: Peek) -> None:
    """From the body or the path, as each dialect says them."""
    assert peeked(provider, path, body) == expected


def test_compressed_bodies_are_read() -> None:
    """As Codex sends them; one that can't be read says nothing."""
    body = b'{"model": "gpt-5", "stream": true}'
    assert peeked("openai", "/v1/responses", gzip.compress(body), (b"Content-Encoding", b"gzip")) == Peek("gpt-5", True)
    assert peeked("openai", "/v1/responses", body, (b"Content-Encoding", b"gzip")) == Peek(None, False)


BODY = b'{"model": "gpt-4o", "messages": [{"model": "no"}], "stream_options": null}'


@pytest.mark.parametrize(
    ("headers", "body", "fields"),
    [
        ((), BODY, {"model": "gpt-4o", "stream_options": None}),
        (((b"Content-Encoding", b"gzip"),), gzip.compress(BODY, mtime=0), {"model": "gpt-4o", "stream_options": None}),
        (((b"content-encoding", b"gzip"),), b"no gzip", None),
        ((), b'{"model": 4, "stream": "yes"}', {"model": 4, "stream": "yes"}),
        ((), b"{}", {}),
        ((), b"[1]", None),
        ((), b"no json", None),
        ((), b"", None),
        ((), None, None),
    ],
)
def test_a_body_is_read_once(headers: tuple[tuple[bytes, bytes], ...], body: bytes | None, fields: dict[str, object] | None) -> None:
    """Also a compressed one; only what decides about the call is kept, and what can't be read has nothing."""
    read = BodyFields(Request("POST", "https", "h", 443, "/", headers, body))
    model = (fields or {}).get("model")
    assert read.model == (model if isinstance(model, str) else None)
    assert read.read() == fields
    assert read.read() is read.read()
