"""Reading what is exported."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from addons.core.redaction.redactor import Redactor
from addons.storage.database import StoreError, open_reader
from scripts.exporting.captures import Captures
from tests.scripts.exporting.samples import captures_of, ids, stored


def test_calls_and_rows_are_those_that_are_stored(filled: Path) -> None:
    """One by one, in their order."""
    with closing(open_reader(filled)) as connection:
        calls = captures_of(connection)
        found = list(calls.calls())
        rows = list(captures_of(connection).rows())
    assert calls.written == len(found)
    assert [call.row for call in found] == rows
    assert [row["id"] for row in rows] == ids(filled)
    assert [call.messages for call in found] == [call.messages for call in stored(filled)]


def test_they_are_masked_once_more(captures: Path) -> None:
    """By the keys of now; and what an older version stored unmasked."""
    token, word = "sk-" + secrets.token_hex(24), secrets.token_hex(6)
    with closing(sqlite3.connect(captures)) as connection, connection:
        connection.execute("UPDATE calls SET error = ?, path = ?", (f"no {word}", f"/v1/chat/completions?key={token}"))
        connection.execute("UPDATE bodies SET headers = json_array(json_array('Authorization', ?))", (f"Bearer {token}",))
        connection.execute("UPDATE parts SET text = ?", (f"{token} and {word}",))
    with closing(open_reader(captures)) as connection:
        reader = Captures(connection, Redactor([word]), ids(captures), lambda _: None)
        found = repr([*reader.calls(), *reader.rows()])
    assert token not in found and word not in found


def test_a_damaged_call_costs_no_other(captures: Path) -> None:
    """It is told; one that is pruned meanwhile is not there any more, and no error."""
    first, second, *others = ids(captures)
    with closing(sqlite3.connect(captures)) as connection, connection:
        connection.execute("UPDATE bodies SET sha256 = 'x' WHERE call_id = ?", (first,))
    told: list[StoreError] = []

    def pruned() -> Iterator[str]:
        yield first
        with closing(sqlite3.connect(captures)) as connection, connection:
            connection.execute("DELETE FROM calls WHERE id = ?", (second,))
        yield from (second, *others)

    with closing(open_reader(captures)) as connection:
        reader = Captures(connection, Redactor(), pruned(), told.append)
        assert [call.row["id"] for call in reader.calls()] == others
    assert reader.written == len(others)
    assert [first in str(error) for error in told] == [True]
