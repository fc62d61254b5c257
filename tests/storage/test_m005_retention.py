"""addons/storage/m005_retention.py: uses are counted for what is there already, and from then on by triggers."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from addons.storage.m005_retention import STATEMENTS
from addons.storage.migrations import CAPTURES, MIGRATIONS, migrate, statements

COUNTS = "SELECT segment_id, refs FROM segment_refs ORDER BY 1"


def add_body(connection: sqlite3.Connection, call_id: str, segments: str) -> None:
    """A body of these segments, and its call."""
    connection.execute("INSERT INTO calls (id, started_at, ts_ms, stored_at, conversation_id) VALUES (?, '', 0, '', '')", (call_id,))
    connection.execute("INSERT INTO bodies (call_id, kind, segments) VALUES (?, 'request', ?)", (call_id, segments))


def test_uses_are_counted_before_and_after() -> None:
    """Twice in one body is two; an unused segment is known as such; one that is used again is not any more."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in MIGRATIONS[: MIGRATIONS.index(STATEMENTS)]:
            for statement in statements(script):
                connection.execute(statement)
        connection.executemany("INSERT INTO segments VALUES (?, ?, 'raw', 1, 'x')", [(1, b"1"), (2, b"2")])
        add_body(connection, "a", "[1, 2, 1]")
        for statement in statements(STATEMENTS):
            connection.execute(statement)
        assert connection.execute(COUNTS).fetchall() == [(1, 2), (2, 1)]
        add_body(connection, "b", "[2]")
        connection.execute("DELETE FROM bodies WHERE call_id = 'a'")
        assert connection.execute(COUNTS).fetchall() == [(1, 0), (2, 1)]
        add_body(connection, "c", "[1, 2]")
        assert connection.execute(COUNTS).fetchall() == [(1, 1), (2, 2)]


def test_a_message_is_loose_when_its_last_call_goes() -> None:
    """Not before; and foreign keys that cascade are seen, too."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, CAPTURES)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("INSERT INTO messages (id, hash, role, n) VALUES (1, '1', 'user', 1)")
        for call_id in ("a", "b"):
            add_body(connection, call_id, "[]")
            connection.executemany("INSERT INTO call_messages VALUES (?, ?, 1, 0)", [(call_id, 0), (call_id, 1)])
        connection.execute("DELETE FROM calls WHERE id = 'a'")
        assert connection.execute("SELECT * FROM loose_messages").fetchall() == []
        connection.execute("DELETE FROM calls WHERE id = 'b'")
        assert connection.execute("SELECT * FROM loose_messages").fetchall() == [(1,)]
        connection.execute("DELETE FROM messages")
        assert connection.execute("SELECT * FROM loose_messages").fetchall() == []
