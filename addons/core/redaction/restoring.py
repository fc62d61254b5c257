"""The secrets come back into the answer: whole JSON bodies, and streams event by event, as they pass.

    restore_body(api, content, pairs, mode)              -> bytes; the very same object where nothing was to be restored
    stream_restorer(api, content_type, pairs, mode)      -> Restorer: feed, flush; None where there is nothing to do

Bodies come content-decoded. A chunk without a placeholder, or the beginning of one at the end of a text, passes as it is;
only an event that has not ended is held. A placeholder may be cut over any number of events (`restore_lanes`). One that is
not among the pairs stays. Nothing here raises because of what a body holds: what cannot be read passes.
"""

from __future__ import annotations

from typing import Protocol

from addons.core.decoders import BOM
from addons.core.dialects.reader import LINE_TYPES, SSE_STARTS
from addons.core.jsonvalues import parse
from addons.core.redaction.restore_dialects import OTHER, STREAMS
from addons.core.redaction.restore_frames import MAX_HELD_BYTES, ArrayFrame, EventFrame, Frame, LineFrame
from addons.core.redaction.restore_lanes import Changes, Lanes, restored_strings
from addons.core.redaction.restore_text import Restorable
from addons.core.redaction.restore_values import JsonText, Mode

_BINARY = ("image/", "audio/", "video/", "application/octet-stream", "application/vnd.amazon.eventstream", "application/pdf")
_LINE_APIS = frozenset(("ollama.chat", "ollama.generate"))
_ARRAY_APIS = frozenset(("gemini.generate",))


class Restorer(Protocol):
    """One answer. What `feed` and `flush` give is for the client; it may be empty."""

    def feed(self, chunk: bytes) -> bytes: ...

    def flush(self) -> bytes:
        """What was held when the stream ended, wherever it broke off."""


def restore_body(api: str, content: bytes, pairs: Restorable, mode: Mode) -> bytes:
    """A whole JSON answer, of any API (where a string stands says what it is), with its placeholders restored."""
    if mode == "off" or not pairs or not pairs.within(content):
        return content
    text = JsonText.read(content, content)
    if text is None:
        return content
    changes: Changes = {number: new for number, _, new in restored_strings(text, pairs, mode)}
    return text.changed(changes) if changes else content


def stream_restorer(api: str, content_type: str | None, pairs: Restorable, mode: Mode) -> Restorer | None:
    """What the answer goes through, chunk by chunk. What it is made of is seen in its first byte, not believed of its header."""
    kind = (content_type or "").strip().lower()
    if mode == "off" or not pairs or kind.startswith(_BINARY):
        return None
    return _Sniffing(api, kind, pairs, mode)


class _Sniffing:
    """Passes the space before the first byte that says what this is, then leaves all to the one for that."""

    def __init__(self, api: str, content_type: str, pairs: Restorable, mode: Mode) -> None:
        self._api = api
        self._type = content_type
        self._pairs = pairs
        self._mode: Mode = mode
        self._start = b""  # of a byte order mark
        self._chosen: Restorer | None = None

    def feed(self, chunk: bytes) -> bytes:
        if self._chosen is not None:
            return self._chosen.feed(chunk)
        text = self._start + chunk
        if len(text) < len(BOM) and BOM.startswith(text):
            self._start = text
            return b""
        self._start = b""
        body = text.removeprefix(BOM).lstrip()
        if not body:
            return text
        self._chosen = self._choose(body[:1])
        space = text[: len(text) - len(body)]
        return space + self._chosen.feed(body) if space else self._chosen.feed(body)

    def flush(self) -> bytes:
        return self._chosen.flush() if self._chosen is not None else self._start

    def _choose(self, first: bytes) -> Restorer:
        if first == b"{":
            by_lines = self._api in _LINE_APIS or any(kind in self._type for kind in LINE_TYPES)
            return _FirstLine(self._stream(LineFrame()), self._whole()) if by_lines else self._whole()
        if first == b"[":
            return self._stream(ArrayFrame()) if self._api in _ARRAY_APIS else self._whole()
        if "event-stream" in self._type or first in SSE_STARTS:
            return self._stream(EventFrame())
        return _Passing()

    def _stream(self, frame: Frame) -> _Stream:
        lanes = Lanes(STREAMS.get(self._api, OTHER), frame, self._pairs, self._mode)
        return _Stream(frame, lanes, self._pairs)

    def _whole(self) -> _Whole:
        return _Whole(self._api, self._pairs, self._mode)


class _Stream:
    """Events, as they become whole."""

    def __init__(self, frame: Frame, lanes: Lanes, pairs: Restorable) -> None:
        self._frame = frame
        self._lanes = lanes
        self._hot = pairs.hot

    def feed(self, chunk: bytes) -> bytes:
        passed, block = self._frame.feed(chunk)
        if block and (self._lanes.held or self._hot(block)):
            block = b"".join([self._restored(event) for event in self._frame.events(block)])
        return passed + block if passed else block

    def _restored(self, event: bytes) -> bytes:
        return self._lanes.restore(event) if self._lanes.held or self._hot(event) else event

    def flush(self) -> bytes:
        rest = self._frame.rest()
        return (self._lanes.restore(rest, last=True) if rest else b"") + self._lanes.close()


class _Whole:
    """One JSON value, restored when it has ended; a client can make nothing of half of it. A very long one passes as it is."""

    def __init__(self, api: str, pairs: Restorable, mode: Mode) -> None:
        self._api = api
        self._pairs = pairs
        self._mode: Mode = mode
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        if self._size <= MAX_HELD_BYTES:
            self._pieces.append(chunk)
            return b""
        held, self._pieces = self._pieces, []
        return b"".join([*held, chunk])

    def flush(self) -> bytes:
        content, self._pieces = b"".join(self._pieces), []
        return restore_body(self._api, content, self._pairs, self._mode)


class _FirstLine:
    """JSON lines, unless the first line is no JSON value: then one value over several lines."""

    def __init__(self, lines: Restorer, whole: Restorer) -> None:
        self._lines = lines
        self._whole = whole
        self._start: list[bytes] = []
        self._size = 0
        self._chosen: Restorer | None = None

    def feed(self, chunk: bytes) -> bytes:
        if self._chosen is not None:
            return self._chosen.feed(chunk)
        self._start.append(chunk)
        self._size += len(chunk)
        if b"\n" not in chunk and self._size <= MAX_HELD_BYTES:
            return b""
        return self._choose()

    def _choose(self) -> bytes:
        start, self._start = b"".join(self._start), []
        line, end, _ = start.partition(b"\n")
        self._chosen = self._whole if end and parse(line) is None else self._lines
        return self._chosen.feed(start)

    def flush(self) -> bytes:
        begun = self._choose() if self._chosen is None else b""
        return begun + (self._chosen or self._lines).flush()


class _Passing:
    """No JSON."""

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def flush(self) -> bytes:
        return b""
