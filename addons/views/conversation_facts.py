"""One page of a conversation's calls with the messages that each brought, read in time that its length hardly changes.

A call's history is not read: each message names its parent, so from a call's last message the shared beginning is found by ids
alone (`prefixes`), and only what comes after it is looked up.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from addons.core.call import Message, Part
from addons.core.conversations import says_same
from addons.views.prefixes import Follow, Parents, Turn, follow_all

PAGE_CALLS = 100
LOOK_BACK = 200
"""How many calls before a page are looked at for what its calls go on from."""

HEAD_MESSAGES = 8
"""System messages stand among the first; agents send one to three."""

NEW_MESSAGES = 100
"""Of one call; the others are on its own page. Only a conversation that began before it was captured brings as many."""

UNKNOWN_HISTORY = 4
"""Of a call whose forerunner is not known (it came before what is looked at), the last ones are shown."""

_TOTALS = """
SELECT count(*), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cost_usd), sum(cost_usd IS NULL),
       min(started_at), max(started_at), sum(outcome <> 'ok') FROM calls WHERE conversation_id = ?
"""
_BEFORE = """
SELECT sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(cost_usd IS NULL) FROM
  (SELECT input_tokens, output_tokens, cost_usd FROM calls WHERE conversation_id = ? ORDER BY ts_ms, rowid LIMIT ?)
"""
_CALLS = """
SELECT id, started_at, ts_ms, client, tag, upstream, model, served_model, response_model, outcome, status, error_type,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd, key_hint, ttft_ms, duration_ms,
       n_messages, replay_of, pinned, prompt, response
FROM calls WHERE conversation_id = ? ORDER BY ts_ms, rowid LIMIT ? OFFSET ?
"""
_LAST = """
SELECT listed.value,
       (SELECT max(x.position) FROM call_messages AS x WHERE x.call_id = listed.value),
       (SELECT x.position FROM call_messages AS x WHERE x.call_id = listed.value AND x.is_answer = 0 ORDER BY x.position DESC LIMIT 1),
       (SELECT x.message_id FROM call_messages AS x JOIN messages AS m ON m.id = x.message_id
        WHERE x.call_id = listed.value AND x.is_answer = 0 AND m.role <> 'system' ORDER BY x.position DESC LIMIT 1)
