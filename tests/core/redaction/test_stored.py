"""A stored call masked once more."""

from __future__ import annotations

import secrets
from typing import Any

from addons.core.call import Message, Part, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.stored import REMEMBERED, StoredCleaner
from tests.scripts.exporting.samples import rich_call

TOKEN = "sk-" + secrets.token_hex(24)


def body(kind: Any, content: bytes, *headers: tuple[str, str]) -> StoredBody:
    return StoredBody(kind, (("Content-Type", "application/json"), *headers), content, None, len(content), False, False)


def test_what_holds_no_secret_is_equal() -> None:
    """Value by value, with more than a reading of the bodies would give."""
    call = rich_call("01KJMQ7V8Y6QXKTR0ZB5N4M7WD")
    assert StoredCleaner(Redactor()).call(call) == call


def test_a_secret_is_masked_wherever_it_stands() -> None:
    """In columns, the path's query, headers, bodies, messages; it is noted and counted, and masking again changes nothing."""
    call = StoredCall(
        {"id": "x", "path": f"/v1/chat?api_key={TOKEN}", "prompt": f"use {TOKEN}", "tag": TOKEN, "redactions": 2, "status": 200},
        bodies=(body("request", f'{{"a": "{TOKEN}"}}'.encode(), ("X-Api-Key", TOKEN)), body("response", f'{{"b": "{TOKEN}"}}'.encode())),
        messages=(
            Message("user", (Part("text", TOKEN), Part("tool_call", f'{{"k": "{TOKEN}"}}', {"name": TOKEN}))),
            Message("assistant", ()),
        ),
        answers=1,
        redactions=(RedactionNote("cookie", "request.header.cookie", "mask"),),
    )
    cleaner = StoredCleaner(Redactor())
    clean = cleaner.call(call)
    assert TOKEN not in repr(clean)
    assert clean.redactions[0] == call.redactions[0]
    assert clean.row["redactions"] == 2 + len(clean.redactions) - 1
    assert clean.bodies[0].redacted and clean.row["status"] == 200
    assert cleaner.call(clean) == clean


def test_a_credential_that_was_stored_is_masked_in_the_answer_too() -> None:
    """An older version may have left one in a header, or in the query, and an upstream may have echoed it."""
    word = secrets.token_hex(5)
    call = StoredCall(
        {"id": "x", "path": f"/v1/chat?key={word}2"},
        bodies=(
            body("request", b"{}", ("Authorization", f"Bearer {word}1")),
            body("response", f'{{"error": "{word}1, {word}2"}}'.encode()),
        ),
    )
    assert word not in repr(StoredCleaner(Redactor()).call(call))


def test_a_key_that_was_configured_later_is_masked() -> None:
    """By its value, whatever it looks like; also in the columns alone."""
    word = secrets.token_hex(6)
    row: dict[str, SqlValue] = {"id": "x", "error": f"no {word}", "redactions": None}
    assert StoredCleaner(Redactor([word])).row(row) | {"error": ""} == {"id": "x", "error": "", "redactions": 1}
    assert word not in repr(StoredCleaner(Redactor([word])).row(row))


def test_values_seen_before_are_masked_as_the_first_time() -> None:
    """Also when more values came between than are remembered."""
    cleaner = StoredCleaner(Redactor())
    first = cleaner.row({"id": "x", "tag": TOKEN})
    assert cleaner.row({"id": "x", "tag": TOKEN}) == first
    for number in range(REMEMBERED + 1):
        cleaner.row({"id": "x", "tag": f"t{number}"})
    assert cleaner.row({"id": "x", "tag": TOKEN}) == first


def test_without_bodies_only_figures_stay() -> None:
    """And with a limit bodies are cut to it, and marked."""
    call = rich_call("01KJMQ7V8Y6QXKTR0ZB5N4M7WD")
    bare = StoredCleaner(Redactor()).call(call, keep_bodies=False)
    assert (bare.bodies, bare.messages, bare.answers, bare.row["prompt"], bare.row["input_tokens"]) == ((), (), 0, None, 7)
    short = StoredCleaner(Redactor()).call(call, max_body=4)
    assert [(kept.content, kept.truncated) for kept in short.bodies] == [(b'{"me', True), (b"data", True)]
