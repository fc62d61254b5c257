"""Keeping the full text search's index in few pieces, a little at a time.

Each transaction adds a piece, and a search asks every piece. FTS5 by itself merges them inside of whatever transaction comes
next, for a tenth of a second now and then (https://www.sqlite.org/fts5.html#the_automerge_configuration_option); migration 5
turns that off, but for its safety net at sixteen pieces.
"""

from __future__ import annotations

import sqlite3

MERGE_PAGES = 16
"""About two milliseconds."""


def merge_some(connection: sqlite3.Connection, pages: int = MERGE_PAGES) -> bool:
    """Merges some pages in a transaction of its own. False: nothing was left to merge. Raises sqlite3.Error."""
    before = connection.total_changes
    connection.execute("INSERT INTO parts_fts (parts_fts, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before >= 2  # as FTS5's documentation says to tell
