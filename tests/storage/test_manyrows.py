"""addons/storage/manyrows.py: as `executemany` would insert them, by fewer statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from addons.storage.manyrows import ROWS, Insert


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database with a table of three columns, and a trigger that counts its rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b)")
        connection.execute("CREATE TABLE seen (a TEXT)")
        connection.execute("CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO seen VALUES (new.a); END")
        yield connection


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 31, 32, 33, 255, 256, 257, 700])
def test_all_rows_are_there_in_their_order(connection: sqlite3.Connection, count: int) -> None:
    """Also where the last statement takes more than are left; values are stored as they are."""
    values: tuple[object, ...] = (None, 1.5, b"\0blob", "a\0b", 2**62, True)
    rows = [(f"row {n}", values[n % len(values)]) for n in range(count)]
    Insert("t", ("a", "b"))(connection, rows)
    assert connection.execute("SELECT id, a, b FROM t ORDER BY id").fetchall() == [(n + 1, *row) for n, row in enumerate(rows)]
    assert [a for (a,) in connection.execute("SELECT a FROM seen ORDER BY rowid")] == [a for a, _ in rows]


def test_a_batch_takes_one_statement(connection: sqlite3.Connection) -> None:
    """Of few texts in all. A table with many columns takes fewer rows by each."""
    connection.execute("DROP TRIGGER t_ai")  # its own statements would be told of, too
    insert = Insert("t", ("a", "b"))
    for count in (1, 5, 100, 256):
        told: list[str] = []
        connection.set_trace_callback(told.append)
        insert(connection, [(None, n) for n in range(count)])
        connection.set_trace_callback(None)
        assert len(told) == 1
    assert list(insert._texts) == list(ROWS)
    assert list(Insert("wide", [f"c{n}" for n in range(50)])._texts) == [4, 32]


def test_a_row_that_cannot_be_stored_is_told_of(connection: sqlite3.Connection) -> None:
    """By sqlite3's own errors, or Python's."""
    insert = Insert("t", ("a", "b"))
    with pytest.raises(sqlite3.IntegrityError):
        insert(connection, [("same", 1), ("other", 2), ("same", 3)])
    with pytest.raises(OverflowError):
        insert(connection, [("a", 2**70)])
    with pytest.raises(UnicodeEncodeError):
        insert(connection, [("\ud83d", 1)])
    with pytest.raises(sqlite3.Error):
        insert(connection, [("a", ["list"])])
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
