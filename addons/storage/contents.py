"""Writing what calls share: segments of bodies and messages, each stored once and found again by its hash.

    prepare(call) ──► find: which hashes are stored already, a batch at a time, before the lock ──► add: number and insert, under it

Ids that were found or given are remembered (the latest of them), so that a history which is sent again is not looked up again; but not
when another connection has written meanwhile: it may have stored the same, or deleted what it knows to be unused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice

import zstandard

from addons.storage.manyrows import Insert
from addons.storage.prepared import Prepared
from addons.storage.segments import ZSTD_LEVEL, pack
from addons.storage.values import json_text

REMEMBERED = 10_000
"""Ids of segments, and as many of messages: about 2 MB each."""

LOOKED_UP = (64, 8, 1)
"""Hashes per statement, whose few texts the connection keeps compiled."""

_insert_segments = Insert("segments", ("id", "hash", "codec", "size", "data"))
_insert_bodies = Insert("bodies", ("call_id", "kind", "headers", "encoding", "sha256", "size", "truncated", "redacted", "segments"))
_insert_messages = Insert("messages", ("id", "hash", "parent", "role", "n"))
_insert_parts = Insert("parts", ("message_id", "n", "kind", "text", "data"))
"""By as few statements as can be: the words of all that one inserts are a piece of the search's index, since a trigger adds them, and
FTS5 writes out what it has gathered before each statement that has one."""

_insert_uses = Insert("call_messages", ("call_id", "position", "message_id", "is_answer"))

Rows = list[tuple[object, ...]]


class Ids:
    """hash → id within one table, and the ids of what is new there."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection = connection
        self._last = f"SELECT coalesce(max(id), 0) FROM {table}"
        self._select = {size: f"SELECT hash, id FROM {table} WHERE hash IN (?{', ?' * (size - 1)})" for size in LOOKED_UP}
        self._known: dict[bytes, int] = {}
        self._missing: set[bytes] = set()

    def find(self, digests: Iterable[bytes]) -> list[bytes]:
        """Looks up what is neither known nor known to be missing. Gives what is found to be missing."""
        known, missing = self._known, self._missing
        unknown = list(dict.fromkeys([digest for digest in digests if digest not in known and digest not in missing]))
        start = 0
        for size, select in self._select.items():
            while len(unknown) - start >= size:
                known.update(self._connection.execute(select, unknown[start : start + size]))
                start += size
        found = [digest for digest in unknown if digest not in known]
        missing.update(found)
        return found

    def get(self, digest: bytes) -> int | None:
        """The id of what is stored; None for what is not, or was not looked up."""
        return self._known.get(digest)

    def numbers(self) -> Iterator[int]:
        """The ids of new rows, as SQLite would give them; under the lock."""
        [last] = self._connection.execute(self._last).fetchone()
        return count(int(last) + 1)

    def stored(self, digest: bytes, number: int) -> None:
        """It is from now on."""
        self._known[digest] = number

    def doubt(self) -> None:
        """Another connection has written, or a transaction was taken back, with what it had stored: all is looked up again."""
        self._known.clear()
        self._missing.clear()

    def forget(self) -> None:
        """At a batch's end: what is missing may be stored by anyone now, and of the ids only the latest are remembered."""
        self._missing.clear()
        for digest in list(islice(self._known, max(0, len(self._known) - REMEMBERED))):
            del self._known[digest]


class Contents:
    """Writes bodies and messages over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._segments, self._messages = Ids(connection, "segments"), Ids(connection, "messages")
        self._packed: dict[bytes, tuple[str, bytes]] = {}
        self._version = 0

    def find(self, calls: Sequence[Prepared]) -> None:
        """Looks up what of them is stored, and packs what is not. Ahead of the transaction, where no lock is held; again within it, when
        only what has come into doubt since is looked up."""
        self._check()
        pieces: dict[bytes, bytes] = {}
        for call in calls:
            for body in call.bodies:
                pieces.update(body.pieces)
        self._messages.find([said.digest for call in calls for said in call.chain])
        for digest in self._segments.find(pieces):
            self._packed[digest] = pack(pieces[digest], self._compressor)

    def doubt(self) -> None:
        """A transaction was taken back: nothing that was found or given counts any more."""
        self._segments.doubt()
        self._messages.doubt()

    def forget(self) -> None:
        """At a batch's end."""
        self._segments.forget()
        self._messages.forget()
        self._packed.clear()

    def add(self, calls: Sequence[Prepared]) -> None:
        """Inserts bodies and messages of new calls, all of a table at once. Within a transaction, after `find`."""
        self._add_bodies(calls)
        self._add_messages(calls)

    def _check(self) -> None:
        [version] = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self.doubt()
        self._version = version

    def _add_bodies(self, calls: Sequence[Prepared]) -> None:
        segments: Rows = []
        bodies: Rows = []
        numbers, known = self._segments.numbers(), self._segments
        for call in calls:
            for body in call.bodies:
                ids = []
                for digest, content in body.pieces:
                    number = known.get(digest)
                    if number is None:
                        number = next(numbers)
                        segments.append((number, digest, self._packed[digest][0], len(content), self._packed[digest][1]))
                        known.stored(digest, number)
                    ids.append(number)
                bodies.append((*body.row, json_text(ids)))
        _insert_segments(self._connection, segments)
        _insert_bodies(self._connection, bodies)

    def _add_messages(self, calls: Sequence[Prepared]) -> None:
        messages: Rows = []
        parts: Rows = []
        uses: Rows = []
        numbers, known = self._messages.numbers(), self._messages
        for call in calls:
            ids: list[int] = []
            for position, said in enumerate(call.chain):
                number = known.get(said.digest)
                if number is None:
                    number = next(numbers)
                    messages.append((number, said.digest, None if said.parent is None else ids[said.parent], said.role, said.n))
                    parts += [(number, n, *part) for n, part in enumerate(said.parts)]
                    known.stored(said.digest, number)
                ids.append(number)
                uses.append((call.id, position, number, said.is_answer))
        _insert_messages(self._connection, messages)
        _insert_parts(self._connection, parts)
        _insert_uses(self._connection, uses)
