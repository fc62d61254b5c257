"""Heads over HTTP/1, read, checked and written with less: each function here gives what mitmproxy's gives.

What is plain (CRLF, no folded lines, one plain `Content-Length` or `Transfer-Encoding: chunked`, the usual versions and methods) is
answered here, most of it out of the names that `shortcuts.folded` has noted; whatever isn't is left to the stock function, so that
faults, and the words for them, are its own.

Read in mitmproxy 12.2 `net/http/http1/read.py`, `net/http/validate.py`, `proxy/layers/http/` and h11 0.16; `REPLACED` pins it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from h11._receivebuffer import ReceiveBuffer
from mitmproxy import http
from mitmproxy.net.http import http1, validate
from mitmproxy.net.http.http1 import read
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import HttpStream, _http1
from mitmproxy.proxy.layers.http._http1 import Http1Connection, Http1Server
from mitmproxy.utils import human

from addons.proxycore.pins import Replacement
from addons.proxycore.shortcuts import REMEMBERED, folded, option
from addons.proxycore.stream import Commands

LINE_END = b"\r\n"
HEAD_END = LINE_END * 2
NOTHING: tuple[commands.Command, ...] = ()
"""To be said where all is well: `yield from` gives None then, which is as good as False."""


def _stock(owner: Any, name: str) -> Any:
    return Replacement(owner, name, None).stock


_stock_extract_lines: Callable[[ReceiveBuffer], list[bytearray] | None] = _stock(ReceiveBuffer, "maybe_extract_lines")
_stock_read_headers: Callable[[Iterable[bytes]], http.Headers] = _stock(read, "_read_headers")
_stock_check_version: Callable[[bytes], None] = _stock(read, "raise_if_http_version_unknown")
_stock_read_request_head: Callable[[list[bytes]], http.Request] = _stock(read, "read_request_head")
_stock_read_response_head: Callable[[list[bytes]], http.Response] = _stock(read, "read_response_head")
_stock_body_size: Callable[[http.Request, http.Response | None], int | None] = _stock(read, "expected_http_body_size")
_stock_connection_close: Callable[[str | bytes, http.Headers], bool] = _stock(read, "connection_close")
_stock_check_headers: Callable[[http.Message], None] = _stock(validate, "validate_headers")
_stock_check_invalid: Callable[[HttpStream, bool], Commands] = _stock(HttpStream, "check_invalid")
_stock_check_body_size: Callable[[HttpStream, bool], Commands] = _stock(HttpStream, "check_body_size")
_stock_mark_done: Callable[..., Commands] = _stock(Http1Connection, "mark_done")
_stock_method: Any = _stock(http.Request, "method")
_stock_authority: Any = _stock(http.Request, "authority")

# Reading ----------------------------------------------------------------------------------------------------------------


def extract_lines(self: ReceiveBuffer) -> Sequence[bytes | bytearray] | None:
    """`ReceiveBuffer.maybe_extract_lines`."""
    data = self._data
    end = data.find(HEAD_END, max(0, self._multiple_lines_search - 1))  # what was searched may have ended within it
    if end <= 0 or data.startswith((b"\n", LINE_END)):
        return _stock_extract_lines(self)
    head = bytes(data[:end])
    if head.count(b"\n") != head.count(LINE_END):
        return _stock_extract_lines(self)
    del data[: end + len(HEAD_END)]
    self._next_line_search = self._multiple_lines_search = 0
    return head.split(LINE_END)


def read_headers(lines: Sequence[bytes]) -> http.Headers:
    """`read._read_headers`. Raises ValueError."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not name or not colon or name[0] in b" \t":
            return _stock_read_headers(lines)
        fields.append((name, value.strip()))
    headers = http.Headers.__new__(http.Headers)
    headers.fields = tuple(fields)
    return headers


USUAL_VERSIONS = frozenset({b"HTTP/1.1", b"HTTP/1.0"})


def read_request_head(lines: list[bytes]) -> http.Request:
    """`read.read_request_head`. Raises ValueError."""
    parts = lines[0].split()
    if len(parts) != 3 or parts[2] not in USUAL_VERSIONS or not parts[1].startswith(b"/"):
        return _stock_read_request_head(lines)
    method, path, version = parts
    request = http.Request.__new__(http.Request)
    request.data = http.RequestData(version, read_headers(lines[1:]), None, None, time.time(), None, "", 0, method, b"", b"", path)
    return request


def read_response_head(lines: list[bytes]) -> http.Response:
    """`read.read_response_head`. Raises ValueError."""
    version, _, rest = lines[0].partition(b" ")
    status, _, reason = rest.partition(b" ")
    if version not in USUAL_VERSIONS or not status.isdigit() or len(status) != 3 or reason[:1].isspace():
        return _stock_read_response_head(lines)
    response = http.Response.__new__(http.Response)
    response.data = http.ResponseData(version, read_headers(lines[1:]), None, None, time.time(), None, int(status), reason)
    return response


