"""addons/storage/retention.py: what is due goes, what is shared or pinned stays, and the file is whole after every step."""

from __future__ import annotations

import random
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.core.call import StoredCall
from addons.storage.database import StorageFailure, open_reader
from addons.storage.fulltext import Stale
from addons.storage.reading import read_body, read_messages
from addons.storage.retention import DAY_MS, LOCK_S, Limits, Pruner, read_space
from addons.storage.retention_plan import plan
from addons.storage.store import Store
from addons.storage.values import iso_time, json_text
from tests.storage.support import body, full_call, rows, say, stored_call

NOW_MS = 1_800_000_000_000
ALL = Limits(days=None, max_bytes=1)
TABLES = ("calls", "attempts", "bodies", "segments", "segment_refs", "messages", "parts", "call_messages", "stream_timings", "redactions")


def prune(path: Path, limits: Limits, now_ms: int = NOW_MS, *, lock_s: float = LOCK_S, **options: Any) -> int:
    """All that is due; the number of calls that went."""
    with closing(Pruner(path, limits, now_ms, **options)) as pruner:
        while pruner.step(lock_s):
            pass
        return pruner.tally.calls


def age(store: Store, call: StoredCall, days: float) -> None:
    """As if it had been stored so long before now."""
    stored_at = iso_time(NOW_MS - int(days * DAY_MS))
    store._connection.execute("UPDATE calls SET stored_at = ? WHERE id = ?", (stored_at, call.row["id"]))


def ids(store: Store) -> set[str]:
    """Of all calls."""
    return {call_id for (call_id,) in rows(store, "SELECT id FROM calls")}


