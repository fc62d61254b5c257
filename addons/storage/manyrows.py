"""Inserting many rows by few statements.

`executemany` runs its statement once per row, and each run lets go of Python's lock: under load the event loop is woken for each of them.
What a trigger does is better done once per statement, too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain, repeat

ROWS = (4, 32, 256)
"""That a statement takes at most: of these few texts the connection keeps each compiled."""

MAX_VALUES = 4096
"""In a statement. SQLite takes 32 766 (https://www.sqlite.org/limits.html, 9), but all of them are set each time."""


class Insert:
    """`INSERT INTO table (columns)`; called with a connection and rows."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self._width = len(columns)
        row = f"({', '.join('?' * self._width)})"
        self._texts = {
            rows: f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM (VALUES {', '.join([row] * rows)}) LIMIT ?"
            for rows in ROWS
            if rows * self._width <= MAX_VALUES
        }
        self._most = max(self._texts)

    def __call__(self, connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
        """In the order of `rows`. Raises sqlite3.Error, and whatever a value does that SQLite cannot take."""
        for start in range(0, len(rows), self._most):
            some = rows[start : start + self._most]
            size = next(size for size in self._texts if size >= len(some))
            left_out = repeat(None, self._width * (size - len(some)))
            connection.execute(self._texts[size], [*chain.from_iterable(some), *left_out, len(some)])
