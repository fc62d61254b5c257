"""The log keeps what was seen, within bounds, and knows which key came with a request."""

from __future__ import annotations

import hashlib
import secrets
import threading

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


def test_the_end_is_told_with_its_time() -> None:
    """What became of a request and when is told, in its JSON form too, with the HTTP version that it came by."""
    log = RequestLog()
    log.end(log.add(request(), KEY, 1, 1.5), "cut", 2.5)
    told = log.items()[0].as_dict()
    assert (told["started_s"], told["ended"], told["ended_s"], told["http_version"]) == (1.5, "cut", 2.5, "1.1")


def test_the_load_goes_up_and_down() -> None:
    """The highest is kept for all and for each key apart, and is what is under way now when it is forgotten."""
    log = RequestLog()
    first, second = log.add(request(), "a", 1, 0.0), log.add(request(), "b", 1, 0.0)
    log.end(first, "answered", 1.0)
    log.add(request(), "b", 1, 0.0)
    log.end(second, "answered", 1.0)
    assert log.load.as_dict() == {"in_flight": 1, "peak": 2, "peak_by_key": {"a": 1, "b": 2}}
    log.clear()
    assert log.load.as_dict() == {"in_flight": 1, "peak": 1, "peak_by_key": {"b": 1}}


def test_waiting_for_what_is_seen() -> None:
    """One who waits learns of a request that begins or ends in another thread; what does not come in time is an error."""
    log = RequestLog()
    seen = log.add(request(), "", 1, 0.0)
    other = threading.Thread(target=log.end, args=(seen, "answered", 1.0))
    look = iter([None])  # the thread starts only when it has been looked once

    def ended() -> str | None:
        if next(look, "looked") is None:
            other.start()
            return None
        return seen.ended

    assert log.wait_for(ended, 5) == "answered"
    other.join()
    looks = 0

    def never() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            log.add(request(), "", 1, 0.0)
        return False

    with pytest.raises(TimeoutError):
        log.wait_for(never, 0.01)
    assert looks == 2
