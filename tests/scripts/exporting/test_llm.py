"""A database for `llm logs`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import Part
from addons.storage.database import open_reader
from scripts.exporting.llm import arguments, attachment_row, new_of, tools_of, write
from tests.scripts.exporting.samples import HOSTILE, SESSION, TOOL, captures_of, ids, png, stored
from tests.storage.support import say


@pytest.fixture(scope="module")
def written(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The file, and how many calls went into it."""
    path = tmp_path_factory.mktemp("llm") / "logs.db"
    with closing(open_reader(filled)) as connection:
        captures = captures_of(connection)
        write(captures, path)
    return path, captures.written


@pytest.fixture
def logs(written: tuple[Path, int]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(written[0])) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def rows(logs: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    return [dict(row) for row in logs.execute(sql)]


def test_a_call_is_a_response(logs: sqlite3.Connection, filled: Path, written: tuple[Path, int]) -> None:
    """Under its id, with texts whole and what the request set; a call that said nothing has no place there."""
    assert written[1] == len([call for call in stored(filled) if call.messages]) == len(ids(filled)) - 1
    first, second, last = rows(logs, f"SELECT * FROM responses WHERE conversation_id = '{SESSION}' ORDER BY id")
    request = json.loads(first["prompt_json"])
    assert json.loads(first["options_json"]) == {"max_tokens": 1024, "temperature": 0.5}
    assert (first["model"], first["resolved_model"]) == ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929")
    assert first["prompt"] == f"What is on this picture? {HOSTILE}"
    assert (first["system"], first["response"]) == ("You look at pictures. It is turn 0.", "Let me look.")
    assert first["reasoning"] == "I should look closer."
    assert len(request["messages"]) == 1 and json.loads(first["response_json"])["id"] == "msg_0"
    assert (first["input_tokens"], first["output_tokens"], json.loads(first["token_details"])) == (1500, 20, {"cache_read_tokens": 500})
    assert (first["duration_ms"], first["datetime_utc"]) == (900, "2026-03-01T11:00:00.250+00:00")
    assert (second["prompt"], last["prompt"]) == ("", "And on this one?")  # the second hands in a result


def test_conversations_tools_and_images(logs: sqlite3.Connection) -> None:
    """Each once; calls and results at the response that made or took them."""
    (conversation,) = rows(logs, f"SELECT * FROM conversations WHERE id = '{SESSION}'")
    assert conversation["name"].startswith("What is on this picture?") and len(conversation["name"]) <= 100
    (tool,) = rows(logs, "SELECT * FROM tools")
    assert (tool["name"], tool["description"], json.loads(tool["input_schema"])) == ("look", "Looks", TOOL["input_schema"])
    assert tool["hash"] == sha256(json.dumps(TOOL).encode()).hexdigest()
    assert rows(logs, "SELECT count(*) AS n FROM tool_responses") == [{"n": 3}]
    (call,) = rows(logs, "SELECT * FROM tool_calls WHERE tool_call_id = 'toolu_1'")
    assert (call["name"], json.loads(call["arguments"]), call["tool_id"]) == ("look", {"where": "left"}, tool["id"])
    (result,) = rows(logs, "SELECT * FROM tool_results")
    assert (result["name"], result["output"], result["tool_call_id"]) == ("look", "a grey square", "toolu_1")
    assert (result["tool_id"], result["response_id"] > call["response_id"]) == (tool["id"], True)
    images = rows(logs, 'SELECT a.* FROM attachments a JOIN prompt_attachments p ON a.id = p.attachment_id ORDER BY response_id, "order"')
    expected = [(sha256(png(width)).hexdigest(), "image/png", png(width)) for width in (2, 3)]
    assert [(image["id"], image["type"], image["content"]) for image in images] == expected


def test_they_are_found_by_their_words(logs: sqlite3.Connection) -> None:
    """As `llm logs -q` looks for them."""
    sql = "SELECT r.id FROM responses r JOIN responses_fts f ON f.rowid = r.rowid WHERE responses_fts MATCH ? ORDER BY f.rank"
    assert [len(logs.execute(sql, (words,)).fetchall()) for words in ("wider", "turnpike", "submarine")] == [1, 4, 0]
    logs.execute("INSERT INTO responses_fts (responses_fts) VALUES ('integrity-check')")
    logs.rollback()


def test_llm_reads_json_where_it_wants_json(logs: sqlite3.Connection) -> None:
    """By SQLite's own functions; and all that is named is there."""
    for table, column in (
        ("responses", "options_json"),
        ("responses", "prompt_json"),
        ("responses", "response_json"),
        ("tool_calls", "arguments"),
        ("tools", "input_schema"),
    ):
        assert rows(logs, f"SELECT count(*) AS n FROM {table} WHERE {column} IS NOT NULL AND NOT json_valid({column})") == [{"n": 0}]
    assert rows(logs, "PRAGMA foreign_key_check") == []
    assert rows(logs, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_migrations_that_made_the_schema_are_named(logs: sqlite3.Connection) -> None:
    """Else llm would apply them again."""
    names = [row["name"] for row in rows(logs, "SELECT name FROM _llm_migrations ORDER BY rowid")]
    assert (names[0], names[-1], len(names)) == ("m001_initial", "m022_response_reasoning", 25)


@pytest.mark.parametrize(
    ("given", "kept"), [(None, "{}"), ("", "{}"), ('{"a": 1}', '{"a": 1}'), ("{cut", '"{cut"'), ('{"a": NaN}', '"{\\"a\\": NaN}"')]
)
def test_arguments_are_json(given: str | None, kept: str) -> None:
    """What is none is a JSON text."""
    assert arguments(given) == kept


def test_tools_of_each_dialect() -> None:
    """OpenAI's two forms, Anthropic's, Gemini's lists; what has no name is none."""
    schema = {"type": "object"}
    declared = [
        {"type": "function", "function": {"name": "a", "parameters": schema}},
        {"type": "function", "name": "b", "description": "B", "parameters": schema},
        {"name": "c", "input_schema": schema},
        {"functionDeclarations": [{"name": "d", "parameters": schema}, {"name": "e"}]},
        {"type": "web_search"},
        "odd",
    ]
    found = list(tools_of({"tools": declared}))
    assert [(tool["name"], tool["input_schema"]) for tool in found] == [*((name, schema) for name in "abcd"), ("e", {})]
    assert list(tools_of(None)) == []


def test_an_image_by_its_address() -> None:
    """Under the id that llm makes of it; one of which nothing is known has no row."""
    row = attachment_row(Part("image", None, {"url": "https://a.test/x.png"}), None)
    assert row and row["id"] == sha256(b'{"url": "https://a.test/x.png"}').hexdigest()
    assert attachment_row(Part("image", None, {"bytes": 5}), None) is None


def test_what_a_request_adds() -> None:
    """All behind the last answer, also where the model is to go on with a beginning of one."""
    user, answer, start = say("user", "a"), say("assistant", "b"), say("assistant", "{")
    assert list(new_of([user])) == [user]
    assert list(new_of([user, answer, user, user])) == [user, user]
    assert list(new_of([user, answer, user, start])) == [user]
    assert list(new_of([answer])) == []
