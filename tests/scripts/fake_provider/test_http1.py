"""The parser takes what is plainly HTTP/1.1 however it is cut up, and refuses what could be read in two ways."""

from __future__ import annotations

import pytest

from scripts.fake_provider.http1 import Answer, BadRequest, Request, RequestReader, frame

PLAIN = b"POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nX-Any:  two words \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n"


def read_all(data: bytes, step: int) -> list[Request]:
    reader, requests = RequestReader(), []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        while (request := reader.next()) is not None:
            requests.append(request)
    return requests


@pytest.mark.parametrize("data", [PLAIN, CHUNKED, PLAIN + CHUNKED + PLAIN], ids=["length", "chunked", "one after the other"])
def test_cuts_do_not_matter(data: bytes) -> None:
    """Fed whole or byte by byte, the same requests come out, with their bodies."""
    whole = read_all(data, len(data))
    assert whole == read_all(data, 1)
    assert {request.body for request in whole} == {b"hello"}


def test_a_request_is_read() -> None:
    """Method, target with query, headers in lower case and trimmed."""
    (request,) = read_all(PLAIN, len(PLAIN))
    assert (request.method, request.target, request.header("x-any")) == ("POST", "/v1/x?a=b", "two words")


@pytest.mark.parametrize(
    ("head", "stays"),
    [("GET / HTTP/1.1\r\n", True), ("GET / HTTP/1.1\r\nConnection: close\r\n", False), ("GET / HTTP/1.0\r\n", False)],
)
def test_keep_alive(head: str, stays: bool) -> None:
    """Connections are kept with HTTP/1.1, unless the client says otherwise."""
    assert read_all(head.encode() + b"\r\n", 1000)[0].keep_alive is stays


def test_a_waiting_client_is_told_once() -> None:
    """`Expect: 100-continue` is reported when the head came without its body, and only once."""
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert reader.next() is None
    assert (reader.wants_continue, reader.wants_continue) == (True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: 1\r\n folded: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"GET /" + b"a" * 70_000,
    ],
)
def test_what_is_not_plain_is_refused(data: bytes) -> None:
    """Malformed or ambiguous framing raises BadRequest."""
    with pytest.raises(BadRequest):
        read_all(data, len(data))


def test_whole_answers_have_a_length() -> None:
    """A whole body is sent with Content-Length, as it is."""
    framed = frame(Answer(200, (("X-A", "1"),), (b"he", b"llo")))
    assert framed.all == b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"


def test_streams_are_chunked() -> None:
    """Opening, each delta and closing are a chunk; an empty one is left out, since it would end the body."""
    framed = frame(Answer(529, (), (b"one", b"two"), closing=b"end", whole=False))
    assert framed.all == b"HTTP/1.1 529 Unknown\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n3\r\nend\r\n0\r\n\r\n"
    assert framed.parts == (b"3\r\none\r\n", b"3\r\ntwo\r\n")
