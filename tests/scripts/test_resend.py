"""From a stored call to the request that asks the same again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from addons.config import Config
from addons.core.call import StoredBody
from scripts.resend import NotSent, answer_text, compare, read_answer, resend_of

CONFIG = Config.model_validate(
    {
        "upstreams": {
            "openai": {"hosts": ["api.openai.com"], "base_url": "https://api.openai.com/v1", "default": True},
            "gemini": {"hosts": ["generativelanguage.googleapis.com"]},
            "ollama": {"base_url": "http://127.0.0.1:11434"},
        }
    }
)
BODY = StoredBody("request", (("Content-Type", "application/json"),), b'{"model": "gpt-4o"}', None, 19, truncated=False, redacted=False)


def call(**fields: Any) -> dict[str, Any]:
    """A row of `calls`."""
    row = {"id": "01JD3V8Y6QXKTR0ZB5N4M7WCEF", "method": "POST", "host": "api.openai.com", "path": "/v1/chat/completions"}
    return row | {"status": 200, "upstream": "openai", "request_bytes": 19} | fields


@pytest.mark.parametrize(
    ("fields", "headers", "path"),
    [
        ({}, (), "/proxy/openai/v1/chat/completions"),
        ({"upstream": "ollama"}, (), "/proxy/openai/v1/chat/completions"),  # a route had led it elsewhere, and may again
        ({}, (("X-Upstream-Name", "ollama"),), "/proxy/ollama/v1/chat/completions"),
        ({"host": "127.0.0.1", "path": "/proxy/v1/chat/completions"}, (), "/proxy/v1/chat/completions"),
        ({"host": "localhost", "path": "/proxy/ollama/api/chat?a=1"}, (), "/proxy/ollama/api/chat?a=1"),
        ({"host": "127.0.0.1", "path": "/proxy/v1/models"}, (("x-upstream-name", "ollama"),), "/proxy/ollama/v1/models"),
        ({"host": "127.0.0.1", "path": "/proxy/ollama/api/chat"}, (("x-upstream-name", "openai"),), "/proxy/ollama/api/chat"),
        ({"host": "old.example.com", "path": "/v1/chat/completions"}, (), "/proxy/openai/v1/chat/completions"),
        (
            {"host": "generativelanguage.googleapis.com", "path": "/v1beta/models/g:streamGenerateContent?key=***abcd&alt=sse"},
            (),
            "/proxy/gemini/v1beta/models/g:streamGenerateContent?alt=sse",
        ),
        ({"path": "/v1/models?signed=***"}, (), "/proxy/openai/v1/models"),
    ],
)
def test_the_path_names_what_the_client_named(fields: dict[str, Any], headers: tuple[tuple[str, str], ...], path: str) -> None:
    """By host, header or path segment; the provider's path stays, credentials in the query go."""
    assert resend_of(call(**fields), replace(BODY, headers=headers), CONFIG).path == path


def test_credentials_and_connection_headers_stay_behind() -> None:
    """What belonged to the client's credential, page or connection is not sent; all else is, and who is asked for."""
    kept = (("Content-Type", "application/json"), ("anthropic-version", "2023-06-01"), ("User-Agent", "x/1"), ("X-Turnpike-Tag", "t"))
    dropped = (
        ("Authorization", "Bearer ***abcd"), ("x-api-key", "***"), ("Cookie", "a=***"), ("chatgpt-account-id", "7"), ("X-Odd", "a***b"),
        ("Host", "api.openai.com"), ("Content-Length", "19"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), ("TE", "trailers"),
        ("Accept-Encoding", "br"), ("Content-Encoding", "zstd"), ("Proxy-Authorization", "***"), ("Origin", "https://page.example"),
        ("Sec-Fetch-Site", "cross-site"), ("X-Upstream-Name", "openai"), ("X-Turnpike-Replay", "old"),
    )  # fmt: skip
    sent = resend_of(call(), replace(BODY, headers=kept + dropped), CONFIG, (("X-Mine", "1"), ("user-agent", "y/2")))
    assert sent.headers == (*kept[:2], kept[3], ("X-Mine", "1"), ("user-agent", "y/2"), ("X-Turnpike-Replay", call()["id"]))


def test_the_body_is_sent_as_it_is() -> None:
    """Byte for byte; a call that had none is sent without."""
    assert resend_of(call(), BODY, CONFIG).body == BODY.content
    assert resend_of(call(method="GET", request_bytes=0), None, CONFIG).body == b""


@pytest.mark.parametrize(
    ("fields", "body", "reason"),
    [
        ({}, replace(BODY, redacted=True), "masked"),
        ({}, replace(BODY, truncated=True, size=99), "cut .*19 of 99"),
        ({}, None, "not kept"),
        ({"path": "/v1/files/***abcd"}, BODY, "path was masked"),
        ({"status": 101}, BODY, "WebSocket"),
    ],
)
def test_what_is_not_what_was_asked_is_not_sent(fields: dict[str, Any], body: StoredBody | None, reason: str) -> None:
    """A masked, cut or missing body, a masked path, a WebSocket: the reason is named."""
    with pytest.raises(NotSent, match=reason):
        resend_of(call(**fields), body, CONFIG)


def answer(text: str) -> bytes:
    """An answer of OpenAI's chat API, with an id of its own."""
    message = {"role": "assistant", "content": text}
    return orjson.dumps({"id": f"chatcmpl-{id(text)}", "model": "gpt-4o", "choices": [{"index": 0, "message": message}]})


@pytest.mark.parametrize(
    ("stored", "verdict"),
    [
        (replace(BODY, kind="response", content=answer("Hello")), "same"),
        (replace(BODY, kind="response", content=answer("Goodbye")), "differs"),
        (replace(BODY, kind="response", content=answer("Hello"), redacted=True), "unknown"),
        (replace(BODY, kind="response", content=answer("Hello"), truncated=True), "unknown"),
        (None, "unknown"),
    ],
)
def test_answers_are_compared_by_what_they_say(stored: StoredBody | None, verdict: str) -> None:
    """Ids and times do not count; what was not kept as it was cannot be compared."""
    new = read_answer("openai.chat", 200, BODY.headers, answer("Hello"))
    assert answer_text(new) == "Hello"
    assert compare("openai.chat", stored, 200, new) == verdict
