"""Answers of our own: JSON errors in the client's dialect, put into the flow so that nothing goes upstream."""

from __future__ import annotations

from typing import Any

import orjson
from mitmproxy import http

from addons.core.call import Outcome
from addons.core.errors import error_body
from addons.core.providers import Family, identify_any
from addons.exchange import Exchange

JSON = "application/json"


def refuse(
    flow: http.HTTPFlow,
    exchange: Exchange | None,
    status: int,
    code: str,
    message: str,
    *,
    outcome: Outcome = "blocked",
    headers: dict[str, str] | None = None,
    **details: Any,
) -> None:
    """Answer with an error of DESIGN §4. `details` go beside the code (attempts, known upstreams)."""
    body = error_body(_family(flow, exchange), status, code, message, **details)
    _answer(flow, status, body, {"Content-Type": JSON, **(headers or {})})
    if exchange:
        exchange.record.outcome, exchange.record.error_type, exchange.record.error = outcome, code, message


def _family(flow: http.HTTPFlow, exchange: Exchange | None) -> Family | None:
    """The dialect that the client speaks, also where no upstream was found for it."""
    if exchange and exchange.api:
        return exchange.api.family
    path = exchange.path if exchange else flow.request.path
    api = identify_any(("openai", "anthropic", "gemini", "ollama"), flow.request.method, path)
    return api.family if api else None


def answer_json(flow: http.HTTPFlow, status: int, value: Any) -> None:
    """Answer with JSON."""
    _answer(flow, status, orjson.dumps(value), {"Content-Type": JSON})


def answer_text(flow: http.HTTPFlow, text: str, content_type: str) -> None:
    """Answer 200 with text."""
    _answer(flow, 200, text.encode(), {"Content-Type": content_type})


def _answer(flow: http.HTTPFlow, status: int, body: bytes, headers: dict[str, str]) -> None:
    flow.response = http.Response.make(status, body, headers)
    if flow.request.method == "HEAD":  # RFC 9110 §9.3.2: the headers of the GET, and no body, which would begin the next answer
        flow.response.raw_content = b""
        flow.response.headers["content-length"] = str(len(body))
