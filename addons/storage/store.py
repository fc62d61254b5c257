"""The one that writes `turnpike.db`: batches of calls, each batch one transaction."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from addons.core.call import SqlValue, StoredBody, StoredCall
from addons.storage.contents import Contents
from addons.storage.database import StorageFailure, open_writer
from addons.storage.fulltext import merge_some
from addons.storage.manyrows import Insert
from addons.storage.prepared import ATTEMPT_COLUMNS, Prepared, attempt_row, prepare
from addons.storage.reading import read_body, read_call
from addons.storage.values import iso_time, json_text, sql_value, sql_values

logger = logging.getLogger(__name__)

_PRIMARY_CODE = 0xFF
_IN_THE_WAY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
"""SQLite's primary result codes (https://www.sqlite.org/rescode.html) that tell of the disk, not of what is written."""

WAL_PAGES_MAX = 16_384
"""Of 4 KiB, 64 MiB in all (as `journal_size_limit`): where nobody calls `checkpoint`, SQLite does it itself then, inside a commit."""

CACHE_KIB = 16 * 1024
"""Each call touches pages all over the indexes of hashes: with SQLite's 2 MiB most of them would be read anew."""

_STORED = "SELECT id FROM calls WHERE id IN (SELECT value FROM json_each(?))"
_insert_attempts = Insert("attempts", ("call_id", *ATTEMPT_COLUMNS))
_INSERT_REDACTION = 'INSERT INTO redactions (call_id, rule, "where", action) VALUES (?, ?, ?, ?)'
_INSERT_TIMINGS = "INSERT INTO stream_timings (call_id, deltas_ms) VALUES (?, ?)"
_UPSERT_TLS_FAILURE = """
INSERT INTO tls_failures (client, host, reason, fix, count, first_at, last_at) VALUES (:client, :host, :reason, :fix, 1, :at, :at)
ON CONFLICT (client, host, reason) DO UPDATE SET count = count + 1, last_at = :at, fix = :fix
"""


