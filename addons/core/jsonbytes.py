"""Find and replace one top-level value in JSON bytes, without parsing or rewriting the rest.

A request body must reach the upstream byte for byte apart from the model name that a route gives, so it can't go
through a parser and back.
"""

from __future__ import annotations

import re

import orjson

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
OPENING, CLOSING = b"{[", b"}]"


def find_string(body: bytes, key: str) -> tuple[int, int] | None:
    """Start and end of the string value (quotes included) of a key of the outermost object; None if there is none.

    The last of several equal keys wins, as in every JSON parser that providers are known to use; so the walk goes to the end
    unless the key stands only once in the bytes.
    """
    wanted = orjson.dumps(key)
    only_one = body.count(wanted) == 1
    found: tuple[int, int] | None = None
    depth, state = 0, b""
    for token in TOKEN.finditer(body):
        text = token.group()
        if text in OPENING:
            depth += 1
            state = b"{" if depth == 1 and text == b"{" else b""
        elif text in CLOSING:
            depth -= 1
        elif depth == 1:
            if state == b"value" and text[:1] == b'"':
                found = token.span()
                if only_one:
                    return found
            state = _next_state(state, text, wanted)
    return found


def _next_state(state: bytes, text: bytes, wanted: bytes) -> bytes:
    """At depth 1: after `{` or `,` a key is awaited; after the wanted key a colon, then its value."""
    if text == b",":
        return b"{"
    if state == b"{":
        return b"key" if text == wanted else b""
    return b"value" if state == b"key" and text == b":" else b""


def read_string(body: bytes, key: str) -> str | None:
    """The string value of a top-level key; None where there is none or it is not JSON."""
    span = find_string(body, key)
    if span is None:
        return None
    try:
        value = orjson.loads(body[span[0] : span[1]])
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, str) else None


def replace_string(body: bytes, key: str, value: str) -> bytes:
    """The same bytes with another string under a top-level key; unchanged where the key is missing."""
    span = find_string(body, key)
    return body if span is None else body[: span[0]] + orjson.dumps(value) + body[span[1] :]
