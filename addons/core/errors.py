"""Errors of our own, as JSON in the dialect that the client speaks (DESIGN §4), so that its SDK raises what it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from addons.core.providers import Family

# What each dialect calls a status; the last is for all others. Sources: the error pages of the API references.
OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
GEMINI_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
FIRST_SERVER_ERROR = 500

Details = dict[str, Any]


def _openai(status: int, code: str, message: str, details: Details) -> Details:
    kind = OPENAI_TYPES.get(status, "invalid_request_error" if status < FIRST_SERVER_ERROR else "server_error")
    return {"error": {"message": message, "type": kind, "code": code, "param": None, **details}}


def _anthropic(status: int, code: str, message: str, details: Details) -> Details:
    kind = ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < FIRST_SERVER_ERROR else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message, "code": code, **details}}


def _gemini(status: int, code: str, message: str, details: Details) -> Details:
    name = GEMINI_STATUSES.get(status, "INVALID_ARGUMENT" if status < FIRST_SERVER_ERROR else "INTERNAL")
    return {"error": {"code": status, "message": message, "status": name, "details": [{"reason": code, **details}]}}


def _plain(status: int, code: str, message: str, details: Details) -> Details:
    return {"error": message, "message": message, "code": code, "status": status, **details}


SHAPES: dict[Family, Callable[[int, str, str, Details], Details]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _plain,
    "cohere": _plain,
    "bedrock": _plain,
}


def error_body(family: Family | None, status: int, code: str, message: str, **details: Any) -> bytes:
    """The JSON bytes of an error; without a known dialect in OpenAI's shape, which most clients read."""
    return orjson.dumps(SHAPES[family or "openai"](status, code, message, details))
