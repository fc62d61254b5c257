"""Between flows and plain values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from addons.config import Upstream
from addons.core.attempt import HeaderFields, Request
from addons.outgoing import apply, asks_usage, plain
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


NAMES = st.sampled_from([b"Host", b"host", b"Content-Length", b"content-length", b"X-One", b"x-one", b"Odd\xff"])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"1", b"a.test", b"\xff"])), max_size=6).map(tuple)
ATTEMPTS = st.builds(
    Request,
    st.just("POST"),
    st.sampled_from(["http", "https"]),
    st.sampled_from(["b.test", "::1", "bücher.test", "10.0.0.1", "a" * 70 + ".test"]),
    st.sampled_from([80, 443, 81]),
    st.sampled_from(["/x?y=1", "/\udcff", "*"]),
    FIELDS,
    st.sampled_from([None, b"", b"longer than it was", CHAT_BODY]),
)


def applied_by_mitmproxy(flow: http.HTTPFlow, outgoing: Request) -> None:
    """The same by mitmproxy's own properties."""
    request = flow.request
    request.headers = http.Headers(outgoing.headers)
    if outgoing.body is not None and outgoing.body is not request.raw_content:
        request.raw_content = outgoing.body
        if "content-length" in request.headers:
            request.headers["content-length"] = str(len(outgoing.body))
    request.scheme, request.path = outgoing.scheme, outgoing.path
    request.host, request.port = outgoing.host, outgoing.port


@given(ATTEMPTS, FIELDS, st.sampled_from(["", "a.test", "a.test:81"]), st.sampled_from(["HTTP/1.1", "HTTP/2.0"]))
def test_an_attempt_is_put_in_as_mitmproxy_would(outgoing: Request, fields: HeaderFields, authority: str, version: str) -> None:
    """Host header, authority, length and all, whatever the client sent."""
    ours, theirs = call(), call()
    for flow in (ours, theirs):
        flow.request.headers, flow.request.authority, flow.request.http_version = http.Headers(fields), authority, version
        flow.request.timestamp_start = flow.request.timestamp_end = 0.0
    apply(ours, outgoing)
    applied_by_mitmproxy(theirs, outgoing)
    assert ours.request.get_state() == theirs.request.get_state()
