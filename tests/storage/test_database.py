"""addons/storage/database.py: opening, permissions, pragmas."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from addons.storage import database
from addons.storage.database import StoreError, open_reader, open_writer
from addons.storage.migrations import Schema

OPENS_WHEN_TOLD = """
import pathlib, sys
from addons.storage import database
from addons.storage.database import open_writer
sys.stdin.read(1)
open_writer(pathlib.Path(sys.argv[1])).close()
"""


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_folder_are_private(tmp_path: Path) -> None:
    """The database, its -wal and -shm are 0600 and a new folder 0700, whatever the umask says."""
    path = tmp_path / "data" / "turnpike.db"
    previous = os.umask(0)
    try:
        with closing(open_writer(path)):
            assert {file.name: mode(file) for file in path.parent.iterdir()} == {
                "turnpike.db": 0o600,
                "turnpike.db-wal": 0o600,
                "turnpike.db-shm": 0o600,
            }
    finally:
        os.umask(previous)
    assert mode(path.parent) == 0o700


def test_an_open_database_is_made_private(tmp_path: Path) -> None:
    """A file that others could read is closed to them."""
    path = tmp_path / "turnpike.db"
    open_writer(path).close()
    path.chmod(0o644)
    open_writer(path).close()
    assert mode(path) == 0o600


def test_pragmas_hold_from_the_first_byte(tmp_path: Path) -> None:
    """auto_vacuum INCREMENTAL (2), WAL, synchronous NORMAL (1), busy_timeout 5 s."""
    with closing(open_writer(tmp_path / "turnpike.db")) as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("auto_vacuum", "journal_mode", "synchronous", "busy_timeout")
        ]
    assert found == [2, "wal", 1, 5000]


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to have a header\n" * 40, b"short"])
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """One line that names the file; its content stays."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"notes\.txt.*not a database"):
        open_writer(path)
    assert path.read_bytes() == content


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A path that is a folder is a clear error, and the folder keeps its mode."""
    with pytest.raises(StoreError, match="cannot open"):
        open_writer(tmp_path)


def test_readers_cannot_write(tmp_path: Path) -> None:
    """A reader's connection is read-only; a missing file is an error, not a new database."""
    path = tmp_path / "turn pike?.db"
    open_writer(path).close()
    with closing(open_reader(path)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM calls")
    with pytest.raises(StoreError):
        open_reader(tmp_path / "missing.db")


def test_processes_that_open_at_once_do_not_clash(tmp_path: Path) -> None:
    """Six processes create one database at the same moment: all succeed, the schema is there once."""
    path = tmp_path / "turnpike.db"
    command = [sys.executable, "-c", OPENS_WHEN_TOLD, str(path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2]) for _ in range(6)]
    for process in processes:
        assert process.stdin
        process.stdin.write(b"x")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0] * 6
    with closing(open_writer(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_opening_tries_again_when_it_is_locked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A "locked" that SQLite answers at once is no failure; one of another kind is, at the first time."""
    refusals = [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_BUSY_RECOVERY]

    def refuse(connection: sqlite3.Connection, schema: Schema) -> None:
        if refusals:
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = refusals.pop()
            raise error

    monkeypatch.setattr(database, "migrate", refuse)
    open_writer(tmp_path / "turnpike.db").close()
    assert not refusals
    refusals += [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR]
    with pytest.raises(StoreError, match="refused"):
        open_writer(tmp_path / "turnpike.db")
    assert refusals == [sqlite3.SQLITE_BUSY]


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    """It is refused before its journal mode or its permissions are changed."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_writer(path)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644
