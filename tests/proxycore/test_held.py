"""What is held of an answer before the client sees any of it."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http._events import ResponseData, ResponseEndOfMessage, ResponseHeaders, ResponseTrailers

from addons.core.opening import opening_of
from addons.proxycore.held import HOLD_BYTES, MAX_ASIDE_BYTES, Held

WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
ERROR = b'data: {"error": {"message": "no", "type": "server_error"}}\n\n'


def held(status: int, *, streams: bool = False) -> Held:
    response = http.Response.make(status, b"", {"Content-Length": "100"})
    opening = opening_of("openai.chat", 200, (("content-type", "text/event-stream"),)) if streams else None
    return Held(ResponseHeaders(1, response, False), opening, 0.0)


def test_an_error_is_collected_to_its_end() -> None:
    """Its length fits what came, and its trailers are there."""
    one = held(429)
    assert [one.take(ResponseData(1, piece)) for piece in (b"slow ", b"down")] == ["holding", "holding"]
    assert one.take(ResponseTrailers(1, http.Headers(x="1"))) == "holding"
    assert one.take(ResponseEndOfMessage(1)) == "failed"
    response = one.whole()
    assert (response.raw_content, response.headers["content-length"], response.trailers) == (b"slow down", "9", http.Headers(x="1"))


def test_what_was_held_is_passed_on_in_one_piece() -> None:
    """The body is there at once; what came behind it stays behind it."""
    one, end = held(429), ResponseEndOfMessage(1)
    assert one.replay() == []
    for event in (ResponseData(1, b"slow "), ResponseData(1, b"down"), end):
        one.take(event)
    assert one.replay() == [ResponseData(1, b"slow down"), end]


def test_an_error_without_end_is_not_held() -> None:
    """A megabyte is no error message."""
    one = held(500)
    assert one.take(ResponseData(1, b"x" * MAX_ASIDE_BYTES)) == "holding"
    assert one.take(ResponseData(1, b"x")) == "release"


@pytest.mark.parametrize(
    ("pieces", "states"),
    [
        ([WORD], ["release"]),
        ([b": ping\n\n", WORD], ["holding", "release"]),
        ([b": ping\n\n", ERROR], ["holding", "failed"]),
        ([b": " + b"x" * HOLD_BYTES], ["release"]),
    ],
)
def test_a_stream_is_held_to_its_first_content(pieces: list[bytes], states: list[str]) -> None:
    """Or to an error in its place, or until it is too long."""
    one = held(200, streams=True)
    assert [one.take(ResponseData(1, piece)) for piece in pieces] == states
    assert one.error == (("server_error", "no") if states[-1] == "failed" else (None, None))


def test_a_stream_that_ends_is_not_held() -> None:
    """Without any content it is the client's all the same."""
    assert held(200, streams=True).take(ResponseEndOfMessage(1)) == "release"
