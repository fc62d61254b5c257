"""addons/storage/fulltext.py: merging the search's index, and when that is due."""

from __future__ import annotations

import time

from addons.storage.fulltext import STALE_S, Stale, index_bytes, merge_all, merge_some
from addons.storage.store import Store
from tests.storage.support import rows, say, stored_call


def test_a_merge_of_all_leaves_one_piece(store: Store) -> None:
    """Also of two, which `merge_some` by itself leaves alone; with nothing to merge it changes nothing."""
    for text in ("one", "two"):
        store.write([stored_call(messages=(say("user", text),))])
    pieces = "SELECT count(DISTINCT segid) FROM parts_fts_idx"
    assert not merge_some(store._connection)
    assert rows(store, pieces) == [(2,)]
    merge_all(store._connection)
    while merge_some(store._connection):
        pass
    assert rows(store, pieces) == [(1,)]
    merge_all(store._connection)
    assert not merge_some(store._connection)


def test_what_is_stale_is_due_when_it_is_much_or_old(store: Store) -> None:
    """A hundredth of the file, a quarter of the index; a day after the last time; nothing never is."""
    store.write([stored_call(messages=(say("user", " ".join(map(str, range(10_000, 20_000)))),))])
    [(leaves,)] = rows(store, "SELECT count(*) FROM parts_fts_idx")
    assert index_bytes(store._connection) == leaves * 4050 > 50_000
    stale = Stale()
    assert not stale.is_old() and not stale.is_much(100) and not stale.is_dense(store._connection)
    stale.bytes = 1
    assert stale.is_old()  # nobody knows for how long
    stale.clear()
    assert stale.bytes == 0 and stale.due_at - time.monotonic() > STALE_S - 60
    stale.bytes = 10_000
    assert not stale.is_old()
    assert not stale.is_much(1_000_000)
    assert stale.is_much(999_000)
    stale.bytes = leaves * 1013
    assert stale.is_dense(store._connection)
    stale.bytes = leaves * 1012
    assert not stale.is_dense(store._connection)
