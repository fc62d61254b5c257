"""Errors in each provider's own words.

Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://cloud.google.com/apis/design/errors, https://github.com/ollama/ollama/blob/main/docs/api.md; known_errors.py for those
that a status alone does not say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.known_errors import KNOWN, Dialect, Known
from scripts.fake_provider.speech import ID

MESSAGES = {
    400: "Invalid request.",
    401: "Incorrect API key provided.",
    402: "Insufficient Balance",
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
    402: ("unknown_error", "invalid_request_error"),  # DeepSeek's
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
    """The JSON of an error with this status; the knobs `error` (a name of `KNOWN`, or any word), `message`, `retry_delay` and
    `retry_after` go into it where the dialect has room."""
    known = KNOWN[dialect].get(knobs.error or "")
    text = message or knobs.message or (known.message if known else MESSAGES.get(status, DEFAULT_MESSAGE))
    return WORDINGS[dialect](status, text, knobs, known)


def _openai(status: int, message: str, knobs: Knobs, known: Known | None) -> dict[str, Any]:
    kind, code = (knobs.error, knobs.error) if knobs.error else OPENAI_KINDS.get(status, ("server_error", None))
    if known is not None:
        kind = known.kind
    if knobs.retry_delay is not None:
        message += f" Please try again in {knobs.retry_delay:g}s."
    return {"error": {"message": message, "type": kind, "param": known.param if known else None, "code": code}}


def _anthropic(status: int, message: str, knobs: Knobs, known: Known | None) -> dict[str, Any]:
    kind = known.kind if known else knobs.error or ANTHROPIC_TYPES.get(status, "api_error")
    error = {"type": kind, "message": message} | ({"details": known.details[0]} if known and known.details else {})
    return {"type": "error", "error": error, "request_id": f"req_{ID}"}


def _gemini(status: int, message: str, knobs: Knobs, known: Known | None) -> dict[str, Any]:
    kind = known.kind if known else knobs.error or GEMINI_STATUSES.get(status, "INTERNAL")
    details = list(known.details) if known else []
    told = next((value for name, value in knobs.headers if name.lower() == "retry-after"), None)
    wait = told if knobs.retry_delay is None else f"{knobs.retry_delay:g}"
    if wait is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"})
    error = {"code": status, "message": message, "status": kind} | ({"details": details} if details else {})
    return {"error": error}


def _ollama(_status: int, message: str, knobs: Knobs, _known: Known | None) -> dict[str, Any]:
    return {"error": knobs.error or message}


WORDINGS: dict[Dialect, Callable[[int, str, Knobs, Known | None], dict[str, Any]]] = {
    "openai": _openai,
    "responses": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
}