FROM json_each(?) AS listed
"""
_SYSTEMS = """
SELECT listed.value, x.message_id FROM json_each(?) AS listed
JOIN call_messages AS x ON x.call_id = listed.value AND x.position < ? JOIN messages AS m ON m.id = x.message_id
WHERE m.role = 'system' AND x.is_answer = 0 ORDER BY listed.key, x.position
"""
_CHAIN = """
WITH RECURSIVE chain(id, parent, n) AS (
  SELECT m.id, m.parent, m.n FROM json_each(?) AS listed JOIN messages AS m ON m.id = listed.value
  UNION SELECT m.id, m.parent, m.n FROM chain JOIN messages AS m ON m.id = chain.parent
)
SELECT id, parent, n FROM chain
"""
_POSITION = "SELECT position FROM call_messages WHERE message_id = ? AND call_id = ? AND is_answer = 0 ORDER BY position DESC LIMIT 1"
_RANGE = "SELECT position, message_id, is_answer FROM call_messages WHERE call_id = ? AND position BETWEEN ? AND ? ORDER BY position"
_PARTS = """
SELECT m.id, m.role, p.kind, p.text, p.data FROM json_each(?) AS listed JOIN messages AS m ON m.id = listed.value
LEFT JOIN parts AS p ON p.message_id = m.id ORDER BY listed.key, p.n
"""
_IMAGES_BEFORE = """
SELECT count(*) FROM call_messages AS x JOIN parts AS p ON p.message_id = x.message_id
WHERE x.call_id = ? AND x.position < ? AND x.is_answer = 0 AND p.kind = 'image'
"""
_WHOLE_BODIES = "SELECT call_id, kind FROM bodies WHERE call_id IN (SELECT value FROM json_each(?)) AND truncated = 0"


@dataclass(slots=True)
class CallMessages:
    """What a call brought: `asked` and `answered` as (position, message id, message). `echo`: how many of the first in `asked` are the
    answer before, sent back as it was. `hidden`: new ones that are not read."""

    asked: list[tuple[int, int, Message]] = field(default_factory=list)
    answered: list[tuple[int, int, Message]] = field(default_factory=list)
    systems: list[tuple[int, Message]] = field(default_factory=list)
    echo: int = 0
    hidden: int = 0
    changed_from: int | None = None
    images_before: int = 0


@dataclass(slots=True)
class ConversationFacts:
    """A page: `rows`, `turns` and `follows` are those of the calls looked at, of which the last ones (from number `start`) are shown with
    their `messages`. `first` is the number (from 0) of the first shown call in the conversation."""

    conversation_id: str
    totals: dict[str, Any]
    before: dict[str, Any]
    first: int
    start: int
    rows: list[dict[str, Any]]
    turns: list[Turn]
    follows: tuple[Follow, ...]
    messages: list[CallMessages]
    whole_bodies: frozenset[tuple[str, str]]


def read_conversation(connection: sqlite3.Connection, conversation_id: str, page: int) -> ConversationFacts | None:
    """Page `page` (from 1). None for a conversation that is not there."""
    totals = _named(connection.execute(_TOTALS, (conversation_id,)), TOTALS)
    if not totals["calls"]:
        return None
    pages = -(-totals["calls"] // PAGE_CALLS)
    first = (min(max(page, 1), pages) - 1) * PAGE_CALLS
    offset = max(0, first - LOOK_BACK)
    cursor = connection.execute(_CALLS, (conversation_id, first - offset + PAGE_CALLS, offset))
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    reader = _Reader(connection, rows)
    follows = follow_all(reader.turns, reader.parents)
    start = first - offset
    shown = [str(row["id"]) for row in rows[start:]]
    return ConversationFacts(
        conversation_id=conversation_id,
        totals=totals,
        before=_named(connection.execute(_BEFORE, (conversation_id, first)), BEFORE),
        first=first,
        start=start,
        rows=rows,
        turns=reader.turns,
        follows=follows,
        messages=reader.messages(follows, start, is_whole=offset == 0),
        whole_bodies=frozenset((str(call), str(kind)) for call, kind in connection.execute(_WHOLE_BODIES, (json.dumps(shown),))),
    )


TOTALS = ("calls", "input_tokens", "output_tokens", "cache_read_tokens", "cost_usd", "without_cost", "first_at", "last_at", "not_ok")
BEFORE = ("input_tokens", "output_tokens", "cost_usd", "without_cost")


class _Reader:
    """The messages of some calls, by id."""

    def __init__(self, connection: sqlite3.Connection, rows: Sequence[dict[str, Any]]) -> None:
        self._connection = connection
        self._ids = [str(row["id"]) for row in rows]
        listed = json.dumps(self._ids)
        ends = {call: (end, asked, last) for call, end, asked, last in connection.execute(_LAST, (listed,))}
        self._ends: list[tuple[int | None, int | None, int | None]] = [ends[call] for call in self._ids]
        systems: defaultdict[str, list[int]] = defaultdict(list)
        for call, message in connection.execute(_SYSTEMS, (listed, HEAD_MESSAGES)):
            systems[call].append(message)
        self._systems = systems
        self.turns = [_turn(row, self._ends[at][2], systems[self._ids[at]]) for at, row in enumerate(rows)]
        lasts = json.dumps([turn.last for turn in self.turns if turn.last is not None])
        self.parents: Parents = {found: (parent, n) for found, parent, n in connection.execute(_CHAIN, (lasts,))}

    def messages(self, follows: Sequence[Follow], start: int, *, is_whole: bool) -> list[CallMessages]:
        """What each call from number `start` on brought. `is_whole`: no call of the conversation lies before those looked at."""
        answers = {at: self._answers(at) for at in {*range(start, len(self._ids)), *_forerunners(follows[start:])}}
        asked = {at: self._asked(at, follows[at], is_whole) for at in range(start, len(self._ids))}
        new_systems = {at: [] if _same_systems(follows[at]) else self._systems[self._ids[at]] for at in asked}
        wanted = [message for found in (*answers.values(), *(rows for rows, *_ in asked.values())) for _, message in found]
        parts = self._parts([*wanted, *(message for found in new_systems.values() for message in found)])
        made = []
        for at, (rows, hidden, changed_from) in asked.items():
            known = {*new_systems[at]}
            new = CallMessages(
                asked=[(position, found, parts[found]) for position, found in rows if found not in known],
                answered=[(position, found, parts[found]) for position, found in answers[at]],
                systems=[(found, parts[found]) for found in new_systems[at]],
                hidden=hidden,
                changed_from=changed_from,
            )
            before = follows[at].before
            if before is not None and follows[at].shared is not None:
                new.echo = _echo([message for *_, message in new.asked], [parts[found] for _, found in answers[before]])
            if new.asked and any(part.kind == "image" for *_, message in new.asked for part in message.parts):
                first = new.asked[0][0]
                new.images_before = self._connection.execute(_IMAGES_BEFORE, (self._ids[at], first)).fetchone()[0]
            made.append(new)
        return made

    def _answers(self, at: int) -> list[tuple[int, int]]:
        end, asked, _ = self._ends[at]
        if end is None:
            return []
        rows = self._connection.execute(_RANGE, (self._ids[at], (-1 if asked is None else asked) + 1, end))
        return [(position, found) for position, found, is_answer in rows if is_answer]

    def _asked(self, at: int, follow: Follow, is_whole: bool) -> tuple[list[tuple[int, int]], int, int | None]:
        """((position, message) of what is new, how many more there are, from which position on the prefix is another)."""
        _, last, _ = self._ends[at]
        if last is None:
            return [], 0, None
        call = self._ids[at]
        place = self._connection.execute(_POSITION, (follow.shared, call)).fetchone() if follow.shared is not None else None
        first = place[0] + 1 if place else 0
        limit = NEW_MESSAGES if is_whole or follow.before is not None else UNKNOWN_HISTORY
        begin = max(first, last + 1 - limit)
        rows = [(position, found) for position, found, is_answer in self._connection.execute(_RANGE, (call, begin, last)) if not is_answer]
        return rows, begin - first, self._changed_from(at, follow, first, rows)

    def _changed_from(self, at: int, follow: Follow, first: int, rows: Sequence[tuple[int, int]]) -> int | None:
        """The position of the first message that stands in another's place; `rows` are the new ones, from `first` on."""
        systems = self._systems[self._ids[at]]
        if follow.system_changed and follow.before is not None:
            before = self._systems[self._ids[follow.before]]
            return next((place for place, (one, other) in enumerate(zip(systems, before, strict=False)) if one != other), len(before))
        if follow.kind not in ("changes", "replaces"):
            return None
        return next((position for position, found in rows if found not in systems), first)

    def _parts(self, ids: Iterable[int]) -> dict[int, Message]:
        found: dict[int, tuple[str, list[Part]]] = {}
        for message, role, kind, text, data in self._connection.execute(_PARTS, (json.dumps(sorted(set(ids))),)):
            parts = found.setdefault(message, (role, []))[1]
            if kind is not None:
                parts.append(Part(kind, text, _data(data)))
        return {message: Message(role, tuple(parts)) for message, (role, parts) in found.items()}


