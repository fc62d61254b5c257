"""Error bodies and events of every provider: what kind, and what a person should read."""

from __future__ import annotations

import re
from typing import Any

from addons.core.jsonvalues import compact, dig, label, text

MAX_PAGE_BYTES = 64 * 1024
"""Of a page that is no JSON. Messages are not cut here: who cuts before masking leaves a part of a secret."""

FIRST_ERROR_STATUS = 400

_TITLE = re.compile(r"<title[^>]*>\s*([^<]+?)\s*</title>", re.IGNORECASE)


def error_of(value: Any) -> tuple[str | None, str | None]:
    """Type and message of `{"error": …}` in any of the shapes that are in use; (None, None) for what has no `error`.

    OpenAI `{"error": {"message", "type", "code"}}`, Anthropic `{"type": "error", "error": {"type", "message"}}`,
    Gemini `{"error": {"code", "message", "status"}}`, Ollama and others `{"error": "…"}`, OpenAI's responses stream
    `{"type": "error", "code", "message"}`.
    """
    inner = dig(value, "error")
    if isinstance(inner, str) and inner:
        return label(value, "error_type") or label(value, "code"), text(value, "message") or inner
    if isinstance(inner, dict) and inner:
        return _kind(inner), text(inner, "message") or compact(inner)
    if inner is None and dig(value, "type") == "error":
        return label(value, "code") or "error", text(value, "message") or compact(value)
    return None, None


def status_error(value: Any, content: bytes) -> tuple[str | None, str | None]:
    """The same of an answer whose status says that it is an error, for the shapes that only the status tells apart:
    `{"object": "error", "message"}` (Mistral), `{"detail": …}` (FastAPI), `{"message"}` (AWS), a page of HTML, plain text."""
    if isinstance(value, list) and value:  # Gemini wraps errors of its array streams
        value = value[0]
    kind, message = error_of(value)
    if message or kind:
        return kind, message
    if isinstance(value, dict) and value:
        detail = dig(value, "message") or dig(value, "detail") or dig(value, "errors") or value
        return _kind(value), detail if isinstance(detail, str) else compact(detail)
    page = content[:MAX_PAGE_BYTES].decode("utf-8", "replace").strip()
    title = _TITLE.search(page)
    return None, title[1] if title else page or None


def _kind(value: dict[str, Any]) -> str | None:
    kind = text(value, "type")
    return (kind if kind != "error" else None) or text(value, "status") or label(value, "code") or text(value, "__type")
