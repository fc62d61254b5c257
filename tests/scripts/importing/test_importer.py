"""Files into the store."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.storage.database import StorageFailure
from addons.storage.reading import read_body, read_messages
from addons.storage.store import Store
from scripts.importing.entry import UnreadableFile
from scripts.importing.importer import Importer, Tally
from scripts.importing.source import opened
from scripts.running import load_config
from tests.scripts.importing.samples import REQUEST, STREAM, exported, flow, har, har_entry, pairs, save_flows

Import = Callable[..., Tally]
OPENAI = "upstreams: {openai: {hosts: [api.openai.com]}}"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "turnpike.db"


@pytest.fixture
def run(tmp_path: Path, database: Path) -> Iterator[Import]:
    """Imports a file, or content under a name, by a configuration of these settings."""

    def import_one(content: bytes | Path, name: str = "session", into: Path = database, settings: str = "{}") -> Tally:
        (tmp_path / "turnpike.yml").write_text(settings)
        path = content if isinstance(content, Path) else tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        store = Store(into)
        try:
            with opened(path) as source:
                return Importer(load_config(tmp_path / "turnpike.yml", {}, secrets=True), store, keep_pins=True).run(source, lambda _: None)
        finally:
            store.close()

    yield import_one


def rows(database: Path) -> list[dict[str, Any]]:
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute("SELECT * FROM calls ORDER BY id")]
    connection.close()
    return found


def test_a_har_becomes_rows(run: Import, database: Path) -> None:
    """Read, priced and told apart like calls that were proxied; what is no LLM call is counted."""
    page = har_entry(url="https://www.test/", request={"method": "GET", "url": "https://www.test/"}, response={"status": 200})
    entry = har_entry(headers={"X-Turnpike-Tag": "eval", "X-Turnpike-Session": "s-1"})
    assert run(har(entry, page), settings=OPENAI) == Tally(new=1, others=1)
    (row,) = rows(database)
    expected = {
        "ts_ms": 1_772_359_200_250,
        "started_at": "2026-03-01T10:00:00.250Z",
        "conversation_id": "s-1",
        "client": "my-agent",
        "tag": "eval",
        "host": "api.openai.com",
        "provider": "openai",
        "upstream": "openai",
        "api": "openai.chat",
        "model": "gpt-4o",
        "served_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "outcome": "ok",
        "input_tokens": 14,
        "output_tokens": 5,
        "tokens_source": "reported",
        "cost_source": "priced",
        "attempts": 1,
        "ttfb_ms": 600,
        "duration_ms": 900,
        "prompt": "What is a turnpike?",
        "response": "A toll road.",
    }
    assert {name: row[name] for name in expected} == expected
    connection = sqlite3.connect(database)
    asked, answered = read_messages(connection, row["id"])
    assert [message.role for message in (*asked, *answered)] == ["user", "assistant"]
    connection.close()


def test_flows_become_rows(run: Import, database: Path, tmp_path: Path) -> None:
    """Also one whose answer was streamed past mitmproxy: a row without usage, and not called broken off."""
    streamed = flow(headers={"Content-Type": "text/event-stream"})
    assert streamed.response
    streamed.response.raw_content = None
    path = save_flows(tmp_path / "flows", flow(content=STREAM, headers={"Content-Type": "text/event-stream"}), streamed)
    assert run(path) == Tally(new=2)
    found = rows(database)
    assert sorted((row["output_tokens"] or 0, row["tokens_source"] == "reported", row["outcome"]) for row in found) == [
        (0, False, "ok"),
        (4, True, "ok"),
    ]
    connection = sqlite3.connect(database)
    bodies = [read_body(connection, row["id"], "response") for row in found]
    assert sorted(body.truncated for body in bodies if body) == [False, True]
    connection.close()


def test_a_file_imported_again_adds_nothing(run: Import, database: Path) -> None:
    """Per file and entry, also under another name; equal entries of one file stay two calls."""
    content = har(har_entry(), har_entry())
    assert run(content) == Tally(new=2)
    assert run(content, name="copy.har") == Tally(known=2)
    before = rows(database)
    assert len(before) == 2
    assert run(har(har_entry(), har_entry(), har_entry())) == Tally(new=3)


def test_an_import_that_was_stopped_goes_on(run: Import, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed is known the next time."""
    content = har(*[har_entry() for _ in range(250)])
    write, batches = Store.write, []

    def fail_third(store: Store, calls: Any) -> None:
        batches.append(len(calls))
        if len(batches) == 3:
            raise StorageFailure("SQLITE_FULL")
        write(store, calls)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", fail_third)
        with pytest.raises(StorageFailure):
            run(content)
    assert batches == [100, 100, 50]
    assert run(content) == Tally(new=50, known=200)


