"""addons/storage/writer.py: nothing taken in is lost, nothing raises into traffic."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import AttemptRecord, CallRecord, StoredCall
from addons.storage.database import StorageFailure, StoreError, open_reader
from addons.storage.reading import read_body
from addons.storage.store import Store
from addons.storage.writer import GROUP_RECORDS, Writer
from tests.storage.support import body, call_record, plain_digest, say, stored_call

ROOT = Path(__file__).parents[2]

MakeWriter = Callable[..., Writer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be."""
    return tmp_path / "turnpike.db"


@pytest.fixture
def make_writer(path: Path) -> Iterator[MakeWriter]:
    """Started writers, stopped at the end."""
    writers: list[Writer] = []

    def make(digest: Callable[[CallRecord], StoredCall] = plain_digest, **options: Any) -> Writer:
        writer = Writer(path, digest, **options)
        writer.start()
        writers.append(writer)
        return writer

    yield make
    for writer in writers:
        writer.stop(1)


def stored_ids(path: Path) -> set[str]:
    """Ids of all rows."""
    with closing(open_reader(path)) as connection:
        return {call_id for (call_id,) in connection.execute("SELECT id FROM calls")}


class BrokenStore(Store):
    """A store whose disk is full while `full` is set; `tried` is set by each write."""

    full = threading.Event()
    tried = threading.Event()

    def write(self, calls: Sequence[StoredCall]) -> None:
        self.tried.set()
        if self.full.is_set():
            raise StorageFailure("SQLITE_FULL")
        super().write(calls)


@pytest.fixture
def broken_disk() -> Iterator[type[BrokenStore]]:
    """BrokenStore with a disk that is full."""
    BrokenStore.full.set()
    BrokenStore.tried.clear()
    yield BrokenStore
    BrokenStore.full.clear()


def test_a_call_is_readable_within_half_a_second(path: Path, make_writer: MakeWriter) -> None:
    """`on_stored` says when, and the row is there by then."""
    stored = threading.Event()
    seen: list[str] = []

    def on_stored(calls: Sequence[StoredCall]) -> None:
        seen.extend(stored_ids(path))
        stored.set()

    writer = make_writer(on_stored=on_stored)
    record = call_record()
    writer.put(record)
    assert stored.wait(0.5)
    assert seen == [record.id]


def test_stop_writes_all_that_was_taken_in(path: Path, make_writer: MakeWriter) -> None:
    """A thousand calls put at once are a thousand rows after stop, in few commits."""
    commits: list[int] = []

    class CountingStore(Store):
        def write(self, calls: Sequence[StoredCall]) -> None:
            commits.append(len(calls))
            super().write(calls)

    writer = make_writer(open_store=CountingStore)
    records = [call_record(b"{}" * 100) for _ in range(1000)]
    for record in records:
        writer.put(record)
    assert writer.stop()
    assert stored_ids(path) == {record.id for record in records}
    assert sum(commits) == 1000 and len(commits) < 20
    assert (writer.stats().written, writer.stats().queued, writer.stats().queued_bytes) == (1000, 0, 0)


def test_commits_keep_their_distance(make_writer: MakeWriter) -> None:
    """Calls that trickle in are gathered: no two commits within the interval."""
    times: list[float] = []
    enough = threading.Event()

    class TimingStore(Store):
        def write(self, calls: Sequence[StoredCall]) -> None:
            times.append(time.monotonic())
            super().write(calls)
            if len(times) == 3:
                enough.set()

    writer = make_writer(open_store=TimingStore)
    while not enough.wait(0.01):
        writer.put(call_record())
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.19


