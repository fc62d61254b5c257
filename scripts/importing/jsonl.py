"""Our own JSON lines, one call a line, as `turnpike export` writes them:

    {"turnpike": 2,                       the version of this form
     "call": {…},                         the columns of `calls` (`stored_at` is ignored); `id` and `ts_ms` name it
     "attempts": [{"n", "upstream", "host", "model", "key_hint", "status", "failure", "wait_ms", "duration_ms"}, …],
     "request": {"headers": [["name", "value"], …],
                 "body": "text", or {"base64": "…"} where the bytes are no UTF-8; without Content-Encoding, masked
                 "encoding": "gzip",      the Content-Encoding on the wire, or null
                 "size": 123,             bytes on the wire
                 "truncated": false, "redacted": false},
     "response": {…},                     the same; a body that was not stored is left out
     "messages": [{"role": "user", "parts": [{"kind": "text", "text": "…", "data": {…}}]}, …],
     "answer": [{"role": "assistant", "parts": […]}, …],
     "deltas_ms": [12.5, 0.8, …],         of a stream
     "redactions": [{"rule", "where", "action"}, …]}

Only `turnpike` and `call` with a time, a method, a host and a path have to be there. A line of version 2 whose call names its `api` is
stored as it stands, masked once more: nothing in it is read or priced again, and what it doesn't say stays unknown, so that an exported
call comes back as it was. Of a line of version 1, or without an `api`, what it says wins over what is read of its bodies; its messages
are read of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, cast, get_args

from addons.core.call import (
    AttemptRecord,
    CallRecord,
    CapturedBody,
    FailureClass,
    Message,
    Outcome,
    Part,
    PartKind,
    RedactionNote,
    SqlValue,
    StoredBody,
    StoredCall,
)
from addons.core.ids import is_ulid
from addons.core.jsonvalues import obj, objects, parse
from addons.storage.reading import ATTEMPT_COLUMNS, KINDS
from scripts.importing.entry import BodyFacts, BrokenEntry, Entry, Given, from_base64, text_of
from scripts.importing.jsonscan import BOM
from scripts.importing.source import Plain

VERSION = 2
VERSIONS = (1, VERSION)
NOT_READ = ("id", "pinned", "stored_at")
"""Columns that are the record's or the store's own."""

RECORD_TEXTS = (
    "provider",
    "upstream",
    "served_model",
    "client",
    "project",
    "tag",
    "user_agent",
    "replay_of",
    "route",
    "decision",
    "key_hint",
)
TIMES = ("connect_ms", "ttfb_ms", "duration_ms")


def cut(content: Plain) -> Iterator[tuple[int, bytes]]:
    """(where it ends, the line) for each line that isn't blank."""
    at = len(BOM) if content[: len(BOM)] == BOM else 0
    while at < len(content):
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end + 1
        line = content[at:end].strip()
        if line:
            yield end, line
        at = end


def read(raw: bytes) -> Entry:
    """One line. Raises BrokenEntry."""
    line = parse(raw)
    if not isinstance(line, dict):
        raise BrokenEntry("not a JSON object")
    return entry_of(line)


def entry_of(line: dict[str, Any]) -> Entry:
    """The call of a line's values. Raises BrokenEntry."""
    if line.get("turnpike") not in VERSIONS:
        raise BrokenEntry(f'not of version {" or ".join(map(str, VERSIONS))} of Turnpike\'s own JSON lines ("turnpike": {VERSION})')
    columns = _columns(obj(line, "call"))
    record = _record(columns)
    given = Given({name: value for name, value in columns.items() if name not in NOT_READ}, pinned=bool(columns.get("pinned")))
    for kind in KINDS:
        if isinstance(line.get(kind), dict):
            body, given.bodies[kind] = _body(line[kind], columns.get(f"{kind}_bytes"), kind)
            setattr(record, kind, body)
    given.only_given_bodies = True
    if "attempts" in line:
        given.attempts = tuple(_attempt(value) for value in objects(line, "attempts"))
        record.attempts = list(given.attempts)
    if "deltas_ms" in line:
        given.deltas_ms = tuple(float(value) for value in _numbers(line["deltas_ms"]))
    given.redactions = tuple(_note(value) for value in objects(line, "redactions"))
    known = isinstance(columns.get("api"), str)
    return Entry(record, given, known, _stored(line, record, given) if known and line["turnpike"] == VERSION else None)


def _stored(line: dict[str, Any], record: CallRecord, given: Given) -> StoredCall:
    answer = _messages(line, "answer")
    return StoredCall(
        given.columns | {"id": record.id},
        attempts=given.attempts or (),
        bodies=tuple(_stored_body(kind, getattr(record, kind), given.bodies[kind]) for kind in KINDS if kind in given.bodies),
        messages=(*_messages(line, "messages"), *answer),
        answers=len(answer),
        deltas_ms=given.deltas_ms or (),
        redactions=given.redactions,
    )