def check_version(http_version: bytes) -> None:
    """`read.raise_if_http_version_unknown`. Raises ValueError."""
    if http_version not in USUAL_VERSIONS:
        _stock_check_version(http_version)


# Framing ----------------------------------------------------------------------------------------------------------------

CHUNKED = b"chunked"
PERSISTENT = ("HTTP/1.1", b"HTTP/1.1", "HTTP/2.0", b"HTTP/2.0")
MAX_DIGITS = 18
SWITCHING, FINAL_STATUS, NO_CONTENT, NOT_MODIFIED = 101, 200, 204, 304


def body_size(request: http.Request, response: http.Response | None = None) -> int | None:
    """`expected_http_body_size`. Raises ValueError."""
    if response is None:
        headers, open_ended = folded(request.data.headers), 0
    else:
        status = response.data.status_code
        if status < FINAL_STATUS or status in (NO_CONTENT, NOT_MODIFIED) or request.method in ("HEAD", "CONNECT"):
            return _stock_body_size(request, response)
        headers, open_ended = folded(response.data.headers), -1
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        if not (length := headers.get(b"content-length")):
            return open_ended
        if (size := _size(length)) is not None:
            return size
    elif coding == CHUNKED:
        return None
    return _stock_body_size(request, response)


def _size(length: bytes) -> int | None:
    """Of a plain Content-Length."""
    if length.isdigit() and len(length) <= MAX_DIGITS and (length[0] != ord("0") or length == b"0"):
        return int(length)
    return None


def connection_close(http_version: str | bytes, headers: http.Headers) -> bool:
    """`read.connection_close`."""
    asked = folded(headers).get(b"connection")
    if asked is None:
        return http_version not in PERSISTENT
    if asked in (b"close", b"keep-alive"):
        return asked == b"close"
    return _stock_connection_close(http_version, headers)


def mark_done(self: Http1Connection, *, request: bool = False, response: bool = False) -> Iterable[commands.Command]:
    """`Http1Connection.mark_done`."""
    self.request_done = self.request_done or request
    self.response_done = self.response_done or response
    if not (self.request_done and self.response_done):
        return NOTHING
    if not _stays_open(self.request, self.response):
        return _stock_mark_done(self)
    self.request_done = self.response_done = False
    self.request = self.response = None
    if isinstance(self, Http1Server):
        self.stream_id += 2
    else:
        self.stream_id = None
    self.state = self.read_headers
    return self.state(events.DataReceived(self.conn, b"")) if self.buf else NOTHING


def _stays_open(request: http.Request | None, response: http.Response | None) -> bool:
    """May the connection have another message? False where that is not known here."""
    if request is None or response is None or request.data.http_version != b"HTTP/1.1" or response.data.http_version != b"HTTP/1.1":
        return False
    if b"connection" in folded(request.data.headers) or b"connection" in folded(response.data.headers) or request.method == "CONNECT":
        return False
    try:
        return response.data.status_code != SWITCHING and body_size(request, response) != -1
    except ValueError:
        return False


# Checks -----------------------------------------------------------------------------------------------------------------

MAX_NAME = 64
SCHEMES = frozenset({b"http", b"https", b""})

_names: set[bytes] = set()
"""Names of headers that are known to be valid, in lower case."""


def check_invalid(self: HttpStream, request: bool) -> Iterable[commands.Command]:
    """`HttpStream.check_invalid`."""
    checked = option(self.context.options, "validate_inbound_headers")
    if request:
        asked = self.flow.request
        fit = asked.data.scheme in SCHEMES and asked.method != "CONNECT" and (not checked or is_plain(asked))
    else:
        fit = not checked or is_plain(self.flow.response)  # type: ignore[arg-type]
    return NOTHING if fit else _stock_check_invalid(self, request)


def check_headers(message: http.Message) -> None:
    """`validate.validate_headers`. Raises ValueError."""
    if not is_plain(message):
        _stock_check_headers(message)


def is_plain(message: http.Message) -> bool:
    """Are its headers such that there is nothing to be said against them? False where that is not known here."""
    headers = folded(message.data.headers)
    if not (_names.issuperset(headers) or _learn(headers)):
        return False
    coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
    if coding is None:
        return length is None or _size(length) is not None
    if length is not None or coding != CHUNKED or message.data.http_version != b"HTTP/1.1":
        return False
    return not isinstance(message, http.Response) or (message.data.status_code >= FINAL_STATUS and message.data.status_code != NO_CONTENT)


def _learn(names: Mapping[bytes, bytes]) -> bool:
    """Are all of them valid? A client chooses them, so it's few and short ones that are kept."""
    if not all([validate._valid_header_name.match(name) for name in names]):
        return False
    if len(_names) + len(names) > REMEMBERED:
        _names.clear()
    _names.update([name for name in names if len(name) <= MAX_NAME][:REMEMBERED])
    return True


