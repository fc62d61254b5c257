"""Bytes of an answer → events → a draft → the reading. What the body is made of is seen in its first byte, not believed of its header:
streams come labelled `application/json`, and JSON errors labelled `text/event-stream`."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from addons.core.call import AnswerReading
from addons.core.decoders import BOM, JSONArrayDecoder, NDJSONDecoder, SSEDecoder
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.errors import FIRST_ERROR_STATUS, status_error
from addons.core.eventstream import EventStreamDecoder
from addons.core.jsonvalues import objects, parse, parse_cut, tail_values

LINE_TYPES = ("ndjson", "jsonl", "json-lines", "stream+json", "json-seq")
SSE_STARTS = b":deir"  # first bytes of a comment and of the fields data, event, id, retry


class _Framing(Protocol):
    def feed(self, chunk: bytes, draft: AnswerDraft) -> None: ...

    def resume(self) -> None: ...

    def finish(self, draft: AnswerDraft, status: int | None) -> None: ...


class _Events:
    """A stream of server-sent events."""

    def __init__(self) -> None:
        self._decoder = SSEDecoder()

    def feed(self, chunk: bytes, draft: AnswerDraft) -> None:
        for name, data in self._decoder.feed(chunk):
            if data:
                draft.take(name, data)

    def resume(self) -> None:
        self._decoder.resync()

    def finish(self, draft: AnswerDraft, status: int | None) -> None:
        for name, data in self._decoder.flush():
            if data:
                draft.take(name, data)


class _Records:
    """A stream of JSON values without names: lines, or the elements of an array."""

    def __init__(self, decoder: NDJSONDecoder | JSONArrayDecoder) -> None:
        self._decoder = decoder

    def feed(self, chunk: bytes, draft: AnswerDraft) -> None:
        for data in self._decoder.feed(chunk):
            draft.take("", data)

    def resume(self) -> None:
        self._decoder.resync()

    def finish(self, draft: AnswerDraft, status: int | None) -> None:
        for data in self._decoder.flush():
            draft.take("", data)


class _Messages:
    """The messages of a WebSocket session, one a feed. A missing one takes nothing away but itself."""

    def feed(self, chunk: bytes, draft: AnswerDraft) -> None:
        if chunk:
            draft.take("", chunk)

    def resume(self) -> None:
        """Nothing is begun between messages."""

    def finish(self, draft: AnswerDraft, status: int | None) -> None:
        """Nothing is left over."""


class _Frames:
    """AWS's binary frames."""

    def __init__(self) -> None:
        self._decoder = EventStreamDecoder()

    def feed(self, chunk: bytes, draft: AnswerDraft) -> None:
        for frame in self._decoder.feed(chunk):
            if frame.failed:
                draft.on_failure(frame.kind, frame.payload)
            else:
                draft.take(frame.kind, frame.payload)

    def resume(self) -> None:
        self._decoder.resync()

    def finish(self, draft: AnswerDraft, status: int | None) -> None:
        self._decoder.flush()


class _Lines(_Records):
    """JSON lines, unless the first line is no JSON value: then one value over several lines, read at the end."""

    def __init__(self) -> None:
        super().__init__(NDJSONDecoder())
        self._whole: _Whole | None = None
        self._start: list[bytes] | None = []

    def feed(self, chunk: bytes, draft: AnswerDraft) -> None:
        if self._whole is not None:
            self._whole.feed(chunk, draft)
        elif self._start is None:
            super().feed(chunk, draft)
        else:
            self._start.append(chunk)
            if b"\n" in chunk:
                self._choose(b"".join(self._start), draft)

    def _choose(self, start: bytes, draft: AnswerDraft) -> None:
        self._start = None
        if parse(start.partition(b"\n")[0]) is None:
            self._whole = _Whole()
        self.feed(start, draft)

    def resume(self) -> None:
        super().resume()
        self._settle()
        if self._whole is not None:
            self._whole.resume()

    def _settle(self) -> None:
        """No line end came: one value on one line."""
        if self._start is not None:
            self._whole = _Whole([self._start])
            self._start = None

    def finish(self, draft: AnswerDraft, status: int | None) -> None:
        self._settle()
        if self._whole is not None:
            self._whole.finish(draft, status)
        else:
            super().finish(draft, status)


