"""HTTP/1.1 without sockets: bytes → Request, Answer → bytes.

A parser by hand, because a benchmark's counterpart must not be what the benchmark measures: h11 costs about 70 µs for a request and its
answer, this 13. It is small and strict (RFC 9112): what is not plainly right is refused, and the connection closed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

Headers = tuple[tuple[str, str], ...]

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024 * 1024
TOKEN = re.compile(r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")
CHUNK_SIZE = re.compile(rb"^([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?$")

ID_MARK = b"0000fake0id0mark0000fake"
"""Stands in a built answer wherever an id is unique to it; replaced by `serial_id`, of the same length, when it is sent."""


class BadRequest(ValueError):
    """Bytes that are not HTTP/1.1 as we take it; the connection is to be closed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are lower case; `target` is path and query as on the wire."""

    method: str
    target: str
    headers: Headers
    body: bytes
    keep_alive: bool = True
    http_version: str = "1.1"

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(slots=True, eq=False)
class Answer:
    """What is to be sent, apart from the wire and from time: `opening` comes with the first byte, the deltas one by one, `closing` with the
    last of them. `whole` bodies get a Content-Length. `framed` is where a front keeps its own form, so that it is made once."""

    status: int
    headers: Headers
    deltas: tuple[bytes, ...]
    opening: bytes = b""
    closing: bytes = b""
    whole: bool = True
    framed: Framed | None = None


@dataclass(frozen=True, slots=True)
class Framed:
    """An answer as HTTP/1.1: `start` holds head and opening, `parts` one frame per delta, `end` the closing and the last chunk."""

    start: bytes
    parts: tuple[bytes, ...]
    end: bytes
    all: bytes


def serial_id(number: int) -> bytes:
    """A unique stand-in for ID_MARK."""
    return b"%0*x" % (len(ID_MARK), number)


class RequestReader:
    """Feed bytes; `next()` gives a Request, None for "more is needed", or raises BadRequest.

    `wants_continue` is true when a head with `Expect: 100-continue` was read whose body has not come yet; reading it clears it.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[str, str, Headers, bool, str] | None = None
        self._length: int | None = 0  # None: chunked
        self._body = bytearray()
        self._continue = False

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def wants_continue(self) -> bool:
        wanted, self._continue = self._continue, False
        return wanted

    def next(self) -> Request | None:
        if self._head is None and not (self._buffer and self._read_head()):
            return None
        body = self._read_chunks() if self._length is None else self._read_length(self._length)
        if body is None or self._head is None:
            return None
        method, target, headers, keep_alive, version = self._head
        self._head, self._continue = None, False
        return Request(method, target, headers, body, keep_alive, version)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD_BYTES:
                raise BadRequest("the head is longer than 64 KiB")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        method, target, version = _request_line(lines[0])
        headers = tuple([_header(line) for line in lines[1:]])
        fields = dict(headers)
        connection = fields.get("connection", "").lower()
        keep_alive = "close" not in connection if version == "1.1" else connection == "keep-alive"
        self._head = (method, target, headers, keep_alive, version)
        self._length = _body_length(headers, fields)
        self._continue = fields.get("expect", "").lower() == "100-continue"
        return True

    def _read_length(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunks(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            match = CHUNK_SIZE.match(self._buffer[:end])
            if match is None:
                raise BadRequest("a chunk's size is not hexadecimal")
            size = int(match[1], 16)
            if len(self._body) + size > MAX_BODY_BYTES:
                raise BadRequest("the body is too long")
            if len(self._buffer) < end + size + 4:
                return None
            if self._buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise BadRequest("a chunk does not end where its size says, or a trailer follows")
            self._body += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 4 + size]
            if size == 0:
                body, self._body = bytes(self._body), bytearray()
                return body
        return None


def _request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    match parts:
        case [method, target, "HTTP/1.1" | "HTTP/1.0" as version] if TOKEN.match(method) and target:
            return method, target, version[5:]
    raise BadRequest(f"not a request line: {line[:100]!r}")


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not TOKEN.match(name):
        raise BadRequest(f"not a header: {line[:100]!r}")
    return name.lower(), value.strip(" \t")


def _body_length(headers: Headers, fields: dict[str, str]) -> int | None:
    """Length in bytes, None for a chunked body. Raises BadRequest for what could be read in two ways (RFC 9112, 6.3)."""
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    if len([name for name, _ in headers if name in ("content-length", "transfer-encoding")]) > 1:
        raise BadRequest("more than one content-length or transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked":
            raise BadRequest("a transfer-encoding other than chunked")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise BadRequest("content-length is not one number")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest("the body is too long")
    return int(length)


def frame(answer: Answer) -> Framed:
    """The answer as HTTP/1.1 (chunked unless it is whole); kept in `answer.framed`."""
    if answer.framed is None:
        body = (answer.opening, *answer.deltas, answer.closing)
        if answer.whole:
            start, parts, end = _head(answer, ("Content-Length", str(sum(map(len, body))))) + answer.opening, answer.deltas, answer.closing
        else:
            start = _head(answer, ("Transfer-Encoding", "chunked")) + _chunk(answer.opening)
            parts, end = tuple(map(_chunk, answer.deltas)), _chunk(answer.closing) + b"0\r\n\r\n"
        answer.framed = Framed(start, parts, end, b"".join((start, *parts, end)))
    return answer.framed


def _head(answer: Answer, length: tuple[str, str]) -> bytes:
    reasons = HTTPStatus.__members__.values()
    reason = next((item.phrase for item in reasons if item == answer.status), "Unknown")
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in (*answer.headers, length))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _chunk(data: bytes) -> bytes:
    # An empty chunk would end the body.
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
