"""addons/storage/statefile.py: what outlives a restart, and what is done when the disk is in the way."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from addons.storage import statekeeper, staterows
from addons.storage.database import StoreError, open_writer
from addons.storage.statefile import StateFile
from addons.storage.staterows import Saved, SavedBreaker, SavedCooldown

NOW = 1_800_000_000.0
PUTS_AND_WAITS = """
import sys, time
from pathlib import Path
from addons.storage.statefile import StateFile
from addons.storage.staterows import Saved, SavedCooldown
file = StateFile(Path(sys.argv[1]), lambda: 1_800_000_000.0)
file.start()
for name in sys.argv[2:]:
    file.put(Saved((SavedCooldown("openai", name, "*", 1_800_000_600.0, 1, "quota"),)))
    while not file._written.cooldowns:
        time.sleep(0.001)
print("put", flush=True)
sys.stdin.read()
"""
"""The first is committed at once; what follows has to wait for the interval."""

Start = Callable[..., StateFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Starts a state file at NOW, or at the time given; all are stopped at the end."""
    begun: list[StateFile] = []

    def starting(now: float = NOW) -> StateFile:
        file = StateFile(path, lambda: now)
        file.start()
        begun.append(file)
        return file

    yield starting
    for file in begun:
        file.stop()


def cooling(key_id: str = "a1b2", until: float = NOW + 600) -> Saved:
    return Saved((SavedCooldown("openai", key_id, "gpt-4o", until, 2, "rate_limit"),))


def kept(path: Path, now: float = NOW) -> Saved:
    """What a start would find."""
    file = StateFile(path, lambda: now)
    try:
        return file.start()
    finally:
        file.stop()


