"""The SQL functions on the captures."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from addons.core.call import SqlValue, StoredBody, StoredCall
from addons.core.redaction.ruleset import RuleError
from addons.core.redaction.scanner import Scanner
from addons.rulefiles import builtin_scanner
from addons.storage.store import Store
from addons.views import functions, prepare_connection
from addons.views.functions import add_functions, redact
from tests.views.samples import HOSTILE, call_id, fill

TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
LONG = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "calls.db"
    fill(path, calls=4)
    store = Store(path)
    bodies = {
        100: ("東京 🚀 " + HOSTILE).encode(),
        101: b"\xff\xfe no UTF-8 \x00 after a NUL",
        102: b"",
        103: ("long " * (LONG // 5)).encode(),
        104: b"to be damaged" * 1000,
    }
    for number, content in bodies.items():
        body = StoredBody("request", (), content, None, len(content), False, False)
        row: dict[str, SqlValue] = {"id": call_id(number), "started_at": "2026-01-01T00:00:00Z", "ts_ms": 1, "conversation_id": "c"}
        store.write([StoredCall(row, bodies=(body,))])
    store.close()
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """As Datasette opens one: rows by name, text forgiving."""
    connection = sqlite3.connect(path.as_uri() + "?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    add_functions(connection)
    yield connection
    connection.close()


def ask(connection: sqlite3.Connection, sql: str, *values: object) -> Any:
    return connection.execute(f"SELECT {sql}", values).fetchone()[0]


def test_a_body_is_its_text(connection: sqlite3.Connection) -> None:
    """Joined and decoded, whatever was in it; what is no UTF-8 is replaced."""
    assert '"messages"' in ask(connection, "body_text(?, 'request')", call_id(1))
    assert '"answer"' in ask(connection, "body_text(?, 'response')", call_id(1))
    assert ask(connection, "body_text(?, 'request')", call_id(100)) == "東京 🚀 " + HOSTILE
    assert ask(connection, "body_text(?, 'request')", call_id(101)) == "\ufffd\ufffd no UTF-8 \x00 after a NUL"
    assert ask(connection, "body_text(?, 'request')", call_id(102)) == ""


def test_a_body_of_sixteen_megabytes(connection: sqlite3.Connection) -> None:
    """Whole."""
    assert ask(connection, "length(body_text(?, 'request'))", call_id(103)) == LONG // 5 * 5


NOWHERE = [(call_id(100), "response"), (call_id(999), "request"), ("", "request"), (None, "request"), (1, "request"), (call_id(1), None)]


@pytest.mark.parametrize(("call", "kind"), NOWHERE)
def test_no_body_is_null(connection: sqlite3.Connection, call: object, kind: object) -> None:
    """As everywhere: NULL is what is not known."""
    assert ask(connection, "body_text(?, ?)", call, kind) is None


def test_what_is_wrong_is_told(connection: sqlite3.Connection) -> None:
    """SQLite would only say that a function raised something."""
    assert "request or response, not 'answer'" in ask(connection, "body_text(?, 'answer')", call_id(1))


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE segments SET data = x'00' WHERE id IN (SELECT value FROM bodies, json_each(segments) WHERE call_id = ?)",
        "DELETE FROM segments WHERE id IN (SELECT value FROM bodies, json_each(segments) WHERE call_id = ?)",
        "UPDATE bodies SET sha256 = 'x' WHERE call_id = ?",
        "UPDATE bodies SET headers = '{' WHERE call_id = ?",
        "UPDATE bodies SET segments = '{' WHERE call_id = ?",
    ],
)
def test_a_damaged_body_is_told(path: Path, tmp_path: Path, harm: str) -> None:
    """Which body of which call, in the place of its text; the query goes on."""
    sql = "SELECT body_text(id, 'request') FROM calls WHERE id IN (?, ?) ORDER BY id"
    copy = tmp_path / "copy.db"
    with sqlite3.connect(path) as source:
        source.backup(damaged := sqlite3.connect(copy))
    source.close()
    damaged.execute(harm, (call_id(104),))
    add_functions(damaged)
    told = [row[0] for row in damaged.execute(sql, (call_id(1), call_id(104)))]
    damaged.close()
    assert '"messages"' in told[0]
    assert told[1].startswith("(body_text: the request body of call ")
    assert call_id(104) in told[1]


def test_the_time_limit_of_a_query_holds(connection: sqlite3.Connection) -> None:
    """A query that is interrupted while a body is read says so in SQLite's own word, as Datasette expects it."""
    connection.set_progress_handler(lambda: 1, 1000)
    with pytest.raises(sqlite3.OperationalError, match=r"^interrupted$"):
        connection.execute("SELECT body_text(id, 'request') FROM calls WHERE id = ?", (call_id(103),)).fetchall()
    connection.set_progress_handler(None, 0)
    assert '"messages"' in ask(connection, "body_text(?, 'request')", call_id(1))


def test_secrets_are_masked(connection: sqlite3.Connection) -> None:
    """By the rules of what is stored; all else, and what is no text, is as it was."""
    assert ask(connection, "redact(?)", f"token {TOKEN} end {HOSTILE}") == f"token ***{TOKEN[-4:]} end {HOSTILE}"
    assert ask(connection, "redact(?)", TOKEN.encode()) == f"***{TOKEN[-4:]}".encode()
    for value in (None, 12, 0.5, "", "nothing"):
        assert ask(connection, "redact(?)", value) == value


def test_the_rules_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By all threads of the process together, and not before somebody asks."""
    made: list[Scanner] = []

    def make() -> Scanner:
        made.append(builtin_scanner())
        return made[-1]

    monkeypatch.setattr(functions, "builtin_scanner", make)
    functions._made.cache_clear()
    told: list[object] = []
    threads = [threading.Thread(target=lambda: told.append(redact(TOKEN))) for _ in range(8)]
    assert not made
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [f"***{TOKEN[-4:]}"] * 8
    assert len(made) == 1


def test_without_rules_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation whose rules cannot be read shows why, and not the text."""

    def broken() -> None:
        raise RuleError("config/rules/builtin.toml: cannot be read")

    monkeypatch.setattr(functions, "builtin_scanner", broken)
    functions._made.cache_clear()
    assert redact(TOKEN) == "(redact: config/rules/builtin.toml: cannot be read)"
    functions._made.cache_clear()


@pytest.mark.parametrize(("database", "there"), [("turnpike", True), ("other", False), ("_internal", False), (None, False)])
def test_other_databases_are_left_alone(database: str | None, there: bool) -> None:
    """Datasette may serve more than captures."""
    given: list[str] = []
    prepare_connection(SimpleNamespace(create_function=lambda name, *_, **__: given.append(name)), database)
    assert bool(given) == there
