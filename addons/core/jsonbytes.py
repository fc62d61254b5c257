"""Find and replace one top-level value in JSON bytes, without parsing or rewriting the rest.

A request body must reach the upstream byte for byte apart from the model name that a route gives, so it can't go
through a parser and back.
"""

from __future__ import annotations

import re

import orjson

TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\]:,]|[^\s"{}\[\]:,]++', re.DOTALL)
"""Possessive, and a string without an end goes on to the end: each byte is looked at once, whatever stands there."""
_VALUE = re.compile(rb'\s*+:\s*+("(?:[^"\\]++|\\.)*+")')
"""A colon and a string."""
OPENING, CLOSING = b"{[", b"}]"


def find_string(body: bytes, key: str) -> tuple[int, int] | None:
    """As `find_value`, if the value is a string (its quotes included)."""
    span = find_value(body, key)
    return span if span and body[span[0] : span[0] + 1] == b'"' else None


def find_value(body: bytes, key: str) -> tuple[int, int] | None:
    """Start and end of the value of a key of the outermost object; None if there is none.

    The last of several equal keys wins, as in every JSON parser that providers are known to use; so the walk goes to the end
    unless the key stands only once in the bytes.
    """
    wanted = orjson.dumps(key)
    times = body.count(wanted)
    if not times:
        return None
    found: tuple[int, int] | None = None
    depth, state, start = 0, b"", 0
    for token in TOKEN.finditer(body):
        text = token.group()
        if depth == 1 and state == b"value":
            start, state = token.start(), b"inside"
        depth += (text in OPENING) - (text in CLOSING)
        if state == b"inside":
            if depth == 1:
                found, state = (start, token.end()), b""
                if times == 1:
                    return found
        elif depth == 1:
            state = b"{" if text == b"{" else _next_state(state, text, wanted)
    return found


def _next_state(state: bytes, text: bytes, wanted: bytes) -> bytes:
    """At depth 1: after `{` or `,` a key is awaited; after the wanted key a colon, then its value."""
    if text == b",":
        return b"{"
    if state == b"{":
        return b"key" if text == wanted else b""
    return b"value" if state == b"key" and text == b":" else b""


def read_string(body: bytes, key: str) -> str | None:
    """The string value of a top-level key; None where there is none or it is not JSON. A parser is quicker here than a walk."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, str) else None


def put_string(body: bytes, key: str, value: str) -> bytes:
    """The same bytes with another string under a top-level key, of a body that is known to be an object with a string there."""
    new, wanted = orjson.dumps(value), orjson.dumps(key)
    times = body.count(wanted)
    if times == 1 and b"\\u" not in body and (only := _VALUE.match(body, body.index(wanted) + len(wanted))):
        return _spliced(body, only.span(1), new)  # written without escapes, the key can stand nowhere else
    if times > 1 and (guessed := _first_place(body, key, new)):
        return guessed
    span = find_string(body, key)
    return body if span is None else _spliced(body, span, new)


def _spliced(body: bytes, span: tuple[int, int], new: bytes) -> bytes:
    """In one copy."""
    return b"".join((body[: span[0]], new, memoryview(body)[span[1] :]))


def _first_place(body: bytes, key: str, new: bytes) -> bytes | None:
    """Clients put the model first: is the first place the right one? Parsing tells, which is quicker than the walk to the end."""
    first = re.search(orjson.dumps(key) + rb'\s*+:\s*+("(?:[^"\\]++|\\.)*+")', body)
    if first is None:
        return None
    guessed = body[: first.start(1)] + new + body[first.end(1) :]
    try:
        before, after = orjson.loads(body), orjson.loads(guessed)
    except orjson.JSONDecodeError:
        return None
    return guessed if after == before | {key: orjson.loads(new)} else None
