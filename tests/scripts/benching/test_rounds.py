"""The run: turns, and what is counted until it is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scripts.benching import rounds
from scripts.benching.rounds import NOT_DRAINED, ROWS_MISSING, Result, count_rows, drain, measure, read_queue, run_all
from scripts.benching.shapes import Cell, Settings
from scripts.benching.targets import DIRECT, Target
from scripts.running import Address
from tests.scripts.benching.measured import one_round
from tests.scripts.benching.serving import scripted, upstream

SETTINGS = Settings(concurrency=(2,), answers=("whole", "stream"), requests=10, warmup_s=0.0, rounds=2)


def metrics(rows: int, queued_bytes: int) -> bytes:
    text = f"# TYPE turnpike_queue_rows gauge\nturnpike_queue_rows {rows}.0\nturnpike_queue_bytes {queued_bytes}\nturnpike_x 7\n".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


def database(folder: Path, rows: int) -> Path:
    path = folder / "turnpike.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table calls (id text primary key)")
        connection.executemany("insert into calls values (?)", [(str(n),) for n in range(rows)])
        connection.commit()
    return path


async def test_every_target_is_measured_in_every_round() -> None:
    """There and back again; a target that is for streams only has no other rounds."""
    async with upstream() as door:
        first, only_streams = Target(DIRECT, {"base": door}), Target("streams", {"base": door}, only_streams=True)
        results: list[Result] = []
        told: list[str] = []
        await run_all(SETTINGS, [first, only_streams], results, told.append)
    whole, stream = results
    assert {name: len(found) for name, found in whole.rounds.items()} == {DIRECT: 2}
    assert {name: len(found) for name, found in stream.rounds.items()} == {DIRECT: 2, "streams": 2}
    assert all(one["requests"] == 10 and not one["errors"] for result in results for found in result.rounds.values() for one in found)
    turns = [line.partition("] ")[2].partition(",")[0] for line in told if "warm-up" in line and " stream " in line]
    assert turns == [DIRECT, "streams", "streams", DIRECT]
    assert any(line.startswith("[6/6, ") for line in told)


async def test_a_measurement_has_all_figures() -> None:
    """Per second, per call; of a process that is not known none of its own."""
    async with upstream() as door:
        target = Target("x", {"base": door})
        found = await measure(SETTINGS, Cell("base", "stream", "kept", 1000, 2), target, target, lambda _: None)
    assert found["requests_per_s"] == pytest.approx(10 / found["elapsed_s"])
    assert found["chunks"] == 60 and found["chunks_per_s"] == pytest.approx(60 / found["elapsed_s"])
    assert "cpu_s" not in found


async def test_waits_until_nothing_is_queued(tmp_path: Path) -> None:
    """Rows and bytes, and the rows are there."""
    path = database(tmp_path, 5)
    async with scripted(metrics(0, 0)) as door:
        target = Target("t", {}, None, Address(door.host, door.port), path)
        assert (await drain(target, 5))[0] == {}
    assert count_rows(target) == 5


async def test_rows_that_do_not_come_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many as are missing; a queue that stays full is one too."""
    monkeypatch.setattr(rounds, "ROWS_S", 0.05)
    path = database(tmp_path, 5)
    async with scripted(metrics(0, 0)) as door:
        assert (await drain(Target("t", {}, None, Address(door.host, door.port), path), 7))[0] == {ROWS_MISSING: 2}
    monkeypatch.setattr(rounds, "DRAIN_S", 0.1)
    async with scripted(metrics(0, 400)) as door:
        assert (await drain(Target("t", {}, None, Address(door.host, door.port), path), 5))[0] == {NOT_DRAINED: 1}


async def test_what_has_no_queue_is_not_waited_for() -> None:
    """Any other proxy."""
    target = Target("other", {})
    assert await drain(target, None) == ({}, 0.0)
    assert (read_queue(target), count_rows(target)) == (0.0, None)


def test_added_is_to_the_direct_way_of_the_same_round() -> None:
    """And errors of all targets count."""
    result = Result(Cell("base", "whole", "kept", 1000, 1), {DIRECT: [one_round(10, 1.0), one_round(10, 2.0)]})
    result.rounds["x"] = [one_round(5, 3.0), one_round(5, 3.0, errors={"status 500": 3})]
    assert [one["added_latency_p50_ms"] for one in result.flat("x")] == [2.0, 1.0]
    assert "added_latency_p50_ms" not in result.flat(DIRECT)[0]
    assert result.errors == 3
