"""What the state keeps, and how `state.db` (`s001_cooldowns.py`, `s002_sharing.py`) is read and written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from addons.core.slots import Claim


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
Key = tuple[str, ...]
"""The columns that say which row it is."""


class Shared(NamedTuple):
    """All that stands there, whoever wrote it; `resets`: upstream → how often its keys were made free again."""

    saved: Saved
    resets: Mapping[str, int]


class News(NamedTuple):
    """What has come since the last look: `set` newly or for longer, upstreams that were `reset`, breakers that were `closed`."""

    set: Saved
    reset: tuple[str, ...]
    closed: tuple[SavedBreaker, ...]

    def __bool__(self) -> bool:
        return bool(self.set.cooldowns or self.set.breakers or self.reset or self.closed)


def news(before: Shared | None, after: Shared, now: float) -> News:
    """The difference between two looks at `now` (Unix seconds); what has merely expired is none. At the first look nothing was reset."""
    was = before or Shared(Saved(), after.resets)
    known = {*was.saved.cooldowns, *was.saved.breakers}
    added = Saved(
        tuple(row for row in after.saved.cooldowns if row not in known), tuple(row for row in after.saved.breakers if row not in known)
    )
    still_open = {row.upstream for row in after.saved.breakers}
    closed = tuple(row for row in was.saved.breakers if row.upstream not in still_open and row.until > now)
    return News(added, tuple(name for name, n in after.resets.items() if was.resets.get(name) != n), closed)


def merged(stored: Mapping[Key, Row], before: Mapping[Key, Row], after: Mapping[Key, Row]) -> tuple[list[Key], dict[Key, Row]]:
    """What is to be deleted and what set, by the rules of `store`, for a place that is no table; `stored`: what it holds."""
    gone = [key for key, row in before.items() if key not in after or after[key].until < row.until]
    gone = [key for key in gone if key in stored and stored[key].until == before[key].until]
    left = {key: row for key, row in stored.items() if key not in gone}
    new = {key: row for key, row in after.items() if before.get(key) != row and left.get(key) != row}
    new = {key: row for key, row in new.items() if key not in left or row.until >= left[key].until}
    return [key for key in gone if key not in new], new


class _Table:
    """The statements for rows of one kind; the first `keys` of their columns say which row it is."""

    def __init__(self, name: str, columns: tuple[str, ...], keys: int) -> None:
        names, self.keys = columns[:keys], keys
        settings = ", ".join(f"{column} = excluded.{column}" for column in columns[keys:])
        differs = " OR ".join(f"excluded.{column} <> {name}.{column}" for column in columns[keys:])
        self.select = f"SELECT {', '.join(columns)} FROM {name} WHERE until > ?"
        self.expire = f"DELETE FROM {name} WHERE until <= ?"
        self.delete = f"DELETE FROM {name} WHERE {' AND '.join(f'{column} = ?' for column in names)} AND until = ?"
        self.upsert = (
            f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
            f"ON CONFLICT ({', '.join(names)}) DO UPDATE SET {settings} WHERE excluded.until >= {name}.until AND ({differs})"
        )  # a row that is the same is no change that others would look at

    def load(self, connection: sqlite3.Connection, now: float) -> list[Any]:
        connection.execute(self.expire, (now,))
        return self.read(connection, now)

    def read(self, connection: sqlite3.Connection, now: float) -> list[Any]:
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
    return _saved(_COOLDOWNS.load(connection, now), _BREAKERS.load(connection, now))


def look(connection: sqlite3.Connection, now: float) -> Shared:
    """What has not expired at `now` (Unix seconds), and the resets; changes nothing. Inside the caller's transaction."""
    resets = dict(connection.execute("SELECT upstream, n FROM resets"))
    return Shared(_saved(_COOLDOWNS.read(connection, now), _BREAKERS.read(connection, now)), resets)


def reset(connection: sqlite3.Connection, upstreams: Iterable[str]) -> None:
    """Nothing of these upstreams cools or is open, and others can see that this was done. Inside the caller's transaction."""
    for upstream in upstreams:
        connection.execute("DELETE FROM cooldowns WHERE upstream = ?", (upstream,))
        connection.execute("DELETE FROM breakers WHERE upstream = ?", (upstream,))
        connection.execute("INSERT INTO resets VALUES (?, 1) ON CONFLICT (upstream) DO UPDATE SET n = n + 1", (upstream,))


def read_claims(connection: sqlite3.Connection, name: str) -> list[Claim]:
    """All claims to a key, void ones too."""
    rows = connection.execute("SELECT worker, held, wanted, spare, since, beat FROM leases WHERE name = ?", (name,))
    return [Claim(worker, held, wanted, bool(spare), since, beat) for worker, held, wanted, spare, since, beat in rows]


def write_claims(connection: sqlite3.Connection, name: str, before: Iterable[Claim], after: Iterable[Claim]) -> None:
    """Those that have changed, and without those that are gone. Inside the caller's transaction."""
    was, are = {claim.worker: claim for claim in before}, {claim.worker: claim for claim in after}
    gone = [(name, worker) for worker in was.keys() - are.keys()]
    connection.executemany("DELETE FROM leases WHERE name = ? AND worker = ?", gone)
    changed = [(name, *claim) for worker, claim in are.items() if was.get(worker) != claim]
    connection.executemany("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)", changed)


def leave(connection: sqlite3.Connection, worker: str) -> None:
    """This process has no claims. Inside the caller's transaction."""
    connection.execute("DELETE FROM leases WHERE worker = ?", (worker,))


def _saved(cooldowns: Iterable[Any], breakers: Iterable[Any]) -> Saved:
    return Saved(tuple(SavedCooldown(*row) for row in cooldowns), tuple(SavedBreaker(*row) for row in breakers))


def store(connection: sqlite3.Connection, before: Saved, after: Saved) -> None:
    """Write what has changed since `before`, which this process wrote or read. Inside the caller's transaction.

    What was taken back or became shorter is deleted first, but not what another process has made longer meanwhile.
    """
    _COOLDOWNS.store(connection, before.cooldowns, after.cooldowns)
    _BREAKERS.store(connection, before.breakers, after.breakers)
