"""JSON lines, and what becomes of them when they are imported again."""

from __future__ import annotations

import base64
import json
import lzma
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from addons.storage.database import open_reader
from scripts.exporting import har, jsonl
from scripts.importing.importer import Tally
from tests.scripts.exporting.samples import captures_of, fill, ids, rich_call, run_import, shared, stored
from tests.scripts.importing.samples import har as har_of
from tests.scripts.importing.samples import har_entry

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "corpus" / "wire-open.jsonl.xz"


def export(database: Path, file: Path, form: ModuleType = jsonl) -> Path:
    with closing(open_reader(database)) as connection:
        file.write_bytes(b"".join(form.pieces(captures_of(connection))))
    return file


def test_a_round_trip_gives_equal_rows(filled: Path, tmp_path: Path) -> None:
    """In every table, under the same ids; imported again nothing is new, and exported again the lines are the same."""
    lines, other = export(filled, tmp_path / "calls.jsonl"), tmp_path / "other.db"
    assert run_import(lines, other) == Tally(new=len(ids(filled)))
    assert stored(other) == stored(filled)
    assert shared(other) == shared(filled)
    for database in (other, filled):
        assert run_import(lines, database) == Tally(known=len(ids(filled)))
    again = export(other, tmp_path / "again.jsonl")
    assert without_times(again) == without_times(lines)


def without_times(file: Path) -> list[dict[str, Any]]:
    """The lines, but for when their calls were stored."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert all(line["call"].pop("stored_at") for line in lines)
    return lines


def test_a_line_is_readable(filled: Path, tmp_path: Path) -> None:
    """Texts as texts, bytes that are none as base64; a version, and no name of a table."""
    found = {line["call"]["id"]: line for line in map(json.loads, export(filled, tmp_path / "calls.jsonl").read_bytes().splitlines())}
    line = found[str(rich_call("").row["id"])]
    assert line["turnpike"] == 2
    assert base64.b64decode(line["request"]["body"]["base64"]) == b'{"messages": [\xff\x00 cut'
    assert (line["response"]["body"], line["response"]["encoding"]) == ("data: {}\n\n", "br")
    assert [message["role"] for message in line["messages"]] == ["system", "user"]
    assert [len(message["parts"]) for message in line["answer"]] == [2, 1]
    assert line["attempts"][0]["failure"] == "rate_limit"
    assert line["deltas_ms"] == [210.0, 33.125, 0.001]


def test_costs_are_not_priced_again(filled: Path, tmp_path: Path) -> None:
    """Nor is anything else of a line that says it; what it does not say stays unknown."""
    line = json.loads(export(filled, tmp_path / "calls.jsonl").read_bytes().splitlines()[-2])
    assert line["call"]["cost_source"] == "priced"
    line["call"] |= {"cost_usd": 12.5, "model": None, "input_tokens": None}
    del line["deltas_ms"], line["attempts"], line["messages"]
    (tmp_path / "one.jsonl").write_text(json.dumps(line))
    run_import(tmp_path / "one.jsonl", tmp_path / "one.db")
    (call,) = stored(tmp_path / "one.db")
    assert (call.row["cost_usd"], call.row["model"], call.row["input_tokens"]) == (12.5, None, None)
    assert (call.attempts, len(call.messages), call.answers) == ((), 1, 1)


def test_what_is_imported_is_masked_however_it_came(filled: Path, tmp_path: Path) -> None:
    """A line may be written by anybody."""
    token = "sk-" + secrets.token_hex(24)
    line = json.loads(export(filled, tmp_path / "calls.jsonl").read_bytes().splitlines()[-2])
    line["call"] |= {"prompt": token, "path": f"/v1/messages?api_key={token}"}
    line["request"] |= {"body": f'{{"x": "{token}"}}', "headers": [["X-Api-Key", token]]}
    line["messages"] = [{"role": "user", "parts": [{"kind": "text", "text": token, "data": {"id": token}}]}]
    (tmp_path / "one.jsonl").write_text(json.dumps(line))
    assert run_import(tmp_path / "one.jsonl", tmp_path / "one.db").new == 1
    (call,) = stored(tmp_path / "one.db")
    assert token not in repr(call)
    assert call.redactions and call.row["redactions"] == len(call.redactions)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures of every second exchange of the recorded traffic."""
    if not CORPUS.exists():
        pytest.skip("the recorded traffic is not here")
    with lzma.open(CORPUS, "rt", encoding="utf-8") as lines:
        cases = [case for case in map(json.loads, lines) if case["wire"] not in ("ws", "grpc") and (case["url"] or "").startswith("http")]
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "corpus.har").write_bytes(har_of(*map(recorded, cases[::2])))
    run_import(folder / "corpus.har", folder / "turnpike.db")
    return folder / "turnpike.db"


@pytest.mark.parametrize("form", [jsonl, har], ids=["jsonl", "har"])
def test_recorded_traffic_comes_back_as_it_was(recordings: Path, form: ModuleType, tmp_path: Path) -> None:
    """Of every provider and dialect, byte by byte and row by row."""
    file = export(recordings, tmp_path / f"export.{form.__name__.rpartition('.')[2]}", form)
    assert run_import(file, tmp_path / "other.db") == Tally(new=len(ids(recordings)))
    assert len(ids(recordings)) > 200
    assert stored(tmp_path / "other.db") == stored(recordings)
    assert shared(tmp_path / "other.db") == shared(recordings)


def recorded(case: dict[str, Any]) -> dict[str, Any]:
    body = case["request_body"]
    made = har_entry(case["url"], content={"mimeType": "", "text": case["response_body"] or "", "encoding": "base64"})
    made["request"]["method"] = case["method"]
    made["request"]["postData"]["text"] = body if isinstance(body, str) else json.dumps(body)
    headers = {key: str(value) for key, value in (case["response_headers"] or {}).items() if key.lower() != "content-encoding"}
    made["response"] |= {"status": case["status"] or 200, "headers": [{"name": name, "value": value} for name, value in headers.items()]}
    return made


def test_memory_is_that_of_one_call(tmp_path: Path) -> None:
    """Lines are made one at a time: the next call is read when the one before it was taken."""
    database = tmp_path / "turnpike.db"
    fill(database)
    with closing(open_reader(database)) as connection:
        captures = captures_of(connection)
        lines = jsonl.pieces(captures)
        next(lines)
        assert captures.written == 1
        with closing(sqlite3.connect(database, timeout=0)) as writer, writer:  # and between two no transaction stays open
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert not connection.in_transaction
        assert len(list(lines)) == len(ids(database)) - 1
