"""A trace is read where it stands, and replaced as its place demands."""

from __future__ import annotations

import json

from addons.core.redaction.located import Located, locate, replaced
from addons.core.redaction.memory import Trace


def place(start: int, end: int, **more: object) -> Located:
    return Located(start, end, "secret", "rule", "body", **more)  # type: ignore[arg-type]


def test_a_trace_is_decoded_in_its_body() -> None:
    """Through two strings of JSON; percent-encoded; bytes that are no text."""
    body = json.dumps({"a": json.dumps({"b": 'x"é'})}).encode()
    at = body.index(b"x")
    assert locate(body, 2, Trace(at - 2, at - 2 + 12, "r", True, 2, False), "w").secret == 'x"é'
    assert locate(b"a=x%22+y", 0, Trace(2, 8, "r", True, 0, False, True), "w").secret == 'x" y'
    assert locate(b"\xff", 0, Trace(0, 1, "r", True, 0, False), "w").secret == "\udcff"


def test_replacements_are_escaped() -> None:
    """Plain, in JSON once and twice, in a form, as a number, in UTF-16."""
    text = 'ab"é\n'
    made = [
        replaced(b"<X>", [place(1, 2, **how)], lambda _: text)
        for how in ({}, {"escapes": 1}, {"escapes": 2}, {"form": True}, {"bare": True})
    ]
    assert made == [
        '<ab"é\n>'.encode(),
        '<ab\\"é\\n>'.encode(),
        '<ab\\\\\\"é\\\\n>'.encode(),
        b"<ab%22%C3%A9%0A>",
        '<"ab\\"é\\n">'.encode(),
    ]
    assert replaced("<X>".encode("utf-16-le"), [place(2, 4, charset="utf-16-le")], lambda _: "é").decode("utf-16-le") == "<é>"


def test_order_and_pieces() -> None:
    """In any order; further pieces of a secret go away; without any the same object."""
    body = b"0123456789"
    assert replaced(body, [place(7, 8, piece=1), place(2, 4)], lambda _: "*") == b"01*45689"
    assert replaced(body, [], lambda _: "*") is body


def test_a_secret_is_not_shown() -> None:
    """In logs and tracebacks."""
    assert "secret" not in repr(place(1, 2))