def _stored_body(kind: Literal["request", "response"], body: CapturedBody, facts: BodyFacts) -> StoredBody:
    size = len(body.content) if facts.size is None else facts.size
    return StoredBody(kind, body.headers, body.content, facts.encoding, size, bool(facts.truncated), bool(facts.redacted))


def _messages(line: dict[str, Any], name: str) -> tuple[Message, ...]:
    return tuple(
        Message(text_of(message, "role", name), tuple(_part(part) for part in objects(message, "parts"))) for message in objects(line, name)
    )


def _part(value: dict[str, Any]) -> Part:
    if value.get("kind") not in get_args(PartKind):
        raise BrokenEntry("a message has a part of no known kind")
    data = value.get("data")
    return Part(value["kind"], _text(value, "text"), data if isinstance(data, dict) else None)


def _columns(call: dict[str, Any]) -> dict[str, SqlValue]:
    for name, value in call.items():
        if not isinstance(value, str | int | float | None):
            raise BrokenEntry(f"call.{name} is neither text nor number")
    if not call:
        raise BrokenEntry("it has no call")
    return call


def _record(columns: dict[str, Any]) -> CallRecord:
    record = CallRecord(
        id=columns["id"] if isinstance(columns.get("id"), str) and is_ulid(columns["id"]) else "",
        started_ms=_started_ms(columns),
        method=text_of(columns, "method", "call"),
        host=text_of(columns, "host", "call"),
        path=text_of(columns, "path", "call"),
        api=str(columns.get("api") or "other"),
        asked_model=_text(columns, "model"),
        status=columns["status"] if isinstance(columns.get("status"), int) else None,
        error_type=_text(columns, "error_type"),
        error=_text(columns, "error"),
        session=_text(columns, "conversation_id"),
    )
    for name in RECORD_TEXTS:
        setattr(record, name, _text(columns, name))
    for name in TIMES:
        setattr(record, name, next(iter(_numbers([columns.get(name)])), None))
    if columns.get("outcome") in get_args(Outcome):
        record.outcome = cast(Outcome, columns["outcome"])
    elif record.status is None or record.status >= 400:
        record.outcome = "error"
    return record


def _started_ms(columns: dict[str, Any]) -> int:
    at = columns.get("ts_ms")
    if isinstance(at, int):
        return at
    try:
        return int(datetime.fromisoformat(text_of(columns, "started_at", "call")).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise BrokenEntry("call has neither ts_ms nor a started_at in ISO 8601") from error


def _text(columns: dict[str, Any], name: str) -> str | None:
    value = columns.get(name)
    return value if isinstance(value, str) else None


def _numbers(values: object) -> list[float]:
    found = values if isinstance(values, list) else []
    return [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]


def _body(value: dict[str, Any], size: object, kind: str) -> tuple[CapturedBody, BodyFacts]:
    body = value.get("body")
    if isinstance(body, str):
        content = body.encode("utf-8", "replace")
    elif isinstance(obj(value, "body").get("base64"), str):
        content = from_base64(value["body"]["base64"], f"{kind}.body.base64")
    elif body is None:
        content = b""
    else:
        raise BrokenEntry(f'{kind}.body is neither text nor {{"base64": …}}')
    truncated, on_wire = value.get("truncated") is True, value.get("size", size)
    headers = tuple((str(pair[0]), str(pair[1])) for pair in value.get("headers") or () if isinstance(pair, list) and len(pair) == 2)
    facts = BodyFacts(
        size=on_wire if isinstance(on_wire, int) else None,
        truncated=truncated,
        redacted=value.get("redacted") is True,
        encoding=_text(value, "encoding"),
    )
    return CapturedBody(headers, content, len(content) + truncated, decoded=True), facts


def _attempt(value: dict[str, Any]) -> AttemptRecord:
    known: dict[str, Any] = {"host": "", "upstream": None}
    known |= {name: value[name] for name in ATTEMPT_COLUMNS if isinstance(value.get(name), str | int | float)}
    if not isinstance(known.get("n"), int):
        raise BrokenEntry("an attempt has no number n")
    if known.get("failure") not in get_args(FailureClass):
        known.pop("failure", None)
    return AttemptRecord(**known)


def _note(value: dict[str, Any]) -> RedactionNote:
    action = value.get("action")
    if action not in ("mask", "block", "placeholder"):
        raise BrokenEntry("a redaction has no action")
    return RedactionNote(text_of(value, "rule", "redaction"), text_of(value, "where", "redaction"), action)
