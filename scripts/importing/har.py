"""HAR files (http://www.softwareishard.com/blog/har-12-spec/), as browsers and mitmproxy's `save.har` write them.

The file is walked, not parsed: of its entries one at a time becomes Python values, so that memory is one entry's, not the file's.
Bodies are content-decoded nearly always, whatever their headers say; WebSocket messages (`_webSocketMessages`: Chrome, mitmproxy)
become JSON lines, what was sent the request and what came the answer. An entry that `turnpike export` wrote says in `_turnpike` what
the call was; its bodies are those of the HAR, its messages are read of them.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from addons.core.call import CallRecord, CapturedBody, Headers
from addons.core.captured import header
from addons.core.encodings import UndecodableBody, decode, names
from addons.core.jsonvalues import items, obj, objects, parse
from scripts.importing import jsonl
from scripts.importing.entry import BodyFacts, BrokenEntry, Entry, Given, fill_with_messages, from_base64, note_lost, text_of
from scripts.importing.jsonscan import NotJSON, elements, members, start_of
from scripts.importing.source import Plain

BEFORE_ANSWER = ("blocked", "dns", "connect", "send", "wait")
MITMPROXY_STEPS = frozenset({"connect", "ssl", "send", "receive", "wait"})
PROBE_BYTES = 4096
NO_CONTENT = 204
NO_TYPE = ("", "x-unknown")  # what browsers write for a missing Content-Type
TEXT_OPCODE = 1


def cut(content: Plain) -> Iterator[tuple[int, bytes]]:
    """(where it ends, its JSON) for each entry. Raises BrokenEntry where the file stops being a HAR."""
    try:
        entries = _member(content, _member(content, start_of(content), b"log"), b"entries")
        for begin, end in elements(content, entries):
            yield end, content[begin:end]
    except NotJSON as error:
        raise BrokenEntry(str(error)) from error


def _member(content: Plain, at: int, name: bytes) -> int:
    found = next((value for key, value in members(content, at) if key == name), None)
    if found is None:
        raise BrokenEntry(f"it has no {name.decode()!r}, which every HAR has")
    return found


def read(raw: bytes) -> Entry | None:
    """One entry; None where it is no HTTP request. Raises BrokenEntry."""
    entry = parse(raw)
    if not isinstance(entry, dict):
        raise BrokenEntry("not a JSON object")
    if isinstance(entry.get("_turnpike"), dict):
        return _exported(entry)
    request, response = obj(entry, "request"), obj(entry, "response")
    url = _url(text_of(request, "url", "request"))
    if url is None:
        return None
    record = CallRecord(
        id="",
        started_ms=_started_ms(text_of(entry, "startedDateTime", "entry")),
        method=text_of(request, "method", "request").upper(),
        host=url[0],
        path=url[1],
        api="other",
    )
    _read_times(record, entry)
    _read_end(record, response)
    record.request, sent_size = _request(request)
    record.response, size = _response(response)
    if messages := objects(entry, "_webSocketMessages"):
        _read_messages(record, messages)
        return Entry(record)
    return Entry(record, _sizes(record, sent_size, size))


def _exported(entry: dict[str, Any]) -> Entry:
    """An entry of our own export, as a JSON line of version 1. Raises BrokenEntry."""
    line = entry["_turnpike"] | {"turnpike": 1 if entry["_turnpike"].get("turnpike") in jsonl.VERSIONS else None}
    for kind, message, text in (("request", obj(entry, "request"), "postData"), ("response", obj(entry, "response"), "content")):
        if isinstance(line.get(kind), dict):
            held = obj(message, text)
            is_base64 = "base64" in (held.get("encoding"), held.get("_encoding"))
            body = {"base64": held.get("text")} if is_base64 else held.get("text")
            line[kind] = line[kind] | {"headers": [list(pair) for pair in _headers(message)], "body": body}
    return jsonl.entry_of(line)


def _url(url: str) -> tuple[str, str] | None:
    """(host without port, path with query); None for `data:`, `blob:`, extensions."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise BrokenEntry("request.url is no URL") from error
    if parts.scheme not in ("http", "https", "ws", "wss") or not host:
        return None
    return host, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _started_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise BrokenEntry("startedDateTime is no ISO 8601 time") from error


def _read_times(record: CallRecord, entry: dict[str, Any]) -> None:
    """-1 or nothing is not known. mitmproxy's connecting is not a part of the call's time, and its `ssl` none of `connect`."""
    timings = obj(entry, "timings")
    own = frozenset(timings) == MITMPROXY_STEPS
    before_answer = ("send", "wait") if own else BEFORE_ANSWER
    known = {name: value for name in (*before_answer, "receive") if (value := _ms(timings, name)) is not None}
    total = None if own else _ms(entry, "time")
    record.duration_ms = total if total is not None else sum(known.values()) if known else None
    record.connect_ms = _ms(timings, "connect")
    if own and record.connect_ms is not None:
        record.connect_ms += _ms(timings, "ssl") or 0.0
    if "wait" in known:
        record.ttfb_ms = sum(known.get(name, 0.0) for name in before_answer)


