"""addons/storage/store.py: batches, poisoned calls, a disk that is in the way."""

from __future__ import annotations

import logging
import random
import sqlite3
import string
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import AttemptRecord, Message, Part, StoredCall
from addons.storage.database import StorageFailure, open_reader
from addons.storage.prepared import Prepared, prepare
from addons.storage.reading import read_messages
from addons.storage.store import Store
from tests.storage.support import body, full_call, rows, say, stored_call
from tests.storage.varied import Varied, poisoned


def test_a_call_is_read_back_whole(store: Store) -> None:
    """Row, bodies, headers with doubles, messages, attempts, timings and redactions."""
    call = full_call()
    call_id = str(call.row["id"])
    store.write([call])
    row = store.call(call_id)
    assert row and row | call.row == row and row["pinned"] == 0 and str(row["stored_at"]).endswith("Z")
    assert (store.body(call_id, "request"), store.body(call_id, "response")) == call.bodies
    with closing(open_reader(store.path)) as connection:
        assert read_messages(connection, call_id) == (call.messages[:2], call.messages[2:])
    assert rows(store, "SELECT * FROM attempts") == [(call_id, 1, "openai", "api.openai.com", "gpt-4o", "abcd", 200, None, 0.0, 120.0)]
    assert rows(store, "SELECT * FROM stream_timings") == [(call_id, "[1.0,2.5]")]
    assert rows(store, 'SELECT call_id, rule, "where", action FROM redactions') == [(call_id, "cookie", "request.header.cookie", "mask")]


def test_a_second_write_of_a_call_is_ignored(store: Store) -> None:
    """The first one stays, with all that belongs to it."""
    call = full_call()
    store.write([call, call])
    store.write([replace(call, row=call.row | {"status": 500})])
    assert rows(store, "SELECT status FROM calls") == [(200,)]
    assert rows(store, "SELECT count(*) FROM attempts") == [(1,)]


TABLES = {
    "calls": "rowid, *",
    "attempts": "*",
    "segments": "*",
    "segment_refs": "*",
    "bodies": "*",
    "messages": "*",
    "parts": "*",
    "parts_fts_docsize": "*",
    "call_messages": "*",
    "stream_timings": "*",
    "redactions": "*",
}


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, and all words that the search knows, with their places."""
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, parts_fts, instance)")
        connection.execute("INSERT INTO parts_fts (parts_fts, rank) VALUES ('integrity-check', 1)")
        found = {table: connection.execute(f"SELECT {columns} FROM {table}").fetchall() for table, columns in TABLES.items()}
        return found | {"words": connection.execute("SELECT * FROM temp.words").fetchall()}


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_is_stored_as_if_each_call_had_been_written_alone(store: Store, tmp_path: Path, seed: int) -> None:
    """All tables are the same: with histories, bodies, system prompts and ids that calls share, with batches that fail, prepared or not."""
    rng, varied = random.Random(seed), Varied(seed)
    bad = poisoned()
    calls = [call for poison in bad for call in (*varied.calls(90), poison)]
    one_by_one: list[StoredCall] = []
    with closing(Store(tmp_path / "alone.db")) as alone, pytest.MonkeyPatch.context() as patch:
        patch.setattr("addons.storage.store._now_ms", lambda: 1_800_000_000_000)
        for call in calls:
            alone.write([call])
        write_alone = store._write_alone

        def noted(call: StoredCall) -> None:
            one_by_one.append(call)
            write_alone(call)

        patch.setattr(store, "_write_alone", noted)
        start = 0
        while batch := calls[start : start + rng.choice((1, 5, 40))]:
            for call in batch if rng.random() < 0.7 else ():
                store.prepare([call])
            store.write(batch)
            assert not one_by_one or any(call is poison for call in batch for poison in bad)
            one_by_one.clear()
            start += len(batch)
        assert everything(store) == everything(alone)


def test_a_batch_with_nothing_new_is_no_error(store: Store) -> None:
    """Also an empty one, which the writer has when only an action came."""
    call = full_call()
    store.write([call])
    before = everything(store)
    store.write([])
    store.write([call, replace(call, row={**call.row})])
    assert everything(store) == before


POISON: dict[str, dict[str, Any]] = {
    "half surrogates in a message": {"messages": (say("user", "\ud83d"),)},
    "half surrogates in a header": {"bodies": (replace(body(b"x"), headers=(("a", "\udcff"),)),)},
    "an integer over 64 bits": {"columns": {"input_tokens": 2**70}},
    "a NUL": {"columns": {"prompt": "a\0b"}, "messages": (say("user", "a\0b"),)},
    "a column of a foreign type": {"columns": {"model": ["not", "text"]}},
    "data that nests without end": {"messages": (Message("user", (Part("other", None, {}),)),)},
    "a body that is no bytes": {"bodies": (replace(body(b""), content="text"),)},  # type: ignore[arg-type]
    "two attempts of one number": {"attempts": (AttemptRecord(1, "a", "h"), AttemptRecord(1, "a", "h"))},
    "no start": {"columns": {"ts_ms": None, "started_at": None, "conversation_id": None}},
}


@pytest.mark.parametrize("name", POISON)
def test_a_poisoned_call_costs_no_other_its_place(store: Store, name: str) -> None:
    """All three rows are there, and the neighbours are whole."""
    nested: dict[str, Any] = {}
    nested["again"] = nested
    fields = POISON[name]
    if name == "data that nests without end":
        fields = {"messages": (Message("user", (Part("other", None, nested),)),)}
    before, poisoned, after = full_call(), stored_call(**fields), full_call()
    store.write([before, poisoned, after])
    ids = {str(call.row["id"]) for call in (before, poisoned, after)}
    assert {call_id for (call_id,) in rows(store, "SELECT id FROM calls")} == ids
    assert rows(store, "SELECT call_id, count(*) FROM call_messages GROUP BY call_id HAVING count(*) = 3 ORDER BY call_id") == [
        (before.row["id"], 3),
        (after.row["id"], 3),
    ]


def test_the_log_tells_of_a_poisoned_call_without_its_content(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Class and call id only."""
    secret = "".join(random.choices(string.ascii_letters, k=30))
    call = stored_call(bodies=(replace(body(b""), content=secret),))  # type: ignore[arg-type]
    with caplog.at_level(logging.DEBUG):
        store.write([call])
    assert str(call.row["id"]) in caplog.text and "TypeError" in caplog.text
    assert secret not in caplog.text


