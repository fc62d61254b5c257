"""Which calls are exported."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from addons.storage.database import open_reader
from scripts.exporting import selection as module
from scripts.exporting.selection import BadSelection, Selection, moment, whole_conversation
from tests.scripts.exporting.samples import SESSION

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOON_MS = int(NOW.timestamp() * 1000)
HOUR_MS = 3_600_000


@pytest.fixture
def connection(filled: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_reader(filled)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOON_MS - 7 * 24 * HOUR_MS),
        ("12h", NOON_MS - 12 * HOUR_MS),
        (" 30M ", NOON_MS - HOUR_MS // 2),
        ("2w", NOON_MS - 14 * 24 * HOUR_MS),
        ("2026-11-21", NOON_MS - 12 * HOUR_MS),
        ("2026-11-21T11:00", NOON_MS - HOUR_MS),
        ("2026-11-21 11:00:00.5Z", NOON_MS - HOUR_MS + 500),
        ("2026-11-21T12:00+02:00", NOON_MS - 2 * HOUR_MS),
    ],
)
def test_a_moment(text: str, expected: int) -> None:
    """A span before now, a date, a time with and without a zone."""
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "7", "d", "-7d", "7y", "2026-13-01", "999999w", "2026-11-21T25:00"])
def test_no_moment(text: str) -> None:
    """It is said what would be one."""
    with pytest.raises(BadSelection, match="is no time; write 2026-11-21"):
        moment(text, NOW)


def test_in_the_order_of_time_page_by_page(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where pages end between calls of one moment."""
    every = [row[0] for row in connection.execute("SELECT id FROM calls ORDER BY ts_ms, id")]
    for size in (1, 2, 3, 100):
        monkeypatch.setattr(module, "ID_PAGE", size)
        assert list(Selection().ids(connection)) == every
        assert list(Selection(where="1) OR (1").ids(connection)) == every
    assert Selection().count(connection) == len(every)


def test_conditions_are_all_held(connection: sqlite3.Connection) -> None:
    """Times from and before, the conversation, the condition; brackets in the condition undo no other."""
    times = [row[0] for row in connection.execute("SELECT ts_ms FROM calls ORDER BY ts_ms, id")]
    assert Selection(since_ms=times[6]).count(connection) == len(times) - 6
    assert Selection(until_ms=times[6]).count(connection) == 6
    assert Selection(conversation=SESSION).count(connection) == 3
    for undoing in ("1) OR (1", "0) OR 1 OR (1", "1 OR 1"):
        assert Selection(conversation=SESSION, where=undoing).count(connection) == 3
        assert Selection(since_ms=times[6], where=undoing).count(connection) == len(times) - 6
        assert Selection(until_ms=times[6], where=undoing).count(connection) == 6
    assert Selection(conversation=SESSION, where="prompt LIKE 'And%' -- of the last").count(connection) == 1
    assert Selection(where="tokens_source = 'estimated' AND cost_usd > 0.1").count(connection) == 1
    found = "id IN (SELECT k.call_id FROM parts_fts f JOIN parts p ON p.id = f.rowid JOIN call_messages k USING (message_id)"
    assert Selection(where=f"{found} WHERE parts_fts MATCH 'wider')").count(connection) == 1


@pytest.mark.parametrize(
    "where",
    [
        "",
        "nothing",
        "1; DELETE FROM calls",
        "1); DELETE FROM calls; --",
        "1) UNION SELECT 1",
        "(",
        "load_extension('x')",
        "1 = (DELETE FROM calls)",
        "\0",
        "\ud800",
        "tag MATCH 'x'",
    ],
)
def test_a_bad_condition_is_one_error(connection: sqlite3.Connection, where: str) -> None:
    """Nothing but an expression that reads."""
    with pytest.raises(BadSelection, match=r"^--where: "):
        Selection(where=where).count(connection)


@pytest.mark.parametrize(
    "sql", ["ATTACH ':memory:' AS other", "DELETE FROM calls", "PRAGMA user_version", "CREATE TEMP TABLE t (x)", "BEGIN", "DETACH main"]
)
def test_the_connection_does_nothing_but_read(connection: sqlite3.Connection, sql: str) -> None:
    """Whatever a condition might be made of; afterwards it is as before."""
    with pytest.raises(BadSelection, match=r"not authorized|prohibited"):
        Selection()._run(connection, sql)
    assert connection.execute("PRAGMA user_version").fetchone()[0] > 0


def test_a_conversation_by_its_end(connection: sqlite3.Connection) -> None:
    """As for calls; what is none, or several, is said."""
    assert whole_conversation(connection, SESSION) == SESSION
    assert whole_conversation(connection, "…conversation") == "another conversation"
    for given in ("nothing like it", "sion", ""):
        with pytest.raises(BadSelection, match="there is no conversation"):
            whole_conversation(connection, given)
