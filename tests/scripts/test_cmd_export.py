"""`turnpike export`."""

from __future__ import annotations

import csv
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scripts import cmd_export
from scripts.cmd_export import command
from tests.scripts.exporting.samples import SESSION, fill, ids

COMMAND = [sys.executable, "-c", "from scripts.cli import main; main()", "export"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "turnpike.db"
    fill(path)
    return path


def run(database: Path, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in ("--database", database, *arguments)])


@pytest.mark.parametrize("name", ["a.jsonl", "a.har", "a.csv", "a.html", "a.db"])
def test_the_suffix_tells_the_format(filled: Path, tmp_path: Path, name: str) -> None:
    """And it is said how many calls were written."""
    done = run(filled, "--conversation", SESSION, tmp_path / name)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{tmp_path / name}: 3 calls\n", "")
    start = {"a.jsonl": b'{"turnpike":2', "a.har": b'{"log":', "a.csv": b'"id"', "a.html": b"<!DOCTYPE html>", "a.db": b"SQLite format 3\0"}
    assert (tmp_path / name).read_bytes().lstrip().startswith(start[name])


def test_stdout_is_json_lines(filled: Path) -> None:
    """Where no file is named, or -; another format by its name. Nothing else is written there."""
    for arguments in ((), ("-",), ("--format", "jsonl"), ("-o", "-")):
        lines = run(filled, *arguments).stdout_bytes.splitlines()
        assert [json.loads(line)["call"]["id"] for line in lines] == ids(filled)
    table = list(csv.DictReader(run(filled, "--format", "csv").stdout.splitlines()))
    assert table[0]["id"] == ids(filled)[0]


def test_what_is_exported_is_chosen(filled: Path, tmp_path: Path) -> None:
    """By time, condition and conversation, together."""

    def count(*arguments: object) -> int:
        return len(run(filled, *arguments).stdout_bytes.splitlines())

    assert count("--since", "2026-03-01T11:00Z", "--until", "2026-03-01T11:02") == 2
    assert count("--since", "2026-03-01", "--until", "2026-03-02") == len(ids(filled))
    assert count("--where", "outcome = 'ok'", "--conversation", SESSION) == 3
    assert count("--where", "0") == 0


