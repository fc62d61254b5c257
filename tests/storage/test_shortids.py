"""addons/storage/shortids.py: what the pages show of an id finds the call again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from addons.storage.database import open_reader
from addons.storage.shortids import calls_ending, conversations_ending
from addons.storage.store import Store
from tests.storage.support import stored_call

ONE, TWO = "01JD3V8Y6QXKTR0ZB5N4MAAAAA", "01JD3V8Y6QXKTR0ZB5N5MAAAAA"


@pytest.fixture
def captures(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(Store(tmp_path / "t.db")) as store:
        store.write([stored_call(ONE, columns={"conversation_id": "Session 1"}), stored_call(TWO, columns={"conversation_id": TWO})])
    with closing(open_reader(tmp_path / "t.db")) as connection:
        yield connection


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ONE, [ONE]),
        (ONE.lower(), [ONE]),
        ("…N4MAAAAA", [ONE]),
        ("...n5maaaaa ", [TWO]),
        ("MAAAAA", [TWO, ONE]),
        ("AAAAA", []),
        ("NOSUCH", []),
        ("%%%%%%%", []),
        ("", []),
        ("01JD3V8Y6QXKTR0ZB5N4MAAAAB", []),
    ],
)
def test_calls(captures: sqlite3.Connection, given: str, expected: list[str]) -> None:
    """With or without the sign before it, in any case; the latest first; a short end is none."""
    assert list(calls_ending(captures, given)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("Session 1", ["Session 1"]), ("ession 1", ["Session 1"]), ("ion 1", []), (TWO[-8:].lower(), [TWO]), ("nothing", []), ("", [])],
)
def test_conversations(captures: sqlite3.Connection, given: str, expected: list[str]) -> None:
    """Their ids are any text, ours in capitals."""
    assert list(conversations_ending(captures, given)) == expected


def test_only_an_index_is_read(captures: sqlite3.Connection) -> None:
    """A row is a kilobyte."""
    for name in ("_CALLS", "_CONVERSATIONS"):
        sql = getattr(__import__("addons.storage.shortids", fromlist=[name]), name)
        plan = " ".join(str(row[3]) for row in captures.execute(f"EXPLAIN QUERY PLAN {sql}", {"end": "X", "most": 2}))
        assert "COVERING INDEX" in plan, plan
