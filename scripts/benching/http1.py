"""An HTTP/1.1 answer, read as it comes: feed bytes until it has ended, in any cut.

No parser of the standard library or of a dependency is as quick, and the client must not be what is measured.
"""

from __future__ import annotations

HEAD_END = b"\r\n\r\n"
EVENT_END = b"\n\n"
DONE = b"data: [DONE]\n\n"
MAX_HEAD_BYTES = 64 * 1024
UNTIL_CLOSE = -1


class AnswerError(Exception):
    """What came is no answer of HTTP/1.1."""


class AnswerReader:
    """One answer. `events`: events of a stream that have come whole; `tail`: the last bytes of the body."""

    __slots__ = ("_buffer", "_chunk_left", "_chunked", "_left", "body_bytes", "closes", "ended", "events", "is_stream", "status", "tail")

    def __init__(self) -> None:
        self.status = 0
        self.events = self.body_bytes = 0
        self.ended = self.is_stream = self.closes = False
        self.tail = b""
        self._buffer = b""
        self._chunked = False
        self._left = self._chunk_left = 0

    @property
    def finished(self) -> bool:
        """Has all of it come, with a stream also its last event?"""
        return self.ended and (not self.is_stream or self.status != 200 or self.tail.endswith(DONE))

    def feed(self, data: bytes) -> None:
        """Raises AnswerError, also for bytes after the end: nothing was asked for."""
        if self.ended:
            raise AnswerError("bytes after the end of the answer")
        if not self.status:
            data = self._read_head(data)
            if not self.status:
                return
        if self._chunked:
            self._read_chunks(data)
            return
        self._take(data)
        if self._left != UNTIL_CLOSE:
            self._left -= len(data)
            if self._left < 0:
                raise AnswerError("the body is longer than Content-Length")
            self.ended = self._left == 0

    def close(self) -> None:
        """The connection has ended, which may be the answer's end."""
        if self.status and self._left == UNTIL_CLOSE and not self._chunked:
            self.ended = True

    def _read_head(self, data: bytes) -> bytes:
        """The bytes after the head, once that is there."""
        self._buffer += data
        end = self._buffer.find(HEAD_END)
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise AnswerError("no end of the head")
            return b""
        head, rest = self._buffer[:end].lower(), self._buffer[end + 4 :]
        self._buffer = b""
        if not head.startswith(b"http/1.") or not head[9:12].isdigit():
            raise AnswerError("not HTTP/1")
        self.status = int(head[9:12])
        lines = dict(line.split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
        self.is_stream = lines.get(b"content-type", b"").lstrip().startswith(b"text/event-stream")
        self.closes = b"close" in lines.get(b"connection", b"")
        self._chunked = b"chunked" in lines.get(b"transfer-encoding", b"")
        length = lines.get(b"content-length", b"%d" % UNTIL_CLOSE).strip()
        self._left = UNTIL_CLOSE if length == b"-1" else _number(length, 10)
        self.closes |= self._left == UNTIL_CLOSE and not self._chunked
        return rest

    def _read_chunks(self, data: bytes) -> None:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        at, end = 0, len(data)
        while at < end:
            if self._chunk_left > 2:  # content, and the line's end after it
                piece = data[at : at + self._chunk_left - 2]
                self._take(piece)
                at += len(piece)
                self._chunk_left -= len(piece)
            elif self._chunk_left:
                step = min(self._chunk_left, end - at)
                at += step
                self._chunk_left -= step
            else:
                line = data.find(b"\r\n", at)
                if line < 0:
                    self._buffer = data[at:]
                    return
                size = _number(data[at:line].partition(b";")[0], 16)
                if size == 0:
                    self._read_trailers(data, at, line)
                    return
                at, self._chunk_left = line + 2, size + 2

    def _read_trailers(self, data: bytes, at: int, line: int) -> None:
        end = data.find(HEAD_END, line)  # the size's own line end is the first half of it where there are no trailers
        if end < 0:
            self._buffer = data[at:]
        elif end + 4 != len(data):
            raise AnswerError("bytes after the end of the answer")
        else:
            self.ended = True

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self.body_bytes += len(data)
        if self.is_stream:
            self.events += data.count(EVENT_END) + (self.tail[-1:] == b"\n" and data[:1] == b"\n")
            self.tail = (self.tail + data)[-len(DONE) :] if len(data) < len(DONE) else data[-len(DONE) :]


def _number(text: bytes, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise AnswerError(f"{text[:20]!r} is no length") from None
