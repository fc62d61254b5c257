"""The binary framing of AWS streams (`application/vnd.amazon.eventstream`): bytes → messages, checksums verified.

    4 bytes total length | 4 bytes headers' length | 4 bytes CRC-32 of these 8 | headers | payload | 4 bytes CRC-32 of all before

A header is: 1 byte length of the name | name | 1 byte type | value (2 bytes length before strings and bytes).

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import re
from binascii import crc32
from typing import NamedTuple

PRELUDE_BYTES = 12
TRAILER_BYTES = 4
MIN_BYTES = PRELUDE_BYTES + TRAILER_BYTES
MAX_MESSAGE_BYTES = 16 * 1024 * 1024 - 1  # what a payload may be by the specification; a body that is kept is no longer

_PRELUDE = re.compile(rb"\0(?!\0\0[\0-\x0f])[\0-\xff]{3}\0[\0-\x02][\0-\xff]{6}", re.DOTALL)
"""What may be one: 16 bytes to 16 MiB in all, up to 128 KiB of headers. A search by it is fast over whatever is none."""

STRING_TYPE = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # bytes of a value by its type; 6 and 7 have a length of their own


class Message(NamedTuple):
    """One message: its string headers (`:message-type`, `:event-type`, `:exception-type` …) and its payload."""

    headers: dict[str, str]
    payload: bytes

    @property
    def kind(self) -> str:
        """`:event-type` of an event, `:exception-type` of an exception, "" of what has neither."""
        return self.headers.get(":event-type") or self.headers.get(":exception-type") or ""

    @property
    def failed(self) -> bool:
        """Is it an error or exception in place of an event?"""
        return self.headers.get(":message-type") in ("exception", "error")


class EventStreamDecoder:
    """As the decoders of `core/decoders.py`: feed, flush, resync. A message whose checksum is wrong is left out; where the lengths
    themselves are damaged the next message is searched for by its own prelude's checksum."""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max = max_message_bytes
        self._buffer = bytearray()
        self._at = 0  # where the next message is searched for
        self._skip = 0  # bytes that are still to come of a message that is too long to keep

    def feed(self, chunk: bytes) -> list[Message]:
        dropped = min(self._skip, len(chunk))
        self._skip -= dropped
        self._buffer += chunk[dropped:] if dropped else chunk
        found: list[Message] = []
        while (length := self._length()) is not None:
            if length > self._max:
                self._drop(length)
                continue
            if len(self._buffer) - self._at < length:
                break
            message = _message(bytes(self._buffer[self._at : self._at + length]))
            self._at += length
            if message is not None:
                found.append(message)
        del self._buffer[: self._at]
        self._at = 0
        return found

    def flush(self) -> list[Message]:
        """Nothing: a message without its end has no checksum."""
        self._buffer.clear()
        self._at = self._skip = 0
        return []

    def resync(self) -> None:
        self.flush()

    def _length(self) -> int | None:
        """The length of the message that begins at or after `_at`, which moves there; None when more bytes are needed."""
        while match := _PRELUDE.search(self._buffer, self._at):
            prelude, self._at = match[0], match.start()
            length, headers = int.from_bytes(prelude[:4]), int.from_bytes(prelude[4:8])
            if MIN_BYTES + headers <= length and crc32(prelude[:8]) == int.from_bytes(prelude[8:]):
                return length
            self._at += 1
        self._at = max(self._at, len(self._buffer) - PRELUDE_BYTES + 1)  # a prelude may have begun
        return None

    def _drop(self, length: int) -> None:
        here = len(self._buffer) - self._at
        self._skip = max(0, length - here)
        self._at += min(here, length)


def _message(data: bytes) -> Message | None:
    if crc32(data[:-TRAILER_BYTES]) != int.from_bytes(data[-TRAILER_BYTES:]):
        return None
    end = PRELUDE_BYTES + int.from_bytes(data[4:8])
    return Message(_headers(data[PRELUDE_BYTES:end]), data[end:-TRAILER_BYTES])


def _headers(data: bytes) -> dict[str, str]:
    """Name and value of the string headers; what stands behind a broken one is left out."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        if name_end >= len(data):
            break
        name, kind = data[at + 1 : name_end].decode("utf-8", "replace"), data[name_end]
        at = name_end + 1
        if kind in (6, STRING_TYPE):
            size = int.from_bytes(data[at : at + 2])
            at += 2
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            break
        if kind == STRING_TYPE:
            found[name] = data[at : at + size].decode("utf-8", "replace")
        at += size
    return found
