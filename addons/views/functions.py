"""SQL functions for the captures: `body_text(call_id, kind)` and `redact(text)`.

SQLite hides what a Python function raises ("user-defined function raised exception"), so what is wrong comes back as the text, in
brackets.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from threading import Lock

from addons.core.call import SqlValue
from addons.core.redaction.masking import masked
from addons.core.redaction.ruleset import RuleError
from addons.core.redaction.scanner import Scanner
from addons.rulefiles import builtin_scanner
from addons.storage.database import StoreError
from addons.storage.reading import KINDS, read_body

_making = Lock()


def add_functions(connection: sqlite3.Connection) -> None:
    """Both functions, for this connection to captures."""
    connection.create_function("body_text", 2, lambda call_id, kind: body_text(connection, call_id, kind))
    connection.create_function("redact", 1, redact, deterministic=True)


def body_text(connection: sqlite3.Connection, call_id: object, kind: object) -> str | None:
    """A stored body as text: decoded, its secrets masked, cut where it was stored cut. None where none is stored."""
    if call_id is None or kind is None:
        return None
    if kind not in KINDS:
        return f"(body_text: the kind of a body is request or response, not {str(kind)[:40]!r})"
    try:
        body = read_body(connection, str(call_id), str(kind))
    except StoreError as error:
        return f"(body_text: {error})"
    except (ValueError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
            return f"(body_text: the {kind} body of call {call_id} is damaged: {error})"
        connection.interrupt()  # the query's time was over while its segments were read: it ends with SQLite's own word for that
        return None
    return None if body is None else body.content.decode("utf-8", "replace")


def redact(text: SqlValue | bytes) -> SqlValue | bytes:
    """The text with what the built-in rules find in it masked; configured keys and strings are not known here, but what is stored was
    masked with them already. Numbers and NULL stay as they are."""
    if not isinstance(text, str | bytes):
        return text
    try:
        scanner = _scanner()
    except RuleError as error:  # without rules nothing is shown
        return f"(redact: {error})"
    data = text if isinstance(text, bytes) else text.encode()
    clean = masked(data, scanner.find(data))
    return clean if isinstance(text, bytes) else clean.decode("utf-8", "replace")


def _scanner() -> Scanner:
    with _making:  # Datasette's threads may ask at the same time; making it takes half a second
        return _made()


@cache
def _made() -> Scanner:
    return builtin_scanner()
