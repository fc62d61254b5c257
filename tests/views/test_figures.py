"""addons/views/figures.py: the sums of steps are those of SQL by hand, and stay so while calls come and go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import AttemptRecord, SqlValue, StoredCall
from addons.storage.database import open_reader
from addons.storage.store import Store
from addons.views import figures
from addons.views.figures import SPENDERS, Memory, Reading, call_ids, read
from addons.views.filters import MODEL, Query, parse
from tests.views.samples import CALLS, HOSTILE, call_id, sample

NOW = datetime(2026, 11, 21, 10, 7, 33, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
CALL_COLUMNS = {"key": "key_hint"}


def call(number: int, ago_s: float, **columns: SqlValue) -> StoredCall:
    """A call of the sample, so many seconds ago, with other columns."""
    made = sample(number, NOW)
    ts_ms = NOW_MS - int(ago_s * 1000)
    return StoredCall(row=made.row | {"ts_ms": ts_ms} | columns, attempts=made.attempts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The sample over two days, hostile names, and calls of which nothing is known."""
    with closing(Store(tmp_path / "captures.db")) as store:
        store.write([call(number, 3600 * (CALLS - number)) for number in range(CALLS)])
        odd: list[dict[str, SqlValue]] = [
            {"client": HOSTILE, "tag": HOSTILE, "response_model": HOSTILE, "key_hint": "Ab1z", "project": "p"},
            {"client": None, "model": None, "response_model": None, "outcome": None, "status": None, "duration_ms": None},
            {"input_tokens": None, "output_tokens": None, "cost_usd": None, "tag": "", "ttft_ms": None},
        ]
        store.write([call(CALLS + number, 60 * number, **columns) for number, columns in enumerate(odd)])
        yield store


@pytest.fixture
def connection(store: Store) -> Iterator[sqlite3.Connection]:
    with closing(open_reader(store.path)) as connection:
        yield connection


def query(now_ms: int = NOW_MS, **parameters: str) -> Query:
    made, problems = parse({name: [value] for name, value in parameters.items()}, now_ms)
    assert not problems
    return made


def look(connection: sqlite3.Connection, asked: Query, memory: Memory | None = None, **more: Any) -> Reading:
    reading = read(connection, asked, memory or Memory(), **more)
    assert reading is not None
    return reading


def sums(reading: Reading) -> dict[str | None, list[Any]]:
    """Model → what `by_hand` gives for it."""
    found: dict[str | None, list[Any]] = {}
    for block in reading.blocks:
        for row in block.models:
            known = found.setdefault(row.model, [0, None, None, None, None, 0])
            values = (row.calls, row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cost_usd, row.no_cost)
            for place, value in enumerate(values):
                known[place] = known[place] if value is None else (known[place] or 0) + value
    return found


def by_hand(connection: sqlite3.Connection, asked: Query, where: str = "1") -> dict[str | None, list[Any]]:
    rows = connection.execute(
        f"SELECT {MODEL}, count(*), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cost_usd), sum(cost_usd IS NULL)"
        f" FROM calls WHERE ts_ms >= ? AND ts_ms < ? AND {where} GROUP BY 1",
        (asked.span.from_ms, asked.span.to_ms),
    )
    return {row[0]: list(row[1:]) for row in rows}


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"range": "7d"}, "1"),
        ({"range": "24h"}, "1"),
        ({"range": "15m"}, "1"),
        ({"from": "2026-11-20T12:30:01", "to": "2026-11-21T03:00"}, "1"),
        ({"range": "7d", "client": "codex", "upstream": "anthropic"}, "client = 'codex' AND upstream = 'anthropic'"),
        ({"range": "7d", "model": "gpt-4o-mini-2025-09-01"}, "response_model = 'gpt-4o-mini-2025-09-01'"),
        ({"range": "7d", "client": HOSTILE, "tag": HOSTILE}, "client LIKE '</script>%'"),
        ({"range": "7d", "status": "4xx"}, "status = 429"),
        ({"range": "7d", "outcome": "cancelled"}, "outcome = 'cancelled'"),
        ({"range": "7d", "none": "client"}, "client IS NULL"),
        ({"range": "7d", "key": "Ab1z"}, "key_hint = 'Ab1z'"),
    ],
)
def test_sums_are_those_of_sql(connection: sqlite3.Connection, parameters: dict[str, str], where: str) -> None:
    """For every range and filter; what nobody told is None, not 0."""
    asked = query(NOW_MS, **parameters)
    expected = by_hand(connection, asked, where)
    assert expected
    reading = look(connection, asked)
    found = sums(reading)
    assert found.keys() == expected.keys()
    for model, row in expected.items():
        assert found[model] == [value if value is None else pytest.approx(value) for value in row]
    assert len(reading.samples) == sum(row[0] for row in expected.values())
    assert reading.stride == 1
    assert len(reading.latest) == min(figures.LATEST, len(reading.samples))


@pytest.mark.parametrize("name", SPENDERS)
def test_spend_is_that_of_sql(connection: sqlite3.Connection, name: str) -> None:
    """By client, project, key and tag; an empty tag is not the same as none."""
    asked = query(range="7d")
    column = CALL_COLUMNS.get(name, name)
    expected = dict(connection.execute(f"SELECT {column}, count(*) FROM calls GROUP BY 1"))
    found: dict[str | None, int] = {}
    for row in (row for block in look(connection, asked).blocks for row in (block.spend or {}).get(name, ())):
        found[row.value] = found.get(row.value, 0) + row.calls
    assert found == expected


