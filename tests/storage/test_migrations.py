"""addons/storage/migrations.py: the schema's history."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from addons.storage.migrations import CAPTURES, MIGRATIONS, STATE, ForeignDatabase, migrate, statements

COLUMNS = """
id started_at ts_ms stored_at conversation_id replay_of client project tag user_agent method host path provider upstream api
model served_model response_model route decision stream status outcome error_type error finish_reason input_tokens output_tokens
cache_read_tokens cache_write_tokens reasoning_tokens tokens_source cost_usd cost_source key_hint attempts redactions pinned
n_messages n_tool_calls request_bytes response_bytes connect_ms ttfb_ms ttft_ms duration_ms prompt response
"""
VIEWS = {"traffic", "responses", "conversations", "daily", "by_model", "by_key", "latency", "errors", "redacted", "replays"}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """An empty database in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def names(connection: sqlite3.Connection, kind: str) -> set[str]:
    """Names in the schema."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,))}


def test_calls_has_the_columns_of_the_contract(connection: sqlite3.Connection) -> None:
    """Each column of DESIGN §6, in its order."""
    migrate(connection)
    assert [row[1] for row in connection.execute("PRAGMA table_info(calls)")] == COLUMNS.split()


def test_migrating_twice_changes_nothing(connection: sqlite3.Connection) -> None:
    """An up-to-date schema is left alone."""
    migrate(connection)
    before = connection.execute("SELECT * FROM sqlite_master").fetchall()
    migrate(connection)
    assert connection.execute("SELECT * FROM sqlite_master").fetchall() == before
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert names(connection, "view") == VIEWS


def test_every_view_selects_on_an_empty_database(connection: sqlite3.Connection) -> None:
    """No view names what is not there."""
    migrate(connection)
    for view in VIEWS:
        assert connection.execute(f"SELECT * FROM {view}").fetchall() == []


def test_a_migration_that_fails_leaves_nothing_of_itself(connection: sqlite3.Connection) -> None:
    """Earlier migrations stay, the failed one is rolled back whole, and a mended one goes on from there."""
    first, broken = "CREATE TABLE one (a);", "CREATE TABLE two (a);\nCREATE TABLE one (a);"
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, replace(CAPTURES, migrations=(first, broken)))
    assert names(connection, "table") == {"one"}
    migrate(connection, replace(CAPTURES, migrations=(first, "CREATE TABLE two (a);")))
    assert names(connection, "table") == {"one", "two"}


def test_a_large_file_is_migrated_with_a_word(
    connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each step, since it may take long; a small one is done before one could read it, and one that is up to date has no steps."""
    migrate(connection, replace(CAPTURES, migrations=MIGRATIONS[:-2]))
    assert not caplog.records
    monkeypatch.setattr("addons.storage.migrations.LARGE_BYTES", 50_000)
    migrate(connection)
    migrate(connection)
    told = "the database (0.0 GB) is brought to schema %d of %d, once; it cannot be written meanwhile"
    assert [record.getMessage() for record in caplog.records] == [
        told % (len(MIGRATIONS) - 1, len(MIGRATIONS)),
        told % (len(MIGRATIONS), len(MIGRATIONS)),
    ]


def test_a_newer_database_is_refused(connection: sqlite3.Connection) -> None:
    """Its version and ours are named."""
    migrate(connection)
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ForeignDatabase, match=r"schema 99, this version knows \d"):
        migrate(connection)


def test_another_programs_database_is_refused(connection: sqlite3.Connection) -> None:
    """Our tables are not put between somebody else's."""
    connection.execute("CREATE TABLE bookmarks (url)")
    with pytest.raises(ForeignDatabase, match="another program"):
        migrate(connection)


def test_our_two_files_are_told_apart(connection: sqlite3.Connection) -> None:
    """Neither is taken for the other, and the error says what it is and where the configuration names it."""
    migrate(connection, STATE)
    with pytest.raises(ForeignDatabase, match=r"it is the state database of state\.url; name another file in capture\.database"):
        migrate(connection)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as captures:
        migrate(captures)
        with pytest.raises(ForeignDatabase, match=r"it is the database of capture\.database; name another file in state\.url"):
            migrate(captures, STATE)


def test_triggers_are_one_statement() -> None:
    """The semicolons inside a trigger do not end it."""
    script = "CREATE TABLE a (b);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\nEND;\n"
    assert [text.split()[1] for text in statements(script)] == ["TABLE", "TRIGGER"]