def is_whole(path: Path) -> None:
    """Nothing dangles, nothing is counted wrong, every body and message list is what was stored, the search knows the parts."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO parts_fts (parts_fts, rank) VALUES ('integrity-check', 1)")
        listed = "SELECT value AS id, count(*) AS n FROM bodies, json_each(segments) GROUP BY value"
        wrong = f"SELECT r.segment_id FROM segment_refs r LEFT JOIN ({listed}) l ON l.id = r.segment_id WHERE r.refs <> coalesce(l.n, 0)"
        assert connection.execute(wrong).fetchall() == []
        for call_id, kind in connection.execute("SELECT call_id, kind FROM bodies").fetchall():
            assert read_body(connection, call_id, kind)


def is_lean(path: Path) -> None:
    """Nothing is kept that no call uses."""
    left_over = (
        "SELECT count(*) FROM segment_refs WHERE refs = 0",
        "SELECT count(*) FROM loose_messages",
        "SELECT count(*) FROM messages WHERE id NOT IN (SELECT message_id FROM call_messages)",
        "SELECT count(*) FROM segments WHERE id NOT IN (SELECT segment_id FROM segment_refs)",
    )
    with closing(sqlite3.connect(path)) as connection:
        assert [connection.execute(sql).fetchone() for sql in left_over] == [(0,)] * len(left_over)


def conversation(turns: int, rng: random.Random, first: str | None = None) -> list[StoredCall]:
    """Calls of which each sends the history again; equal `first` makes two conversations share their beginning."""
    history, calls = [say("system", "be brief"), say("user", first or rng.randbytes(20).hex())], []
    for _ in range(turns):
        answer = say("assistant", rng.randbytes(10).hex())
        sent = [{"role": message.role, "content": f"{message.parts[0].text} " * 60} for message in history]
        request = json_text({"messages": sent}).encode()
        response = rng.randbytes(rng.choice((10, 50_000)))
        bodies = (body(request), body(response, "response"))
        calls.append(stored_call(bodies=bodies, messages=(*history, answer), answers=1))
        history = [*history, answer, say("user", rng.randbytes(20).hex())]
    return calls


def test_calls_that_are_too_old_go_with_all_that_is_theirs(store: Store) -> None:
    """Every table is empty after the only call went."""
    call = full_call()
    store.write([call])
    age(store, call, 31)
    assert prune(store.path, Limits(30, None)) == 1
    assert {table: rows(store, f"SELECT count(*) FROM {table}") for table in TABLES} == {table: [(0,)] for table in TABLES}
    assert rows(store, "SELECT count(*) FROM parts_fts WHERE parts_fts MATCH 'aardvark'") == [(0,)]
    is_whole(store.path)


def test_retention_counts_from_the_time_of_storing(store: Store) -> None:
    """A call of years ago that was imported today stays; so does all that is young enough."""
    old = stored_call(columns={"ts_ms": NOW_MS - 400 * DAY_MS, "started_at": iso_time(NOW_MS - 400 * DAY_MS)})
    young = full_call()
    store.write([old, young])
    age(store, old, 0)
    age(store, young, 29.9)
    assert prune(store.path, Limits(30, None)) == 0
    assert ids(store) == {old.row["id"], young.row["id"]}


def test_what_a_living_call_shares_stays(store: Store) -> None:
    """The first turns of a conversation go; the last one is read back as it was stored."""
    calls = conversation(6, random.Random(1))
    store.write(calls)
    for call in calls[:-1]:
        age(store, call, 40)
    age(store, calls[-1], 1)
    assert prune(store.path, Limits(30, None)) == 5
    last = calls[-1]
    with closing(open_reader(store.path)) as connection:
        for stored in last.bodies:
            read = read_body(connection, str(last.row["id"]), stored.kind)
            assert read and read.content == stored.content
        asked, answered = read_messages(connection, str(last.row["id"]))
        assert (*asked, *answered) == last.messages
    is_whole(store.path)
    is_lean(store.path)


def test_pinned_calls_stay_with_all_that_they_need(store: Store) -> None:
    """However old, and however large the file is; without the pin they go."""
    calls = conversation(4, random.Random(2))
    store.write(calls)
    for n, call in enumerate(calls):
        age(store, call, 100 - n)
    pinned = str(calls[1].row["id"])
    assert store.set_pinned(pinned, True)
    assert prune(store.path, Limits(30, 1)) == 3
    assert ids(store) == {pinned}
    is_whole(store.path)
    is_lean(store.path)
    store.set_pinned(pinned, False)
    assert prune(store.path, Limits(30, None)) == 1
    assert ids(store) == set()


def test_the_oldest_go_until_the_size_is_reached(store: Store) -> None:
    """Those that were stored last stay; no more go than must; the file itself is as small."""
    rng = random.Random(3)
    calls = [stored_call(bodies=(body(rng.randbytes(100_000)),)) for _ in range(40)]
    store.write(calls)
    for n, call in enumerate(calls):
        age(store, call, 20 - n / 10)
    gone = prune(store.path, Limits(30, 2_000_000), spare=0)
    assert 18 <= gone <= 28
    assert ids(store) == {call.row["id"] for call in calls[gone:]}
    store.checkpoint()
    assert 1_800_000 < store.path.stat().st_size <= 2_000_000
    is_whole(store.path)


def said_calls(number: int, rng: random.Random, words: int = 400) -> list[StoredCall]:
    """Calls of which each says words that no other has: nearly all that they take is text, and what the search knows of it."""
    return [
        stored_call(messages=(say("user", " ".join(rng.randbytes(4).hex() for _ in range(words))), say("assistant", "ok")), answers=1)
        for _ in range(number)
    ]


def words_in(path: Path) -> set[str]:
    """What the search's index holds, whether of living calls or not: its pages as they are in the file."""
    with closing(sqlite3.connect(path)) as connection:
        pages = [block for (block,) in connection.execute("SELECT block FROM parts_fts_data")]
    return {found.decode() for page in pages for found in re.findall(rb"[0-9a-f]{4,8}", page)}