def test_a_digest_that_fails_costs_no_row(path: Path, make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
    """The plain facts are stored, without what the client wrote; the log has the class, not the message."""
    secret = "".join(random.choices(string.ascii_letters, k=30))

    def digest(record: CallRecord) -> StoredCall:
        raise ValueError(secret)

    attempt = AttemptRecord(1, "openai", "api.openai.com", status=200)
    record = call_record(path=f"/v1/models?key={secret}", user_agent=secret, tag=secret, error=secret, attempts=[attempt])
    writer = make_writer(digest)
    writer.put(record)
    assert writer.stop()
    with closing(Store(path)) as store:
        row = store.call(record.id)
    assert row
    names = ("error_type", "path", "outcome", "status", "upstream", "attempts", "request_bytes", "conversation_id")
    assert [row[name] for name in names] == ["digest_failed", "/v1/models", "ok", 200, "openai", 1, 2, record.id]
    assert "ValueError" in caplog.text and secret not in caplog.text
    assert secret.encode() not in path.read_bytes()


def test_what_waits_is_digested_together(path: Path, make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
    """In order, in groups with a bound; whoever raises, or all of them together, costs no row."""
    groups: list[list[str]] = []
    waiting = threading.Event()

    def each(records: Sequence[CallRecord]) -> list[StoredCall | Exception]:
        waiting.wait(10)
        groups.append([record.id for record in records])
        if len(groups) == 3:
            raise RuntimeError
        return [ValueError() if record.method == "BAD" else plain_digest(record) for record in records]

    records = [call_record(b"x" * (600_000 if number == 50 else 10), method="BAD" if number == 40 else "POST") for number in range(120)]
    writer = make_writer(digest_each=each)
    for number, record in enumerate(records):
        writer.put(record)
        if number == 60:
            writer.do(lambda store: None)
    waiting.set()
    assert writer.stop()
    assert [number for group in groups for number in group] == [record.id for record in records]
    assert max(map(len, groups)) == GROUP_RECORDS and len(groups) < 10 and [records[50].id] in groups
    assert stored_ids(path) == {record.id for record in records}


def test_a_listener_that_fails_costs_nothing(path: Path, make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
    """`on_stored` may raise; the thread goes on."""

    def on_stored(calls: Sequence[StoredCall]) -> None:
        raise KeyError

    writer = make_writer(on_stored=on_stored)
    writer.put(call_record())
    writer.put(call_record())
    assert writer.stop()
    assert len(stored_ids(path)) == 2
    assert "KeyError" in caplog.text


def test_a_full_disk_is_waited_out(
    path: Path, make_writer: MakeWriter, broken_disk: type[BrokenStore], caplog: pytest.LogCaptureFixture
) -> None:
    """Calls are kept, /ready says why, the log says it once, and all is written when there is room again."""
    stored = threading.Event()
    writer = make_writer(open_store=broken_disk, on_stored=lambda calls: stored.set())
    assert writer.healthy() == (True, "ok")
    record = call_record()
    writer.put(record)
    for _ in range(2):  # the second try begins after the first has been noted
        assert broken_disk.tried.wait(5)
        broken_disk.tried.clear()
    assert writer.healthy() == (False, "the database cannot be written: SQLITE_FULL")
    assert writer.stats().last_error == "SQLITE_FULL" and writer.stats().queued_bytes > 0
    broken_disk.full.clear()
    assert stored.wait(5)
    assert writer.healthy() == (True, "ok")
    assert stored_ids(path) == {record.id}
    assert caplog.text.count("SQLITE_FULL") == 1 and "can be written again" in caplog.text


def test_bounds_hold_while_the_disk_is_full(path: Path, make_writer: MakeWriter, broken_disk: type[BrokenStore]) -> None:
    """Above the limit bodies go first, and every row arrives in the end."""
    writer = make_writer(open_store=broken_disk, limit_bytes=100_000)
    for _ in range(20):
        writer.put(call_record(b"x" * 20_000))
    stats = writer.stats()
    assert stats.queued_bytes <= 200_000 and stats.dropped_bodies == 16 and stats.dropped_rows == 0
    broken_disk.full.clear()
    assert writer.stop()
    with closing(open_reader(path)) as connection:
        assert connection.execute("SELECT truncated, count(*) FROM bodies GROUP BY 1").fetchall() == [(0, 4), (1, 16)]


def test_a_stop_that_is_late_writes_plain_rows(path: Path, make_writer: MakeWriter) -> None:
    """Reading what calls said may take longer than there is time: no row is lost for it."""

    def slow(record: CallRecord) -> StoredCall:
        time.sleep(0.2)
        return plain_digest(record)

    writer = make_writer(slow)
    records = [call_record() for _ in range(100)]
    for record in records:
        writer.put(record)
    assert writer.stop(2)
    assert stored_ids(path) == {record.id for record in records}
    with closing(open_reader(path)) as connection:
        assert dict(connection.execute("SELECT error_type, 1 FROM calls GROUP BY 1")) == {None: 1, "digest_failed": 1}


def test_a_database_that_cannot_be_opened_is_waited_for(path: Path, make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
    """The writer starts all the same and says so, once; what comes is written as soon as it can be. No error is logged, at which
    mitmproxy would end while it starts."""
    path.mkdir()
    stored = threading.Event()
    writer = make_writer(on_stored=lambda _: stored.set())
    assert not writer.healthy()[0]
    writer.put(record := call_record())
    path.rmdir()
    assert stored.wait(10)
    assert writer.healthy() == (True, "ok")
    assert stored_ids(path) == {record.id}
    assert [line.levelname for line in caplog.records if "opened" in line.message] == ["WARNING"]


def test_stop_gives_up_on_a_disk_that_stays_full(
    make_writer: MakeWriter, broken_disk: type[BrokenStore], caplog: pytest.LogCaptureFixture
) -> None:
    """The process ends in time, and the log says how much is lost."""
    writer = make_writer(open_store=broken_disk)
    writer.put(call_record())
    began = time.monotonic()
    assert not writer.stop(0.3)
    assert time.monotonic() - began < 1.5
    assert "1 calls are lost" in caplog.text


def test_what_comes_after_stop_is_said_not_raised(make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
    """A late call is logged once and counted."""
    writer = make_writer()
    assert writer.stop()
    writer.put(call_record())
    writer.put(call_record())
    assert caplog.text.count("has stopped") == 1
    assert writer.stats().dropped_rows == 2
    assert writer.healthy() == (False, "the writer does not run")


def test_a_database_that_cannot_be_opened_stops_the_start(path: Path) -> None:
    """`start` raises what the thread met."""
    path.write_text("no database " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Writer(path, plain_digest).start()


def test_other_writes_go_through_the_same_thread(path: Path, make_writer: MakeWriter) -> None:
    """Pins and TLS failures come after the calls put before them; one that fails holds up nothing."""
    writer = make_writer()
    record = call_record()
    writer.put(record)
    writer.do(lambda store: store.set_pinned(record.id, True))
    writer.do(lambda store: store.set_pinned({}, True))  # type: ignore[arg-type]
    writer.do(lambda store: store.record_tls_failure(client="c", host="h", reason="r", fix=None))
    assert writer.stop()
    with closing(open_reader(path)) as connection:
        assert connection.execute("SELECT pinned FROM calls").fetchall() == [(1,)]
        assert connection.execute("SELECT host, count FROM tls_failures").fetchall() == [("h", 1)]


def test_two_writers_share_a_file(path: Path, make_writer: MakeWriter) -> None:
    """As two workers do: no row is lost, and what their calls have in common is stored once, whoever was first."""
    history = [say("user" if n % 2 == 0 else "assistant", f"turn {n} " * 40) for n in range(30)]

    def digest(record: CallRecord) -> StoredCall:
        turns = 1 + int(record.host)
        content = json.dumps({"messages": [{"role": m.role, "content": m.parts[0].text} for m in history[:turns]]}).encode()
        return stored_call(record.id, bodies=(body(content),), messages=tuple(history[:turns]), answers=0)

    writers = [make_writer(digest) for _ in range(2)]
    records = [[call_record(host=str(n % 30)) for n in range(90)] for _ in writers]

    def put(writer: Writer, those: list[CallRecord]) -> None:
        for record in those:
            writer.put(record)
            time.sleep(0.002)  # so that their commits meet

    threads = [threading.Thread(target=put, args=pair) for pair in zip(writers, records, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(writer.stop() for writer in writers)
    assert stored_ids(path) == {record.id for those in records for record in those}
    with closing(open_reader(path)) as connection:
        [messages] = connection.execute("SELECT count(*) FROM messages").fetchone()
        [parents] = connection.execute("SELECT count(DISTINCT coalesce(parent, 0)) FROM messages").fetchone()
        assert (messages, parents) == (30, 30)  # one chain
        assert connection.execute("SELECT count(*), count(DISTINCT hash) FROM segments").fetchone()[0] < 60
        for record in records[0] + records[1]:
            found = read_body(connection, record.id, "request")
            assert found
            assert len(json.loads(found.content)["messages"]) == 1 + int(record.host)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_deleted_database_is_made_anew(path: Path, make_writer: MakeWriter) -> None:
    """Calls after somebody deleted the file are not written into nowhere."""
    stored = threading.Event()
    writer = make_writer(on_stored=lambda calls: stored.set())
    writer.put(call_record())
    assert stored.wait(2)
    path.unlink()
    record = call_record()
    writer.put(record)
    assert writer.stop()
    assert stored_ids(path) == {record.id}


PUTS_UNTIL_KILLED = """
import pathlib, sys, time
from addons.storage.writer import Writer
from tests.storage.support import body, call_record, plain_digest, say, stored_call
writer = Writer(pathlib.Path(sys.argv[1]), plain_digest)
writer.start()
for n in range(int(sys.argv[2])):
    record = call_record(b'{"messages":[{"role":"user","content":"%d"}]}' % n * 50)
    writer.put(record)
    print(time.time(), record.id, flush=True)
    time.sleep(0.002)
"""


def child(path: Path, count: int) -> subprocess.Popen[str]:
    """A process that puts `count` calls, 2 ms apart, and prints the time and id of each."""
    return subprocess.Popen([sys.executable, "-c", PUTS_UNTIL_KILLED, str(path), str(count)], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_kill_9_costs_at_most_the_last_interval(path: Path) -> None:
    """The database opens, is whole, and lacks only calls of the last 200 ms (and the commit that ran)."""
    with child(path, 100_000) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        killed_at = time.time()
        lines += process.stdout.readlines()
    put = [(float(line.split()[0]), line.split()[1]) for line in lines if line.endswith("\n")]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute(
            "SELECT count(*) FROM calls c LEFT JOIN bodies b ON b.call_id = c.id WHERE b.call_id IS NULL"
        ).fetchone() == (0,)
    stored = stored_ids(path)
    lost = [killed_at - at for at, call_id in put if call_id not in stored]
    assert stored and max(lost, default=0.0) < 0.3


def test_a_process_that_forgets_to_stop_loses_nothing(path: Path) -> None:
    """The exit handler writes what waits."""
    with child(path, 20) as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == os.EX_OK
    assert stored_ids(path) == {line.split()[1] for line in out.splitlines()}
