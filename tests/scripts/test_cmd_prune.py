"""scripts/cmd_prune.py: what `turnpike prune` says and does."""

from __future__ import annotations

import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from addons.storage import retention
from addons.storage.database import StorageFailure
from addons.storage.store import Store
from scripts import cmd_prune
from tests.storage.support import body, rows, stored_call
from tests.storage.test_retention import is_lean, is_whole


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Twenty calls, ten of them stored long ago, 50 kB each."""
    path = tmp_path / "t.db"
    fill(path)
    return path


def fill(path: Path) -> None:
    """See `database`."""
    rng = random.Random(1)
    with closing(Store(path)) as store:
        store.write([stored_call(bodies=(body(rng.randbytes(50_000)),)) for _ in range(20)])
        store._connection.execute(
            "UPDATE calls SET stored_at = '2020-01-01T00:00:00.000Z' WHERE id IN (SELECT id FROM calls ORDER BY id LIMIT 10)"
        )


def run(*arguments: str, config: Path | None = None) -> Result:
    """With a configuration that is the default's."""
    return CliRunner().invoke(cmd_prune.command, [*arguments, *(("--config", str(config)) if config else ())])


def count(path: Path) -> int:
    """Calls that are there."""
    with closing(Store(path)) as store:
        return int(rows(store, "SELECT count(*) FROM calls")[0][0])


def test_a_dry_run_says_what_would_go_and_changes_nothing(database: Path) -> None:
    """How many calls, from when to when, how much, and what would stay."""
    result = run("--database", str(database), "--dry-run")
    assert result.exit_code == 0, result.output
    first, second = result.output.splitlines()
    assert re.fullmatch(r"would prune 10 calls, stored 2020-01-01T00:00:00.000Z to 2020-01-01T00:00:00.000Z, about 0\.[56] MiB", first)
    assert re.fullmatch(r"would keep 10 calls, about 0\.[67] MiB of 1\.\d MiB", second)
    assert count(database) == 20


def test_a_dry_run_leaves_an_older_schema_as_it_is(database: Path) -> None:
    """It is said what brings it up to date; another program's database is called what it is."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 4")
    result = run("--database", str(database), "--dry-run")
    assert result.exit_code == 1 and "is of an older version (schema 4, this version has " in result.output
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
        connection.execute("PRAGMA application_id = 5")
    for arguments in (("--dry-run",), ()):
        result = run("--database", str(database), *arguments)
        assert result.exit_code == 1 and "a database of another program" in result.output
        assert "what was pruned" not in result.output


def test_a_single_call_is_one(database: Path) -> None:
    """In what goes and in what stays."""
    with closing(Store(database)) as store:
        store._connection.execute("DELETE FROM calls WHERE id NOT IN (SELECT id FROM calls ORDER BY id LIMIT 1)")
    assert run("--database", str(database), "--dry-run").output.startswith("would prune 1 call, stored ")
    assert run("--database", str(database)).output.startswith("pruned 1 call, stored ")


def test_what_is_pinned_is_told(database: Path) -> None:
    """With its size, which does not count."""
    with closing(Store(database)) as store:
        store._connection.execute("UPDATE calls SET pinned = 1 WHERE stored_at < '2021'")
    said = run("--database", str(database), "--dry-run").output
    assert said.startswith("nothing to prune: 20 calls, 10 of them pinned (about 0.5 MiB, which do not count for the size), ")


def test_what_is_due_goes_and_the_file_shrinks(database: Path) -> None:
    """By the configured 30 days."""
    before = database.stat().st_size
    result = run("--database", str(database))
    assert result.exit_code == 0 and result.output.startswith("pruned 10 calls, stored 2020-01-01"), result.output
    assert count(database) == 10
    assert before - database.stat().st_size > 450_000
    is_whole(database)
    is_lean(database)
    assert run("--database", str(database)).output.startswith("nothing to prune; ")
    assert run("--database", str(database), "--dry-run").output.startswith("nothing to prune: 10 calls, ")


def test_the_configuration_says_and_options_go_before_it(database: Path, tmp_path: Path) -> None:
    """capture.database and capture.keep, else --days and --max-size."""
    config = tmp_path / "t.yml"
    config.write_text(f"capture: {{database: {database}, keep: {{days: forever, max_size: unlimited}}}}")
    assert run(config=config).output.startswith("nothing to prune")
    assert run("--max-size", "900kB", config=config).output.startswith("pruned ")
    assert 0 < count(database) < 20
    assert run("--max-size", "1", config=config).output.startswith("pruned ")
    assert count(database) == 0


def test_bad_values_and_a_missing_file_are_told(tmp_path: Path) -> None:
    """Wrong usage is 2, no database is 1; none is made."""
    for wrong in (("--max-size", "much"), ("--days", "0"), ("--days", "x"), ("--days", "nan"), ("--days", "inf")):
        assert run("--database", str(tmp_path / "none.db"), *wrong).exit_code == 2
    result = run("--database", str(tmp_path / "none.db"))
    assert result.exit_code == 1 and "there is no database" in result.output
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_cannot_shrink_is_told_and_rebuilt(tmp_path: Path) -> None:
    """Made without auto_vacuum; after --rebuild it shrinks by itself."""
    path = tmp_path / "elsewhere.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("PRAGMA journal_mode = WAL")
    fill(path)
    before = path.stat().st_size
    result = run("--database", str(path))
    assert "made without auto_vacuum" in result.output and path.stat().st_size >= before
    result = run("--database", str(path), "--rebuild")
    assert result.exit_code == 0 and "written anew" in result.output, result.output
    assert path.stat().st_size < before - 450_000
    assert "without auto_vacuum" not in run("--database", str(path), "--max-size", "1").output
    is_whole(path)


def test_a_lock_that_is_held_for_long_is_waited_for(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some failures cost nothing; many end it with one line."""
    step, failures = retention.Pruner.step, iter([True, True])

    def fail_twice(pruner: retention.Pruner, lock_s: float) -> bool:
        if next(failures, False):
            raise StorageFailure("SQLITE_BUSY")
        return step(pruner, lock_s)

    monkeypatch.setattr(retention.Pruner, "step", fail_twice)
    assert run("--database", str(database)).output.startswith("pruned 10 calls")

    def fail(*_: object) -> bool:
        raise StorageFailure("SQLITE_BUSY")

    monkeypatch.setattr(retention.Pruner, "step", fail)
    result = run("--database", str(database))
    assert result.exit_code == 1 and "SQLITE_BUSY; what was pruned stays pruned" in result.output


def test_others_are_given_time(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are followed by a pause after another connection has written, and only then."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with closing(retention.Pruner(database, retention.Limits(30, None), 1_800_000_000_000)) as pruner, closing(Store(database)) as store:
        store.write([stored_call()])
        pruner.others_write()
        going = cmd_prune.Run(pruner)
        assert going.step() and not pauses
        store.write([stored_call()])
        assert going.step()
    assert pauses == [cmd_prune.PAUSE_S]
