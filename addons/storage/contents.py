"""Writing what calls share: segments of bodies and messages, each stored once and found again by its hash.

Called inside the store's transaction, but for `prepare`, which looks up ahead of it what is there already. Nothing of that is
remembered beyond the batch, nor when another connection has written meanwhile: it may have stored the same, or deleted what it knows
to be unused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import zstandard

from addons.core.call import Message, StoredBody, StoredCall
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


class _Said(NamedTuple):
    """A message to be. `parent`: which of the call's messages it follows; `n`: its place in its chain, from 1."""

    digest: bytes
    parent: int | None
    n: int
    role: str
    parts: list[PartRow]
    is_answer: bool


class Contents:
    """Writes bodies and messages over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._ready: dict[tuple[str, str], _Pieces] = {}
        self._chains: dict[str, list[_Said]] = {}
        self._found: dict[tuple[str, bytes], int | None] = {}
        self._version = 0

    def prepare(self, call: StoredCall) -> None:
        """Does ahead of the transaction what needs no lock: cutting, hashing, packing what is not stored yet, and finding what is."""
        call_id = str(call.row["id"])
        self.check()
        for body in call.bodies:
            self._ready[call_id, body.kind] = self._pieces(body)
        self._chains[call_id] = chain = chained(call.messages, call.answers)
        for said in chain:
            self._look_up(_FIND_MESSAGE, said.digest)

    def check(self) -> None:
        """Drops what was found, where another connection has written since; asked when a transaction begins."""
        [version] = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self.doubt()
        self._version = version

    def doubt(self) -> None:
        """What was found is looked up again; asked when a transaction is taken back, with what it had stored."""
        self._found.clear()

    def forget(self) -> None:
        """What was prepared and not added is dropped."""
        self._ready.clear()
        self._chains.clear()
        self._found.clear()

    def add_body(self, call_id: str, body: StoredBody) -> None:
        """A body as the list of its segments."""
        pieces = self._ready.pop((call_id, body.kind), None) or self._pieces(body)
        segments = json_text([self._segment(piece) for piece in pieces.pieces])
        headers, encoding = json_text(_clean_pairs(body)), sql_value(body.encoding)
        row = (call_id, body.kind, headers, encoding, pieces.sha256, sql_value(body.size), body.truncated, body.redacted, segments)
        self._connection.execute(_INSERT_BODY, row)

    def add_messages(self, call_id: str, messages: Sequence[Message], answers: int) -> None:
        """The messages of a call, the last `answers` of them its answer. Several answers (n > 1) all follow the same request."""
        chain = self._chains.pop(call_id, None) or chained(messages, answers)
        ids: list[int] = []
        for said in chain:
            ids.append(self._message(said, None if said.parent is None else ids[said.parent]))
        rows = [(call_id, position, ids[position], said.is_answer) for position, said in enumerate(chain)]
        self._connection.executemany(_INSERT_CALL_MESSAGE, rows)

    def _pieces(self, body: StoredBody) -> _Pieces:
        """Only requests repeat each other, so only they are cut at messages."""
        pieces = []
        for content in cut(body.content) if body.kind == "request" else cut_long(body.content):
            digest = sha256(content).digest()
            known = self._look_up(_FIND_SEGMENT, digest)
            pieces.append(_Piece(digest, content, pack(content, self._compressor) if known is None else None))
        return _Pieces(sha256(body.content).hexdigest(), pieces)

    def _look_up(self, statement: str, digest: bytes) -> int | None:
        """The id of what has this hash; None where nothing has it."""
        key = (statement, digest)
        if key not in self._found:
            found = self._connection.execute(statement, (digest,)).fetchone()
            self._found[key] = found and int(found[0])
        return self._found[key]

    def _segment(self, piece: _Piece) -> int:
        known = self._look_up(_FIND_SEGMENT, piece.digest)
        if known is not None:
            return known
        codec, data = piece.packed or pack(piece.content, self._compressor)
        stored = self._insert(_INSERT_SEGMENT, (piece.digest, codec, len(piece.content), data))
        self._found[_FIND_SEGMENT, piece.digest] = stored
        return stored

    def _message(self, said: _Said, parent_id: int | None) -> int:
        known = self._look_up(_FIND_MESSAGE, said.digest)
        if known is not None:
            return known
        stored = self._insert(_INSERT_MESSAGE, (said.digest, parent_id, sql_text(said.role), said.n))
        self._found[_FIND_MESSAGE, said.digest] = stored
        self._connection.executemany(_INSERT_PART, [(stored, n, *part) for n, part in enumerate(said.parts)])
        return stored

    def _insert(self, statement: str, row: tuple[object, ...]) -> int:
        inserted = self._connection.execute(statement, row).lastrowid
        if inserted is None:
            raise sqlite3.InternalError("an insert gave no rowid")
        return inserted


def chained(messages: Sequence[Message], answers: int) -> list[_Said]:
    """The messages of a call with their hashes; a message's hash covers all that went before it.

    System messages stand outside the chain: coding agents write the date or a per-call token into theirs, which would
    make the whole history new with every call.
    """
    first_answer = len(messages) - answers
    chain: list[_Said] = []
    last: int | None = None
    for position, message in enumerate(messages):
        is_answer, is_system = position >= first_answer, message.role == "system"
        parent = None if is_system else last
        before, n = (b"", 0) if parent is None else (chain[parent].digest, chain[parent].n)
        parts = [_part_row(part.kind, part.text, part.data) for part in message.parts]
        digest = sha256(before + json_text([message.role, parts]).encode()).digest()
        chain.append(_Said(digest, parent, n + 1, message.role, parts, is_answer))
        if not is_system and not is_answer:
            last = position
    return chain


def _part_row(kind: str, text: str | None, data: dict[str, object] | None) -> PartRow:
    return kind, None if text is None else sql_text(text), None if data is None else json_text(data)


def _clean_pairs(body: StoredBody) -> list[tuple[str, str]]:
    return [(sql_text(name), sql_text(value)) for name, value in body.headers]
