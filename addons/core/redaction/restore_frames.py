"""The framings of streamed answers: bytes → whole events as they came, byte for byte, and an event of the same form around other JSON.

Other than `core/decoders.py`, which gives what events say, nothing is left out here: what `feed` and `rest` give back is,
joined, what they were fed. Only an event that has not ended is held, and no more than `MAX_HELD_BYTES` of it.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import orjson

from addons.core.decoders import MAX_EVENT_BYTES
from addons.core.dialects.draft import DONE
from addons.core.jsonvalues import compact

MAX_HELD_BYTES = MAX_EVENT_BYTES


class Frame(Protocol):
    """One framing, for one answer."""

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """What is to be passed unseen (of an event too long to be held), and after that the whole events that the chunk completed:
        the chunk itself where it is just that."""

    def events(self, block: bytes) -> list[bytes]:
        """The whole events, as `feed` gave them last, one by one."""

    def rest(self) -> bytes:
        """The event that has not ended, which is then forgotten."""

    def payload(self, event: bytes) -> tuple[int, bytes] | None:
        """Where an event's JSON begins, and the JSON; None where it has none."""

    def is_end(self, payload: bytes) -> bool:
        """Does this end the stream, rather than say something?"""

    def copy(self, event: bytes, value: Any) -> bytes:
        """Another event of this form, that may follow it."""


class _Pending:
    """An event that grows until its end is seen, or until it is too long: then it passes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # joined once, so that long events take linear time
        self._size = 0
        self._passing = False

    def _cut(self, chunk: bytes, first: int, last: int) -> tuple[bytes, bytes]:
        """As `feed`; the first and the last end of an event in this chunk, 0: none. The first one matters where one passes."""
        if not last:
            return self._keep(chunk), b""
        passed, block = b"", chunk if last == len(chunk) else chunk[:last]
        if self._passing:
            passed, block, self._passing = block[:first], block[first:], False
        elif self._pieces:
            block = b"".join([*self._pieces, block])
        self._pieces, self._size = [], 0
        over = self._keep(chunk[last:]) if last < len(chunk) else b""
        return (passed + block + over, b"") if over else (passed, block)

    def _keep(self, piece: bytes) -> bytes:
        """What must be passed since it is too much to be kept."""
        if self._passing:
            return piece
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size <= MAX_HELD_BYTES:
            return b""
        over = b"".join(self._pieces)
        self._pieces, self._size, self._passing = [], 0, True
        return over

    def rest(self) -> bytes:
        rest, self._pieces, self._size = b"".join(self._pieces), [], 0
        return rest


_EVENT_END = re.compile(rb"(?:\r\n|\n)(?:\r\n|\n|\r(?!\n|\Z))|\r\r\n?")
"""A blank line. A CR after an LF at the end of a chunk is not one yet: its LF is on the way."""
_DATA = re.compile(rb"(?:\A|(?<=[\r\n]))data:[ ]?([^\r\n]*)")
_TRAILING = re.compile(rb"[\r\n]+\Z")


class EventFrame(_Pending):
    """Server-sent events, each with the blank line that ends it."""

    def __init__(self) -> None:
        super().__init__()
        self._seam = b""  # the end of what is pending: an event's end may be cut

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        seam = self._seam
        window = seam + chunk if seam else chunk
        last = max(0, _last_end(window) - len(seam))
        match = _EVENT_END.search(window) if last and self._passing else None
        self._seam = (chunk[last:] if last else window)[-3:]
        return self._cut(chunk, match.end() - len(seam) if match else 0, last)

    def events(self, block: bytes) -> list[bytes]:
        return _split(block, [match.end() for match in _EVENT_END.finditer(block)])

    def payload(self, event: bytes) -> tuple[int, bytes] | None:
        lines = list(_DATA.finditer(event))
        return (lines[0].start(1), b"\n".join([line[1] for line in lines])) if lines else None

    def is_end(self, payload: bytes) -> bool:
        return payload.strip() == DONE

    def copy(self, event: bytes, value: Any) -> bytes:
        first = _DATA.search(event)
        head = event[: first.start(1)].lstrip(b"\r\n") if first else b"data: "
        end = _TRAILING.search(event)
        return head + _dump(value) + (end.group() if end else b"\n\n")


def _last_end(window: bytes) -> int:
    """Behind the last blank line; 0 where there is none."""
    ends = [
        window.rfind(b"\n\n") + 2,
        _behind_lf(window, window.rfind(b"\n\r", 0, len(window) - 1) + 2),
        _behind_lf(window, window.rfind(b"\r\r") + 2),
    ]
    return max(end if end > 1 else 0 for end in ends)


def _behind_lf(window: bytes, end: int) -> int:
    return end + 1 if end > 1 and window[end : end + 1] == b"\n" else end


class LineFrame(_Pending):
    """JSON lines, each with its line end."""

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        return self._cut(chunk, chunk.find(b"\n") + 1, chunk.rfind(b"\n") + 1)

    def events(self, block: bytes) -> list[bytes]:
        return [line + b"\n" for line in block.split(b"\n")[:-1]]

    def payload(self, event: bytes) -> tuple[int, bytes] | None:
        return (0, event) if event and not event.isspace() else None

    def is_end(self, payload: bytes) -> bool:
        return False

    def copy(self, event: bytes, value: Any) -> bytes:
        end = _TRAILING.search(event)
        return _dump(value) + (end.group() if end else b"\n")


_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|(\\?\Z))|[{}\[\]]', re.DOTALL)
"""A string, or with a group the beginning of one; a bracket."""
_LEAD = re.compile(rb"[\s,\[]*")


class ArrayFrame(_Pending):
    """The elements of one JSON array, each with the comma or bracket before it."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0  # 1 between the elements
        self._string = b""  # the quote of a string that goes on in the next chunk, and a backslash at its end
        self._closed = False
        self._ends: list[int] = []

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        ends = self._scan(chunk)
        if not ends:
            return self._cut(chunk, 0, 0)
        shift = -ends[0] if self._passing else self._size  # these ends count from the chunk, those of `events` from the block
        self._ends = [end + shift for end in ends]
        return self._cut(chunk, ends[0], ends[-1])

    def events(self, block: bytes) -> list[bytes]:
        return _split(block, self._ends)

    def payload(self, event: bytes) -> tuple[int, bytes] | None:
        match = _LEAD.match(event)
        start = match.end() if match else 0
        return (start, event[start:]) if start < len(event) else None

    def is_end(self, payload: bytes) -> bool:
        return payload.startswith(b"]")

    def copy(self, event: bytes, value: Any) -> bytes:
        return b",\r\n" + _dump(value)

    def _scan(self, chunk: bytes) -> list[int]:
        """Where elements, and the array itself, end in this chunk; what follows the array ends with the chunk."""
        if self._closed:
            return [len(chunk)]
        ends: list[int] = []
        text, before, self._string = self._string + chunk, len(self._string), b""
        for token in _TOKEN.finditer(text):
            match text[token.start() : token.start() + 1]:
                case b'"':
                    self._string = b"" if token[1] is None else b'"' + token[1]
                case b"{" | b"[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth <= 1:
                        ends.append(token.end() - before)
        self._closed = self._depth < 1 and bool(ends)
        return [*ends, len(chunk)] if self._closed else ends


def _split(block: bytes, ends: list[int]) -> list[bytes]:
    starts = [0, *ends]
    pieces = [block[start:end] for start, end in zip(starts, [*ends, len(block)], strict=True)]
    return [piece for piece in pieces if piece]


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # a number that does not fit, half a surrogate pair
        return compact(value).encode("utf-8", "replace")
