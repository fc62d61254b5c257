"""Several processes that are kept: real ones, of the shell."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from scripts import workers
from scripts.workers import Workers, check_reuse_port, command_of, hold_port
from tests.scripts.run_process import is_there, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")

WAITS = "trap 'echo ended; exit 0' TERM; echo up; echo $$ >> pids; while :; do sleep 0.02; done"
"""One that prints that it is up, and ends when asked to."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BACKOFF_S", (0.01,))


def kept(folder: Path, script: str, count: int = 2, ready: Callable[[], bool] | None = None, grace_s: float = 10) -> Workers:
    return Workers(["sh", "-c", f"cd '{folder}'; {script}"], count, ready or (folder / "pids").exists, grace_s=grace_s)


def pids(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "pids").read_text().split()] if (folder / "pids").exists() else []


async def test_all_are_started_and_end_together(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Being asked to stop is no failure; what they print has their number before it."""
    running = asyncio.create_task(kept(tmp_path, WAITS, 3).run())
    await until(lambda: len(pids(tmp_path)) == 3)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert not any(is_there(pid) for pid in pids(tmp_path))
    lines = capfd.readouterr().out.split("\n")
    assert sorted(line for line in lines if line) == sorted(f"[{number}] {what}" for number in (1, 2, 3) for what in ("ended", "up"))


async def test_one_that_dies_is_started_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The others do not notice."""
    running = asyncio.create_task(kept(tmp_path, WAITS).run())
    await until(lambda: len(pids(tmp_path)) == 2)
    first, second = pids(tmp_path)
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(pids(tmp_path)) == 3)
    assert is_there(second)
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 0
    assert "worker 1 has ended (exit status 137); it is started again" in capfd.readouterr().err


async def test_one_that_can_not_live_ends_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """After a few starts, with its status."""
    script = f'case "$TURNPIKE_WORKER" in *\'"number": 2\'*) echo wrong >&2; exit 7;; *) {WAITS};; esac'
    assert await kept(tmp_path, script).run() == 7
    told = capfd.readouterr().err
    assert told.count("[2] wrong") == 3
    assert "worker 2 has ended 3 times right after its start (exit status 7), so all end" in told
    assert not any(is_there(pid) for pid in pids(tmp_path))


@pytest.mark.parametrize(("script", "status"), [("echo broken >&2; exit 1", 1), ("exit 0", 1), ("kill -KILL $$", 137)])
async def test_what_the_first_can_not_do_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str], script: str, status: int) -> None:
    """The others are not even started."""
    assert await kept(tmp_path, f"echo x >> starts; {script}", 4, lambda: False).run() == status
    assert (tmp_path / "starts").read_text() == "x\n"
    assert capfd.readouterr().err in ("", "[1] broken\n")


@pytest.mark.parametrize(("grace_s", "asked"), [(0.1, 1), (3600.0, 3)])
async def test_one_that_does_not_end_is_killed(tmp_path: Path, grace_s: float, asked: int) -> None:
    """After its time of grace, or at once when asked a third time; that is a failure."""
    stubborn = "trap 'echo $$ >> asked' TERM; echo $$ >> pids; while :; do sleep 0.02; done"
    running = asyncio.create_task(kept(tmp_path, stubborn, grace_s=grace_s).run())
    await until(lambda: len(pids(tmp_path)) == 2)
    for _ in range(asked):
        os.kill(os.getpid(), signal.SIGINT)
        await until((tmp_path / "asked").exists)
    assert await running == 137
    assert not any(is_there(pid) for pid in pids(tmp_path))


async def test_all_have_the_same_key_and_it_is_in_no_variable(tmp_path: Path) -> None:
    """It comes by the pipe that the variable names."""
    code = (
        "import os, time; from addons.worker import read_worker\n"
        "text = repr(dict(os.environ)); worker = read_worker(os.environ)\n"
        "assert worker.placeholder_key.hex() not in text and repr(worker.placeholder_key) not in text\n"
        f"open({str(tmp_path)!r} + f'/seen-{{worker.number}}', 'w').write(worker.placeholder_key.hex() + ' ' + worker.run)\n"
        "time.sleep(60)"
    )
    seen = [tmp_path / "seen-1", tmp_path / "seen-2"]
    command = [sys.executable, "-c", code]
    running = asyncio.create_task(Workers(command, 2, lambda: seen[0].exists() and bool(seen[0].read_text())).run())
    await until(lambda: seen[1].exists() and bool(seen[1].read_text()))
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    one, two = (file.read_text() for file in seen)
    assert one == two and len(one.split()[0]) == 64


async def test_long_and_unfinished_lines_come_through(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing that is printed stops a worker."""
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; printf unfinished; exit 3"
    assert await kept(tmp_path, script, ready=lambda: False).run() == 3
    out = capfd.readouterr().out
    assert out.count("x") == 3_000_000
    assert out.endswith("[1] unfinished\n")


def test_a_system_without_shared_ports_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the option."""
    check_reuse_port()
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(click.ClickException, match="--workers needs SO_REUSEPORT"):
        check_reuse_port()


def test_an_address_is_held_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before anybody listens there; it is free when its holder has ended."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    held = hold_port("127.0.0.1", 9000)
    with pytest.raises(click.ClickException, match=r"port 9000 on 127\.0\.0\.1 is in use by another `turnpike run --workers`"):
        hold_port("127.0.0.1", 9000)
    other = hold_port("127.0.0.2", 9000)
    os.close(held)
    os.close(hold_port("127.0.0.1", 9000))
    os.close(other)


def test_as_one_process(tmp_path: Path) -> None:
    """What a supervisor of the proxy and Datasette starts."""
    assert command_of(["a"], 3, "http://h:1", 2.5) == [sys.executable, "-m", "scripts.workers", "3", "http://h:1", "2.5", "--", "a"]
