"""addons/storage/upkeep.py: retention while the proxy writes, in the writer's thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from addons.core.call import StoredCall
from addons.storage import retention
from addons.storage import upkeep as module
from addons.storage.database import StorageFailure
from addons.storage.retention import Limits, Pruner
from addons.storage.store import Store
from addons.storage.upkeep import Upkeep
from addons.storage.writer import Writer
from tests.storage.support import call_record, full_call, plain_digest, rows

EVERYTHING = Limits(None, 1)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks are due as soon as they may be."""
    monkeypatch.setattr(module, "FIRST_LOOK_S", 0.0)
    monkeypatch.setattr(module, "PAUSE_S", 0.0)


def run_round(upkeep: Upkeep) -> None:
    """Steps until the next look is a minute away."""
    while upkeep.due_at <= time.monotonic():
        upkeep.step()


def test_the_first_look_is_not_at_the_start(store: Store) -> None:
    """A step before its time does nothing."""
    store.write([full_call()])
    upkeep = Upkeep(store.path, lambda: EVERYTHING)
    upkeep.step()
    assert upkeep.due_at > time.monotonic() + 20
    assert rows(store, "SELECT count(*) FROM calls") == [(1,)]


@pytest.mark.usefixtures("at_once")
def test_a_round_is_one_line_and_the_next_a_minute_later(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """How many went; without any, nothing is said."""
    store.write([full_call(), full_call()])
    upkeep = Upkeep(store.path, lambda: EVERYTHING)
    with caplog.at_level(logging.INFO):
        run_round(upkeep)
        assert "retention: pruned 2 calls, stored " in caplog.text
        assert time.monotonic() + 50 < upkeep.due_at < time.monotonic() + 70
        caplog.clear()
        upkeep.due_at = 0
        run_round(upkeep)
    assert caplog.text == ""
    assert rows(store, "SELECT count(*) FROM calls") == [(0,)]


@pytest.mark.usefixtures("at_once")
def test_limits_are_those_of_the_moment(store: Store) -> None:
    """A changed configuration holds for the next look."""
    store.write([full_call()])
    limits = [Limits(30, None)]
    upkeep = Upkeep(store.path, lambda: limits[0])
    run_round(upkeep)
    assert rows(store, "SELECT count(*) FROM calls") == [(1,)]
    limits[0] = EVERYTHING
    upkeep.due_at = 0
    run_round(upkeep)
    assert rows(store, "SELECT count(*) FROM calls") == [(0,)]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("failure", [StorageFailure("SQLITE_FULL"), RuntimeError("a fault of ours")])
def test_a_failure_is_said_once_and_stops_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    """Calls are stored before and after it; the next look tries again."""
    failed = threading.Event()

    def fail(_: Pruner) -> bool:
        failed.set()
        raise failure

    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(Pruner, "step", fail)
    stored = threading.Event()

    def on_stored(_: Sequence[StoredCall]) -> None:
        stored.set()

    path = tmp_path / "t.db"
    writer = Writer(path, plain_digest, on_stored, upkeep=Upkeep(path, lambda: EVERYTHING))
    with caplog.at_level(logging.WARNING):
        writer.start()
        assert failed.wait(5)
        failed.clear()
        assert failed.wait(5)  # tried again
        writer.put(call_record())
        assert stored.wait(5)
        assert writer.stop()
    assert caplog.text.count("retention: nothing could be pruned") == 1
    with closing(Store(path)) as store:
        assert rows(store, "SELECT count(*) FROM calls") == [(1,)]


@pytest.mark.usefixtures("at_once")
def test_the_writer_prunes_while_nothing_comes_and_while_calls_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is due goes, and every call that came meanwhile was stored."""
    path, ended = tmp_path / "t.db", threading.Event()
    with closing(Store(path)) as store:
        store.write([full_call() for _ in range(50)])
        store._connection.execute("UPDATE calls SET stored_at = '2020-01-01T00:00:00.000Z'")
    told = retention.told

    def tell(*values: object) -> str:
        ended.set()
        return told(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "told", tell)
    writer = Writer(path, plain_digest, upkeep=Upkeep(path, lambda: Limits(30, None)))
    writer.start()
    records = [call_record() for _ in range(20)]
    for record in records:
        writer.put(record)
    assert ended.wait(10)
    assert writer.stop()
    with closing(Store(path)) as store:
        assert {call_id for (call_id,) in rows(store, "SELECT id FROM calls")} == {record.id for record in records}


def test_the_wal_is_moved_into_the_file_between_batches(store: Store) -> None:
    """After a commit, and then not again for a while."""
    upkeep = Upkeep(store.path, lambda: Limits(None, None))
    before = store.path.stat().st_size
    store.write([full_call() for _ in range(50)])
    assert store.path.stat().st_size == before
    upkeep.after_commit(store)
    moved = store.path.stat().st_size
    assert moved > before
    store.write([full_call() for _ in range(200)])
    upkeep.after_commit(store)
    assert store.path.stat().st_size == moved
