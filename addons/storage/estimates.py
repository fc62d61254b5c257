"""How many bytes of the file go with a call: one estimate, by which retention stops and by which its plan foretells where it stops.

What the file uses can't say it while calls go: what the full text search knew of them is freed only when its index is merged. So the
bytes to free are settled at a round's start, and each call that goes counts with what no other call has.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

INDEX_FACTOR = 0.7
"""What the full text search keeps of a text, in bytes per byte: 0.6 of prose, 1.4 of words that occur once."""

SEGMENT_BYTES = 700
"""A segment's own, on average: its hash, and what is empty of the last page of its data."""

ROW_BYTES = 2500
"""A call's rows and their places in the indexes, on average."""

MESSAGE_BYTES = 200
"""A message's rows and their places in the indexes, without its text."""

USE_BYTES = 80
"""Of one message in one call: a history grows with the square of its length."""

_SEGMENTS = """
SELECT listed.value, count(*), r.refs, length(s.data)
FROM bodies b, json_each(b.segments) AS listed
JOIN segment_refs r ON r.segment_id = listed.value JOIN segments s ON s.id = listed.value
WHERE b.call_id = ? GROUP BY listed.value
"""
_TEXT = "SELECT coalesce(sum(length(text)), 0), coalesce(sum(length(data)), 0) FROM parts WHERE message_id = ?"
_MESSAGES = "SELECT message_id, count(*) FROM call_messages WHERE call_id = ? GROUP BY message_id"
_USES = "SELECT count(*) FROM call_messages WHERE message_id = ?"
_CALL_USES = "SELECT count(*) FROM call_messages WHERE call_id = ?"
_LAST_MESSAGES = """
SELECT DISTINCT c.message_id FROM call_messages c WHERE c.call_id = ?1
AND NOT EXISTS (SELECT 1 FROM call_messages o WHERE o.message_id = c.message_id AND o.call_id <> ?1)
"""
_PINNED_SEGMENTS = f"""
SELECT coalesce(sum(length(data) + {SEGMENT_BYTES}), 0) FROM segments WHERE id IN (
  SELECT listed.value FROM calls c JOIN bodies b ON b.call_id = c.id, json_each(b.segments) AS listed WHERE c.pinned = 1)
"""
_PINNED_MESSAGES = "SELECT DISTINCT m.message_id FROM calls c JOIN call_messages m ON m.call_id = c.id WHERE c.pinned = 1"
_PINNED_USES = "SELECT count(*) FROM calls c JOIN call_messages m ON m.call_id = c.id WHERE c.pinned = 1"
_PINNED = "SELECT count(*) FROM calls WHERE pinned = 1"


class Freed(NamedTuple):
    """Bytes that go in the end, and how many of them the full text search holds until its index is merged: as much again as it had,
    since it first notes what is gone."""

    bytes: int = 0
    stale: int = 0


@dataclass(slots=True)
class Planned:
    """What calls leave that are looked at as if they went: how often each segment and message is still used."""

    segments: dict[int, int] = field(default_factory=dict)
    messages: dict[int, int] = field(default_factory=dict)

    def freed(self, connection: sqlite3.Connection, call_id: str) -> Freed:
        """What would go with this call after those before it. Raises sqlite3.Error."""
        sizes = []
        for segment, times, refs, size in connection.execute(_SEGMENTS, (call_id,)):
            if _use_up(self.segments, segment, times, refs):
                sizes.append(int(size))
        listed, last = connection.execute(_MESSAGES, (call_id,)).fetchall(), []
        for message, times in listed:
            uses = 0 if message in self.messages else connection.execute(_USES, (message,)).fetchone()[0]
            if _use_up(self.messages, message, times, uses):
                last.append(message)
        return _freed(connection, sizes, last, sum(times for _, times in listed))


def freed_now(connection: sqlite3.Connection, call_id: str) -> Freed:
    """What goes with this call if it goes now. Raises sqlite3.Error."""
    sizes = [int(size) for _, times, refs, size in connection.execute(_SEGMENTS, (call_id,)) if times >= refs]
    last = [message for (message,) in connection.execute(_LAST_MESSAGES, (call_id,))]
    return _freed(connection, sizes, last, connection.execute(_CALL_USES, (call_id,)).fetchone()[0])


def pinned_bytes(connection: sqlite3.Connection) -> int:
    """What pinned calls use, which stays whatever goes. Raises sqlite3.Error."""
    [calls] = connection.execute(_PINNED).fetchone()
    if not calls:
        return 0
    messages = [message for (message,) in connection.execute(_PINNED_MESSAGES)]
    [segments], [uses] = (connection.execute(sql).fetchone() for sql in (_PINNED_SEGMENTS, _PINNED_USES))
    return int(segments) + (int(calls) - 1) * ROW_BYTES + _freed(connection, [], messages, int(uses)).bytes


def _freed(connection: sqlite3.Connection, segments: list[int], messages: list[int], uses: int) -> Freed:
    """`segments`: the sizes of those that go; `messages`: those that go; `uses`: messages that the call has, in all."""
    lengths: Counter[str] = Counter()
    for message in messages:
        text, data = connection.execute(_TEXT, (message,)).fetchone()
        lengths.update(text=text, data=data)
    found = int(lengths["text"] * INDEX_FACTOR)
    own = sum(segments) + SEGMENT_BYTES * len(segments) + MESSAGE_BYTES * len(messages) + USE_BYTES * uses
    return Freed(ROW_BYTES + own + lengths["text"] + lengths["data"] + found, 2 * found)


def _use_up(left: dict[int, int], key: int, times: int, uses: int) -> bool:
    """Was that the last use? `uses` are all there are, for a key that is not known yet."""
    rest = left.get(key, uses) - times
    left[key] = rest
    if rest <= 0:
        del left[key]
    return rest <= 0
