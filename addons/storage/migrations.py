"""The schemas' history: numbered, append-only migrations, each in a transaction of its own.

There are two files (DESIGN §6), each with a schema of its own: `CAPTURES` (turnpike.db) and `STATE` (state.db).
The number of applied migrations is SQLite's `user_version`; `application_id` says that the file is ours, and which. What has
shipped is never edited: a change is one more module `mNNN_….py` (captures) or `sNNN_….py` (state) with `STATEMENTS`, and one
more line in `MIGRATIONS` or `STATE_MIGRATIONS`. (sqlite-utils would make some of it shorter, but its helpers commit in the middle.)
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from addons.storage import (
    m001_tables,
    m002_views,
    m003_redacted,
    m004_dashboard,
    m005_retention,
    m006_llm,
    m007_failed,
    s001_cooldowns,
    s002_sharing,
)

MIGRATIONS: tuple[str, ...] = (
    m001_tables.STATEMENTS,
    m002_views.STATEMENTS,
    m003_redacted.STATEMENTS,
    m004_dashboard.STATEMENTS,
    m005_retention.STATEMENTS,
    m006_llm.STATEMENTS,
    m007_failed.STATEMENTS,
)
STATE_MIGRATIONS: tuple[str, ...] = (s001_cooldowns.STATEMENTS, s002_sharing.STATEMENTS)

LARGE_BYTES = 100_000_000
"""From here on a migration that makes an index takes longer than one waits without a word: some 10 s for 12 GB."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schema:
    """One of our files: what it is called, where the configuration names it, what marks it, and its history."""

    name: str
    setting: str
    application_id: int
    migrations: tuple[str, ...]


CAPTURES = Schema("the database", "capture.database", int.from_bytes(b"TPKE", "big"), MIGRATIONS)
STATE = Schema("the state database", "state.url", int.from_bytes(b"TPKS", "big"), STATE_MIGRATIONS)


class ForeignDatabase(Exception):
    """The file is a database of something else, our other one, or of a newer version of this program."""


def migrate(connection: sqlite3.Connection, schema: Schema = CAPTURES) -> None:
    """Brings the schema up to date; does nothing when it is. Safe when several processes open one file at once.

    Where that may take long it is said before each step, as a warning, so that it is seen wherever it happens.
    Raises ForeignDatabase, or sqlite3.Error (DatabaseError: the file is no database at all).
    """
    pending = True
    while pending:
        with _transaction(connection, "DEFERRED"):  # three facts are read: another process must not commit between them
            pending = _version(connection, schema) < len(schema.migrations)
        if pending:
            with _transaction(connection, "IMMEDIATE"):
                _apply_next(connection, schema)


def check_ours(connection: sqlite3.Connection, schema: Schema = CAPTURES) -> None:
    """Raises ForeignDatabase, or sqlite3.DatabaseError for what is no database; changes nothing."""
    with _transaction(connection, "DEFERRED"):
        _version(connection, schema)


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


def _apply_next(connection: sqlite3.Connection, schema: Schema) -> None:
    """Under the write lock: another process may have applied it while this one waited for the lock."""
    version = _version(connection, schema)
    if version == len(schema.migrations):
        return
    size, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count"))
    if size * pages >= LARGE_BYTES:
        told = "%s (%.1f GB) is brought to schema %d of %d, once; it cannot be written meanwhile"
        logger.warning(told, schema.name, size * pages / 1e9, version + 1, len(schema.migrations))
    for statement in statements(schema.migrations[version]):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {schema.application_id}")
    connection.execute(f"PRAGMA user_version = {version + 1}")


def _version(connection: sqlite3.Connection, schema: Schema) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != schema.application_id and (tables or version):
        raise ForeignDatabase(f"it is {_owner(application)}; name another file in {schema.setting}")
    if version > len(schema.migrations):
        raise ForeignDatabase(
            f"a newer version wrote it (schema {version}, this version knows {len(schema.migrations)}); update, or name another file"
        )
    return int(version)


def _owner(application_id: int) -> str:
    other = next((schema for schema in (CAPTURES, STATE) if schema.application_id == application_id), None)
    return f"{other.name} of {other.setting}" if other else "a database of another program"
