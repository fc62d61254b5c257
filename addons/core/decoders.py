"""Bytes → events, without I/O: what a stream's framing says, not what its events mean.

Every decoder has
    feed(bytes) -> list of the events that these bytes completed,
    flush()     -> list of what the end of the stream completes (a last line or event without its terminator),
    resync()    -> None: bytes are missing here; forget the event that was begun, go on with the next one.
Fed whole, byte by byte or cut anywhere (inside CRLF, a UTF-8 character, an escape), they give the same events. Nothing raises:
what is no event is left out. A line or element over `max_event_bytes` is dropped, so that memory stays bounded.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_EVENT_BYTES = 16 * 1024 * 1024  # as capture.max_body: longer ones (images in base64) are not kept anyway
BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event: its `event` field ("" without one) and its `data` lines joined by LF, not yet decoded (JSON parsers take bytes)."""

    name: str
    data: bytes


class LineDecoder:
    """Lines ended by LF, CRLF or CR, without their ends; None for one over `max_line_bytes`. A CR ends the line at once; an LF that
    follows it, even in the next chunk, is part of its end."""

    def __init__(self, max_line_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_line_bytes
        self._pieces: list[bytes] = []  # of the line that has no end yet; joined once, so that long lines cost linear time
        self._size = 0
        self._skip_lf = False

    def feed(self, chunk: bytes) -> list[bytes | None]:
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        return self._split(chunk)

    @property
    def has_begun(self) -> bool:
        """Does what comes next belong to a line that has come in part, or to its end?"""
        return self._size > 0 or self._skip_lf

    def flush(self) -> list[bytes | None]:
        return [self._complete(b"")] if self._size else []

    def resync(self) -> None:
        self._pieces, self._size, self._skip_lf = [], 0, False

    def _split(self, chunk: bytes) -> list[bytes | None]:
        lines: list[bytes] = chunk.splitlines()
        self._skip_lf = chunk.endswith(b"\r")
        rest = b"" if chunk.endswith((b"\n", b"\r")) else lines.pop()
        found: list[bytes | None] = [self._complete(lines[0])]
        if len(chunk) > self._max:
            found += [line if len(line) <= self._max else None for line in lines[1:]]
        else:
            found += lines[1:]
        self._keep(rest)
        return found

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._size += len(piece)
        if self._size > self._max:
            self._pieces = []
        else:
            self._pieces.append(piece)

    def _complete(self, end: bytes) -> bytes | None:
        overlong = self._size + len(end) > self._max
        line = b"".join([*self._pieces, end]) if self._pieces else end
        self._pieces, self._size = [], 0
        return None if overlong else line


_BLANK = b"\n\n"


class SSEDecoder:
    """Server-sent events (WHATWG HTML, "Interpreting an event stream"): LF, CRLF, CR, BOM, comments, data over several lines, a colon
    without a space. Other than a browser it gives events that have only a name, and the last event without its blank line."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._lines = LineDecoder(max_event_bytes)
        self._max = max_event_bytes
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._first = True
        self._overlong = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        if chunk.endswith(_BLANK) and self._is_idle and b"\r" not in chunk and len(chunk) <= self._max:
            return self._whole_events(chunk)
        events: list[ServerSentEvent] = []
        for line in self._lines.feed(chunk):
            self._take(line, events)
        return events

    @property
    def _is_idle(self) -> bool:
        """Is nothing begun?"""
        return not (self._data or self._name or self._overlong or self._lines.has_begun)

    def _whole_events(self, chunk: bytes) -> list[ServerSentEvent]:
        """Those of a chunk that neither begins nor ends within one, as they mostly come: an event with one line of data is told at once."""
        events: list[ServerSentEvent] = []
        for block in chunk[: -len(_BLANK)].split(_BLANK):
            if block.startswith(b"data: ") and b"\n" not in block:
                self._first = False
                events.append(ServerSentEvent("", block[6:]))
                continue
            for line in block.split(b"\n"):
                self._take(line, events)
            self._dispatch(events)
        return events

    def flush(self) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for line in self._lines.flush():
            self._take(line, events)
        self._dispatch(events)
        return events

    def resync(self) -> None:
        self._lines.resync()
        self._name, self._data, self._size, self._first, self._overlong = b"", [], 0, False, False

    def _take(self, line: bytes | None, events: list[ServerSentEvent]) -> None:
        if line is None:
            self._overlong = True
            return
        if self._first:
            self._first = False
            line = line.removeprefix(BOM)
        if not line:
            self._dispatch(events)
        elif line.startswith(b"data"):
            self._take_data(line)
        elif line.startswith(b"event"):
            name, _, value = line.partition(b":")
            if name == b"event":
                self._name = value.removeprefix(b" ")

    def _take_data(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name != b"data":
            return
        value = value.removeprefix(b" ")
        self._size += len(value) + 1
        self._overlong = self._overlong or self._size > self._max + 1
        if not self._overlong:
            self._data.append(value)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if (self._data or self._name) and not self._overlong:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(ServerSentEvent(self._name.decode("utf-8", "replace"), data))
        self._name, self._data, self._size, self._overlong = b"", [], 0, False


class NDJSONDecoder:
    """JSON values, one a line (Ollama, batch results). Gives the lines that are not empty."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._lines = LineDecoder(max_event_bytes)

    def feed(self, chunk: bytes) -> list[bytes]:
        return self._full(self._lines.feed(chunk))

    def flush(self) -> list[bytes]:
        return self._full(self._lines.flush())

    def resync(self) -> None:
        self._lines.resync()

    @staticmethod
    def _full(lines: list[bytes | None]) -> list[bytes]:
        return [line for line in lines if line and not line.isspace()]


_OUTSIDE = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["\\]')
_ELEMENT_START = re.compile(rb"[\r\n],\s*(?=[{\[])")


class JSONArrayDecoder:
    """The elements of one JSON array as they become whole (Gemini's streamGenerateContent without `alt=sse`)."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._at = 0  # everything before is scanned
        self._depth = 0  # 1 between the elements
        self._in_string = False
        self._lost = False  # after a gap, until an element's start is seen
        self._overlong = False

    def feed(self, chunk: bytes) -> list[bytes]:
        self._buffer += chunk
        if self._lost and not self._found():
            return []
        elements: list[bytes] = []
        start = 0
        while (end := self._next_end()) is not None:
            self._emit(start, end, elements)
            start = end + 1
        self._forget(start)
        return elements

    def flush(self) -> list[bytes]:
        """What an array without its end began last (the reader sees that it is cut)."""
        rest = bytes(self._buffer).strip()
        self._buffer.clear()
        return [rest] if rest and self._depth > 0 and not self._overlong and not self._lost else []

    def resync(self) -> None:
        """Elements are found again at a comma that stands at the start of a line, as Google writes them."""
        self._buffer.clear()
        self._at, self._depth, self._in_string, self._lost, self._overlong = 0, 1, False, True, False

    def _found(self) -> bool:
        match = _ELEMENT_START.search(self._buffer)
        if match is None:
            del self._buffer[: max(0, len(self._buffer) - 64)]  # a separator may be cut
            return False
        del self._buffer[: match.end()]
        self._lost = False
        return True

    def _next_end(self) -> int | None:
        """Where the next element ends: at a comma between elements or at the array's bracket."""
        while match := (_INSIDE if self._in_string else _OUTSIDE).search(self._buffer, self._at):
            byte, self._at = self._buffer[match.start()], match.end()
            if self._in_string:
                self._leave_string(byte)
            elif byte == ord('"'):
                self._in_string = True
            elif byte in b"{[":
                self._depth += 1
                if self._depth == 1:
                    return match.start()
            elif self._closes(byte):
                return match.start()
        self._at = max(self._at, len(self._buffer))
        return None

    def _leave_string(self, byte: int) -> None:
        if byte == ord("\\"):
            self._at += 1  # the escaped byte, which may not have come yet
        else:
            self._in_string = False

    def _closes(self, byte: int) -> bool:
        if byte == ord(","):
            return self._depth == 1
        self._depth = max(0, self._depth - 1)
        return self._depth == 0

    def _emit(self, start: int, end: int, elements: list[bytes]) -> None:
        element = bytes(self._buffer[start:end]).strip().removeprefix(BOM)
        if element and not self._overlong and len(element) <= self._max:
            elements.append(element)
        self._overlong = False

    def _forget(self, start: int) -> None:
        if start:
            del self._buffer[:start]
            self._at -= start
        if len(self._buffer) > self._max:
            self._at -= len(self._buffer)
            self._buffer.clear()
            self._overlong = True
