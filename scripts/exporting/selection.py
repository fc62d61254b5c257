"""Which calls are exported: `--since`, `--until`, `--conversation`, `--where`.

The condition is the user's own SQL, on a connection that may do nothing but read (an authorizer refuses the rest, so that ATTACH, a
PRAGMA or a second statement are errors whatever SQLite was opened with). It stands in a subquery of its own, whose calls are then asked
for the other conditions, so that no bracket in it can undo them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from addons.storage.shortids import conversations_ending

ID_PAGE = 5000
"""Calls are asked for in pages: a read that stayed open for a long export would keep the WAL growing under a proxy that writes."""

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})


class BadSelection(ValueError):
    """A condition that cannot be used; str() is one line."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Times in Unix milliseconds: from `since_ms` on, before `until_ms`."""

    since_ms: int | None = None
    until_ms: int | None = None
    conversation: str | None = None
    where: str | None = None

    def ids(self, connection: sqlite3.Connection) -> Iterator[str]:
        """The calls in the order of time. Raises BadSelection."""
        sql = f"SELECT ts_ms, id FROM ({self._calls}) WHERE (ts_ms, id) > (:at, :after) ORDER BY ts_ms, id LIMIT {ID_PAGE}"
        at, after = -(2**63), ""
        while page := self._run(connection, sql, at=at, after=after):
            yield from (str(call_id) for _, call_id in page)
            at, after = page[-1]

    def count(self, connection: sqlite3.Connection) -> int:
        """Raises BadSelection."""
        return int(self._run(connection, f"SELECT count(*) FROM ({self._calls})")[0][0])

    @property
    def _calls(self) -> str:
        conditions = [
            *(["ts_ms >= :since"] if self.since_ms is not None else []),
            *(["ts_ms < :until"] if self.until_ms is not None else []),
            *(["conversation_id = :conversation"] if self.conversation is not None else []),
            *([f"id IN (SELECT id FROM calls WHERE (\n{self.where}\n))"] if self.where is not None else []),  # it may end with a comment
        ]
        return f"SELECT ts_ms, id FROM calls WHERE {' AND '.join(conditions) or 1}"

    def _run(self, connection: sqlite3.Connection, sql: str, **values: object) -> list[tuple[int, str]]:
        values |= {"since": self.since_ms, "until": self.until_ms, "conversation": self.conversation}
        with suppress(sqlite3.Error):  # full text search sets itself up by statements that the authorizer would refuse
            connection.execute("SELECT 1 FROM parts_fts LIMIT 0")
        connection.set_authorizer(_authorize)
        try:
            return connection.execute(sql, values).fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:  # a NUL, half a surrogate
            raise BadSelection(f"{'--where' if self.where is not None else 'the captures'}: {error}") from error
        finally:
            connection.set_authorizer(None)


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _view: str | None) -> int:
    """Full text search asks for `PRAGMA data_version` itself."""
    if action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and second != "load_extension"):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first == "data_version":
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def moment(text: str, now: datetime) -> int:
    """Unix milliseconds of `7d` (so long ago), a date (its beginning), or a date and time; in UTC where no zone is named.

    Raises BadSelection.
    """
    span = _SPAN.fullmatch(text.strip().lower())
    try:
        if span:
            at = now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        else:
            at = datetime.fromisoformat(text.strip())
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return round(at.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise BadSelection(
            f"{text!r} is no time; write 2026-11-21, 2026-11-21T14:30, 2026-11-21T14:30Z, or a span such as 7d, 12h, 30m"
        ) from error


def whole_conversation(connection: sqlite3.Connection, given: str) -> str:
    """The conversation of that id, or the one that ends with what Datasette shows of an id (`…Y332MYX3`).

    Raises BadSelection where there is none, or more than one.
    """
    found = conversations_ending(connection, given)
    if len(found) != 1:
        raise BadSelection(f"--conversation: {'several conversations end with' if found else 'there is no conversation'} {given}")
    return found[0]
