"""addons/storage/m001_tables.py: full text search; its columns are tested with the migrations."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from addons.storage.store import Store
from tests.storage.support import full_call, rows


def test_full_text_search_finds_messages(store: Store) -> None:
    """FTS5 over what was said, kept by triggers also when parts go; Datasette recognises it as the search of `parts`."""
    call = full_call()
    store.write([call])
    search = """
        SELECT DISTINCT cm.call_id FROM parts_fts JOIN parts p ON p.id = parts_fts.rowid
        JOIN call_messages cm ON cm.message_id = p.message_id WHERE parts_fts MATCH ?"""
    assert rows(store, search, "aardvark") == [(call.row["id"],)]
    assert rows(store, search, "zebra") == []
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM parts")
        connection.execute("INSERT INTO parts_fts(parts_fts, rank) VALUES ('integrity-check', 1)")
        connection.commit()
    assert rows(store, "SELECT rowid FROM parts_fts WHERE parts_fts MATCH 'aardvark'") == []