def test_llm_is_a_format(filled: Path, tmp_path: Path) -> None:
    """As `--llm out.db`; calls that said nothing are not counted."""
    done = run(filled, "--llm", tmp_path / "out.db")
    assert done.stdout == f"{tmp_path / 'out.db'}: {len(ids(filled)) - 1} calls\n"
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection:
        assert connection.execute("SELECT count(*) FROM responses").fetchone() == (len(ids(filled)) - 1,)


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("--where", "nonsense"), 1, "Error: --where: no such column: nonsense\n"),
        (("--where", "1; DELETE FROM calls"), 1, 'Error: --where: near ";": syntax error\n'),
        (("--since", "2026-03-02", "--until", "2026-03-01"), 1, "Error: --since 2026-03-02 is not before --until 2026-03-01"),
        (("--since", "soon"), 1, "Error: 'soon' is no time; write "),
        (("--conversation", "none"), 1, "Error: --conversation: there is no conversation none\n"),
        (("{tmp}/missing/a.csv",), 1, "Error: {tmp}/missing/a.csv: there is no folder {tmp}/missing\n"),
        (("{tmp}/old.csv",), 1, "Error: {tmp}/old.csv exists; --force writes over it\n"),
        (("{tmp}/link.csv", "--force"), 1, "Error: {tmp}/link.csv is a symbolic link; name the file itself\n"),
        (("{database}", "--force"), 1, "Error: {database} is what Turnpike itself works with; name another file\n"),
        (("{tmp}/a.txt",), 2, "Error: which format is 'a.txt'? Name it with --format, or by a suffix ("),
        (("{tmp}/a.html",), 2, "Error: HTML is of one conversation; name it with --conversation ID\n"),
        (("--llm",), 2, "Error: a database cannot go to stdout; name a file\n"),
        (("--llm", "--format", "csv", "{tmp}/x.db"), 2, "Error: --llm and --format csv are two formats; name one\n"),
        (("{tmp}/a.csv", "-o", "{tmp}/b.csv"), 2, "Error: name one file, either as FILE or with -o\n"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(filled: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, error: str) -> None:
    """And nothing is written."""
    (tmp_path / "old.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to(tmp_path / "old.csv")
    before, content = sorted(tmp_path.iterdir()), filled.read_bytes()
    done = run(filled, *(argument.format(tmp=tmp_path, database=filled) for argument in arguments))
    assert (done.exit_code, done.stdout) == (status, "")
    assert done.stderr.splitlines(keepends=True)[-1].startswith(error.format(tmp=tmp_path, database=filled))
    assert sorted(tmp_path.iterdir()) == before
    assert ((tmp_path / "old.csv").read_text(), filled.read_bytes()) == ("mine", content)


def test_captures_that_are_none_are_said(tmp_path: Path) -> None:
    """Not there, or something else; none is made."""
    assert "there is no database" in run(tmp_path / "missing.db", tmp_path / "a.csv").stderr
    (tmp_path / "other.db").write_bytes(b"something else entirely" * 50)
    done = run(tmp_path / "other.db", tmp_path / "a.csv")
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
    sqlite3.connect(tmp_path / "empty.db").close()
    assert run(tmp_path / "empty.db", tmp_path / "a.csv").stderr == "Error: the captures: no such table: calls\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.db", "other.db"]


def test_a_call_that_cannot_be_read_is_left_out(filled: Path, tmp_path: Path) -> None:
    """It is named, the others are written, and the command ends with 1."""
    damaged = Path(shutil.copy(filled, tmp_path / "damaged.db"))
    first = ids(damaged)[0]
    with closing(sqlite3.connect(damaged)) as connection, connection:
        connection.execute("UPDATE bodies SET sha256 = 'x' WHERE call_id = ?", (first,))
    done = run(damaged, tmp_path / "a.jsonl")
    assert done.exit_code == 1
    assert done.stderr == f"left out: the request body of call {first} is not what was stored\n"
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == len(ids(filled)) - 1


def test_keys_and_strings_of_now_are_masked(filled: Path, tmp_path: Path) -> None:
    """Whatever they look like, and in every format."""
    word = secrets.token_hex(6)
    captures = Path(shutil.copy(filled, tmp_path / "captures.db"))
    with closing(sqlite3.connect(captures)) as connection, connection:
        connection.execute("UPDATE calls SET prompt = ?, error = ?", (f"it is {word}", word))
        connection.execute("UPDATE parts SET text = text || ?", (word,))
    (tmp_path / "strings").write_text(word + "\n")
    (tmp_path / "turnpike.yml").write_text(f"redaction: {{strings: [{{file: {tmp_path / 'strings'}}}]}}\ncapture: {{database: {captures}}}")
    for name in ("a.jsonl", "a.har", "a.csv", "a.html", "a.db"):
        arguments = ("--config", tmp_path / "turnpike.yml", "--conversation", SESSION, tmp_path / name)
        done = CliRunner().invoke(command, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.stderr
        assert word.encode() not in (tmp_path / name).read_bytes()


def test_a_full_disk_is_said(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, and nothing is left behind."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for name in ("a.csv", "a.db"):
        done = run(filled, tmp_path / name)
        assert (done.exit_code, done.stderr) == (1, f"Error: {tmp_path / name} cannot be written: No space left on device\n")
    assert not list(tmp_path.iterdir())


def test_a_reader_that_goes_away_ends_it_quietly(filled: Path) -> None:
    """`turnpike export | head -1`."""
    process = subprocess.Popen([*COMMAND, "--database", str(filled)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=20), errors) == (1, b"")


def test_help_shows_examples() -> None:
    """One for each thing that people want."""
    text = CliRunner().invoke(command, ["--help"]).stdout
    assert all(example in text for example in ("calls.jsonl", "--llm out.db", "-o talk.html", "--since 7d"))
    assert set(cmd_export.FORMATS) == {"jsonl", "har", "csv", "html", "llm"}