def test_a_broken_entry_is_named_and_costs_no_other(run: Import, database: Path) -> None:
    """By its number and a reason, in each format; a cut file gives what is whole."""
    broken = har_entry(startedDateTime="soon")
    tally = run(har(har_entry(), broken, har_entry()))
    assert (tally.new, tally.broken) == (2, [(2, "startedDateTime is no ISO 8601 time")])
    tally = run(har(har_entry(), har_entry(tag=1))[:-300])
    assert (tally.new, tally.broken) == (1, [(2, "cut off; nothing behind it can be read")])
    tally = run(b'{"turnpike": 1, "call": {}}\n' + exported(database), into=database.with_name("other.db"))
    assert (tally.new, tally.broken) == (3, [(1, "it has no call")])


@pytest.mark.parametrize("content", [b"\x89PNG", b"{}", b'{"log": 1}', b'{"a"', b"12:no flow", b'{"turnpike": 9, "call": {}}', b"[1]"])
def test_a_file_of_which_nothing_can_be_read_is_refused(run: Import, content: bytes) -> None:
    """UnreadableFile, with a reason."""
    with pytest.raises(UnreadableFile, match=r"."):
        run(content)


def test_an_empty_file_holds_no_call(run: Import) -> None:
    """An export of nothing is one."""
    assert run(b"") == Tally()


def test_an_export_comes_back_as_it_was(run: Import, database: Path, tmp_path: Path) -> None:
    """Rows, attempts, bodies, timings and redactions are equal, with masks and pins; messages are read again."""
    token = "sk-" + secrets.token_hex(24)
    secret = har_entry(
        url=f"https://api.openai.com/v1/chat/completions?api_key={token}",
        headers={"Authorization": f"Bearer {token}", "Cookie": f"a={token}"},
    )
    secret["request"]["postData"]["text"] = json.dumps(REQUEST | {"messages": [{"role": "user", "content": f"my key is {token}"}]})
    failed = har_entry(response={"status": 500, "content": {"text": f"no such key {token}"}})
    sent = {"type": "send", "time": 1_772_359_200.5, "opcode": 1, "data": '{"type": "response.create"}'}
    done = {"type": "response.done", "response": {"status": "completed", "usage": {"input_tokens": 12, "output_tokens": 5}}}
    socket = har_entry(
        url="wss://api.openai.com/v1/realtime?model=m",
        request={"method": "GET", "url": "wss://api.openai.com/v1/realtime?model=m"},
        response={"status": 101},
        _webSocketMessages=[sent, sent | {"type": "receive", "data": "{}"}, sent | {"type": "receive", "data": json.dumps(done)}],
    )
    run(har(secret, failed, har_entry(response={"status": 0}), socket), settings=OPENAI)
    run(save_flows(tmp_path / "flows", flow(content=STREAM, headers={"Content-Type": "text/event-stream"})))
    store = Store(database)
    store.set_pinned(str(rows(database)[0]["id"]), True)
    store.close()
    lines = exported(database)
    assert token.encode() not in lines
    other = tmp_path / "other.db"
    assert run(lines, into=other) == Tally(new=5)
    assert [without_stored_at(json.loads(line)) for line in exported(other).splitlines()] == [
        without_stored_at(json.loads(line)) for line in lines.splitlines()
    ]
    assert run(lines, into=database) == Tally(known=5)
    connections = [sqlite3.connect(path) for path in (database, other)]
    for row in rows(database):
        assert read_messages(connections[0], row["id"]) == read_messages(connections[1], row["id"])
    for connection in connections:
        connection.close()


