"""Our own JSON lines, one call a line, as `turnpike export` writes them:

    {"turnpike": 1,                       the version of this form
     "call": {…},                         the columns of `calls` (`stored_at` is ignored); `id` and `ts_ms` name it
     "attempts": [{"n", "upstream", "host", "model", "key_hint", "status", "failure", "wait_ms", "duration_ms"}, …],
     "request": {"headers": [["name", "value"], …],
                 "body": "text", or {"base64": "…"} where the bytes are no UTF-8; without Content-Encoding, masked
                 "encoding": "gzip",      the Content-Encoding on the wire, or null
                 "size": 123,             bytes on the wire
                 "truncated": false, "redacted": false},
     "response": {…},                     the same; a body that was not stored is left out
     "deltas_ms": [12.5, 0.8, …],         of a stream
     "redactions": [{"rule", "where", "action"}, …]}

Only `turnpike` and `call` with a time, a method, a host and a path have to be there. What a line says wins over what would be read
of its bodies, so that an exported call comes back as it was; messages and parts are read of the bodies again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any, cast, get_args

from addons.core.call import AttemptRecord, CallRecord, CapturedBody, FailureClass, Outcome, RedactionNote, SqlValue
from addons.core.ids import is_ulid
from addons.core.jsonvalues import obj, objects, parse
from scripts.importing.entry import BodyFacts, BrokenEntry, Entry, Given, from_base64, text_of
from scripts.importing.jsonscan import BOM
from scripts.importing.source import Plain

VERSION = 1
KINDS = ("request", "response")
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
ATTEMPT_COLUMNS = tuple(column.name for column in fields(AttemptRecord))
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
    if line.get("turnpike") != VERSION:
        raise BrokenEntry(f'not of version {VERSION} of Turnpike\'s own JSON lines ("turnpike": {VERSION})')
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
    return Entry(record, given, known_call=isinstance(columns.get("api"), str))


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