def _ms(value: dict[str, Any], name: str) -> float | None:
    found = value.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0 else None


def _read_end(record: CallRecord, response: dict[str, Any]) -> None:
    """Status 0 is what is written where no answer came."""
    status, error = response.get("status"), response.get("_error")
    record.status = status if isinstance(status, int) and status > 0 else None
    record.error = error if isinstance(error, str) and error else None
    if record.status is None:
        record.ttfb_ms, record.outcome, record.error_type = None, "error", "connect"
    elif record.status >= 400:
        record.outcome = "error"
    elif record.error:
        record.outcome, record.error_type = "partial", "stream"


def _headers(message: dict[str, Any]) -> Headers:
    """Pairs as {name, value} or [name, value] (Slack), without HTTP/2's `:method` and the like."""
    pairs = [
        (pair.get("name"), pair.get("value")) if isinstance(pair, dict) else tuple(pair)
        for pair in items(message, "headers")
        if isinstance(pair, dict) or (isinstance(pair, list) and len(pair) == 2)
    ]
    return tuple((name, str(value or "")) for name, value in pairs if isinstance(name, str) and name and not name.startswith(":"))


def _request(request: dict[str, Any]) -> tuple[CapturedBody, int | None]:
    """The body, and its size on the wire where that is known."""
    post = obj(request, "postData")
    body = _body(_headers(request), post.get("text"), post.get("encoding"), "request.postData.text")
    return body, _size(request.get("bodySize"))


def _response(response: dict[str, Any]) -> tuple[CapturedBody, int | None]:
    content, headers = obj(response, "content"), _headers(response)
    kind = str(content.get("mimeType") or "")
    if kind not in NO_TYPE and header(headers, "content-type") is None:
        headers = (*headers, ("Content-Type", kind))
    body = _body(headers, content.get("text"), content.get("encoding"), "response.content.text")
    size = _size(response.get("bodySize"))
    return body, size if size is not None or body.content else _size(content.get("size"))


def _size(value: object) -> int | None:
    """-1 is unknown, and 0 is written for bodies that are there."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _body(headers: Headers, text: object, encoding: object, what: str) -> CapturedBody:
    if not isinstance(text, str):
        return CapturedBody(headers)
    if encoding == "base64":
        content = from_base64(text, what)
        decoded = _is_decoded(content, header(headers, "content-encoding"))
    else:
        content, decoded = text.encode("utf-8", "replace"), True
    return CapturedBody(headers, content, len(content), decoded=decoded)


def _is_decoded(content: bytes, encoding: str | None) -> bool:
    """Is the Content-Encoding off already? What is still compressed is no text, and begins with what decompresses to text."""
    if not names(encoding) or _is_text(content):
        return True
    try:
        start = decode(content, encoding, PROBE_BYTES)
    except UndecodableBody:
        return True
    return not start or not _is_text(start)


def _is_text(content: bytes) -> bool:
    """As far as it goes: the last character may be cut."""
    try:
        getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def _sizes(record: CallRecord, sent_size: int | None, size: int | None) -> Given:
    """Sizes on the wire; what was not kept (streamed past mitmproxy, evicted by the browser) is marked as cut."""
    given = Given()
    expects_answer = record.status is not None and record.status < 300 and record.status != NO_CONTENT
    for kind, body, wire, is_expected in (
        ("request", record.request, sent_size, False),
        ("response", record.response, size, expects_answer),
    ):
        if not body.content and (wire or is_expected):
            note_lost(given, kind, body, wire)
        elif wire is not None:
            given.columns[f"{kind}_bytes"] = wire
            given.bodies[kind] = BodyFacts(size=wire)
    return given


def _read_messages(record: CallRecord, messages: list[dict[str, Any]]) -> None:
    """A WebSocket's messages as JSON lines; times in seconds since 1970."""
    pieces: dict[bool, list[tuple[float, bytes]]] = {True: [], False: []}
    for message in messages:
        data, at = message.get("data"), message.get("time")
        if not isinstance(data, str):
            raise BrokenEntry("a WebSocket message has no data")
        is_text = message.get("opcode", TEXT_OPCODE) == TEXT_OPCODE
        piece = data.encode("utf-8", "replace") if is_text else from_base64(data, "a WebSocket message")
        took_ms = at * 1000 - record.started_ms if isinstance(at, int | float) else record.duration_ms or 0.0
        pieces[message.get("type") == "send"].append((took_ms, piece))
        record.duration_ms = max(record.duration_ms or 0.0, took_ms)
    fill_with_messages(record.request, pieces[True])
    fill_with_messages(record.response, pieces[False])