def test_no_more_go_than_must_where_texts_are_what_is_large(store: Store) -> None:
    """The search's index frees nothing until it is merged: the calls that go meanwhile are told by an estimate, the plan's own."""
    calls = said_calls(300, random.Random(6))
    for start in range(0, len(calls), 20):
        store.write(calls[start : start + 20])
    with closing(open_reader(store.path)) as connection:
        limits = Limits(None, int(read_space(connection).used * 0.8))
        planned = plan(connection, limits, NOW_MS)
    gone = prune(store.path, limits, spare=0)
    assert abs(gone - planned.calls) <= 0.03 * planned.calls
    assert 50 <= gone <= 75
    store.checkpoint()
    assert 0.93 * limits.max_bytes < store.path.stat().st_size <= limits.max_bytes  # type: ignore[operator]
    is_whole(store.path)
    is_lean(store.path)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_no_merge_comes_between_a_call_and_its_messages(store: Store, count: int) -> None:
    """Else nobody would know of the words that leave after it. In steps so small that the call goes in one, its messages in the next."""
    calls = said_calls(count, random.Random(9))
    store.write(calls)
    for call in calls:
        age(store, call, 31)
    assert prune(store.path, ALL, lock_s=0.0, spare=0) == count
    assert words_in(store.path) == set()


@pytest.mark.parametrize("lock_s", [LOCK_S, 0.0])
def test_the_words_of_what_went_are_in_no_index(store: Store, lock_s: float) -> None:
    """Neither of some calls nor of all; the words of those that stay are, and the file shrinks. Also where a slow disk makes each step
    the smallest, so that a call goes in one and its messages in the next."""
    rng = random.Random(7)
    old, young = said_calls(40, rng), said_calls(20, rng)
    store.write(old)
    store.write(young)
    for call in old:
        age(store, call, 31)
    for call in young:
        age(store, call, 1)
    gone, kept = ({word for call in calls for word in str(call.messages[0].parts[0].text).split()} for calls in (old, young))
    store.checkpoint()
    before = store.path.stat().st_size
    assert prune(store.path, Limits(30, None), lock_s=lock_s, spare=0) == 40
    assert not {word for word in words_in(store.path) if len(word) == 8} & gone
    assert rows(store, "SELECT count(*) FROM parts_fts WHERE parts_fts MATCH ?", next(iter(kept))) == [(1,)]
    assert rows(store, "SELECT count(*) FROM parts_fts WHERE parts_fts MATCH ?", next(iter(gone))) == [(0,)]
    store.checkpoint()
    assert store.path.stat().st_size < before * 0.5
    assert prune(store.path, ALL, lock_s=lock_s, spare=0) == 20
    assert words_in(store.path) == set()
    is_whole(store.path)


def test_a_merge_is_in_small_steps(store: Store) -> None:
    """Each is as short as its time, so that writers get in between; calls that come meanwhile are found."""
    calls = said_calls(120, random.Random(8))
    for start in range(0, len(calls), 10):
        store.write(calls[start : start + 10])
    for call in calls[:60]:
        age(store, call, 31)
    for call in calls[60:]:
        age(store, call, 1)
    with closing(Pruner(store.path, Limits(30, None), NOW_MS)) as pruner:
        merges = 0
        while pruner.step(0):
            merges += pruner._is_merging
            if merges == 2:
                store.write([full_call()])
    assert merges > 5
    assert rows(store, "SELECT count(*) FROM parts_fts WHERE parts_fts MATCH 'aardvark'") == [(1,)]
    is_whole(store.path)


