"""What `state.db` keeps (`s001_cooldowns.py`), and how it is read and written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple


class SavedCooldown(NamedTuple):
    """A key that rests until a time (Unix seconds), for a model or quota group of its upstream (`quota_group`; whose, the pool says).

    `key_id` is a hash of the key, `step` how often it was cooled in a row without a hint, `why` the class of the failure.
    """

    upstream: str
    key_id: str
    quota_group: str
    until: float
    step: int
    why: str


class SavedBreaker(NamedTuple):
    """A breaker that is open until a time (Unix seconds), after `failures` in a row, the last of the class `why`."""

    upstream: str
    until: float
    failures: int
    why: str


class Saved(NamedTuple):
    """All that is kept, at one moment."""

    cooldowns: tuple[SavedCooldown, ...] = ()
    breakers: tuple[SavedBreaker, ...] = ()


Row = SavedCooldown | SavedBreaker


class _Table:
    """The statements for rows of one kind; the first `keys` of their columns say which row it is."""

    def __init__(self, name: str, columns: tuple[str, ...], keys: int) -> None:
        names, self.keys = columns[:keys], keys
        settings = ", ".join(f"{column} = excluded.{column}" for column in columns[keys:])
        self.select = f"SELECT {', '.join(columns)} FROM {name} WHERE until > ?"
        self.expire = f"DELETE FROM {name} WHERE until <= ?"
        self.delete = f"DELETE FROM {name} WHERE {' AND '.join(f'{column} = ?' for column in names)} AND until = ?"
        self.upsert = (
            f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
            f"ON CONFLICT ({', '.join(names)}) DO UPDATE SET {settings} WHERE excluded.until >= {name}.until"
        )

    def load(self, connection: sqlite3.Connection, now: float) -> list[Any]:
        connection.execute(self.expire, (now,))
        return connection.execute(self.select, (now,)).fetchall()

    def store(self, connection: sqlite3.Connection, before: Iterable[Row], after: Iterable[Row]) -> None:
        was, is_now = self._by_key(before), self._by_key(after)
        gone = [row for key, row in was.items() if key not in is_now or is_now[key].until < row.until]
        connection.executemany(self.delete, [(*row[: self.keys], row.until) for row in gone])
        connection.executemany(self.upsert, [row for key, row in is_now.items() if was.get(key) != row])

    def _by_key(self, rows: Iterable[Row]) -> dict[tuple[object, ...], Row]:
        return {row[: self.keys]: row for row in rows}


_COOLDOWNS = _Table("cooldowns", SavedCooldown._fields, 3)
_BREAKERS = _Table("breakers", SavedBreaker._fields, 1)


def load(connection: sqlite3.Connection, now: float) -> Saved:
    """What has not expired at `now` (Unix seconds); what has is deleted. Inside the caller's transaction."""
    cooldowns, breakers = _COOLDOWNS.load(connection, now), _BREAKERS.load(connection, now)
    return Saved(tuple(SavedCooldown(*row) for row in cooldowns), tuple(SavedBreaker(*row) for row in breakers))


def store(connection: sqlite3.Connection, before: Saved, after: Saved) -> None:
    """Write what has changed since `before`, which this process wrote or read. Inside the caller's transaction.

    What was taken back or became shorter is deleted first, but not what another process has made longer meanwhile.
    """
    _COOLDOWNS.store(connection, before.cooldowns, after.cooldowns)
    _BREAKERS.store(connection, before.breakers, after.breakers)
