"""CSV of the table `calls` (RFC 4180): a header line, every column, CRLF line ends, UTF-8.

Texts are quoted and numbers are not, so that what is not known (empty) differs from an empty text (`""`).

A spreadsheet takes a cell that begins with = + - @ for a formula, also when it is quoted; prompts, answers and tags are other people's
text, and a formula can send the sheet elsewhere (https://owasp.org/www-community/attacks/CSV_Injection). Such a text gets an apostrophe
before it, which spreadsheets take for "this is text". Numbers are left alone. Who needs every text to the letter takes JSON lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from addons.core.call import SqlValue
from scripts.exporting.captures import Captures

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the full-width forms, which are read as the others by spreadsheets of some languages."""


def pieces(captures: Captures) -> Iterator[bytes]:
    """A line for each call, after one with the names."""
    columns = captures.columns
    yield _line(columns)
    for row in captures.rows():
        yield _line([safe(row[name]) for name in columns])


def safe(value: SqlValue) -> SqlValue:
    """The cell, as text where a spreadsheet would compute it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _line(cells: list[SqlValue] | list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_STRINGS).writerow(cells)
    return text.getvalue().encode()