def check_body_size(self: HttpStream, request: bool) -> Iterable[commands.Command]:
    """`HttpStream.check_body_size`."""
    options = self.context.options
    limit, held = option(options, "body_size_limit"), option(options, "stream_large_bodies")
    return NOTHING if not (limit or held) or _fits(self, request, limit, held) else _stock_check_body_size(self, request)


def _fits(stream: HttpStream, request: bool, limit: str | None, held: str | None) -> bool:
    """Is a body, or what has come of it, within both limits?"""
    if begun := len(stream.request_body_buf if request else stream.response_body_buf):
        size: int | None = begun
    else:
        try:
            size = body_size(stream.flow.request, None if request else stream.flow.response)
        except ValueError:
            size = None
    if not size or size < 0:
        return True
    return (most := _smaller(limit, held)) is None or size <= most


@lru_cache(8)
def _smaller(limit: str | None, held: str | None) -> int | None:
    """Of two limits, of which each may be none; 0 where one can't be read, and mitmproxy says so."""
    try:
        return min((size for size in map(human.parse_size, (limit, held)) if size is not None), default=None)
    except ValueError:
        return 0


# Parts of a request -----------------------------------------------------------------------------------------------------

METHODS = {name.encode(): name for name in ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")}


def method(self: http.Request) -> str:
    """`Request.method`."""
    return METHODS.get(self.data.method) or _stock_method.fget(self)


def authority(self: http.Request) -> str:
    """`Request.authority`, which no request in origin form has."""
    return "" if self.data.authority == b"" else _stock_authority.fget(self)


def set_authority(self: http.Request, val: str | bytes) -> None:
    """The same to be set."""
    if val == "":
        self.data.authority = b""
    else:
        _stock_authority.fset(self, val)


# Writing ----------------------------------------------------------------------------------------------------------------


def head_block(self: http.Headers) -> bytes:
    """`Headers.__bytes__`."""
    return LINE_END.join([b": ".join(field) for field in self.fields]) + LINE_END if self.fields else b""


REPLACED = (
    (
        Replacement(ReceiveBuffer, "maybe_extract_lines", "435e54e6db463e31", extract_lines),
        Replacement(ReceiveBuffer, "_extract", "9f46b67fb9e57164"),
        Replacement(ReceiveBuffer, "__init__", "e12e530df7b8d32a"),
    ),
    (
        Replacement(read, "_read_headers", "66807318a8b7a7b7", read_headers),
        Replacement(read, "raise_if_http_version_unknown", "e1159a2812bbb30c", check_version),
        *(Replacement(owner, "read_request_head", "d7a54f7078584448", read_request_head) for owner in (read, http1)),
        *(Replacement(owner, "read_response_head", "7f1f014abc5eeac1", read_response_head) for owner in (read, http1)),
        Replacement(read, "_read_request_line", "f212df4b4badf61b"),
        Replacement(read, "_read_response_line", "00582e2a37199fad"),
        Replacement(http.Request, "__init__", "a049b5aa3267ed2c"),
        Replacement(http.Response, "__init__", "c6aa2ee439b59206"),
    ),
    (
        *(Replacement(owner, "expected_http_body_size", "bf258f07286cf770", body_size) for owner in (read, http1, layers)),
        *(Replacement(owner, "connection_close", "d53e499096578d6b", connection_close) for owner in (read, http1)),
        Replacement(HttpStream, "check_invalid", "ef0a126eef45d903", check_invalid),
        Replacement(layers, "validate_request", "e7cec257ce91b7c5"),
        Replacement(validate, "validate_headers", "e7647a94704363e7", check_headers),
        Replacement(Http1Connection, "mark_done", "dc5ed395ce4f0763", mark_done),
        Replacement(HttpStream, "check_body_size", "236ca0a7b9fd4f69", check_body_size),
        Replacement(_http1, "should_make_pipe", "a6c0dc00208d5e49"),
        Replacement(read, "get_header_tokens", "5d2ae35213c9e619"),
        Replacement(validate, "parse_content_length", "27b46f4337ba25c6"),
        Replacement(validate, "parse_transfer_encoding", "63a109c6a901dd5e"),
        Replacement(human, "parse_size", "204601f31a058bd9"),
    ),
    (
        Replacement(http.Request, "method", "0b605c43206f4964", property(method, _stock_method.fset)),
        Replacement(http.Request, "authority", "3652bf51b377d76f", property(authority, set_authority)),
        Replacement(SimpleNamespace(__name__="Request.authority", setter=_stock_authority.fset), "setter", "5b5043affa81f45a"),
    ),
    (Replacement(http.Headers, "__bytes__", "afea97a00d3d61dd", head_block),),
)
