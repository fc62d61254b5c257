"""Processes that live and die together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import click
import pytest

from scripts.supervisor import Ended, Supervisor
from tests.scripts.run_process import is_there, until


def waits(folder: Path, name: str, at_the_end: str = "exit 0") -> list[str]:
    """A child that says when it is ready, notes that it was asked to end, and then does `at_the_end`."""
    script = f"trap 'echo {name} >> ended; {at_the_end}' TERM; echo $$ > {name}.new; mv {name}.new {name}; while :; do sleep 0.02; done"
    return ["sh", "-c", f"cd '{folder}' && {script}"]


async def test_all_end_in_the_order_of_their_start(tmp_path: Path) -> None:
    """On leaving, each child is asked to end, one after the other, and none is left."""
    async with Supervisor() as supervisor:
        for name in ("first", "second"):
            await supervisor.start(name, waits(tmp_path, name))
            await supervisor.ready((tmp_path / name).exists)
    assert (tmp_path / "ended").read_text().split() == ["first", "second"]
    assert not any(is_there(int((tmp_path / name).read_text())) for name in ("first", "second"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_being_asked_to_stop_is_no_failure(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, kill and a closed terminal end with 0."""
    async with Supervisor() as supervisor:
        await supervisor.start("child", waits(tmp_path, "child"))
        await supervisor.ready((tmp_path / "child").exists)
        os.kill(os.getpid(), number)
        assert await supervisor.wait() == 0
    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("exit 0", 0), ("kill -KILL $$", 137)])
async def test_one_that_ends_ends_all(tmp_path: Path, capsys: pytest.CaptureFixture[str], script: str, status: int) -> None:
    """Its exit status is the whole's, and its name is told."""
    async with Supervisor() as supervisor:
        await supervisor.start("the other", waits(tmp_path, "other"))
        await supervisor.ready((tmp_path / "other").exists)
        await supervisor.start("the short one", ["sh", "-c", script])
        assert await supervisor.wait() == status
    assert (tmp_path / "ended").read_text().split() == ["other"]
    assert "the short one has ended" in capsys.readouterr().err


async def test_waiting_is_broken_off_when_a_child_ends() -> None:
    """What waits for a child that never gets ready is told of its end."""
    async with Supervisor() as supervisor:
        await supervisor.start("child", ["sh", "-c", "exit 3"])
        with pytest.raises(Ended) as ended:
            await supervisor.ready(lambda: False)
    assert ended.value.status == 3


async def test_work_is_cancelled_when_all_ends() -> None:
    """Work that runs beside the children does not outlive them, and gets the time to clean up."""
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async with Supervisor() as supervisor:
        await supervisor.start("child", ["sh", "-c", "exit 3"])
        with pytest.raises(Ended):
            await supervisor.alive(work())
    assert cleaned.is_set()


async def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """After its time of grace; asked a second time it is told once more, and killed at the third."""
    async with Supervisor(grace_s=0.1) as supervisor:
        await supervisor.start("stubborn", waits(tmp_path, "stubborn", ":"))
        await supervisor.ready((tmp_path / "stubborn").exists)
    async with Supervisor(grace_s=3600) as supervisor:
        await supervisor.start("again", waits(tmp_path, "again", ":"))
        await supervisor.ready((tmp_path / "again").exists)
        os.kill(os.getpid(), signal.SIGINT)
        await supervisor.wait()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert not any(is_there(int((tmp_path / name).read_text())) for name in ("stubborn", "again"))


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
async def test_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """kill -9 of the supervisor ends them too."""
    script = (
        "import asyncio, sys\nfrom scripts.supervisor import Supervisor\n"
        "async def main():\n async with Supervisor() as s:\n  await s.start('child', sys.argv[1:])\n  await s.wait()\n"
        "asyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, *waits(tmp_path, "child"))
    await until((tmp_path / "child").exists)
    parent.kill()
    await parent.wait()
    await until((tmp_path / "ended").exists)


async def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """The error names what could not be started."""
    async with Supervisor() as supervisor:
        with pytest.raises(click.ClickException, match="the proxy cannot be started"):
            await supervisor.start("the proxy", [str(tmp_path / "none")])
