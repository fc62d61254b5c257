"""CSV of the table `calls`."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from pathlib import Path

import pytest

from addons.storage.database import open_reader
from scripts.exporting.csv import pieces, safe
from scripts.exporting.selection import Selection
from tests.scripts.exporting.samples import captures_of


def exported(database: Path, selection: Selection | None = None) -> bytes:
    with closing(open_reader(database)) as connection:
        return b"".join(pieces(captures_of(connection, selection)))


def test_every_column_of_every_call(filled: Path) -> None:
    """Under a header, as RFC 4180 has it; only what a spreadsheet would compute is different."""
    text = exported(filled).decode()
    header, *lines = list(csv.reader(io.StringIO(text, newline="")))
    with closing(open_reader(filled)) as connection:
        cursor = connection.execute("SELECT * FROM calls ORDER BY ts_ms, id")
        assert header == [column[0] for column in cursor.description]
        assert lines == [["" if value is None else str(safe(value)) for value in row] for row in cursor]
    assert text.count("\r\n") == len(lines) + 1  # no line end of ours is another one
    assert any("🚀" in cell for line in lines for cell in line)


def test_what_is_not_known_is_no_empty_text(filled: Path) -> None:
    """Texts are quoted, numbers are not, NULL is nothing."""
    *_, line, _ = exported(filled, Selection(where="tag IS NULL")).decode().split("\r\n")
    assert ',"partial",,,,7,,' in line
    assert ",0.30000000000000004," in line


def test_nothing_is_exported_but_the_header(filled: Path) -> None:
    """Of no calls."""
    assert exported(filled, Selection(where="0")).count(b"\r\n") == 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_formula_is_text(start: str) -> None:
    """It begins with an apostrophe then; other texts, and numbers, are as they are."""
    assert safe(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"
    assert safe(f"a{start}") == f"a{start}"


def test_numbers_and_nothing_are_as_they_are() -> None:
    """A negative number is no formula."""
    assert [safe(value) for value in (-1, -0.5, None, "", 7)] == [-1, -0.5, None, "", 7]


def test_formulas_of_clients_are_text(filled: Path) -> None:
    """Through the whole export: a tag, an answer."""
    text = exported(filled).decode()
    assert '"\'=cmd()"' in text
    assert '"\'-1 is a number"' in text
    assert '"=cmd()"' not in text