def test_a_locked_database_is_told_apart(store: Store) -> None:
    """StorageFailure, and the same batch goes in when the lock is gone."""
    store._connection.execute("PRAGMA busy_timeout = 1")
    call = full_call()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailure, match="SQLITE_BUSY"):
            store.write([call])
        other.execute("ROLLBACK")
    store.write([call])
    assert store.call(str(call.row["id"]))


def test_a_full_disk_leaves_the_batch_out_whole(store: Store) -> None:
    """Nothing of the batch is there, and it can be written again when there is room."""
    calls = [stored_call(bodies=(body(random.Random(n).randbytes(100_000)),)) for n in range(5)]
    [pages] = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StorageFailure, match="SQLITE_FULL"):
        store.write(calls)
    assert rows(store, "SELECT count(*) FROM calls") == [(0,)]
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.write(calls)
    assert rows(store, "SELECT count(*) FROM calls") == [(5,)]


def test_no_call_is_prepared_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when a batch is stored one by one, with others waiting for the lock, nor when it comes again after a failure."""
    prepared: list[StoredCall] = []

    def noted(call: StoredCall) -> Prepared:
        prepared.append(call)
        return prepare(call)

    monkeypatch.setattr("addons.storage.store.prepare", noted)
    poison = stored_call(columns={"input_tokens": 2**70}, attempts=(AttemptRecord(1, "a", "h"), AttemptRecord(1, "a", "h")))
    batch = [full_call(), poison, full_call()]
    store.prepare(batch[:1])
    store._connection.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailure):
            store.write(batch)
        other.execute("ROLLBACK")
    store.write(batch)
    assert rows(store, "SELECT count(*) FROM calls") == [(3,)]
    assert [id(call) for call in prepared] == list(map(id, batch)) and not store._ready


def test_pinning_and_tls_failures(store: Store) -> None:
    """A pin is set and taken off; a refused handshake is counted per client, host and reason."""
    call = full_call()
    call_id = str(call.row["id"])
    store.write([call])
    for pinned in (True, False):
        store.set_pinned(call_id, pinned)
        assert rows(store, "SELECT pinned FROM calls") == [(int(pinned),)]
    for _ in range(2):
        store.record_tls_failure(client="127.0.0.1", host="api.openai.com", reason="unknown ca", fix="trust the CA")
    assert rows(store, "SELECT client, host, reason, fix, count FROM tls_failures") == [
        ("127.0.0.1", "api.openai.com", "unknown ca", "trust the CA", 2)
    ]


def test_a_replaced_file_is_noticed(store: Store) -> None:
    """Deleting the database while it is open is seen."""
    assert not store.replaced
    store.path.unlink()
    assert store.replaced


def test_a_closed_database_is_whole_without_its_wal(tmp_path: Path) -> None:
    """Also when a reader stays: a copy of the file alone holds every call."""
    store = Store(tmp_path / "t.db")
    with closing(open_reader(tmp_path / "t.db")):
        store.write([stored_call()])
        store.close()
        copy = tmp_path / "copy.db"
        copy.write_bytes((tmp_path / "t.db").read_bytes())
        with closing(sqlite3.connect(copy)) as copied:
            assert copied.execute("SELECT count(*) FROM calls").fetchone() == (1,)