def test_a_little_that_is_stale_waits_and_counts(store: Store) -> None:
    """In a large index the words of a few calls stay until they are worth it, or for a day; no call goes in their place."""
    calls = said_calls(150, random.Random(9))
    large = stored_call(bodies=(body(random.Random(9).randbytes(500_000)),))
    store.write([*calls, large])
    stale = Stale(due_at=time.monotonic() + 3600)
    for call in (*calls[1:], large):
        age(store, call, 1)
    age(store, calls[0], 31)
    assert prune(store.path, Limits(30, None), stale=stale) == 1
    assert stale.bytes > 3000
    first = str(calls[0].messages[0].parts[0].text).split()
    assert words_in(store.path) & set(first)
    with closing(open_reader(store.path)) as connection:
        limits = Limits(30, read_space(connection).used - stale.bytes + 1)
    assert prune(store.path, limits, stale=stale) == 0
    stale.due_at = 0
    assert prune(store.path, limits, stale=stale) == 0
    assert stale.bytes == 0 and not words_in(store.path) & set(first)


def test_what_is_pinned_does_not_count_for_the_size(store: Store) -> None:
    """However much is pinned, those that are not have their room; what they have in common with a pinned one is its."""
    rng = random.Random(10)
    pinned = [stored_call(bodies=(body(rng.randbytes(100_000)),), messages=(say("user", rng.randbytes(2000).hex()),)) for _ in range(20)]
    others = [stored_call(bodies=(body(rng.randbytes(20_000)),)) for _ in range(20)] + [stored_call(bodies=pinned[0].bodies)]
    store.write([*pinned, *others])
    for n, call in enumerate((*pinned, *others)):
        age(store, call, 20 - n / 10)
    for call in pinned:
        store.set_pinned(str(call.row["id"]), True)
    assert prune(store.path, Limits(30, 1_000_000)) == 0
    gone = prune(store.path, Limits(30, 500_000))
    assert 2 <= gone <= 12
    assert ids(store) == {call.row["id"] for call in (*pinned, *others[gone:])}


def test_without_limits_nothing_goes(store: Store) -> None:
    """forever and unlimited."""
    call = full_call()
    store.write([call])
    age(store, call, 10_000)
    assert prune(store.path, Limits(None, None)) == 0
    assert ids(store) == {call.row["id"]}


def test_a_replay_outlives_its_original(store: Store) -> None:
    """It no longer names it."""
    original = full_call()
    replay = stored_call(columns={"replay_of": original.row["id"]})
    store.write([original, replay])
    age(store, original, 31)
    age(store, replay, 1)
    assert prune(store.path, Limits(30, None)) == 1
    assert rows(store, "SELECT id, replay_of FROM calls") == [(replay.row["id"], None)]


def test_refused_handshakes_go_by_when_they_were_last_seen(store: Store) -> None:
    """By days; a size takes none away."""
    store.record_tls_failure(client="a", host="h", reason="unknown ca", fix=None)
    assert prune(store.path, Limits(None, 1), int(time.time() * 1000)) == 0
    assert rows(store, "SELECT count(*) FROM tls_failures") == [(1,)]
    prune(store.path, Limits(30, None), int(time.time() * 1000) + 31 * DAY_MS)
    assert rows(store, "SELECT count(*) FROM tls_failures") == [(0,)]


def test_a_message_that_is_said_again_meanwhile_stays(store: Store) -> None:
    """Between the step that took its last call and the one that would have taken it."""
    call = stored_call(messages=(say("user", "hello"),))
    store.write([call])
    age(store, call, 31)
    with closing(Pruner(store.path, Limits(30, None), NOW_MS)) as pruner:
        assert pruner.step(0)
        assert rows(store, "SELECT count(*) FROM loose_messages") == [(1,)]
        again = stored_call(messages=(say("user", "hello"),))
        store.write([again])
        age(store, again, 1)
        while pruner.step(0):
            pass
    assert rows(store, "SELECT text FROM parts") == [("hello",)]
    is_whole(store.path)
    is_lean(store.path)