class _Whole:
    """One JSON value (or a page of something else), read when it has ended. A missing middle leaves what stands before it, and the
    values at the end that matter (`tail_keys`)."""

    def __init__(self, pieces: list[list[bytes]] | None = None) -> None:
        self._pieces = pieces or [[]]

    def feed(self, chunk: bytes, draft: AnswerDraft) -> None:
        self._pieces[-1].append(chunk)

    def resume(self) -> None:
        self._pieces.append([])

    def finish(self, draft: AnswerDraft, status: int | None) -> None:
        head, *rest = [b"".join(piece) for piece in self._pieces]
        content = draft.relevant(head)
        value = None if rest else parse(content)
        draft.finished = value is not None
        if value is None:
            value = parse_cut(content)
        for found in [value] if isinstance(value, dict) else objects(value):
            draft.on_body(found)
        if rest:
            draft.on_body(tail_values(rest[-1], draft.tail_keys))
        if status is not None and status >= FIRST_ERROR_STATUS and not (draft.error or draft.error_type):
            draft.error_type, draft.error = status_error(value, head)


@lru_cache(256)
def _is_lines(content_type: str) -> bool:
    return any(kind in content_type for kind in LINE_TYPES)


class AnswerReader:
    """Reads one answer: `feed` once per chunk taken from the wire (content-decoded), `resume` where bytes are missing, then `finish`.
    Never raises, whatever the bytes are."""

    def __init__(self, draft: AnswerDraft, content_type: str | None, status: int | None, session: bool = False) -> None:
        """`session`: what is fed are whole messages of a WebSocket, one a feed."""
        self._draft = draft
        self._type = (content_type or "").lower()
        self._status = status
        self._framing: _Framing | None = _Messages() if session else None
        self._start = b""
        self._fed = -1
        self._first_content: int | None = None

    def feed(self, chunk: bytes) -> None:
        self._fed += 1
        if self._framing is None:
            chunk = self._sniff(chunk)
        if self._framing is None:
            return
        self._framing.feed(chunk, self._draft)
        if self._first_content is None and self._draft.has_content:
            self._first_content = self._fed

    def resume(self) -> None:
        if self._framing is not None:
            self._framing.resume()

    def finish(self) -> AnswerReading:
        framing = self._framing or _Whole()
        framing.finish(self._draft, self._status)
        self._draft.on_end()
        if self._first_content is None and self._draft.has_content:
            self._first_content = max(self._fed, 0)
        return self._draft.reading(self._first_content)

    @property
    def has_begun(self) -> bool:
        """Is it known which of the chunks fed so far held the first content?"""
        return self._first_content is not None

    @property
    def has_content(self) -> bool:
        """Has any text, reasoning or tool call come so far?"""
        return self._draft.has_content

    @property
    def error(self) -> tuple[str | None, str | None]:
        """Type and text of the error that has come so far."""
        return self._draft.error_type, self._draft.error

    def _sniff(self, chunk: bytes) -> bytes:
        """Chooses the framing at the first byte that is no space; gives all that came so far."""
        self._start += chunk
        if len(self._start) < len(BOM) and BOM.startswith(self._start):
            return b""
        first = self._start.removeprefix(BOM).lstrip()[:1]
        if first:
            self._framing = self._choose(first)
        return self._start

    def _choose(self, first: bytes) -> _Framing:
        if first == b"\0":  # the length of a first frame under 16 MiB
            return _Frames()
        if first == b"{":
            return _Lines() if self._draft.lines or _is_lines(self._type) else _Whole()
        if first == b"[":
            return _Records(JSONArrayDecoder()) if self._draft.array and not self._failed else _Whole()
        if "event-stream" in self._type or (first in SSE_STARTS and not self._failed):
            return _Events()
        return _Whole()

    @property
    def _failed(self) -> bool:
        return self._status is not None and self._status >= FIRST_ERROR_STATUS
