"""Between flows and plain values."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import http

from addons.config import Upstream
from addons.core.attempt import Request
from addons.outgoing import apply, asks_usage, header_map, plain
from tests.rooms import CHAT, CHAT_BODY, call


def test_a_request_as_plain_values() -> None:
    """The path is the provider's own, the body the very object; none of one that is passed on as it comes."""
    flow = call()
    request = plain(flow.request, "/elsewhere")
    assert (request.method, request.scheme, request.host, request.port, request.path) == (
        "POST",
        "https",
        "api.openai.com",
        443,
        "/elsewhere",
    )
    assert request.body is flow.request.raw_content
    flow.request.stream = True
    assert plain(flow.request, CHAT).body is None


def test_attempts_leave_nothing_in_each_other() -> None:
    """Each replaces all of the one before: address, headers, body and its length."""
    flow = call(headers={"Content-Length": str(len(CHAT_BODY))})
    original = plain(flow.request, CHAT)
    changed = Request("POST", "http", "b.test", 81, "/x", (*original.headers, (b"Authorization", b"first")), b"longer than it was before")
    apply(flow, changed)
    assert (flow.request.url, flow.request.host_header) == ("http://b.test:81/x", "b.test:81")
    assert flow.request.headers["content-length"] == str(len(b"longer than it was before"))
    apply(flow, original)
    assert (flow.request.url, flow.request.raw_content) == (f"https://api.openai.com{CHAT}", CHAT_BODY)
    assert flow.request.headers["content-length"] == str(len(CHAT_BODY))
    assert "authorization" not in flow.request.headers
    assert isinstance(flow.request.headers, http.Headers)


@pytest.mark.parametrize(
    ("settings", "host", "asks"),
    [
        ({"provider": "openai", "base_url": "https://api.openai.com/v1"}, "x.test", True),
        ({"provider": "openai"}, "api.openai.com", True),
        ({"provider": "openai", "base_url": "http://127.0.0.1:8000/v1"}, "x.test", True),
        ({"provider": "openai", "base_url": "https://llm.example.com/v1"}, "x.test", False),
        ({"provider": "openai", "base_url": "https://llm.example.com/v1", "ask_usage": True}, "x.test", True),
        ({"provider": "openai", "base_url": "https://api.openai.com/v1", "ask_usage": False}, "x.test", False),
    ],
)
def test_who_is_asked_for_usage(settings: dict[str, Any], host: str, asks: bool) -> None:
    """Where it is known to be taken, and wherever the file says so."""
    assert asks_usage(Upstream(**settings), host) is asks


def test_headers_as_a_dictionary() -> None:
    """As mitmproxy's own `items` gives them, names in lower case."""
    headers = http.Headers([(b"Host", b"a"), (b"X-One", b"1"), (b"x-one", b"2"), (b"Odd", "é".encode() + b"\xff")])
    assert header_map(headers) == {name.lower(): value for name, value in headers.items()}
    assert header_map(headers)["x-one"] == "1, 2"
