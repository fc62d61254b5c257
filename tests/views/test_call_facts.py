"""addons/views/call_facts.py: a call is read by indexes alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from addons.storage.database import open_reader
from addons.views import call_facts
from addons.views.call_facts import read_facts
from tests.views.samples import call_id
from tests.views.talks import fill_talks


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("facts") / "talks.db"
    fill_talks(path)
    with closing(open_reader(path)) as connection:
        yield connection


def test_no_statement_reads_a_whole_table(captures: sqlite3.Connection) -> None:
    """Of all that a page runs; only lists that are handed over (json_each) are gone through, and nothing is sorted but a few rows."""
    ran: list[str] = []
    captures.set_trace_callback(ran.append)
    for number in (102, 110, 133, 140):
        read_facts(captures, call_id(number))
    captures.set_trace_callback(None)
    assert len(set(ran)) > 15
    for statement in set(ran):
        for *_, detail in captures.execute(f"EXPLAIN QUERY PLAN {statement}"):
            assert not re.match(r"SCAN (?!listed|CONSTANT)", detail), (detail, statement)


def test_what_is_read(captures: sqlite3.Connection) -> None:
    """Neighbours by time, place in the conversation, the first message that is new."""
    facts = read_facts(captures, call_id(102))
    assert facts is not None
    assert facts.around == {name: call_id(n) for name, n in (("previous", 101), ("next", 103), ("previous_said", 101), ("next_said", 103))}
    assert facts.place == (3, 6)
    assert facts.new_from == 0  # the call before was a side task with a system prompt of its own
    assert len(facts.asked) == 4
    assert facts.deltas_ms[:2] == [210.0, 5.0]
    after = read_facts(captures, call_id(103))
    assert after is not None
    assert after.new_from == 5
    assert read_facts(captures, "nope") is None


def test_long_bodies_are_not_read(captures: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only their size; short ones are."""
    monkeypatch.setattr(call_facts, "INLINE_BYTES", 10)
    facts = read_facts(captures, call_id(103))
    assert facts is not None
    assert facts.bodies["request"].content is not None
    long = read_facts(captures, call_id(136))
    assert long is not None
    assert (long.bodies["request"].content, long.bodies["request"].stored_bytes) == (None, 300_026)


def test_calls_of_one_moment_have_an_order(tmp_path: Path) -> None:
    """That of their rows: forward and back lead through all of them."""
    path = tmp_path / "moment.db"
    fill_talks(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE calls SET ts_ms = 5")
    with closing(open_reader(path)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM calls ORDER BY rowid")]
        for before, after in pairwise(ids):
            one, other = read_facts(connection, before), read_facts(connection, after)
            assert one is not None
            assert other is not None
            assert (one.around["next"], other.around["previous"]) == (after, before)
