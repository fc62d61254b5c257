"""scripts/generate_captures.py writes captures that Turnpike itself could have written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from addons.storage.database import open_reader
from addons.storage.reading import read_body
from scripts import generate_captures


def generate(out: Path, *arguments: str) -> str:
    """Its output."""
    options = ["--out", str(out), "--body-bytes", "2MB", "--until", "2026-11-20", *arguments]
    result = CliRunner().invoke(generate_captures.command, options)
    assert result.exit_code == 0, result.output
    return result.output


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """A query on the file."""
    with closing(open_reader(path)) as connection:
        return connection.execute(sql).fetchall()


def test_as_many_calls_as_asked_for_and_whole(tmp_path: Path) -> None:
    """Every body joins to what was stored; calls seem to be stored when they were made; text is indexed."""
    generate(tmp_path / "t.db", "--calls", "60")
    assert rows(tmp_path / "t.db", "SELECT count(*), sum(stored_at = started_at) FROM calls") == [(60, 60)]
    with closing(open_reader(tmp_path / "t.db")) as connection:
        bodies = connection.execute("SELECT call_id, kind FROM bodies").fetchall()
        assert len(bodies) == 120
        assert all(read_body(connection, call_id, kind) for call_id, kind in bodies)
        assert connection.execute("SELECT count(*) FROM parts_fts WHERE parts_fts MATCH 'the'").fetchone()[0] > 20


def test_a_run_that_broke_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In two parts it writes what it writes in one."""
    monkeypatch.setattr(generate_captures, "BATCH", 10)
    whole, parted = tmp_path / "whole.db", tmp_path / "parted.db"
    generate(whole, "--calls", "60")
    write_past = generate_captures.BulkStore.write_past
    batches = []

    def break_off(store: Any, calls: Any) -> None:
        batches.append(len(calls))
        if len(batches) > 2:
            raise KeyboardInterrupt
        write_past(store, calls)

    monkeypatch.setattr(generate_captures.BulkStore, "write_past", break_off)
    CliRunner().invoke(generate_captures.command, ["--out", str(parted), "--calls", "60", "--body-bytes", "2MB", "--until", "2026-11-20"])
    monkeypatch.setattr(generate_captures.BulkStore, "write_past", write_past)
    assert 0 < rows(parted, "SELECT count(*) FROM calls")[0][0] < 60
    generate(parted, "--calls", "60")
    everything = "SELECT id, started_at, prompt, response FROM calls ORDER BY id"
    assert rows(parted, everything) == rows(whole, everything)
