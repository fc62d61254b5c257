"""Ids of calls as people give them: whole, or their end as Datasette shows it."""

from __future__ import annotations

import sqlite3

MIN_ID_END = 6  # characters


def whole_id(captures: sqlite3.Connection, given: str) -> str:
    """The call that ends with what Datasette shows of an id (`…Y332MYX3`), if there is just one; else what was given."""
    end = given.lstrip("….").upper()
    if len(end) < MIN_ID_END or not end.isalnum():
        return given
    found = captures.execute("SELECT id FROM calls WHERE substr(id, -length(:end)) = :end LIMIT 2", {"end": end}).fetchall()
    return str(found[0][0]) if len(found) == 1 else given
