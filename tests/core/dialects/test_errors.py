"""Error bodies of every shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.core.dialects.errors import MAX_PAGE_BYTES, status_error


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c"}}, "t", "m"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, "overloaded_error", "m"),
        ([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}], "RESOURCE_EXHAUSTED", "m"),
        ({"error": {"message": "m", "code": 402}}, "402", "m"),
        ({"error": "m"}, None, "m"),
        ({"error": "kind", "message": "m"}, None, "m"),
        ({"type": "error", "code": "c", "message": "m"}, "c", "m"),
        ({"object": "error", "message": "m", "type": "invalid"}, "invalid", "m"),
        ({"detail": [{"loc": ["body"]}]}, None, '[{"loc":["body"]}]'),
        ({"__type": "ThrottlingException", "message": "m"}, "ThrottlingException", "m"),
    ],
)
def test_json_errors(body: Any, kind: str | None, message: str) -> None:
    """OpenAI, Anthropic, Gemini, OpenRouter, Ollama, Mistral, FastAPI, AWS."""
    assert status_error(body, json.dumps(body).encode()) == (kind, message)


def test_pages_and_text() -> None:
    """A page of HTML gives its title, an endless one is cut, nothing is nothing."""
    assert status_error(None, b"<html><head><title> 502 Bad Gateway </title></head>") == (None, "502 Bad Gateway")
    assert status_error(None, b"x" * 100_000) == (None, "x" * MAX_PAGE_BYTES)
    assert status_error(None, b"") == (None, None)