def rows(path: Path) -> list[str]:
    """The key ids in the file."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return [key_id for (key_id,) in connection.execute("SELECT key_id FROM cooldowns ORDER BY key_id")]


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_new_file_holds_nothing(start: Start, path: Path) -> None:
    """It and its folder are made, for nobody else to read."""
    start().put(cooling())
    assert kept(path.with_name("other.db")) == Saved()
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (path.parent, *path.parent.glob("state.db*"))}
    assert modes == {"state": 0o700, "state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_pragmas_hold_from_the_first_byte(start: Start, path: Path) -> None:
    """auto_vacuum INCREMENTAL (2), and WAL."""
    start().stop()
    with closing(sqlite3.connect(path)) as connection:
        assert [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("auto_vacuum", "journal_mode")] == [2, "wal"]


def test_what_was_put_outlives_a_restart(start: Start, path: Path) -> None:
    """Until it expires; a second start finds it too."""
    state = Saved(cooling().cooldowns, (SavedBreaker("openai", NOW + 30, 3, "timeout"),))
    file = start()
    file.put(state)
    assert file.stop()
    assert kept(path) == kept(path) == state
    assert kept(path, NOW + 30) == cooling()
    assert kept(path, NOW + 600) == Saved()


def test_what_was_read_can_be_taken_back(start: Start, path: Path) -> None:
    """A lock-out of the last run that a success has lifted."""
    start().put(cooling())
    start().stop()
    again = start()
    again.put(Saved())
    again.stop()
    assert kept(path) == Saved()


def test_the_last_put_wins_and_commits_are_few(start: Start, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four threads put a thousand times each as fast as they can: the file holds the last, after a handful of commits."""
    commits: list[Saved] = []
    write = StateFile._write

    def counted(self: StateFile, saved: Saved) -> bool:
        commits.append(saved)
        return write(self, saved)

    monkeypatch.setattr(StateFile, "_write", counted)
    file, begun = start(), time.monotonic()

    def put_many(n: int) -> None:
        for i in range(1000):
            file.put(cooling(f"{n}-{i}"))

    threads = [threading.Thread(target=put_many, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.put(cooling("last"))
    assert file.stop()
    assert rows(path) == ["last"]
    assert len(commits) <= 2 + (time.monotonic() - begun) / statekeeper.COMMIT_INTERVAL_S


def test_commits_keep_their_distance(start: Start, path: Path) -> None:
    """What comes right after a commit waits for its turn."""
    file = start()
    file.put(cooling("first"))
    wait_for(lambda: rows(path) == ["first"])
    begun = time.monotonic()
    file.put(cooling("second"))
    wait_for(lambda: rows(path) == ["second"])
    assert time.monotonic() - begun > statekeeper.COMMIT_INTERVAL_S / 2


def test_putting_waits_for_nothing(start: Start, path: Path) -> None:
    """Also while somebody else holds the file: the event loop calls it."""
    file = start()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        for n in range(1000):
            file.put(cooling(str(n)))
        assert time.monotonic() - begun < 1
        other.execute("ROLLBACK")
    file.stop()
    assert rows(path) == ["999"]


def test_two_processes_keep_each_others_cooldowns(start: Start, path: Path) -> None:
    """Each with a key of its own, on one file."""
    ours = start()
    with another_process(path, "theirs") as process:
        ours.put(cooling("ours"))
        wait_for(lambda: rows(path) == ["ours", "theirs"])
        process.communicate(timeout=10)
    ours.put(Saved())
    ours.stop()
    assert rows(path) == ["theirs"]


def test_a_kill_costs_at_most_the_last_moment(path: Path) -> None:
    """What was committed is there after SIGKILL, and the file is whole."""
    with another_process(path, "first", "second") as process:
        wait_for(lambda: rows(path) == ["second"])
        os.kill(process.pid, signal.SIGKILL)
    assert [row.key_id for row in kept(path).cooldowns] == ["second"]


def test_an_exit_without_a_stop_loses_nothing(path: Path) -> None:
    """An exit handler writes what waits."""
    with another_process(path, *map(str, range(50))) as process:
        process.communicate(timeout=10)
    assert rows(path) == ["49"]


def another_process(path: Path, *key_ids: str) -> subprocess.Popen[bytes]:
    """One that has put these, one after the other, and waits for the end of its input."""
    command = [sys.executable, "-c", PUTS_AND_WAITS, str(path), *key_ids]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout
    assert process.stdout.readline() == b"put\n"
    return process


def test_a_disk_in_the_way_is_told_once_and_tried_again(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Traffic goes on; the newest state is written as soon as it can be."""
    monkeypatch.setattr(statekeeper, "BACKOFF_S", (0.001,))
    tries: list[int] = []
    store, blocked = staterows.store, True

    def fail(connection: sqlite3.Connection, before: Saved, after: Saved) -> None:
        tries.append(1)
        if blocked:
            if len(tries) == 1:
                file.put(cooling("new"))  # comes while the older one is being tried
            connection.execute("DELETE FROM cooldowns")  # rolled back
            raise sqlite3.OperationalError("database or disk is full")
        store(connection, before, after)

    file = start()
    file.put(cooling("before"))
    wait_for(lambda: rows(path) == ["before"])
    monkeypatch.setattr(staterows, "store", fail)
    file.put(cooling("old"))
    wait_for(lambda: len(tries) > 3)
    assert (rows(path), file.error) == (["before"], "database or disk is full")
    blocked = False
    wait_for(lambda: rows(path) == ["new"])
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


def test_a_stop_does_not_wait_for_ever(start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be written by then is lost, and the log says so."""
    monkeypatch.setattr(statekeeper, "BACKOFF_S", (0.001,))

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    file = start()
    monkeypatch.setattr(staterows, "store", fail)
    file.put(cooling())
    assert file.stop(0.05) is False
    assert "are lost" in caplog.messages[-1]


def test_a_file_that_was_deleted_is_made_anew(start: Start, path: Path) -> None:
    """With all that holds now, not only with what has changed since."""
    file, first = start(), cooling("first")
    file.put(first)
    wait_for(lambda: rows(path) == ["first"])
    for each in path.parent.iterdir():
        each.unlink()
    file.put(Saved((*first.cooldowns, *cooling("second").cooldowns)))
    file.stop()
    assert rows(path) == ["first", "second"]


@pytest.mark.parametrize("content", [b"no database, but long enough to be looked at as one\n" * 40, b"short"])
def test_a_broken_file_is_one_clear_line(path: Path, content: bytes) -> None:
    """It names the file and stays as it was; nothing is left running."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"state\.db.*not a database") as caught:
        StateFile(path).start()
    wait_for(lambda: "turnpike-state" not in [thread.name for thread in threading.enumerate()])
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_damaged_file_is_one_clear_line(start: Start, path: Path) -> None:
    """Its header is right and its pages are not."""
    file = start()
    file.put(Saved(tuple(cooling(str(n)).cooldowns[0] for n in range(500))))
    file.stop()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StoreError, match=r"state\.db") as caught:
        StateFile(path).start()
    assert "\n" not in str(caught.value)


def test_the_captures_are_not_taken_for_it(tmp_path: Path) -> None:
    """Nor the other way round."""
    captures, state = tmp_path / "turnpike.db", tmp_path / "state.db"
    open_writer(captures).close()
    kept(state)
    with pytest.raises(StoreError, match=r"cannot use .*turnpike\.db as the state database: it is the database of capture\.database"):
        StateFile(captures).start()
    with pytest.raises(StoreError, match=r"cannot use .*state\.db as the database: it is the state database of state\.url"):
        open_writer(state)


def test_what_is_put_after_a_stop_goes_nowhere(start: Start, path: Path) -> None:
    """And raises nothing."""
    file = start()
    file.stop()
    file.put(cooling())
    assert file.stop()
    assert rows(path) == []
