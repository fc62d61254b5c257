"""Opening `turnpike.db` and `state.db`: permissions and pragmas, for the one writer and for the many readers.

StoreError            what the user can mend: not a database, of a newer version, not writable; str() is one line
  StorageFailure      it cannot be written, or opened, now (disk full, locked, no such folder); worth another try
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from addons.storage.migrations import CAPTURES, ForeignDatabase, Schema, check_ours, migrate

BUSY_TIMEOUT_MS = 5000
JOURNAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024  # a reader that held the WAL open for long must not leave it huge for ever
OPEN_DEADLINE_S = 10.0
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


class StoreError(Exception):
    """The database cannot be used; the text says why and what would be right."""


class StorageFailure(StoreError):
    """The database could not be written or opened this time; the same may succeed later."""


def open_writer(path: Path, schema: Schema = CAPTURES) -> sqlite3.Connection:
    """A connection that may write, its schema brought up to date. Transactions are the caller's (`BEGIN IMMEDIATE`).

    Raises StoreError when the file is not ours to write, StorageFailure when it cannot be reached or written now.
    """
    try:
        _refuse_foreign(path, schema)
        _prepare_file(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000, cached_statements=256)
    except ForeignDatabase as error:
        raise StoreError(f"cannot use {path} as {schema.name}: {error}") from error
    except (OSError, sqlite3.Error) as error:
        raise _failure(error)(f"cannot open {schema.name} {path}: {error}") from error
    try:
        _while_locked(lambda: _configure(connection))
        _while_locked(lambda: migrate(connection, schema))
    except (ForeignDatabase, sqlite3.Error) as error:
        connection.close()
        raise _failure(error)(f"cannot use {path} as {schema.name}: {error}") from error
    return connection


PASSING = tuple(getattr(sqlite3, f"SQLITE_{name}") for name in ("BUSY", "LOCKED", "CANTOPEN", "FULL", "IOERR", "READONLY"))
"""Primary result codes that say something of the disk or of others, nothing of the file's content."""


def _failure(error: Exception) -> type[StoreError]:
    """May it be another time?"""
    code = getattr(error, "sqlite_errorcode", None)
    passes = isinstance(error, OSError) or (code is not None and code & 0xFF in PASSING)
    return StorageFailure if passes else StoreError


def open_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection for one thread. Raises StoreError when there is no such database, or it is another program's."""
    if not path.exists():
        raise StoreError(f"there is no database {path}")
    try:
        connection = sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=BUSY_TIMEOUT_MS / 1000)
        with ExitStack() as on_error:
            on_error.callback(connection.close)
            check_ours(connection)
            on_error.pop_all()
    except ForeignDatabase as error:
        raise StoreError(f"{path} is no database of captures: {error}") from error
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the database {path}: {error}") from error
    return connection


def _refuse_foreign(path: Path, schema: Schema) -> None:
    """Another program's database is refused before its mode or its journal is changed."""
    if not path.is_file() or not path.stat().st_size:
        return
    with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
        _while_locked(lambda: check_ours(connection, schema))


def _prepare_file(path: Path) -> None:
    """Creates the file before SQLite does, since SQLite would leave the mode to the umask; -wal and -shm inherit it.

    An existing file is never opened here: closing any descriptor of it would drop the POSIX locks of every
    connection this process has (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))
    except FileExistsError:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                _make_private(path.with_name(path.name + suffix))


def _make_private(file: Path) -> None:
    if file.is_file() and file.stat().st_mode & 0o077:
        file.chmod(PRIVATE_FILE)


def _configure(connection: sqlite3.Connection) -> None:
    """auto_vacuum comes first: once the first page is written (WAL does that) it can only be changed by a VACUUM."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_SIZE_LIMIT_BYTES}")


def _while_locked(step: Callable[[], None]) -> None:
    """Repeats a step that another process, opening at the same time, locked out.

    busy_timeout covers most of it, but SQLite answers "locked" at once where waiting could be a deadlock (a read lock to be
    raised, as in the switch to WAL; https://www.sqlite.org/c3ref/busy_handler.html).
    """
    deadline = time.monotonic() + OPEN_DEADLINE_S
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
