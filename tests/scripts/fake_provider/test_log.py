"""The log keeps what was seen, within bounds, and knows which key came with a request."""

from __future__ import annotations

import hashlib
import secrets

import pytest

from scripts.fake_provider.http1 import Headers, Request
from scripts.fake_provider.log import RequestLog, key_of

KEY = "sk-" + secrets.token_hex(8)


def request(body: bytes = b"", headers: Headers = (), target: str = "/") -> Request:
    return Request("POST", target, headers, body)


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ((("authorization", f"Bearer {KEY}"),), "/"),
        ((("authorization", f"bearer {KEY}"),), "/"),
        ((("x-api-key", KEY),), "/"),
        ((("x-goog-api-key", KEY),), "/"),
        ((("api-key", KEY),), "/"),
        ((), f"/v1beta/models?alt=sse&key={KEY}"),
    ],
    ids=["bearer", "bearer in lower case", "anthropic", "gemini", "azure", "query"],  # else the key, another in each worker, names the test
)
def test_the_key_is_found(headers: Headers, target: str) -> None:
    """Each provider's way of sending a key is read."""
    assert key_of(request(headers=headers, target=target)) == KEY


def test_without_a_key() -> None:
    """A request without a key has the empty one."""
    assert key_of(request()) == ""


def test_the_oldest_give_way() -> None:
    """The log is bounded in requests and in bytes of their bodies; the newest always stays."""
    log = RequestLog(max_requests=3, max_bytes=10)
    for size in (1, 1, 1, 1, 9, 50):
        log.add(request(b"x" * size), "", 1, 0.0)
        assert len(log.items()) <= 3
        assert sum(len(seen.body) for seen in log.items()) <= 10 or len(log.items()) == 1
    assert [seen.n for seen in log.items()] == [6]
    assert log.count == 6


def test_what_is_told_of_a_request() -> None:
    """Its JSON form has the body as text and its hash."""
    told = RequestLog().add(request(b"\xffbody"), KEY, 7, 1.5).as_dict()
    assert (told["sha256"], told["body"]) == (hashlib.sha256(b"\xffbody").hexdigest(), "\ufffdbody")
    assert (told["key"], told["connection"], told["ended"]) == (KEY, 7, None)
