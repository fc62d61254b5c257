"""Heads: each function gives what mitmproxy's own gives, of heads that are plain and of such as nobody should send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy.http import Headers, Request, Response
from mitmproxy.net.http import validate
from mitmproxy.net.http.http1 import read
from mitmproxy.test import tutils

from addons.proxycore import heads, shortcuts
from addons.proxycore.install import install
from addons.proxycore.pins import Replacement
from tests.proxycore.sansio import Said, Wire, cut, cuts, proxy_options, with_both
from tests.proxycore.test_shortcuts import outcome, stock

NAMES = [b"Host", b"Content-Length", b"content-length", b"Transfer-Encoding", b"transfer-encoding", b"Connection", b"Cookie", b"X-\xe4"]
ODD_NAMES = [b"", b" ", b"X Y", b"X\n", b"Content-Length ", b"(x)", b"content-length\n", b"x" * 100]
SIZES = [
    b"0",
    b"00",
    b"5",
    b"05",
    b"12",
    b"12\n",
    b"-1",
    b"+1",
    b"1_0",
    b"5, 5",
    b"9" * 18,
    b"9" * 19,
    b"9" * 5000,
    "\u0663".encode(),
    b"5 ",
]
CODINGS = [b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"identity", b"chunked, chunked", b"chun\xe2\x84\xaaed", b"x"]
CONNECTIONS = [b"close", b"Close", b"keep-alive", b"Keep-Alive", b"keep-alive, close", b"upgrade", b"close,"]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/3", b"HTTP/1.1\n", b"HTTP/11", b"http/1.1", b""]
METHODS = [b"GET", b"POST", b"post", b"HEAD", b"CONNECT", b"connect", b"PURGE", b"\xff", "\u017f".encode(), b""]

values = st.sampled_from([b"", b"a, b", b"\xff", *SIZES, *CODINGS, *CONNECTIONS])
plain_fields = st.one_of(
    st.tuples(st.sampled_from([b"Content-Length", b"content-length"]), st.sampled_from(SIZES)),
    st.tuples(st.sampled_from([b"Transfer-Encoding", b"TRANSFER-ENCODING"]), st.sampled_from(CODINGS)),
    st.tuples(st.sampled_from([b"Connection", b"connection"]), st.sampled_from(CONNECTIONS)),
    st.tuples(st.sampled_from(NAMES), values),
)
fields = st.lists(st.one_of(plain_fields, plain_fields, plain_fields, st.tuples(st.sampled_from(NAMES + ODD_NAMES), values)), max_size=4)
statuses = st.sampled_from([200, 200, 204, 304, 100, 101, 199, 99, 0, 404])


def _request(fields: list[tuple[bytes, bytes]], method: bytes, version: bytes, scheme: bytes = b"http") -> Request:
    request = tutils.treq(method=method, http_version=version, headers=Headers(fields))
    request.data.scheme = scheme
    return request


def _response(fields: list[tuple[bytes, bytes]], status: int, version: bytes) -> Response:
    return tutils.tresp(status_code=status, http_version=version, headers=Headers(fields))


requests = st.builds(
    _request, fields, st.sampled_from(METHODS), st.sampled_from(VERSIONS), st.sampled_from([b"http", b"", b"ftp", b"\xff"])
)
responses = st.builds(_response, fields, statuses, st.sampled_from(VERSIONS))


@settings(max_examples=500)
@given(requests, responses)
def test_framing(request_: Request, response: Response) -> None:
    """How long a body is, and if the connection ends with it: sizes, codings and names of all kinds, several of them, in any case."""
    size, close = stock(read, "expected_http_body_size"), stock(read, "connection_close")
    assert outcome(heads.body_size, request_) == outcome(size, request_)
    assert outcome(heads.body_size, request_, response) == outcome(size, request_, response)
    for message in (request_, response):
        for version in (message.http_version, message.data.http_version):
            assert outcome(heads.connection_close, version, message.headers) == outcome(close, version, message.headers)


@settings(max_examples=500)
@given(requests, responses)
def test_checks(request_: Request, response: Response) -> None:
    """What mitmproxy refuses is refused in its words, and nothing else."""
    for message in (request_, response):
        assert outcome(heads.check_headers, message) == outcome(stock(validate, "validate_headers"), message)


@pytest.mark.parametrize("field", [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"), (b"X-Any", b"\xff")])
def test_the_usual_is_plain(field: tuple[bytes, bytes]) -> None:
    """It needs no second look."""
    assert heads.is_plain(_request([(b"Host", b"a"), field], b"POST", b"HTTP/1.1"))
    assert heads.is_plain(_response([field], 200, b"HTTP/1.1"))


@pytest.mark.parametrize("status", [100, 204])
def test_an_answer_without_a_body_has_no_coding(status: int) -> None:
    """Mitmproxy refuses it."""
    assert not heads.is_plain(_response([(b"Transfer-Encoding", b"chunked")], status, b"HTTP/1.1"))


@pytest.mark.parametrize("field", [(b"Connection", b"close"), (b"Connection", b"keep-alive")])
def test_who_speaks_of_the_connection_is_left_to_mitmproxy(field: tuple[bytes, bytes]) -> None:
    """On either side."""
    size = (b"Content-Length", b"0")
    ask, answer = _request([], b"GET", b"HTTP/1.1"), _response([size], 200, b"HTTP/1.1")
    assert heads._stays_open(ask, answer)
    assert not heads._stays_open(_request([field], b"GET", b"HTTP/1.1"), answer)
    assert not heads._stays_open(ask, _response([size, field], 200, b"HTTP/1.1"))


def test_names_that_are_known_are_few_and_short() -> None:
    """A client may send any number of them, of any length."""
    response = _response([], 200, b"HTTP/1.1")
    for start in range(0, 5000, 100):
        response.headers = Headers([(b"x-%d" % number, b"") for number in range(start, start + 100)] + [(b"x" * 65, b"")])
        assert heads.is_plain(response)
        assert len(heads._names) <= shortcuts.REMEMBERED
    response.headers = Headers([(b"x-%d" % number, b"") for number in range(3000)])
    assert heads.is_plain(response)
    assert len(heads._names) <= shortcuts.REMEMBERED
    assert max(map(len, heads._names)) <= heads.MAX_NAME


def test_headers_that_change_are_looked_at_again() -> None:
    """Whatever an add-on does to them between two questions."""
    response = _response([(b"Content-Length", b"5")], 200, b"HTTP/1.1")
    request = _request([], b"GET", b"HTTP/1.1")
    size = stock(read, "expected_http_body_size")

    def put(key: str, value: str) -> Callable[[], None]:
        return lambda: response.headers.__setitem__(key, value)

    def put_fields() -> None:
        response.headers.fields = ((b"content-LENGTH", b"9"),)

    def put_list() -> None:
        response.headers.fields = [(b"content-length", b"10")]  # type: ignore[assignment]

    def add_to_list() -> None:
        response.headers.fields.append((b"connection", b"close"))  # type: ignore[attr-defined]

    changes: list[Callable[[], Any]] = [
        put("Content-Length", "7"),
        lambda: response.headers.pop("content-length"),
        put("Transfer-Encoding", "chunked"),
        response.headers.clear,
        lambda: response.headers.add("content-length", "8"),
        lambda: response.headers.insert(0, "connection", "close"),
        put_fields,
        lambda: response.headers.set_state(((b"content-length", b"11"),)),
        put_list,
        add_to_list,
    ]
    for change in changes:
        change()
        assert heads.body_size(request, response) == size(request, response)
        assert heads.connection_close("HTTP/1.1", response.headers) == stock(read, "connection_close")("HTTP/1.1", response.headers)
    assert heads.body_size(request, response.copy()) == 10


lines = st.lists(
    st.sampled_from([b"Host: a", b"Host:a ", b"\tb: c", b" b", b":", b": a", b"a:", b"a", b"", b"a: b: c", b"\x00:\r", b"x\r: \xff"]),
    max_size=5,
)


@given(lines | st.lists(st.binary(max_size=6), max_size=3))
def test_fields(lines: list[bytes]) -> None:
    """Folded lines, lines without a name or a colon, and any bytes."""
    assert outcome(heads.read_headers, lines) == outcome(stock(read, "_read_headers"), lines)


@pytest.mark.parametrize("version", [*VERSIONS, b"HTTP/1.9", b"HTTP/1.1 ", b"xHTTP/1.1"])
def test_versions(version: bytes) -> None:
    """Known or not."""
    assert outcome(heads.check_version, version) == outcome(stock(read, "raise_if_http_version_unknown"), version)


WORDS = [b"GET", b"/", b"*", b"http://a/", b"ftp://a", b"CONNECT", b"a:1", b"HTTP/1.1", b"HTTP/1.9", b"200", b"+99", b"0200", b"OK"]
USUAL = [b"GET / HTTP/1.1", b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200  Not  found ", b"HTTP/1.1 2 00"]
first_lines = st.lists(st.sampled_from(WORDS) | st.sampled_from([b" ", b" ", b" ", b"\t", b"\x0b"]), max_size=8).map(b"".join)


@given(first_lines | st.sampled_from(USUAL), lines)
def test_heads(first: bytes, rest: list[bytes]) -> None:
    """Whole heads of both kinds, whose first lines are as they should be or not."""
    for ours, name in ((heads.read_request_head, "read_request_head"), (heads.read_response_head, "read_response_head")):
        assert _state(ours, [first, *rest]) == _state(stock(read, name), [first, *rest])


def _state(reading: Callable[[list[bytes]], Any], lines: list[bytes]) -> Any:
    """All that was read, but for the moment; or the error."""
    found = outcome(reading, lines)
    if isinstance(found, tuple):
        return found
    assert isinstance(found.headers, Headers)
    assert found.timestamp_start > 0
    return {"type": type(found), **vars(found), "data": found.get_state() | {"timestamp_start": 0}}


ends = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"a", b"b: c", b"\r\n\r\n", b"\n\n", b"\n\r\n", b"x" * 20]), max_size=12)


@settings(max_examples=600)
@given(ends, st.booleans(), cuts)
def test_lines(parts: list[bytes], one_by_one: bool, places: list[int]) -> None:
    """Ended by CRLF, LF or both by turns, in any cut; what stands behind them stays in the buffer."""
    ours, theirs = ReceiveBuffer(), ReceiveBuffer()
    extract = stock(ReceiveBuffer, "maybe_extract_lines")
    for piece in parts if one_by_one else cut(b"".join(parts), places):
        ours += piece
        theirs += piece
        for _ in range(2):
            assert heads.extract_lines(ours) == extract(theirs)
            assert bytes(ours) == bytes(theirs)


@given(st.sampled_from(METHODS) | st.binary(max_size=4), st.sampled_from([b"", "", None, b"a:1", "ä.example", b"\xff", "x" * 70]))
def test_parts_of_a_request(method: bytes, authority: Any) -> None:
    """Methods in any case, authorities that can be none; and both can be set."""
    theirs, ours = (_request([], method, b"HTTP/1.1") for _ in range(2))
    kept, prop = (Replacement(Request, name, None).stock for name in ("method", "authority"))
    assert outcome(heads.method, ours) == outcome(kept.fget, theirs)
    assert outcome(heads.set_authority, ours, authority) == outcome(prop.fset, theirs, authority)
    assert ours.data.authority == theirs.data.authority
    assert outcome(heads.authority, ours) == outcome(prop.fget, theirs)


@given(fields)
def test_written(fields: list[tuple[bytes, bytes]]) -> None:
    """None, one or several."""
    assert heads.head_block(Headers(fields)) == stock(Headers, "__bytes__")(Headers(fields))


# In a conversation ------------------------------------------------------------------------------------------------------

REQUEST_LINES = [
    b"POST http://llm.test/v1 HTTP/1.1",
    b"GET /x HTTP/1.1",
    b"CONNECT llm.test:80 HTTP/1.1",
    b"HEAD http://llm.test/ HTTP/1.0",
    b"x",
]
STATUS_LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 100 Continue",
    b"ICY 200 OK",
]
wire_fields = st.lists(
    st.sampled_from(
        [
            b"Host: llm.test",
            b"Content-Length: 5",
            b"content-length: 2",
            b"Content-Length: 05",
            b"Content-Length: 3000",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip",
            b"Connection: close",
            b"Connection: Keep-Alive",
            b"X Y: z",
            b"Expect: 100-continue",
            b" folded",
        ]
    ),
    max_size=4,
)
line_ends = st.sampled_from([b"\r\n", b"\r\n", b"\n"])
bodies = st.sampled_from([b"", b"Hello", b"5\r\nHello\r\n0\r\n\r\n", b"x" * 3000])


def _message(line: bytes, fields: list[bytes], end: bytes, body: bytes) -> bytes:
    return end.join([line, *fields, b"", b""]) + body


asked = st.lists(st.builds(_message, st.sampled_from(REQUEST_LINES), wire_fields, line_ends, bodies), min_size=1, max_size=2)
answered = st.lists(st.builds(_message, st.sampled_from(STATUS_LINES), wire_fields, line_ends, bodies), max_size=2)


@pytest.fixture(scope="module")
def options() -> Iterator[Any]:
    install()
    with proxy_options() as made:
        yield made


@settings(max_examples=400)
@given(
    asked,
    answered,
    cuts,
    st.booleans(),
    st.sampled_from([(None, None), ("1k", None), (None, "1k"), ("4", "1k"), ("2k", "2k")]),
    st.booleans(),
)
def test_a_conversation_is_as_with_mitmproxy(
    options: Any,
    asked: list[bytes],
    answered: list[bytes],
    places: list[int],
    ended: bool,
    limits: tuple[str | None, str | None],
    checked: bool,
) -> None:
    """Heads of all kinds from both sides, in any cut, with limits of bodies and without, with checks and without."""
    options.update(stream_large_bodies=limits[0], body_size_limit=limits[1], validate_inbound_headers=checked)

    def converse() -> list[Said]:
        wire = Wire(options, stream=False)
        for data in cut(b"".join(asked), places):
            wire.from_client(data)
        for data in cut(b"".join(answered), places):
            wire.from_server(data)
        if ended:
            wire.server_leaves()
        return wire.finish()

    theirs, ours = with_both([*shortcuts.REPLACED, *heads.REPLACED], converse)
    assert ours == theirs