def test_ends_and_failures_are_those_of_sql(connection: sqlite3.Connection) -> None:
    """Calls that did not end well by how they ended, and the attempts that failed in them."""
    reading = look(connection, query(range="7d"))
    bad = [end for block in reading.blocks for end in block.ends]
    by_sql = connection.execute("SELECT outcome, count(*) FROM calls WHERE outcome IS NOT 'ok' GROUP BY 1").fetchall()
    assert {outcome: sum(end.calls for end in bad if end.outcome == outcome) for outcome, _ in by_sql} == dict(by_sql)
    failed = [failure for block in reading.blocks for failure in block.failures]
    expected = connection.execute("SELECT failure, upstream, count(*) FROM attempts WHERE failure IS NOT NULL GROUP BY 1, 2").fetchall()
    assert expected == [("rate_limit", "openai", sum(failure.tries for failure in failed))]


def test_failures_before_a_success_count(store: Store, connection: sqlite3.Connection) -> None:
    """The call ended well, its first attempt did not."""
    tries = (AttemptRecord(1, "one", "h", failure="overloaded"), AttemptRecord(2, "two", "h", status=200))
    row = call(90, 5, outcome="ok", status=200, attempts=2).row
    store.write([StoredCall(row=row, attempts=tries)])
    blocks = look(connection, query(range="15m")).blocks
    assert [failure.tries for block in blocks for failure in block.failures if failure[:2] == ("overloaded", "one")] == [1]


def test_the_slowest_call_of_a_step_is_known(connection: sqlite3.Connection) -> None:
    """By its row, with its own time and outcome."""
    asked = query(range="90d")  # steps of a day
    [block] = [block for block in look(connection, asked).blocks if block.edges[0] <= NOW_MS - 86_400_000 < block.edges[1]]
    for row in block.models:
        expected = connection.execute(
            f"SELECT duration_ms, rowid, ts_ms, outcome FROM calls WHERE {MODEL} = ? AND ts_ms >= ? AND ts_ms < ? ORDER BY 1 DESC",
            (row.model, *block.edges),
        ).fetchone()
        assert row[-4:] == expected


def test_what_comes_and_goes_is_seen(store: Store, connection: sqlite3.Connection) -> None:
    """New calls, late ones of yesterday, and pruned ones change the sums and the token; else the token holds."""
    memory, asked = Memory(), query(range="7d")
    first = look(connection, asked, memory)
    assert read(connection, asked, memory, seen=first.token) is None
    for gone, new in ((None, call(91, 1)), (None, call(92, 86_400)), (call_id(5), None), (call_id(92), call(93, 86_401))):
        store._connection.execute("DELETE FROM calls WHERE id = ?", (gone,))
        store.write([new] if new else [])
        later = look(connection, asked, memory, seen=first.token)
        assert later.token != first.token
        assert {model: row[0] for model, row in sums(later).items()} == {m: row[0] for m, row in by_hand(connection, asked).items()}
        first = later


def test_what_is_known_is_not_read_again(store: Store, connection: sqlite3.Connection) -> None:
    """After a new call only its own step is."""
    memory, asked = Memory(), query(range="24h")
    look(connection, asked, memory)
    store.write([call(94, 1)])
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    look(connection, asked, memory)
    connection.set_trace_callback(None)
    assert len([sql for sql in seen if "sum(cache_read_tokens)" in sql]) == 1


def test_time_that_is_up_is_told_and_gone_on_with(connection: sqlite3.Connection) -> None:
    """The newest steps come first; a look that was cut is never taken for the whole; looks that go on come to an end."""
    memory, asked = Memory(), query(range="7d")
    whole = look(connection, asked)
    cut = look(connection, asked, memory, enough=lambda: True)
    assert (len(cut.blocks), cut.token) == (1, "")
    assert cut.blocks[-1] == whole.blocks[-1]
    answers = iter([False] * 30 + [True])
    assert look(connection, asked, memory, enough=lambda: next(answers)).blocks[30:] == whole.blocks[-1:]
    assert look(connection, asked, memory) == whole


def test_many_calls_are_thinned_out(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is a part of the calls, its stride is told; sums are those of all."""
    monkeypatch.setattr(figures, "SAMPLE", 10)
    reading = look(connection, query(range="7d"))
    assert reading.stride == 8
    assert 0 < len(reading.samples) < CALLS
    assert sum(block.calls for block in reading.blocks) == CALLS + 3


def test_memory_is_bounded() -> None:
    """What was used least is dropped first."""
    memory = Memory(limit=3)
    read_again: list[str] = []

    def read_one() -> tuple[int]:
        read_again.append("once more")
        return (1,)

    def known(key: str) -> bool:
        read_again.clear()
        memory.get((key,), (1, 1, 1.0), read_one, len)
        return not read_again

    assert [known(key) for key in "abcabdcb"] == [False, False, False, True, True, False, False, True]


def test_an_empty_database_has_figures(tmp_path: Path) -> None:
    """None of anything."""
    with closing(Store(tmp_path / "empty.db")), closing(open_reader(tmp_path / "empty.db")) as connection:
        reading = look(connection, query())
    assert (reading.newest_ms, reading.samples, reading.latest) == (None, (), ())
    assert all(not block.models for block in reading.blocks)


def test_rows_are_found_by_number(connection: sqlite3.Connection) -> None:
    """Those that are gone are left out."""
    [(rowid,)] = connection.execute("SELECT rowid FROM calls WHERE id = ?", (call_id(7),)).fetchall()
    assert call_ids(connection, [rowid, 999_999]) == {rowid: call_id(7)}


def test_names_are_offered_whatever_the_filters_are(connection: sqlite3.Connection) -> None:
    """Sorted, each once; what is not known is no name."""
    names = look(connection, query(range="7d", client="codex")).names
    assert names["client"] == tuple(sorted({"claude-cli", "codex", "OpenAI", HOSTILE}))
    assert names["status"] == ("200", "429")
