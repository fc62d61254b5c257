"""Errors in each provider's own words.

Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://cloud.google.com/apis/design/errors, https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.speech import ID

Dialect = Literal["openai", "responses", "anthropic", "gemini", "ollama"]

MESSAGES = {
    400: "Invalid request.",
    401: "Incorrect API key provided.",
    403: "Your key does not have permission to use this resource.",
    404: "The requested model or resource does not exist.",
    413: "Request exceeds the maximum size.",
    422: "Unprocessable request.",
    429: "Rate limit reached for requests.",
    503: "The model is overloaded. Please try again later.",
    529: "Overloaded",
}
DEFAULT_MESSAGE = "The server had an error while processing your request."

OPENAI_KINDS = {  # status → type, code
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    422: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(dialect: Dialect, status: int, knobs: Knobs, message: str | None = None) -> dict[str, Any]:
    """The JSON of an error with this status; the knobs `error`, `message` and `retry_after` go into it where the dialect has room."""
    text = message or knobs.message or MESSAGES.get(status, DEFAULT_MESSAGE)
    return WORDINGS[dialect](status, text, knobs)


def _openai(status: int, message: str, knobs: Knobs) -> dict[str, Any]:
    kind, code = (knobs.error, knobs.error) if knobs.error else OPENAI_KINDS.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(status: int, message: str, knobs: Knobs) -> dict[str, Any]:
    kind = knobs.error or ANTHROPIC_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{ID}"}


def _gemini(status: int, message: str, knobs: Knobs) -> dict[str, Any]:
    error: dict[str, Any] = {"code": status, "message": message, "status": knobs.error or GEMINI_STATUSES.get(status, "INTERNAL")}
    wait = next((value for name, value in knobs.headers if name.lower() == "retry-after"), None)
    if wait is not None:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}]
    return {"error": error}


def _ollama(_status: int, message: str, knobs: Knobs) -> dict[str, Any]:
    return {"error": knobs.error or message}


WORDINGS: dict[Dialect, Callable[[int, str, Knobs], dict[str, Any]]] = {
    "openai": _openai,
    "responses": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
}
