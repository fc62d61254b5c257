"""HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/), as browsers' developer tools open it, and as `turnpike import` reads it.

What a HAR has no field for is in fields that begin with an underscore, as the specification wants it:

    _turnpike             on each entry: all but the content, in the form of a JSON line (`scripts/importing/jsonl.py`); by it an import
                          knows the call again, with its id
    _error                of a response: why it broke off, or did not come (as Chrome writes it)
    _encoding             of postData: `base64` where the body is no UTF-8 (HAR 1.2 knows this of answers only)
    _webSocketMessages    of an entry: as Chrome writes them
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from itertools import accumulate
from typing import Any
from urllib.parse import parse_qsl

from addons.core.addressing import is_this_machine
from addons.core.call import Headers, StoredBody, StoredCall
from addons.core.captured import SWITCHING_PROTOCOLS, header
from scripts.exporting.captures import Captures
from scripts.exporting.jsonl import body_facts, content, facts, json_bytes

UNKNOWN = -1
NO_TYPE = "x-unknown"  # what browsers write where there is no Content-Type
UNKNOWN_VERSION = "unknown"  # likewise: which HTTP it was is not kept


def pieces(captures: Captures) -> Iterator[bytes]:
    """The file's beginning, a line for each call, and its end."""
    creator = {"name": "Turnpike", "version": version("turnpike")}
    yield b'{"log":{"version":"1.2","creator":' + json_bytes(creator) + b',"pages":[],"entries":['
    separator = b"\n"
    for call in captures.calls():
        yield separator + json_bytes(entry(call))
        separator = b",\n"
    yield b"\n]}}\n"


def entry(call: StoredCall) -> dict[str, Any]:
    """One entry; what is not known is -1 or empty, as the specification has it."""
    bodies = {body.kind: body for body in call.bodies}
    steps = _timings(call.row)
    return {
        "startedDateTime": call.row["started_at"],
        "time": round(sum(step for step in steps.values() if step > 0), 3),
        "request": _request(call, bodies.get("request")),
        "response": _response(call, bodies.get("response")),
        "cache": {},
        "timings": steps,
        **_socket(call, bodies),
        "_turnpike": facts(call) | {kind: body_facts(body) for kind, body in bodies.items()},
    }


def _timings(row: dict[str, Any]) -> dict[str, float]:
    """Milliseconds. `send`, `wait` and `receive` have to be there; all of what was waited for is in `wait`."""
    connect, first, whole = row["connect_ms"], row["ttfb_ms"], row["duration_ms"]
    whole = (0.0 if first is None else first) if whole is None else whole
    first = whole if first is None else min(first, whole)
    before = 0.0 if connect is None else min(connect, first)
    return {
        "blocked": UNKNOWN,
        "dns": UNKNOWN,
        "connect": UNKNOWN if connect is None else before,
        "ssl": UNKNOWN,
        "send": 0,
        "wait": max(0.0, first - before),
        "receive": max(0.0, whole - first),
    }


def _request(call: StoredCall, body: StoredBody | None) -> dict[str, Any]:
    row, headers = call.row, body.headers if body else ()
    return {
        "method": row["method"] or "",
        "url": _url(row),
        "httpVersion": UNKNOWN_VERSION,
        "cookies": [cookie for name, value in headers if name.lower() == "cookie" for cookie in _cookies(value)],
        "headers": _pairs(headers),
        "queryString": [
            {"name": name, "value": value} for name, value in parse_qsl(str(row["path"] or "").partition("?")[2], keep_blank_values=True)
        ],
        **({"postData": _posted(body)} if body and body.content else {}),
        "headersSize": UNKNOWN,
        "bodySize": _size(row["request_bytes"]),
    }


def _url(row: dict[str, Any]) -> str:
    """The scheme is not kept: what is on this machine is nearly always without TLS, what is not never is."""
    host = str(row["host"] or "")
    scheme = "http" if is_this_machine(host) else "https"
    if row["status"] == SWITCHING_PROTOCOLS:
        scheme = scheme.replace("http", "ws")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{row['path'] or ''}"


def _posted(body: StoredBody) -> dict[str, Any]:
    text = content(body.content)
    kind = header(body.headers, "content-type") or ""
    if text is None:
        return {"mimeType": kind, "text": base64.b64encode(body.content).decode(), "_encoding": "base64"}
    return {"mimeType": kind, "text": text}


def _response(call: StoredCall, body: StoredBody | None) -> dict[str, Any]:
    """Status 0 is what browsers write where no answer came."""
    row, headers = call.row, body.headers if body else ()
    status = int(row["status"] or 0)
    return {
        "status": status,
        "statusText": _phrase(status),
        "httpVersion": UNKNOWN_VERSION,
        "cookies": [_set_cookie(value) for name, value in headers if name.lower() == "set-cookie"],
        "headers": _pairs(headers),
        "content": _content(body),
        "redirectURL": header(headers, "location") or "",
        "headersSize": UNKNOWN,
        "bodySize": _size(row["response_bytes"]),
        **({"_error": row["error"]} if row["error"] else {}),
    }


def _content(body: StoredBody | None) -> dict[str, Any]:
    if body is None:
        return {"size": 0, "mimeType": NO_TYPE}
    text = content(body.content)
    found: dict[str, Any] = {"size": len(body.content), "mimeType": header(body.headers, "content-type") or NO_TYPE}
    if body.encoding and not body.truncated:
        found["compression"] = len(body.content) - body.size
    if text is None:
        return found | {"text": base64.b64encode(body.content).decode(), "encoding": "base64"}
    return found | {"text": text}


def _pairs(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _cookies(value: str) -> Iterator[dict[str, Any]]:
    for pair in value.split(";"):
        name, _, text = pair.strip().partition("=")
        if name:
            yield {"name": name, "value": text}


def _set_cookie(value: str) -> dict[str, Any]:
    """Name, value and the attributes that HAR has a field for (RFC 6265 §4.1)."""
    first, *attributes = [pair.strip().partition("=") for pair in value.split(";")]
    said = {name.strip().lower(): text.strip() for name, _, text in attributes}
    kept = {name: said[name] for name in ("path", "domain") if said.get(name)}
    return {"name": first[0].strip(), "value": first[2], **kept, "httpOnly": "httponly" in said, "secure": "secure" in said}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 0, and what providers make up (529)
        return ""


def _size(count: Any) -> int:
    return UNKNOWN if count is None else int(count)


def _socket(call: StoredCall, bodies: dict[Any, StoredBody]) -> dict[str, Any]:
    """A WebSocket's messages: lines of the bodies. When those of the client were sent is not kept; they stand at the beginning."""
    if call.row["status"] != SWITCHING_PROTOCOLS:
        return {}
    began = _seconds(str(call.row["started_at"]))
    came = [began + at / 1000 for at in accumulate(call.deltas_ms)]
    messages = [{"type": "send", "time": began, "opcode": 1, "data": line} for line in _lines(bodies.get("request"))]
    for number, line in enumerate(_lines(bodies.get("response"))):
        at = came[min(number, len(came) - 1)] if came else began
        messages.append({"type": "receive", "time": round(at, 6), "opcode": 1, "data": line})
    return {"_resourceType": "websocket", "_webSocketMessages": messages}


def _lines(body: StoredBody | None) -> list[str]:
    return [line.decode("utf-8", "replace") for line in body.content.split(b"\n") if line] if body else []


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except ValueError:  # written by hand
        return 0.0
