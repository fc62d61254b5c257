"""Our own JSON lines."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import AttemptRecord, Message, Part, RedactionNote, StoredBody
from addons.storage.database import open_writer
from scripts.importing.entry import BodyFacts, BrokenEntry
from scripts.importing.jsonl import COLUMNS, cut, read
from tests.scripts.importing.samples import REQUEST

CALL = {"id": "01JD3V8Y6QXKTR0ZB5N4M7WCEF", "ts_ms": 1_772_359_200_250, "method": "POST", "host": "a.test", "path": "/v1/chat/completions"}
LINE = {"turnpike": 1, "call": CALL}


def line(**more: Any) -> bytes:
    return json.dumps(LINE | more).encode()


def test_every_line_that_is_not_blank_is_an_entry() -> None:
    """With or without a line end at the end, and after a byte order mark."""
    content = b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": 2}'
    assert [(end, raw) for end, raw in cut(content)] == [(13, b'{"a": 1}'), (len(content), b'{"b": 2}')]


def test_columns_are_given_and_the_record_knows_them() -> None:
    """What the store writes itself is left out; a pin is kept."""
    columns = {"api": "openai.chat", "provider": "openai", "tag": "eval", "status": 200, "ttfb_ms": 12.5, "cost_usd": 0.25}
    entry = read(line(call=CALL | columns | {"stored_at": "x", "pinned": 1, "conversation_id": "c"}))
    assert entry.known_call
    assert (entry.record.id, entry.record.started_ms, entry.record.api) == (CALL["id"], CALL["ts_ms"], "openai.chat")
    assert (entry.record.tag, entry.record.status, entry.record.ttfb_ms, entry.record.session) == ("eval", 200, 12.5, "c")
    assert entry.given.columns == {name: value for name, value in (CALL | columns | {"conversation_id": "c"}).items() if name != "id"}
    assert entry.given.pinned


def test_the_rest_of_a_line() -> None:
    """Attempts, bodies as text or base64, gaps between chunks, redactions."""
    request = {"headers": [["A", "b"]], "body": json.dumps(REQUEST), "encoding": "gzip", "size": 50, "truncated": True, "redacted": True}
    entry = read(
        line(
            request=request,
            response={"body": {"base64": "/w=="}},
            attempts=[{"n": 1, "upstream": "openai", "host": "a.test", "failure": "server", "more": 1}, {"n": 2, "failure": "new"}],
            deltas_ms=[1, 2.5],
            redactions=[{"rule": "aws-key", "where": "request.body", "action": "mask"}],
        )
    )
    assert (entry.record.request.headers, entry.record.request.decoded) == ((("A", "b"),), True)
    assert json.loads(entry.record.request.content) == REQUEST
    assert entry.record.request.truncated
    assert entry.given.bodies["request"] == BodyFacts(size=50, truncated=True, redacted=True, encoding="gzip")
    assert entry.record.response.content == b"\xff"
    assert entry.given.attempts == (AttemptRecord(1, "openai", "a.test", failure="server"), AttemptRecord(2, None, ""))
    assert entry.given.deltas_ms == (1.0, 2.5)
    assert entry.given.redactions == (RedactionNote("aws-key", "request.body", "mask"),)


def test_a_line_made_by_hand_needs_little() -> None:
    """A time in words, no id: it is still to be found what it is."""
    call = {"started_at": "2026-03-01T10:00:00.250Z", "method": "POST", "host": "a.test", "path": "/", "status": 500}
    entry = read(line(call=call))
    assert (entry.record.id, entry.record.started_ms, entry.record.outcome) == ("", 1_772_359_200_250, "error")
    assert not entry.known_call


def test_a_line_of_version_2_is_stored_as_it_stands() -> None:
    """Messages too, and nothing that it does not say; without an api it is still to be found what it is."""
    part = {"kind": "tool_call", "text": "{}", "data": {"id": "x"}}
    said = {"messages": [{"role": "user", "parts": []}], "answer": [{"role": "assistant", "parts": [part]}]}
    given = line(
        turnpike=2, call=CALL | {"api": "openai.chat", "stored_at": "x"}, request={"body": "{", "size": 9}, deltas_ms=[1, 2.5], **said
    )
    stored = read(given).stored
    assert stored
    assert stored.row == CALL | {"api": "openai.chat"}
    assert stored.messages == (Message("user", ()), Message("assistant", (Part("tool_call", "{}", {"id": "x"}),)))
    assert (stored.answers, stored.attempts, stored.deltas_ms, stored.redactions) == (1, (), (1, 2.5), ())
    assert stored.bodies == (StoredBody("request", (), b"{", None, 9, False, False),)
    assert read(line(turnpike=2, **said)).stored is None
    assert read(line(call=CALL | {"api": "openai.chat"}, **said)).stored is None


def test_the_columns_are_those_of_the_table(tmp_path: Path) -> None:
    """Each with what SQLite's own schema says of it; none is forgotten."""
    kinds = {"TEXT": {"text"}, "INTEGER": {"count", "flag", "time"}, "REAL": {"number"}}
    with closing(open_writer(tmp_path / "t.db")) as connection:
        table = {row[1]: row[2] for row in connection.execute("PRAGMA table_info(calls)")}
    assert set(COLUMNS) == set(table)
    assert all(COLUMNS[name] in kinds[declared] for name, declared in table.items())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "200"),
        ("status", 2**63),
        ("status", 200.5),
        ("input_tokens", -1),
        ("input_tokens", True),
        ("output_tokens", "many"),
        ("cost_usd", "0.1"),
        ("cost_usd", float("nan")),
        ("duration_ms", float("inf")),
        ("ttft_ms", -1),
        ("ts_ms", 2**52),
        ("ts_ms", -1),
        ("started_at", "yesterday"),
        ("started_at", "0001-01-01T00:00:00Z"),
        ("stream", 2),
        ("outcome", "fine"),
        ("prompt", 5),
        ("model", {"name": "x"}),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_value_that_has_no_place_in_its_column_breaks_the_line(name: str, value: object, version: int) -> None:
    """It is said which; so it is of attempts, sizes and gaps."""
    with pytest.raises(BrokenEntry, match=name):
        read(line(turnpike=version, call=CALL | {"api": "openai.chat", name: value}))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"attempts": [{"n": "1"}]}, "an attempt's n is no whole number"),
        ({"attempts": [{"n": 1, "status": float("nan")}]}, "an attempt's status is no"),
        ({"attempts": [{"n": 1, "duration_ms": "x"}]}, "an attempt's duration_ms is no number"),
        ({"attempts": [{"n": 1, "model": 5}]}, "an attempt's model is no text"),
        ({"deltas_ms": [1, float("inf")]}, "one of deltas_ms is no number"),
        ({"request": {"body": "", "size": 2**63}}, "request.size is no whole number"),
    ],
)
def test_other_numbers_are_checked_too(more: dict[str, Any], said: str) -> None:
    """What is nested says its name as well."""
    with pytest.raises(BrokenEntry, match=said):
        read(line(**more))


