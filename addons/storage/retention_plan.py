"""What a round of retention would take away, found out by reading alone: `plan(connection, limits, now_ms) -> Plan`.

The bytes are an estimate: what the rows and indexes take besides the content is shared out evenly among the calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from addons.storage.retention import Limits, Space, read_space

_CALLS = "SELECT id, stored_at FROM calls WHERE pinned = 0 ORDER BY stored_at"
_SEGMENTS = """
SELECT listed.value, r.refs, length(s.data)
FROM bodies b, json_each(b.segments) AS listed
JOIN segment_refs r ON r.segment_id = listed.value JOIN segments s ON s.id = listed.value
WHERE b.call_id = ?
"""
_TEXTS = """
SELECT coalesce(sum(length(p.text)), 0) FROM call_messages c JOIN parts p ON p.message_id = c.message_id
WHERE c.call_id = :id AND :id = (SELECT max(l.call_id) FROM call_messages l WHERE l.message_id = c.message_id)
"""
"""Messages go with the last call that has them."""

TEXT_FACTOR = 1.7
"""The text itself, and what the full text search knows of it."""

SEGMENT_BYTES = 1500
"""A segment's own: its hash, and the last page of its data, which is half empty on average."""

ROW_BYTES = 2500
"""A call's rows and their places in the indexes, on average."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` would go, stored from `oldest` to `newest` (None: none would), and about `bytes` with them; `kept` would stay."""

    calls: int
    oldest: str | None
    newest: str | None
    bytes: int
    kept: int
    pinned: int
    space: Space


def plan(connection: sqlite3.Connection, limits: Limits, now_ms: int, advance: Advance = lambda _: None) -> Plan:
    """Reads what is due, oldest first. `advance` is called with the number of calls that have been looked at.

    Raises sqlite3.Error.
    """
    space, cutoff = read_space(connection), limits.cutoff(now_ms)
    too_much = space.used - limits.max_bytes if limits.max_bytes is not None else 0
    gone: dict[int, int] = {}
    calls = freed = 0
    oldest = newest = None
    for call_id, stored_at in connection.execute(_CALLS):
        if stored_at >= cutoff and freed >= too_much:
            break
        freed += ROW_BYTES + _segments_freed(connection, call_id, gone) + _texts_freed(connection, call_id)
        calls, oldest, newest = calls + 1, oldest or stored_at, stored_at
        advance(calls)
    total, pinned = connection.execute("SELECT count(*), coalesce(sum(pinned), 0) FROM calls").fetchone()
    return Plan(calls, oldest, newest, min(freed, space.used), total - calls, pinned, space)


def due(connection: sqlite3.Connection, limits: Limits, now_ms: int) -> int:
    """About how many calls a plan or a round will look at: for a progress bar."""
    [old] = connection.execute("SELECT count(*) FROM calls WHERE stored_at < ? AND pinned = 0", (limits.cutoff(now_ms),)).fetchone()
    [unpinned] = connection.execute("SELECT count(*) FROM calls WHERE pinned = 0").fetchone()
    used = read_space(connection).used
    share = 0.0 if limits.max_bytes is None or used <= 0 else max(0.0, 1 - limits.max_bytes / used)
    return max(int(old), round(share * int(unpinned)))


def _segments_freed(connection: sqlite3.Connection, call_id: str, gone: dict[int, int]) -> int:
    """Bytes of the segments whose last user this call is; `gone` counts the users that went before, by segment."""
    freed = 0
    for segment, refs, size in connection.execute(_SEGMENTS, (call_id,)):
        gone[segment] = gone.get(segment, 0) + 1
        if gone[segment] == refs:
            freed += int(size) + SEGMENT_BYTES
            del gone[segment]
    return freed


def _texts_freed(connection: sqlite3.Connection, call_id: str) -> int:
    [length] = connection.execute(_TEXTS, {"id": call_id}).fetchone()
    return int(length * TEXT_FACTOR)
