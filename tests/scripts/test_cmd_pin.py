"""scripts/cmd_pin.py: calls that retention leaves alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from addons.storage.store import Store
from scripts import cmd_pin
from tests.storage.support import new_id, rows, stored_call


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where two calls are."""
    return tmp_path / "t.db"


def run(database: Path, *arguments: str) -> Result:
    """On that database."""
    return CliRunner().invoke(cmd_pin.command, ["--database", str(database), *arguments])


def test_pins_are_set_listed_and_taken_off(database: Path) -> None:
    """By whole ids and by their ends."""
    one, two = new_id(), new_id()
    with closing(Store(database)) as store:
        store.write([stored_call(one, columns={"prompt": "what\nis it"}), stored_call(two)])
        assert run(database, one).output == f"{one} is pinned\n"
        assert rows(store, "SELECT id FROM calls WHERE pinned") == [(one,)]
        assert run(database).output == f"{one}  2026-11-21T11:29:00.123Z  gpt-4o                    what is it\n"
        assert run(database, "--remove", one[-20:]).output == f"{one} is no longer pinned\n"
        assert rows(store, "SELECT id FROM calls WHERE pinned") == []
        assert run(database).output == ""


def test_what_is_not_there_is_told(database: Path) -> None:
    """An unknown call, a missing database, nothing named to unpin."""
    assert run(database, "x").output == f"Error: there is no database {database}\n"
    other = database.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    assert "other.db is no database of captures: it is a database of another program" in run(other, "x").output
    Store(database).close()
    result = run(database, "01JD3V8Y6QXKTR0ZB5N4M7WCEF")
    assert result.exit_code == 1 and "there is no call 01JD3V8Y6QXKTR0ZB5N4M7WCEF\n" in result.output
    assert run(database, "--remove").exit_code == 2
