"""Reading captures back, from any connection (a reader's, Datasette's, the store's own)."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from hashlib import sha256
from itertools import groupby
from typing import Any, Literal

import zstandard

from addons.core.call import AttemptRecord, Message, Part, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.storage.database import StoreError
from addons.storage.segments import unpack

KINDS: tuple[Literal["request", "response"], ...] = ("request", "response")
_BODY = "SELECT kind, headers, encoding, sha256, size, truncated, redacted, segments FROM bodies WHERE call_id = ? AND kind = ?"
_SEGMENTS = """
SELECT s.codec, s.data, s.size FROM json_each(?) AS listed LEFT JOIN segments AS s ON s.id = listed.value ORDER BY listed.key
"""
_MESSAGES = """
SELECT c.position, m.role, c.is_answer, p.kind, p.text, p.data
FROM call_messages c JOIN messages m ON m.id = c.message_id LEFT JOIN parts p ON p.message_id = m.id
WHERE c.call_id = ? ORDER BY c.position, p.n
"""
_LISTED = """
SELECT c.message_id, m.parent, c.is_answer FROM call_messages c JOIN messages m ON m.id = c.message_id
WHERE c.call_id = ? ORDER BY c.position
"""
_MESSAGE = "SELECT m.role, p.kind, p.text, p.data FROM messages m LEFT JOIN parts p ON p.message_id = m.id WHERE m.id = ? ORDER BY p.n"

ATTEMPT_COLUMNS = tuple(column.name for column in fields(AttemptRecord))
ATTEMPTS = f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts WHERE call_id = ? ORDER BY n"
_NOTES = 'SELECT rule, "where", action FROM redactions WHERE call_id = ? ORDER BY rowid'
TIMINGS = "SELECT deltas_ms FROM stream_timings WHERE call_id = ?"


def read_call(connection: sqlite3.Connection, call_id: str) -> dict[str, SqlValue] | None:
    """The columns of one call by name; None when there is no such call."""
    cursor = connection.execute("SELECT * FROM calls WHERE id = ?", (call_id,))
    row = cursor.fetchone()
    return None if row is None else dict(zip((column[0] for column in cursor.description), row, strict=True))


def read_body(connection: sqlite3.Connection, call_id: str, kind: str) -> StoredBody | None:
    """A body with its segments joined; None when none was stored.

    Raises StoreError when the joined bytes are not those that were stored (a damaged or half deleted database).
    """
    row = connection.execute(_BODY, (call_id, kind)).fetchone()
    if row is None:
        return None
    stored_kind, headers, encoding, digest, size, truncated, redacted, segments = row
    unreadable = f"the {kind} body of call {call_id} cannot be read"
    try:
        content = b"".join(unpack(*segment) for segment in connection.execute(_SEGMENTS, (segments,)))
        pairs = tuple((name, value) for name, value in json.loads(headers))
    except sqlite3.OperationalError as error:
        if "malformed JSON" not in str(error):  # e.g. interrupted
            raise
        raise StoreError(f"{unreadable}: its list of segments is damaged") from error
    except (ValueError, TypeError, zstandard.ZstdError) as error:
        raise StoreError(f"{unreadable}: {type(error).__name__}") from error
    if sha256(content).hexdigest() != digest:
        raise StoreError(f"the {kind} body of call {call_id} is not what was stored")
    return StoredBody(stored_kind, pairs, content, encoding, size, bool(truncated), bool(redacted))


def read_messages(connection: sqlite3.Connection, call_id: str) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """(messages of the request, messages of the answer) of one call; both empty when none were stored."""
    asked: list[Message] = []
    answered: list[Message] = []
    rows: list[tuple[Any, ...]] = [tuple(row) for row in connection.execute(_MESSAGES, (call_id,))]
    for _, group in groupby(rows, key=lambda row: row[0]):
        of_message = list(group)
        _, role, is_answer, *_ = of_message[0]
        message = Message(role, tuple(_part(*row[3:]) for row in of_message if row[3] is not None))
        (answered if is_answer else asked).append(message)
    return tuple(asked), tuple(answered)


def read_listed(connection: sqlite3.Connection, call_id: str) -> list[tuple[int, int | None, bool]]:
    """(message, the message it was said after, is it an answer) of one call, by their ids, in order."""
    return [(found, parent, bool(is_answer)) for found, parent, is_answer in connection.execute(_LISTED, (call_id,))]


def read_message(connection: sqlite3.Connection, message_id: int) -> Message:
    """A message by its id. Raises StoreError when there is none."""
    rows = connection.execute(_MESSAGE, (message_id,)).fetchall()
    if not rows:
        raise StoreError(f"message {message_id} is not there")
    return Message(rows[0][0], tuple(_part(*row[1:]) for row in rows if row[1] is not None))


def read_headers(connection: sqlite3.Connection, call_id: str) -> StoredBody | None:
    """The request's body without its content: its headers alone. None when none was stored. Raises StoreError when they are damaged."""
    row = connection.execute(_BODY, (call_id, "request")).fetchone()
    if row is None:
        return None
    try:
        pairs = tuple((name, value) for name, value in json.loads(row[1]))
    except (ValueError, TypeError) as error:
        raise StoreError(f"the request headers of call {call_id} cannot be read: {type(error).__name__}") from error
    return StoredBody("request", pairs, b"", row[2], row[4], bool(row[5]), bool(row[6]))


def read_stored(connection: sqlite3.Connection, call_id: str) -> StoredCall | None:
    """A call with all that belongs to it, `row` with every column (`stored_at` and `pinned` too); None when there is no such call.

    What was deleted meanwhile is missing as a whole, where the caller's transaction holds all of the reading. Raises StoreError as
    read_body does.
    """
    row = read_call(connection, call_id)
    if row is None:
        return None
    asked, answered = read_messages(connection, call_id)
    timings = connection.execute(TIMINGS, (call_id,)).fetchone()
    return StoredCall(
        row,
        attempts=tuple(AttemptRecord(*found) for found in connection.execute(ATTEMPTS, (call_id,))),
        bodies=tuple(body for kind in KINDS if (body := read_body(connection, call_id, kind))),
        messages=(*asked, *answered),
        answers=len(answered),
        deltas_ms=tuple(json.loads(timings[0])) if timings else (),
        redactions=tuple(RedactionNote(*found) for found in connection.execute(_NOTES, (call_id,))),
    )


def _part(kind: Any, text: str | None, data: str | None) -> Part:
    return Part(kind, text, None if data is None else json.loads(data))
