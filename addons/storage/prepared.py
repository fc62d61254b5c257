"""What of a call can be made ready without the database: bodies cut and hashed, messages chained, rows' values as SQLite takes them.

Pure: a StoredCall in, tuples out. Done while calls are gathered, so that the transaction only numbers and inserts.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from operator import attrgetter
from typing import NamedTuple

from addons.core.call import AttemptRecord, Message, SqlValue, StoredBody, StoredCall
from addons.storage.segments import cut, cut_long
from addons.storage.values import json_pairs, json_text, sql_text, sql_value, sql_values

ATTEMPT_COLUMNS = ("n", "upstream", "host", "model", "key_hint", "status", "failure", "wait_ms", "duration_ms")
_attempt_values = attrgetter(*ATTEMPT_COLUMNS)

PartRow = tuple[str, str | None, str | None]
"""kind, text, data as JSON."""


class Piece(NamedTuple):
    """A segment to be."""

    digest: bytes
    content: bytes


class Pieces(NamedTuple):
    """A body to be: its row but for the list of segments, which stands last, and what the segments are."""

    row: tuple[SqlValue, ...]
    pieces: list[Piece]


class Said(NamedTuple):
    """A message to be. `parent`: which of the call's messages it follows; `n`: its place in its chain, from 1."""

    digest: bytes
    parent: int | None
    n: int
    role: str
    parts: list[PartRow]
    is_answer: bool


class Prepared(NamedTuple):
    """A call whose rows want nothing any more but the ids of what it shares with others."""

    call: StoredCall
    id: str
    bodies: list[Pieces]
    chain: list[Said]


def prepare(call: StoredCall) -> Prepared:
    """Raises whatever a value does that no row can hold."""
    call_id = str(call.row["id"])
    return Prepared(call, call_id, [_pieces(call_id, body) for body in call.bodies], chained(call.messages, call.answers))


def attempt_row(call_id: str, attempt: AttemptRecord) -> tuple[SqlValue, ...]:
    """The call's id, and ATTEMPT_COLUMNS."""
    return (call_id, *sql_values(_attempt_values(attempt)))


def chained(messages: Sequence[Message], answers: int) -> list[Said]:
    """The messages of a call with their hashes; a message's hash covers all that went before it.

    The last `answers` of them are its answer; several (n > 1) all follow the same request. System messages stand outside the chain:
    coding agents write the date or a per-call token into theirs, which would make the whole history new with every call.
    """
    first_answer = len(messages) - answers
    chain: list[Said] = []
    last: int | None = None
    for position, message in enumerate(messages):
        is_answer, is_system = position >= first_answer, message.role == "system"
        parent = None if is_system else last
        before, n = (b"", 0) if parent is None else (chain[parent].digest, chain[parent].n)
        parts = [_part_row(part.kind, part.text, part.data) for part in message.parts]
        digest = sha256(before + json_text([message.role, parts]).encode()).digest()
        chain.append(Said(digest, parent, n + 1, sql_text(message.role), parts, is_answer))
        if not is_system and not is_answer:
            last = position
    return chain


def _pieces(call_id: str, body: StoredBody) -> Pieces:
    """Only requests repeat each other, so only they are cut at messages."""
    contents = cut(body.content) if body.kind == "request" else cut_long(body.content)
    pieces = [Piece(sha256(content).digest(), content) for content in contents]
    whole = pieces[0].digest if len(pieces) == 1 else sha256(body.content).digest()
    encoding, size = sql_value(body.encoding), sql_value(body.size)
    row = (call_id, body.kind, json_pairs(body.headers), encoding, whole.hex(), size, body.truncated, body.redacted)
    return Pieces(row, pieces)


def _part_row(kind: str, text: str | None, data: dict[str, object] | None) -> PartRow:
    return kind, None if text is None else sql_text(text), None if data is None else json_text(data)
