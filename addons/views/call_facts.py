"""Everything that a call's page shows, read by look-ups of its id in indexes only: `read_facts(connection, call_id) -> CallFacts`.

What is damaged (segments that are gone, JSON that is cut) costs its own part, and is told.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field, replace
from typing import Any

from addons.core.call import Message
from addons.storage.database import StoreError
from addons.storage.reading import ATTEMPTS, KINDS, TIMINGS, read_body, read_call, read_messages

INLINE_BYTES = 200_000
"""A longer body is a download: twice (as it was, and indented) it would make the page slow."""

MAX_REPLAYS = 50

_REDACTIONS = 'SELECT rule, "where", action, count(*) FROM redactions WHERE call_id = ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3'
_BODY = """
SELECT b.headers, b.encoding, b.size, b.truncated, b.redacted,
       (SELECT sum(s.size) FROM json_each(b.segments) AS listed LEFT JOIN segments AS s ON s.id = listed.value)
FROM bodies AS b WHERE b.call_id = ? AND b.kind = ?
"""
_REPLAYS = "SELECT id, started_at, model, outcome, status FROM calls WHERE replay_of = ? ORDER BY ts_ms LIMIT ?"
_EXISTS = "SELECT 1 FROM calls WHERE id = ?"
_PLACE = "SELECT count(*), sum((ts_ms, rowid) < (:ts, :at)) FROM calls WHERE conversation_id = :conversation"
_NEIGHBOURS = {
    "previous": "SELECT id FROM calls WHERE (ts_ms, rowid) < (:ts, :at) ORDER BY ts_ms DESC, rowid DESC LIMIT 1",
    "next": "SELECT id FROM calls WHERE (ts_ms, rowid) > (:ts, :at) ORDER BY ts_ms, rowid LIMIT 1",
    "previous_said": """SELECT id FROM calls WHERE conversation_id = :conversation AND (ts_ms, rowid) < (:ts, :at)
                        ORDER BY ts_ms DESC, rowid DESC LIMIT 1""",
    "next_said": """SELECT id FROM calls WHERE conversation_id = :conversation AND (ts_ms, rowid) > (:ts, :at)
                    ORDER BY ts_ms, rowid LIMIT 1""",
}
_NEW_FROM = """
SELECT min(here.position) FROM call_messages AS here
LEFT JOIN call_messages AS before ON before.call_id = :before AND before.position = here.position
WHERE here.call_id = :call AND here.is_answer = 0 AND here.message_id IS NOT before.message_id
"""


@dataclass(frozen=True, slots=True)
class BodyFacts:
    """What is stored of a body. `content` is None where it is too long for the page or cannot be read (`problem` says why)."""

    headers: tuple[tuple[str, str], ...]
    encoding: str | None
    size: int | None
    truncated: bool
    redacted: bool
    stored_bytes: int | None
    content: bytes | None = None
    problem: str | None = None


@dataclass(slots=True)
class CallFacts:
    """Everything that the page shows, as read. `around`: ids of the calls before and after, by the names in `_NEIGHBOURS`; `place`:
    (number from 1, calls) in the conversation; `new_from`: the position of the first message that the call before it did not have."""

    row: dict[str, Any]
    attempts: list[dict[str, Any]]
    redactions: list[tuple[Any, ...]]
    deltas_ms: list[float]
    bodies: dict[str, BodyFacts]
    around: dict[str, str | None]
    place: tuple[int, int]
    replays: list[dict[str, Any]]
    asked: tuple[Message, ...] = ()
    answered: tuple[Message, ...] = ()
    new_from: int | None = None
    original_kept: bool = False
    problems: list[str] = field(default_factory=list)


def read_facts(connection: sqlite3.Connection, call_id: str) -> CallFacts | None:
    """One call, by look-ups of its id in indexes only. None when there is none."""
    row: dict[str, Any] | None = read_call(connection, call_id)
    if row is None:
        return None
    at = connection.execute("SELECT rowid FROM calls WHERE id = ?", (call_id,)).fetchone()[0]
    where = {"ts": row["ts_ms"], "at": at, "conversation": row["conversation_id"]}
    calls, before = connection.execute(_PLACE, where).fetchone()
    timings = connection.execute(TIMINGS, (call_id,)).fetchone()
    facts = CallFacts(
        row=row,
        attempts=_dicts(connection.execute(ATTEMPTS, (call_id,))),
        redactions=[tuple(found) for found in connection.execute(_REDACTIONS, (call_id,))],
        deltas_ms=_numbers(timings[0] if timings else None),
        bodies={kind: body for kind in KINDS if (body := _read_body(connection, call_id, kind)) is not None},
        around={name: _first(connection.execute(sql, where)) for name, sql in _NEIGHBOURS.items()},
        place=(int(before or 0) + 1, int(calls)),
        replays=_dicts(connection.execute(_REPLAYS, (call_id, MAX_REPLAYS))),
        original_kept=bool(row["replay_of"] and connection.execute(_EXISTS, (row["replay_of"],)).fetchone()),
    )
    try:
        facts.asked, facts.answered = read_messages(connection, call_id)
    except ValueError as error:  # JSON that somebody else wrote, or half of it
        facts.problems.append(f"The messages of this call cannot be read: {type(error).__name__}.")
    if facts.asked and facts.around["previous_said"]:
        facts.new_from = connection.execute(_NEW_FROM, {"call": call_id, "before": facts.around["previous_said"]}).fetchone()[0]
    return facts


def _read_body(connection: sqlite3.Connection, call_id: str, kind: str) -> BodyFacts | None:
    """A body with its content where that is short."""
    try:
        row = connection.execute(_BODY, (call_id, kind)).fetchone()
    except sqlite3.OperationalError as error:
        if "JSON" not in str(error):  # e.g. out of time
            raise
        return BodyFacts((), None, None, False, False, None, problem=f"the {kind} body of call {call_id} cannot be read: {error}")
    if row is None:
        return None
    headers, encoding, size, truncated, redacted, stored = row
    facts = BodyFacts(_pairs(headers), encoding, size, bool(truncated), bool(redacted), stored or 0)
    if (stored or 0) > INLINE_BYTES:
        return facts
    try:
        body = read_body(connection, call_id, kind)
    except (StoreError, ValueError) as error:
        return replace(facts, problem=str(error))
    return replace(facts, content=body.content if body else None)


def _dicts(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _first(cursor: sqlite3.Cursor) -> str | None:
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def _numbers(text: object) -> list[float]:
    """A JSON list of numbers; empty for anything else."""
    try:
        listed = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):  # damaged: the bar is drawn without marks
        return []
    return [float(value) for value in listed if isinstance(value, int | float)] if isinstance(listed, list) else []


def _pairs(headers: object) -> tuple[tuple[str, str], ...]:
    try:
        return tuple((str(name), str(value)) for name, value in json.loads(str(headers)))
    except (ValueError, TypeError, RecursionError):  # damaged: read_body tells
        return ()