def test_a_file_without_auto_vacuum_is_pruned_but_keeps_its_size(tmp_path: Path) -> None:
    """And the pruner says that it cannot shrink."""
    path = tmp_path / "elsewhere.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("PRAGMA journal_mode = WAL")
    with closing(Store(path)) as store:
        call = stored_call(bodies=(body(random.Random(4).randbytes(500_000)),))
        store.write([call])
        age(store, call, 31)
        with closing(Pruner(path, Limits(30, None), NOW_MS)) as pruner:
            while pruner.step():
                pass
            assert not pruner.can_shrink
            assert pruner.space().free > 400_000
    is_whole(path)


def test_another_lock_is_a_failure_that_changes_nothing(store: Store) -> None:
    """The same step succeeds when it is gone."""
    call = full_call()
    store.write([call])
    age(store, call, 31)
    with closing(Pruner(store.path, Limits(30, None), NOW_MS)) as pruner:
        pruner._connection.execute("PRAGMA busy_timeout = 1")
        store._connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailure, match="SQLITE_BUSY"):
            pruner.step()
        store._connection.execute("ROLLBACK")
        assert pruner.tally.calls == 0
        assert pruner.step()
        assert pruner.tally.calls == 1


class Fault(sqlite3.DatabaseError):
    """What a connection raises where a test wants it."""


class Faulty:
    """A connection that fails at one of its statements."""

    def __init__(self, connection: sqlite3.Connection, fail_at: int) -> None:
        self._connection, self._left = connection, fail_at

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """The statement, unless its turn to fail has come; what ends a transaction never fails."""
        self._left -= 1
        if self._left == 0 and sql != "ROLLBACK":
            raise Fault("made to fail")
        return self._connection.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """For all examples of a property."""
    yield tmp_path_factory.mktemp("property")


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), fail_at=st.integers(1, 60), lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_any_order_with_any_fault_leaves_a_whole_file(folder: Path, seed: int, fail_at: int, lengths: list[int]) -> None:
    """Conversations that share their beginnings, pruned in random order by two pruners while calls come in, one of which breaks off."""
    rng = random.Random(seed)
    path = folder / f"{seed}-{fail_at}.db"
    path.unlink(missing_ok=True)
    calls = [call for length in lengths for call in conversation(length, random.Random(seed % 3), rng.choice(("one", "two", None)))]
    with closing(Store(path)) as store:
        store.write(calls)
        doomed = set()
        for call in calls:
            days = rng.choice((1, *(31 + rng.random() for _ in range(3))))
            age(store, call, days)
            if rng.random() < 0.2:
                store.set_pinned(str(call.row["id"]), True)
            elif days > 30:
                doomed.add(str(call.row["id"]))
        late = conversation(3, random.Random(seed % 3), "one")
        with closing(Pruner(path, Limits(30, None), NOW_MS)) as first, closing(Pruner(path, Limits(30, None), NOW_MS)) as second:
            real, first._connection = first._connection, Faulty(first._connection, fail_at)  # type: ignore[assignment]
            for pruner in (first, second, first, second):
                try:
                    pruner.step(0)
                except StorageFailure:
                    pruner._connection = real
                is_whole(path)
            store.write(late)
            for call in late:
                age(store, call, 0)
            first._connection = real
            while first.step() or second.step():
                pass
            assert first.tally.calls + second.tally.calls == len(doomed)
        assert ids(store) == {str(call.row["id"]) for call in (*calls, *late)} - doomed
    is_whole(path)
    is_lean(path)
    path.unlink()


def test_a_killed_step_leaves_nothing_of_itself(store: Store) -> None:
    """What an open transaction did is gone with its connection."""
    calls = conversation(3, random.Random(5))
    store.write(calls)
    for call in calls:
        age(store, call, 31)
    pruner = Pruner(store.path, Limits(30, None), NOW_MS)
    pruner._connection.execute("BEGIN IMMEDIATE")
    assert pruner._delete_some()
    pruner._connection.close()
    assert ids(store) == {call.row["id"] for call in calls}
    is_whole(store.path)
    assert prune(store.path, ALL) == 3
    is_lean(store.path)
