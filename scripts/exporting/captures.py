"""Reading what is exported: one call at a time, by short transactions, and masked once more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from addons.core.call import Message, SqlValue, StoredCall
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.stored import StoredCleaner
from addons.storage.database import StoreError
from addons.storage.reading import read_call, read_headers, read_listed, read_message, read_stored


@dataclass(frozen=True, slots=True)
class Brought:
    """A call in a conversation. `listed`: (message, the one it was said after, is it an answer) by ids, all that it has; `new`: the
    messages of those that no call before it had."""

    row: dict[str, SqlValue]
    listed: tuple[tuple[int, int | None, bool], ...]
    new: dict[int, Message]


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

    def brought(self) -> Iterator[Brought]:
        """Of each call its row, and of its messages those that no call before it had: in a long conversation each call sends all of the
        history again. Bodies are not read."""
        known: set[int] = set()
        for call_id in self._ids:
            try:
                with _snapshot(self.connection):
                    found = self._brought(call_id, known)
            except StoreError as error:
                self._on_damage(error)
                continue
            if found:
                self.written += 1
                yield found

    def _brought(self, call_id: str, known: set[int]) -> Brought | None:
        row = read_call(self.connection, call_id)
        if row is None:
            return None
        listed = read_listed(self.connection, call_id)
        new = list(dict.fromkeys(message for message, *_ in listed if message not in known))
        headers = read_headers(self.connection, call_id)
        messages = tuple(read_message(self.connection, message) for message in new)
        clean = self._cleaner.call(StoredCall(row, bodies=(headers,) if headers else (), messages=messages))
        known.update(new)
        return Brought(clean.row, tuple(listed), dict(zip(new, clean.messages, strict=True)))

    def whole(self, call_id: str) -> StoredCall | None:
        """A call that `brought` gave, with all that is its; None where it cannot be read."""
        try:
            with _snapshot(self.connection):
                call = read_stored(self.connection, call_id)
        except StoreError as error:
            self._on_damage(error)
            return None
        return self._cleaner.call(call) if call else None

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
