"""Reading what is exported: one call at a time, by short transactions, and masked once more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from addons.core.call import SqlValue, StoredCall
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.stored import StoredCleaner
from addons.storage.database import StoreError
from addons.storage.reading import read_call, read_stored


class Captures:
    """`ids` are the chosen calls. A call that cannot be read is told to `on_damage` and left out; one that was pruned meanwhile is
    left out. `written` counts what was given out, less what a format `skipped`."""

    def __init__(
        self, connection: sqlite3.Connection, redactor: Redactor, ids: Iterable[str], on_damage: Callable[[StoreError], None]
    ) -> None:
        self.connection = connection
        self._cleaner = StoredCleaner(redactor)
        self._ids = ids
        self._on_damage = on_damage
        self.written = 0

    def rows(self) -> Iterator[dict[str, SqlValue]]:
        """The columns of `calls`."""
        for call_id in self._ids:
            if row := read_call(self.connection, call_id):
                self.written += 1
                yield self._cleaner.row(row)

    def calls(self) -> Iterator[StoredCall]:
        """All of each call; `row` with every column."""
        for call_id in self._ids:
            try:
                with _snapshot(self.connection):
                    call = read_stored(self.connection, call_id)
            except StoreError as error:
                self._on_damage(error)
                continue
            if call:
                self.written += 1
                yield self._cleaner.call(call)

    def skipped(self) -> None:
        """The call that was given last has no place in this format."""
        self.written -= 1

    @property
    def columns(self) -> list[str]:
        """Of `calls`, in their order."""
        return [str(row[1]) for row in self.connection.execute("PRAGMA table_info(calls)")]


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read within is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
