"""Keeping the full text search's index in few pieces, a little at a time.

Each transaction adds a piece, and a search asks every piece. FTS5 by itself merges them inside of whatever transaction comes
next, for a tenth of a second now and then (https://www.sqlite.org/fts5.html#the_automerge_configuration_option); migration 5
turns that off, but for its safety net at sixteen pieces.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

MERGE_PAGES = 16
"""About two milliseconds."""

STALE_FILE_SHARE = 0.01
STALE_INDEX_SHARE = 0.25
STALE_S = 86_400.0
"""The index is merged as a whole when more than this share of the file or of itself is stale, or after a day.

Of itself, since SQLite counts the pages that a merge writes, and writes none for what is gone: a merge of what is nearly all gone would
be one long step.
"""

LEAF_BYTES = 4050
"""Of each page of the index, which FTS5 has a row for (its option `pgsz`)."""


@dataclass(slots=True)
class Stale:
    """What rounds leave in the search's index for a later one to merge: about so many bytes. From `due_at` (time.monotonic) on they
    wait for no more. To write the index anew costs as much for one call that went as for a thousand."""

    bytes: int = 0
    due_at: float = 0.0

    def is_dense(self, connection: sqlite3.Connection) -> bool:
        """Is it so much of the index that it must not become more? Raises sqlite3.Error."""
        return self.bytes > 0 and self.bytes > index_bytes(connection) * STALE_INDEX_SHARE

    def is_much(self, used: int) -> bool:
        """Of a file that uses so many bytes."""
        return self.bytes > used * STALE_FILE_SHARE

    def is_old(self) -> bool:
        """Has it waited for a day, or nobody knows how long?"""
        return self.bytes > 0 and time.monotonic() >= self.due_at

    def clear(self) -> None:
        """They are gone."""
        self.bytes, self.due_at = 0, time.monotonic() + STALE_S


def index_bytes(connection: sqlite3.Connection) -> int:
    """About what the search's index takes. Raises sqlite3.Error."""
    return int(connection.execute("SELECT count(*) FROM parts_fts_idx").fetchone()[0]) * LEAF_BYTES


def merge_all(connection: sqlite3.Connection, pages: int = MERGE_PAGES) -> None:
    """Begins a merge of the whole index into one piece, in a transaction of its own; `merge_some` goes on with it.

    Only so do the words of what was deleted leave the file: before, they and the notes that they are gone lie in pieces that nothing
    brings together. Raises sqlite3.Error.
    """
    connection.execute("INSERT INTO parts_fts (parts_fts, rank) VALUES ('merge', ?)", (-pages,))


def merge_some(connection: sqlite3.Connection, pages: int = MERGE_PAGES) -> bool:
    """Merges some pages in a transaction of its own. False: nothing was left to merge. Raises sqlite3.Error."""
    before = connection.total_changes
    connection.execute("INSERT INTO parts_fts (parts_fts, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before >= 2  # as FTS5's documentation says to tell
