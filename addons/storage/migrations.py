"""The schema's history: numbered, append-only migrations, each in a transaction of its own.

The number of applied migrations is SQLite's `user_version`; `application_id` says that the file is ours. What has shipped is
never edited: a change is one more module `mNNN_….py` with `STATEMENTS`, and one more line in `MIGRATIONS`.
(sqlite-utils would make some of it shorter, but its helpers commit in the middle.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from addons.storage import m001_tables, m002_views

APPLICATION_ID = int.from_bytes(b"TPKE", "big")

MIGRATIONS: tuple[str, ...] = (
    m001_tables.STATEMENTS,
    m002_views.STATEMENTS,
)


class ForeignDatabase(Exception):
    """The file is a database of something else, or of a newer version of this program."""


def migrate(connection: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Brings the schema up to date; does nothing when it is. Safe when several processes open one file at once.

    Raises ForeignDatabase, or sqlite3.Error (DatabaseError: the file is no database at all).
    """
    pending = True
    while pending:
        with _transaction(connection, "DEFERRED"):  # three facts are read: another process must not commit between them
            pending = _version(connection, migrations) < len(migrations)
        if pending:
            with _transaction(connection, "IMMEDIATE"):
                _apply_next(connection, migrations)


def check_ours(connection: sqlite3.Connection) -> None:
    """Raises ForeignDatabase, or sqlite3.DatabaseError for what is no database; changes nothing."""
    with _transaction(connection, "DEFERRED"):
        _version(connection, MIGRATIONS)


def statements(script: str) -> Iterator[str]:
    """The single statements of a script (`executescript` would commit the open transaction first).

    A statement ends at a line that ends with a semicolon, triggers at their END.
    """
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered.strip()
            gathered = ""


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _apply_next(connection: sqlite3.Connection, migrations: tuple[str, ...]) -> None:
    """Under the write lock: another process may have applied it while this one waited for the lock."""
    version = _version(connection, migrations)
    if version == len(migrations):
        return
    for statement in statements(migrations[version]):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version + 1}")


def _version(connection: sqlite3.Connection, migrations: tuple[str, ...]) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version):
        raise ForeignDatabase("it is a database of another program; name another file in capture.database")
    if version > len(migrations):
        raise ForeignDatabase(
            f"a newer version wrote it (schema {version}, this version knows {len(migrations)}); update, or name another file"
        )
    return int(version)
