"""Ids as people give them: whole, or their end as the pages show it (`…Y332MYX3`), in capitals or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from addons.core.ids import is_ulid

MIN_END = 6
"""Characters; fewer would soon be several calls' end."""

LISTED = 10
"""Of several that end alike."""

_CALLS = "SELECT id FROM calls WHERE substr(id, -length(:end)) = :end ORDER BY id DESC LIMIT :most"  # of its index alone
_CONVERSATIONS = """
SELECT conversation_id FROM calls WHERE substr(conversation_id, -length(:end)) = :end GROUP BY 1 ORDER BY max(ts_ms) DESC LIMIT :most
"""


def end_of(given: str) -> str:
    """Without the sign that something is left out before it."""
    return given.strip().lstrip("….")


def calls_ending(captures: sqlite3.Connection, given: str) -> Sequence[str]:
    """The call of that id, or the calls whose ids end so, the latest first; none of what is too short, or no part of an id."""
    end = end_of(given).upper()
    if len(end) < MIN_END or not (end.isascii() and end.isalnum()):
        return []
    if is_ulid(end):
        found = captures.execute("SELECT id FROM calls WHERE id = ?", (end,)).fetchall()
    else:
        found = captures.execute(_CALLS, {"end": end, "most": LISTED}).fetchall()
    return [str(call_id) for (call_id,) in map(tuple, found)]


def conversations_ending(captures: sqlite3.Connection, given: str) -> Sequence[str]:
    """The conversation of that id (any text), or those whose ids end so, the latest first; none of what is too short."""
    if captures.execute("SELECT 1 FROM calls WHERE conversation_id = ? LIMIT 1", (given,)).fetchone():
        return [given]
    end = end_of(given)
    if len(end) < MIN_END:
        return []
    found: dict[str, None] = {}
    for ending in dict.fromkeys((end, end.upper())):  # ids of our own are in capitals; others are as a client sent them
        found |= dict.fromkeys(str(row[0]) for row in captures.execute(_CONVERSATIONS, {"end": ending, "most": LISTED}))
    return list(found)[:LISTED]