def test_what_has_no_column_is_left_out() -> None:
    """A later version may know more of a call; a flag may be written as JSON writes flags."""
    entry = read(line(call=CALL | {"api": "openai.chat", "stream": True, "colour": {"red": 1}, "tag": None}))
    assert entry.given.columns["stream"] == 1
    assert entry.given.columns["tag"] is None
    assert "colour" not in entry.given.columns


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"turnpike": 3, "call": {"id": "x"}}',
        line(turnpike=2, call=CALL | {"api": "openai.chat"}, messages=[{"parts": []}]),
        line(turnpike=2, call=CALL | {"api": "openai.chat"}, answer=[{"role": "user", "parts": [{"kind": "new"}]}]),
        line(call=None),
        line(call={}),
        line(call={name: value for name, value in CALL.items() if name != "ts_ms"}),
        line(call={name: value for name, value in CALL.items() if name != "host"}),
        line(call=CALL | {"tag": ["x"]}),
        line(request={"body": 5}),
        line(response={"body": {"base64": "="}}),
        line(attempts=[{}]),
        line(redactions=[{"rule": "x"}]),
    ],
)
def test_a_broken_line_is_said(raw: bytes) -> None:
    """BrokenEntry with a reason, nothing else."""
    with pytest.raises(BrokenEntry):
        read(raw)
