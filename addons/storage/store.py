"""The one that writes `turnpike.db`: batches of calls, each batch one transaction."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from addons.core.call import AttemptRecord, SqlValue, StoredBody, StoredCall
from addons.storage.contents import Contents
from addons.storage.database import StorageFailure, open_writer
from addons.storage.fulltext import merge_some
from addons.storage.reading import read_body, read_call
from addons.storage.values import iso_time, json_text, sql_value

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

_ATTEMPT_COLUMNS = ("n", "upstream", "host", "model", "key_hint", "status", "failure", "wait_ms", "duration_ms")
_INSERT_ATTEMPT = f"INSERT INTO attempts (call_id, {', '.join(_ATTEMPT_COLUMNS)}) VALUES (?{', ?' * len(_ATTEMPT_COLUMNS)})"
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
        names = ", ".join((*self._columns, "stored_at"))
        self._insert_call = f"INSERT INTO calls ({names}) VALUES (?{', ?' * len(self._columns)}) ON CONFLICT (id) DO NOTHING"

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

    def prepare(self, call: StoredCall) -> None:
        """Does some of `write`'s work ahead of it, without a lock; a call that cannot be prepared is told of when it is written."""
        try:
            self._contents.prepare(call)
        except Exception as error:  # a poisoned value, or the disk: `write` meets it again
            logger.debug("call %s is not prepared: %s", call.row.get("id"), type(error).__name__)

    def write(self, calls: Sequence[StoredCall]) -> None:
        """Stores a batch in one transaction. A call that cannot be stored costs no other call its place.

        Only when the batch fails is it done one by one; the call that failed is then stored without bodies and messages.
        """
        try:
            with self._transaction():
                for call in calls:
                    self._add(call)
        except StorageFailure:
            raise
        except Exception as error:  # whatever a value does to SQLite, JSON or the hashes: named below, call by call
            logger.debug("a batch of %d calls is stored one by one: %s", len(calls), type(error).__name__)
            for call in calls:
                self._write_alone(call)
        finally:
            self._contents.forget()

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
                self._contents.check()
                yield
                self._connection.execute("COMMIT")
        except BaseException:
            self._contents.doubt()
            if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                with _failures():
                    self._connection.execute("ROLLBACK")
            raise

    def _write_alone(self, call: StoredCall) -> None:
        attempts: tuple[tuple[str, Callable[[StoredCall], object]], ...] = (
            ("stored without its bodies and messages", self._add),
            ("lost", self._add_row),
        )
        for consequence, add in attempts:
            try:
                with self._transaction():
                    add(call)
                return
            except StorageFailure:
                raise
            except Exception as error:  # its message may quote the content; its class may not
                logger.error("call %s is %s: %s", call.row.get("id"), consequence, type(error).__name__)

    def _add(self, call: StoredCall) -> None:
        if not self._add_row(call):
            return
        call_id = str(call.row["id"])
        self._connection.executemany(_INSERT_ATTEMPT, [_attempt_row(call_id, attempt) for attempt in call.attempts])
        for body in call.bodies:
            self._contents.add_body(call_id, body)
        if call.messages:
            self._contents.add_messages(call_id, call.messages, call.answers)
        if call.deltas_ms:
            self._connection.execute(_INSERT_TIMINGS, (call_id, json_text(call.deltas_ms)))
        notes = [(call_id, sql_value(note.rule), sql_value(note.where), note.action) for note in call.redactions]
        self._connection.executemany(_INSERT_REDACTION, notes)

    def _add_row(self, call: StoredCall) -> bool:
        """Was the row new? What a row cannot be without is filled in."""
        now_ms = _now_ms()
        needed: dict[str, SqlValue] = {"started_at": iso_time(now_ms), "ts_ms": now_ms, "conversation_id": call.row["id"]}
        row = needed | {name: kept for name, value in call.row.items() if (kept := sql_value(value)) is not None}
        values = [row.get(name) for name in self._columns]
        return self._connection.execute(self._insert_call, (*values, iso_time(now_ms))).rowcount > 0


@contextmanager
def _failures() -> Iterator[None]:
    """Tells a disk or a lock that is in the way from a value that SQLite will never take."""
    try:
        yield
    except sqlite3.Error as error:  # those of Python's own module (a wrong type) carry no code
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _IN_THE_WAY:
            raise StorageFailure(error.sqlite_errorname) from error
        raise


def _attempt_row(call_id: str, attempt: AttemptRecord) -> tuple[SqlValue, ...]:
    return (call_id, *(sql_value(getattr(attempt, name)) for name in _ATTEMPT_COLUMNS))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
