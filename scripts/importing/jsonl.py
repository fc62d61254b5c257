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
from addons.core.jsonvalues import count, items, number, obj, objects, parse
from addons.storage.reading import ATTEMPT_COLUMNS, KINDS
from addons.views.filters import LAST_MS
from scripts.importing.entry import BodyFacts, BrokenEntry, Entry, Given, from_base64, text_of
from scripts.importing.jsonscan import BOM
from scripts.importing.source import Plain

VERSION = 2
VERSIONS = (1, VERSION)
NOT_READ = ("id", "pinned", "stored_at")
"""Columns that are the record's or the store's own."""

KINDS_OF_VALUE = {
    "count": "whole number from 0 to 2^53",
    "number": "number from 0 on",
    "flag": "0 or 1",
    "time": "time in milliseconds since 1970, before the year 9999",
}
_TEXTS = """
id started_at stored_at conversation_id replay_of client project tag user_agent method host path provider upstream api model served_model
response_model route decision outcome error_type error finish_reason tokens_source cost_source key_hint prompt response
"""
_COUNTS = """
status input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens attempts redactions n_messages n_tool_calls
request_bytes response_bytes
"""
COLUMNS = {
    **dict.fromkeys(_TEXTS.split(), "text"),
    **dict.fromkeys(_COUNTS.split(), "count"),
    **dict.fromkeys(("cost_usd", "connect_ms", "ttfb_ms", "ttft_ms", "duration_ms"), "number"),
    **dict.fromkeys(("stream", "pinned"), "flag"),
    "ts_ms": "time",
}
"""What each column of `calls` holds. SQLite would take anything for it, and every page, view and export would meet it."""

ATTEMPT_KINDS = {"n": "count", "status": "count", "wait_ms": "number", "duration_ms": "number"}

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
        given.deltas_ms = tuple(cast(float, _typed(value, "number", "one of deltas_ms")) for value in items(line, "deltas_ms"))
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
    """As the store's own columns hold them; what is of a later version's (and has no column here) is left out."""
    if not call:
        raise BrokenEntry("it has no call")
    known = [name for name in call if name in COLUMNS]
    columns = {name: None if call[name] is None else _typed(call[name], COLUMNS[name], f"call.{name}") for name in known}
    if columns.get("outcome") not in (None, *get_args(Outcome)):
        raise BrokenEntry(f"call.outcome is none of {', '.join(get_args(Outcome))}")
    if columns.get("started_at") is not None:
        _moment_ms(columns["started_at"])
    return columns


def _typed(value: object, kind: str, what: str) -> SqlValue:
    """A value that every page and query can count on: nothing is taken for a number that JSON has as text. Raises BrokenEntry."""
    if kind == "text":
        if isinstance(value, str):
            return value
        raise BrokenEntry(f"{what} is no text")
    if isinstance(value, bool) and kind == "flag":
        return int(value)
    found = None if isinstance(value, str) else number(value) if kind == "number" else count(value)
    if found is None or (kind == "flag" and found > 1) or (kind == "time" and found > LAST_MS):
        raise BrokenEntry(f"{what} is no {KINDS_OF_VALUE[kind]}")
    return found


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
        setattr(record, name, columns.get(name))
    if columns.get("outcome"):
        record.outcome = cast(Outcome, columns["outcome"])
    elif record.status is None or record.status >= 400:
        record.outcome = "error"
    return record


def _started_ms(columns: dict[str, Any]) -> int:
    at = columns.get("ts_ms")
    return at if isinstance(at, int) else _moment_ms(columns.get("started_at"))


def _moment_ms(text: SqlValue) -> int:
    try:
        at = int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise BrokenEntry("call has no ts_ms, or a started_at that is not in ISO 8601") from error
    if not 0 <= at <= LAST_MS:
        raise BrokenEntry("call.started_at is not between the years 1970 and 9999")
    return at


def _text(columns: dict[str, Any], name: str) -> str | None:
    value = columns.get(name)
    return value if isinstance(value, str) else None


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
        size=None if on_wire is None else cast(int, _typed(on_wire, "count", f"{kind}.size")),
        truncated=truncated,
        redacted=value.get("redacted") is True,
        encoding=_text(value, "encoding"),
    )
    return CapturedBody(headers, content, len(content) + truncated, decoded=True), facts


def _attempt(value: dict[str, Any]) -> AttemptRecord:
    known: dict[str, Any] = {"host": "", "upstream": None}
    for name in ATTEMPT_COLUMNS:
        if value.get(name) is not None:
            known[name] = _typed(value[name], ATTEMPT_KINDS.get(name, "text"), f"an attempt's {name}")
    if "n" not in known:
        raise BrokenEntry("an attempt has no number n")
    if known.get("failure") not in get_args(FailureClass):
        known.pop("failure", None)
    return AttemptRecord(**known)


def _note(value: dict[str, Any]) -> RedactionNote:
    action = value.get("action")
    if action not in ("mask", "block", "placeholder"):
        raise BrokenEntry("a redaction has no action")
    return RedactionNote(text_of(value, "rule", "redaction"), text_of(value, "where", "redaction"), action)
