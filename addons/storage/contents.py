"""Writing what calls share: segments of bodies and messages, each stored once and found again by its hash.

Called inside the store's transaction, but for `prepare`. What is stored is never remembered: another process may delete what it
knows to be unused, so the database alone says what is there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import zstandard

from addons.core.call import Message, StoredBody
from addons.storage.segments import ZSTD_LEVEL, cut, cut_long, pack
from addons.storage.values import json_text, sql_text, sql_value

_INSERT_BODY = """
INSERT INTO bodies (call_id, kind, headers, encoding, sha256, size, truncated, redacted, segments) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND_SEGMENT = "SELECT id FROM segments WHERE hash = ?"
_INSERT_SEGMENT = "INSERT INTO segments (hash, codec, size, data) VALUES (?, ?, ?, ?)"
_FIND_MESSAGE = "SELECT id FROM messages WHERE hash = ?"
_INSERT_MESSAGE = "INSERT INTO messages (hash, parent, role, n) VALUES (?, ?, ?, ?)"
_INSERT_PART = "INSERT INTO parts (message_id, n, kind, text, data) VALUES (?, ?, ?, ?, ?)"
_INSERT_CALL_MESSAGE = "INSERT INTO call_messages (call_id, position, message_id, is_answer) VALUES (?, ?, ?, ?)"

PartRow = tuple[str, str | None, str | None]
"""kind, text, data as JSON."""


class _Piece(NamedTuple):
    """A segment to be; `packed` (codec, data) is None where it was stored already."""

    digest: bytes
    content: bytes
    packed: tuple[str, bytes] | None


class _Pieces(NamedTuple):
    sha256: str
    pieces: list[_Piece]


class Contents:
    """Writes bodies and messages over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._ready: dict[tuple[str, str], _Pieces] = {}

    def prepare(self, call_id: str, body: StoredBody) -> None:
        """Does ahead of the transaction what needs no lock: cutting, hashing, and packing what is not stored yet."""
        self._ready[call_id, body.kind] = self._pieces(body)

    def forget(self) -> None:
        """What was prepared and not added is dropped."""
        self._ready.clear()

    def add_body(self, call_id: str, body: StoredBody) -> None:
        """A body as the list of its segments."""
        pieces = self._ready.pop((call_id, body.kind), None) or self._pieces(body)
        segments = json_text([self._segment(piece) for piece in pieces.pieces])
        headers, encoding = json_text(_clean_pairs(body)), sql_value(body.encoding)
        row = (call_id, body.kind, headers, encoding, pieces.sha256, sql_value(body.size), body.truncated, body.redacted, segments)
        self._connection.execute(_INSERT_BODY, row)

    def add_messages(self, call_id: str, messages: Sequence[Message], answers: int) -> None:
        """The messages of a call, the last `answers` of them its answer. Several answers (n > 1) all follow the same request."""
        first_answer = len(messages) - answers
        rows = []
        parent: tuple[int, bytes, int] | None = None
        for position, message in enumerate(messages):
            is_answer = position >= first_answer
            stored = self._message(message, None if message.role == "system" else parent)
            rows.append((call_id, position, stored[0], is_answer))
            if message.role != "system" and not is_answer:
                parent = stored
        self._connection.executemany(_INSERT_CALL_MESSAGE, rows)

    def _pieces(self, body: StoredBody) -> _Pieces:
        """Only requests repeat each other, so only they are cut at messages."""
        pieces = []
        for content in cut(body.content) if body.kind == "request" else cut_long(body.content):
            digest = sha256(content).digest()
            known = self._connection.execute(_FIND_SEGMENT, (digest,)).fetchone()
            pieces.append(_Piece(digest, content, None if known else pack(content, self._compressor)))
        return _Pieces(sha256(body.content).hexdigest(), pieces)

    def _segment(self, piece: _Piece) -> int:
        """Asked once more under the lock: another process may have stored it or taken it away meanwhile."""
        found = self._connection.execute(_FIND_SEGMENT, (piece.digest,)).fetchone()
        if found:
            return int(found[0])
        codec, data = piece.packed or pack(piece.content, self._compressor)
        return self._insert(_INSERT_SEGMENT, (piece.digest, codec, len(piece.content), data))

    def _message(self, message: Message, parent: tuple[int, bytes, int] | None) -> tuple[int, bytes, int]:
        """(id, hash, place in its chain from 1). A message's hash covers all that went before it.

        System messages stand outside the chain: coding agents write the date or a per-call token into theirs, which would
        make the whole history new with every call.
        """
        parent_id, parent_hash, parent_n = parent or (None, b"", 0)
        parts = [_part_row(part.kind, part.text, part.data) for part in message.parts]
        digest = sha256(parent_hash + json_text([message.role, parts]).encode()).digest()
        found = self._connection.execute(_FIND_MESSAGE, (digest,)).fetchone()
        if found:
            return int(found[0]), digest, parent_n + 1
        message_id = self._insert(_INSERT_MESSAGE, (digest, parent_id, sql_text(message.role), parent_n + 1))
        self._connection.executemany(_INSERT_PART, [(message_id, n, *part) for n, part in enumerate(parts)])
        return message_id, digest, parent_n + 1

    def _insert(self, statement: str, row: tuple[object, ...]) -> int:
        inserted = self._connection.execute(statement, row).lastrowid
        if inserted is None:
            raise sqlite3.InternalError("an insert gave no rowid")
        return inserted


def _part_row(kind: str, text: str | None, data: dict[str, object] | None) -> PartRow:
    return kind, None if text is None else sql_text(text), None if data is None else json_text(data)


def _clean_pairs(body: StoredBody) -> list[tuple[str, str]]:
    return [(sql_text(name), sql_text(value)) for name, value in body.headers]
