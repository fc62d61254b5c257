"""`turnpike import`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scripts.cmd_import import command
from tests.scripts.importing.samples import har, har_entry


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Two calls and an entry that can't be read."""
    path = tmp_path / "session.har"
    path.write_bytes(har(har_entry(), har_entry(startedDateTime="soon"), har_entry()))
    return path


def run(tmp_path: Path, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in ("--database", tmp_path / "calls.db", *arguments)])


def test_it_says_what_it_found(tmp_path: Path, session: Path) -> None:
    """Counts on stdout, broken entries on stderr; a second time all are known."""
    first, second = run(tmp_path, session), run(tmp_path, session)
    assert first.stdout == f"{session}: 2 new, 0 known, 0 no LLM calls, 1 broken\n"
    assert first.stderr == f"{session}: entry 2: startedDateTime is no ISO 8601 time\n"
    assert second.stdout == f"{session}: 0 new, 2 known, 0 no LLM calls, 1 broken\n"
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_a_file_that_cannot_be_read_holds_up_no_other(tmp_path: Path, session: Path) -> None:
    """It is said on one line, and the command ends with 1."""
    (tmp_path / "picture").write_bytes(b"\x89PNG")
    done = run(tmp_path, tmp_path / "missing", tmp_path / "picture", session)
    assert done.exit_code == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["cannot be imported", "cannot be imported", "entry 2"]
    assert "2 new" in done.stdout


def test_the_configured_database_is_the_default(tmp_path: Path, session: Path) -> None:
    """As for all commands."""
    (tmp_path / "turnpike.yml").write_text(f"capture: {{database: {tmp_path / 'own.db'}}}")
    assert CliRunner().invoke(command, ["--config", str(tmp_path / "turnpike.yml"), str(session)]).exit_code == 0
    connection = sqlite3.connect(tmp_path / "own.db")
    assert connection.execute("SELECT count(*) FROM calls").fetchone() == (2,)
    connection.close()


def test_keys_that_are_not_to_be_had_are_no_hindrance(tmp_path: Path, session: Path) -> None:
    """They may be set in the proxy's shell alone; a configuration that is wrong is said."""
    config = tmp_path / "turnpike.yml"
    config.write_text("upstreams: {openai: {hosts: [api.openai.com], keys: [{env: NOT_SET_HERE}]}}")
    done = run(tmp_path, "--config", config, session)
    assert done.exit_code == 0
    assert "masked by their form only" in done.stderr
    config.write_text("upstreams: 5")
    assert run(tmp_path, "--config", config, session).exit_code == 1


def test_pins_are_kept_only_when_asked(tmp_path: Path) -> None:
    """A file of another's could else fill the disk for ever."""
    call = {"ts_ms": 1, "method": "POST", "host": "a.test", "path": "/", "api": "openai.chat", "pinned": 1}
    (tmp_path / "calls.jsonl").write_text(json.dumps({"turnpike": 2, "call": call}))
    for options, pinned in (((), 0), (("--pinned",), 1)):
        assert run(tmp_path, *options, tmp_path / "calls.jsonl").exit_code == 0
        with closing(sqlite3.connect(tmp_path / "calls.db")) as connection:
            assert connection.execute("SELECT pinned FROM calls").fetchall() == [(pinned,)]
        (tmp_path / "calls.db").unlink()


def test_a_database_that_is_none_is_said(tmp_path: Path, session: Path) -> None:
    """One line, exit status 1."""
    (tmp_path / "calls.db").write_bytes(b"something else entirely" * 50)
    done = run(tmp_path, session)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: cannot open the database ")
