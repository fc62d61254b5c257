"""The proxy's process: which event loop it takes, its limits, and that it is mitmdump."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import types
from typing import Any

import pytest

from scripts.launch import program
from scripts.serve import chosen_loop, raise_descriptor_limit, unfit
from tests.e2e.harness import clean_environment


class Unnamed(asyncio.SelectorEventLoop):
    """As uvloop 0.23: its tasks are made with an argument that eager tasks may not know."""

    def create_task(self, coro: Any, **more: Any) -> Any:
        return super().create_task(coro, eager_start=None, **more)


class Lazy(asyncio.SelectorEventLoop):
    """Has no task factory."""

    def set_task_factory(self, factory: Any) -> None:
        pass


def serve(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-O", "-P", "-m", "scripts.serve", *arguments]
    return subprocess.run(command, env=clean_environment() | env, capture_output=True, text=True, check=False, timeout=60)


def test_a_loop_is_tried_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its version says; the reason is told."""
    assert unfit(asyncio.SelectorEventLoop) == ""
    assert "eager_start" in unfit(Unnamed)
    assert unfit(Lazy) == "RuntimeError: tasks do not begin eagerly"
    monkeypatch.setitem(sys.modules, "uvloop", types.SimpleNamespace(new_event_loop=Lazy))
    assert chosen_loop("") == (None, "uvloop does not run here: RuntimeError: tasks do not begin eagerly")
    monkeypatch.setitem(sys.modules, "uvloop", types.SimpleNamespace(new_event_loop=asyncio.SelectorEventLoop))
    assert chosen_loop("") == (asyncio.SelectorEventLoop, "")


def test_without_uvloop_the_standard_loop_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed (Windows), or not wanted."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert chosen_loop("") == (None, "uvloop is not installed")
    assert chosen_loop("asyncio") == (None, "TURNPIKE_LOOP says so")


def test_the_descriptor_limit_is_raised() -> None:
    """To the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("arguments", [("--no-such-option",), ("--mode", "nonsense")])
def test_it_speaks_as_mitmdump(arguments: tuple[str, ...]) -> None:
    """The same messages and the same exit status for what is wrong."""
    plain = subprocess.run(
        [program("mitmdump"), *arguments], env=clean_environment(), capture_output=True, text=True, check=False, timeout=60
    )
    ours = serve(*arguments)
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert ours.returncode == 1


PRINT_LOOP = """
import asyncio, gc, sys
from mitmproxy import ctx

async def running():
    print(type(asyncio.get_running_loop()).__module__, __debug__, sys.path[0] == "", flush=True)
    asyncio.get_running_loop().call_later(0.1, after)

def after():
    print("frozen", gc.get_freeze_count() > 10_000, flush=True)
    ctx.master.shutdown()
"""


@pytest.mark.parametrize(("wanted", "loop"), [("", "uvloop"), ("asyncio", "asyncio.unix_events")])
def test_scripts_run_on_the_chosen_loop(tmp_path: Any, wanted: str, loop: str) -> None:
    """Without `__debug__`, and with what was loaded out of the garbage collector's sight."""
    script = tmp_path / "script.py"
    script.write_text(PRINT_LOOP)
    done = serve("-q", "-s", str(script), "-p", "0", "--listen-host", "127.0.0.1", "--set", f"confdir={tmp_path}", TURNPIKE_LOOP=wanted)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{loop} False False", "frozen True"]