class Store:
    """Owns the writing connection; used from the thread that made it.

    Storing is idempotent per call id: a call that is already there is left as it is, with all that belongs to it.
    Methods that write raise StorageFailure when the disk or a lock is in the way; the same write may be tried again.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates the database. Raises StoreError when that cannot be."""
        self.path = path
        self._connection = open_writer(path)
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}")
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._inode = path.stat().st_ino
        self._contents = Contents(self._connection)
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(calls)")]
        self._columns = [name for name in columns if name not in ("stored_at", "pinned")]
        self._insert_calls = Insert("calls", (*self._columns, "stored_at"))
        self._started_at, self._ts_ms, self._conversation = map(self._columns.index, ("started_at", "ts_ms", "conversation_id"))
        self._ready: dict[int, Prepared] = {}  # by identity, which none else has while it is held here: two calls may have the same id

    def close(self) -> None:
        """Leaves all in the file itself, also where a reader (Datasette) has it open, so that a copy of it alone is whole."""
        with suppress(sqlite3.Error):  # nothing is lost if it can't: the WAL keeps it
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._connection.close()

    def checkpoint(self) -> None:
        """Moves what is in the WAL into the file, as far as readers let it. Raises StorageFailure."""
        with _failures():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def merge_text(self) -> bool:
        """See fulltext.merge_some. Raises StorageFailure."""
        with _failures():
            return merge_some(self._connection)

    @property
    def replaced(self) -> bool:
        """Was the file deleted or exchanged under us? What is written then would go nowhere."""
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    def prepare(self, calls: Sequence[StoredCall]) -> None:
        """Does some of `write`'s work for calls of the next batch ahead of it, without a lock; for those that it was done for it is not
        done again. A call that cannot be prepared is told of when it is written."""
        for call in calls:
            if id(call) not in self._ready:
                try:
                    self._prepared(call)
                except Exception as error:  # a poisoned value: `write` meets it again
                    logger.debug("call %s is not prepared: %s", call.row.get("id"), type(error).__name__)

    def write(self, calls: Sequence[StoredCall]) -> None:
        """Stores a batch in one transaction. A call that cannot be stored costs no other call its place.

        Only when the batch fails is it done one by one; the call that failed is then stored without bodies and messages.
        """
        try:
            self._write_together(calls)
        except StorageFailure:
            raise
        except Exception as error:  # whatever a value does to SQLite, JSON or the hashes: named below, call by call
            logger.debug("a batch of %d calls is stored one by one: %s", len(calls), type(error).__name__)
            for call in calls:
                self._write_alone(call)
        finally:
            self._contents.forget()
        self._ready.clear()  # not where the disk is in the way: the same batch comes again

    def body(self, call_id: str, kind: str) -> StoredBody | None:
        """See reading.read_body."""
        return read_body(self._connection, call_id, kind)

    def call(self, call_id: str) -> dict[str, SqlValue] | None:
        """See reading.read_call."""
        return read_call(self._connection, call_id)

    def set_pinned(self, call_id: str, pinned: bool) -> bool:
        """Pinned calls outlive retention. False: there is no such call."""
        with self._transaction():
            return self._connection.execute("UPDATE calls SET pinned = ? WHERE id = ?", (pinned, call_id)).rowcount > 0

    def record_tls_failure(self, *, client: str, host: str, reason: str, fix: str | None) -> None:
        """Counts a handshake that a client refused; one row per client, host and reason."""
        row = {"client": client, "host": host, "reason": reason, "fix": fix}
        with self._transaction():
            values = {name: sql_value(value) for name, value in row.items()} | {"at": iso_time(_now_ms())}
            self._connection.execute(_UPSERT_TLS_FAILURE, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _failures():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            with _failures():
                yield
                self._connection.execute("COMMIT")
        except BaseException:
            self._contents.doubt()
            if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                with _failures():
                    self._connection.execute("ROLLBACK")
            raise

    def _write_together(self, calls: Sequence[StoredCall]) -> None:
        prepared = list(map(self._prepared, calls))
        with _failures():
            self._contents.find(prepared)
        with self._transaction():
            self._add(prepared)

    def _prepared(self, call: StoredCall) -> Prepared:
        prepared = self._ready.get(id(call))
        if prepared is None:
            prepared = self._ready[id(call)] = prepare(call)
        return prepared

    def _write_alone(self, call: StoredCall) -> None:
        attempts: tuple[tuple[str, Callable[[], object]], ...] = (
            ("stored without its bodies and messages", lambda: self._add([self._prepared(call)])),
            ("lost", lambda: self._add_row(call)),
        )
        for consequence, add in attempts:
            try:
                with self._transaction():
                    add()
                return
            except StorageFailure:
                raise
            except Exception as error:  # its message may quote the content; its class may not
                logger.error("call %s is %s: %s", call.row.get("id"), consequence, type(error).__name__)

    def _add(self, prepared: Sequence[Prepared]) -> None:
        """Inserts those that are new, with all that belongs to them: a statement per table."""
        new = [prepared[position] for position in self._new([one.id for one in prepared])]
        self._add_rows([one.call for one in new])
        self._contents.find(new)
        self._contents.add(new)
        timings = [(one.id, json_text(one.call.deltas_ms)) for one in new if one.call.deltas_ms]
        notes = [(one.id, sql_value(note.rule), sql_value(note.where), note.action) for one in new for note in one.call.redactions]
        _insert_attempts(self._connection, [attempt_row(one.id, attempt) for one in new for attempt in one.call.attempts])
        self._connection.executemany(_INSERT_TIMINGS, timings)
        self._connection.executemany(_INSERT_REDACTION, notes)

    def _add_row(self, call: StoredCall) -> None:
        if self._new([str(call.row["id"])]):
            self._add_rows([call])

    def _new(self, ids: Sequence[str]) -> list[int]:
        """Which of them have no row yet; of those that are equal, the first."""
        known = {stored for (stored,) in self._connection.execute(_STORED, (json_text(ids),)).fetchall()}
        first = {call_id: position for position, call_id in reversed(list(enumerate(ids)))}
        return sorted(position for call_id, position in first.items() if call_id not in known)

    def _add_rows(self, calls: Sequence[StoredCall]) -> None:
        """What a row cannot be without is filled in."""
        now_ms = _now_ms()
        now = iso_time(now_ms)
        self._insert_calls(self._connection, [self._row(call, now_ms, now) for call in calls])

    def _row(self, call: StoredCall, now_ms: int, now: str) -> list[SqlValue]:
        row = sql_values(map(call.row.get, self._columns))
        for position, value in ((self._started_at, now), (self._ts_ms, now_ms), (self._conversation, call.row["id"])):
            if row[position] is None:
                row[position] = value
        row.append(now)
        return row


@contextmanager
def _failures() -> Iterator[None]:
    """Tells a disk or a lock that is in the way from a value that SQLite will never take."""
    try:
        yield
    except sqlite3.Error as error:  # those of Python's own module (a wrong type) carry no code
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _IN_THE_WAY:
            raise StorageFailure(error.sqlite_errorname) from error
        raise


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
