"""What a round of retention would take away, found out by reading alone: `plan(connection, limits, now_ms) -> Plan`.

The bytes are an estimate: see `estimates`. A round goes by the same one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from addons.storage.estimates import Planned, pinned_bytes
from addons.storage.retention import Limits, Space, excess, read_space

_CALLS = "SELECT id, stored_at FROM calls WHERE pinned = 0 ORDER BY stored_at"
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` would go, stored from `oldest` to `newest` (None: none would), and about `bytes` with them; `kept` would stay.

    `pinned` of those are, with about `pinned_bytes`, which do not count for the size.
    """

    calls: int
    oldest: str | None
    newest: str | None
    bytes: int
    kept: int
    pinned: int
    pinned_bytes: int
    space: Space


def plan(connection: sqlite3.Connection, limits: Limits, now_ms: int, advance: Advance = lambda _: None) -> Plan:
    """Reads what is due, oldest first. `advance` is called with the number of calls that have been looked at.

    Raises sqlite3.Error.
    """
    space, cutoff = read_space(connection), limits.cutoff(now_ms)
    too_much, planned = excess(connection, limits), Planned()
    calls = freed = 0
    oldest = newest = None
    for call_id, stored_at in connection.execute(_CALLS):
        if stored_at >= cutoff and freed >= too_much:
            break
        freed += planned.freed(connection, call_id).bytes
        calls, oldest, newest = calls + 1, oldest or stored_at, stored_at
        advance(calls)
    total, pinned = connection.execute("SELECT count(*), coalesce(sum(pinned), 0) FROM calls").fetchone()
    return Plan(calls, oldest, newest, min(freed, space.used), total - calls, pinned, pinned_bytes(connection), space)


def due(connection: sqlite3.Connection, limits: Limits, now_ms: int) -> int:
    """About how many calls a plan or a round will look at: for a progress bar."""
    [old] = connection.execute("SELECT count(*) FROM calls WHERE stored_at < ? AND pinned = 0", (limits.cutoff(now_ms),)).fetchone()
    [unpinned] = connection.execute("SELECT count(*) FROM calls WHERE pinned = 0").fetchone()
    used = read_space(connection).used
    share = min(1.0, max(0, excess(connection, limits)) / used) if used > 0 else 0.0
    return max(int(old), round(share * int(unpinned)))