def _turn(row: dict[str, Any], last: int | None, systems: Sequence[int]) -> Turn:
    return Turn(
        last=last,
        systems=tuple(systems),
        started_ms=row["ts_ms"],
        duration_ms=row["duration_ms"],
        model=row["served_model"] or row["model"],
        upstream=row["upstream"],
        key_hint=row["key_hint"],
        cache_read_tokens=row["cache_read_tokens"],
        cache_write_tokens=row["cache_write_tokens"],
    )


def _forerunners(follows: Iterable[Follow]) -> set[int]:
    return {follow.before for follow in follows if follow.before is not None}


def _same_systems(follow: Follow) -> bool:
    return follow.before is not None and not follow.system_changed


def _echo(asked: Sequence[Message], answer: Sequence[Message]) -> int:
    """How many of the first new messages are the answer before, sent back: clients cut it up otherwise, or leave its reasoning out."""
    length = next((number for number, message in enumerate(asked) if message.role != "assistant"), len(asked))
    for choice in answer:  # any of several
        for end in range(length, 0, -1):
            if says_same([_joined(asked[:end])], [choice]):
                return end
    return 0


def _joined(messages: Sequence[Message]) -> Message:
    return Message("assistant", tuple(part for message in messages for part in message.parts))


def _data(text: str | None) -> dict[str, Any] | None:
    try:
        value = json.loads(text) if text else None
    except ValueError:  # damaged: the text of the part is still shown
        return None
    return value if isinstance(value, dict) else None


def _named(cursor: sqlite3.Cursor, names: Sequence[str]) -> dict[str, Any]:
    return dict(zip(names, cursor.fetchone(), strict=True))
