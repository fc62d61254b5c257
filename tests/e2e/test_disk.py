"""A disk that is full, a database that another process holds or that cannot be opened: traffic goes on, the state is visible, rows come
in when it heals. Bodies are given up before rows, and marked."""

from __future__ import annotations

import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.fake_provider.server import FakeProvider
from tests.e2e.harness import Turnpike, fake_upstreams, wait_for

pytestmark = pytest.mark.slow

BIG = 64 * 1024
SMALL_QUEUE = 1024 * 1024
HEALS_S = 15.0
"""The writer's longest pause is 5 s."""

LOCK_S = float(os.environ.get("TURNPIKE_TEST_LOCK_S", "0"))
"""How long the lock is held after it is seen; longer by hand."""


def proxy(fake: FakeProvider, folder: Path, database: Path | None = None) -> Turnpike:
    upstreams = {name: {**upstream, "keys": []} for name, upstream in fake_upstreams(fake).items()}
    config: dict[str, Any] = {"version": 1, "upstreams": upstreams, "capture": {"max_queue": SMALL_QUEUE}}
    made = Turnpike(folder, config, trusted_ca=fake.ca_file, env={"TURNPIKE_DB": str(database)} if database else None)
    made.database = database or made.database
    return made


def send(turnpike: Turnpike, count: int, size: int = BIG) -> list[str]:
    """Calls that must all be answered, with prompts that nothing compresses; their ids."""
    ids = []
    with httpx.Client(timeout=10) as client:
        for _ in range(count):
            text = secrets.token_hex(size // 2)
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
            answer = client.post(f"{turnpike.base_url}/v1/chat/completions", json=body)
            assert answer.status_code == 200
            ids.append(answer.headers["x-turnpike-call"])
    return ids


def is_down(turnpike: Turnpike) -> bool:
    """Is the state visible? Both say the same."""
    status, told = turnpike.ready()
    down = turnpike.metric("turnpike_database_up") == 0
    return status == 503 and told["database"] != "ok" and down


def is_well(turnpike: Turnpike) -> bool:
    return turnpike.ready()[0] == 200 and turnpike.metric("turnpike_database_up") == 1 and not turnpike.metric("turnpike_queue_rows")


def until_down(turnpike: Turnpike) -> list[str]:
    """Calls until the disk is in the way; their ids."""
    ids = []
    while not is_down(turnpike):
        ids += send(turnpike, 5)
    return ids


def expect_all(turnpike: Turnpike, ids: list[str]) -> None:
    """A row for each, no more, none lost; bodies are whole, or marked as cut."""
    wait_for(lambda: is_well(turnpike), "it is well again", HEALS_S)
    rows = turnpike.wait_rows(len(ids), timeout_s=HEALS_S)
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert {(row["outcome"], row["status"]) for row in rows} == {("ok", 200)}
    assert turnpike.metric("turnpike_rows_dropped_total") == 0
    cut = turnpike.query("select count(*) as n from bodies where truncated")[0]["n"]
    assert cut == turnpike.metric("turnpike_bodies_dropped_total")


def fill(turnpike: Turnpike) -> list[str]:
    """Calls until the queue has given up bodies, and some more."""
    ids = []
    while not turnpike.metric("turnpike_bodies_dropped_total"):
        ids += send(turnpike, 5)
    return ids + send(turnpike, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_a_full_disk_by_a_limit_of_file_sizes(fake: FakeProvider, tmp_path: Path) -> None:
    """No file may grow any more, log files neither."""
    import resource  # noqa: PLC0415 - not on Windows

    with proxy(fake, tmp_path) as turnpike:
        ids = send(turnpike, 3)
        turnpike.wait_rows(3)
        _, hard = resource.prlimit(turnpike.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(turnpike.pid, resource.RLIMIT_FSIZE, (4096, hard))
        ids += until_down(turnpike)
        ids += fill(turnpike)
        assert "turnpike_log_lines_dropped_total" in httpx.get(f"{turnpike.proxy_url}/metrics").text
        resource.prlimit(turnpike.pid, resource.RLIMIT_FSIZE, (hard, hard))
        expect_all(turnpike, ids)
        assert turnpike.stop() == 0
    assert "Traceback" not in turnpike.output()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A tmpfs. Skips the test where it may not be mounted."""
    folder.mkdir()
    options = f"size={size},mode=700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs may not be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a tmpfs")
def test_a_full_disk(fake: FakeProvider, tmp_path: Path) -> None:
    """ENOSPC, until somebody makes room."""
    disk = tmp_path / "disk"
    with small_disk(disk, 4 * 2**20), proxy(fake, tmp_path / "proxy", disk / "turnpike.db") as turnpike:
        (disk / "ballast").write_bytes(b"x" * (2 * 2**20))
        ids = until_down(turnpike)
        ids += fill(turnpike)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        expect_all(turnpike, ids)
        assert turnpike.stop() == 0


def test_a_database_that_another_process_holds(fake: FakeProvider, tmp_path: Path) -> None:
    """Told once SQLite has waited for it in vain, which takes 5 s."""
    with proxy(fake, tmp_path) as turnpike:
        ids = send(turnpike, 1)
        turnpike.wait_rows(1)
        with closing(sqlite3.connect(turnpike.database, isolation_level=None)) as other:
            other.execute("begin immediate")
            ids += send(turnpike, 3)
            wait_for(lambda: is_down(turnpike), "the lock is told", HEALS_S)
            ids += fill(turnpike)
            assert len(turnpike.rows()) == 1
            if LOCK_S:
                other.execute("select 1")
                subprocess.run(["sleep", str(LOCK_S)], check=True)
                ids += send(turnpike, 3)
            other.execute("rollback")
        expect_all(turnpike, ids)


def test_a_database_that_cannot_be_opened(fake: FakeProvider, tmp_path: Path) -> None:
    """At the start: the proxy starts all the same, says what is wrong, and makes the database as soon as it can."""
    where = tmp_path / "place"
    where.write_text("a file where the folder should be")
    with proxy(fake, tmp_path / "proxy", where / "turnpike.db") as turnpike:
        assert is_down(turnpike)
        assert str(where) in turnpike.ready()[1]["database"]
        ids = fill(turnpike)
        where.unlink()
        expect_all(turnpike, ids)


def test_one_that_can_be_opened_again_is_ready_without_a_call(fake: FakeProvider, tmp_path: Path) -> None:
    """A load balancer sends none before that."""
    where = tmp_path / "place"
    where.write_text("a file where the folder should be")
    with proxy(fake, tmp_path / "proxy", where / "turnpike.db") as turnpike:
        assert is_down(turnpike)
        where.unlink()
        wait_for(lambda: is_well(turnpike), "it is well again", HEALS_S)