def without_stored_at(line: dict[str, Any]) -> dict[str, Any]:
    assert line["call"].pop("stored_at")
    return line


def test_secrets_in_json_lines_are_masked(run: Import, database: Path) -> None:
    """What a line gives for a column is no more trusted than what is read."""
    token = "sk-" + secrets.token_hex(24)
    run(har(har_entry()))
    line = json.loads(exported(database))
    line["call"] |= {
        "id": "01JD3V8Y6QXKTR0ZB5N4M7WCEF",
        "prompt": f"use {token}",
        "error": token,
        "path": f"/v1/chat?key={token}",
        "tag": token,
    }
    line["request"]["headers"].append(["X-Api-Key", token])
    other = database.with_name("other.db")
    assert run(json.dumps(line).encode(), name="x.jsonl", into=other).new == 1
    assert token.encode() not in other.read_bytes()
    assert rows(other)[0]["redactions"] > 0


def test_a_configured_key_is_masked_by_its_value(run: Import, database: Path, tmp_path: Path) -> None:
    """Whatever it looks like."""
    word = secrets.token_hex(6)
    (tmp_path / "strings").write_text(word + "\n")
    settings = f"redaction: {{strings: [{{file: {tmp_path / 'strings'}}}]}}"
    entry = har_entry(headers={"X-Note": f"about {word}"})
    run(har(entry), settings=settings)
    assert word.encode() not in database.read_bytes()


def test_without_bodies_only_figures_are_kept(run: Import, database: Path) -> None:
    """`capture.bodies: false` holds for imports, also of what a line gives."""
    run(har(har_entry()))
    other = database.with_name("other.db")
    run(exported(database), into=other, settings="capture: {bodies: false}")
    (row,) = rows(other)
    assert (row["input_tokens"], row["prompt"], row["response"]) == (14, None, None)
    connection = sqlite3.connect(other)
    assert connection.execute("SELECT count(*) FROM bodies").fetchone() == (0,)
    connection.close()


def test_conversations_are_told_apart(run: Import, database: Path) -> None:
    """A call that sends the history again goes on with it."""
    history = [*REQUEST["messages"], {"role": "assistant", "content": "A toll road."}, {"role": "user", "content": "Why?"}]
    later = har_entry()
    later["request"]["postData"]["text"] = json.dumps({"model": "gpt-4o", "messages": history})
    stranger = har_entry(headers={"user-agent": "another"})
    stranger["request"]["headers"] = pairs({"user-agent": "another"})
    run(har(har_entry(), later, stranger))
    conversations = [row["conversation_id"] for row in rows(database)]
    assert len(set(conversations)) == 2


def test_one_id_is_one_call(run: Import, database: Path) -> None:
    """Also where a file of JSON lines holds a call twice."""
    run(har(har_entry()))
    line = exported(database)
    assert run(line + line, into=database.with_name("other.db")) == Tally(new=1, known=1)


def test_json_lines_may_begin_with_a_broken_one(run: Import, database: Path) -> None:
    """The file's name tells then what it is."""
    run(har(har_entry()))
    tally = run(b"garbage\n" + exported(database), name="calls.jsonl", into=database.with_name("other.db"))
    assert (tally.new, tally.broken) == (1, [(1, "not a JSON object")])


def test_a_body_that_was_not_exported_is_not_stored(run: Import, database: Path) -> None:
    """Nor made up as an empty one."""
    run(har(har_entry()))
    line = json.loads(exported(database))
    del line["request"]
    other = database.with_name("other.db")
    run(json.dumps(line).encode(), into=other)
    connection = sqlite3.connect(other)
    assert connection.execute("SELECT kind FROM bodies").fetchall() == [("response",)]
    connection.close()
