"""The proxy's process: mitmdump on the quickest event loop that can run it. `turnpike run` starts it as `python -O -P -m scripts.serve`.

The arguments are mitmdump's own, and so are its messages and exit statuses.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitmproxy.tools import dump
from mitmproxy.tools import main as tools

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

LOOP_VARIABLE = "TURNPIKE_LOOP"
"""`asyncio`: the standard library's event loop, also where uvloop would do."""

YOUNG_OBJECTS = 5_000
"""So many more objects until Python looks for cycles among the youngest (its own choice: 2000). A call makes some hundred that outlive a
look at it, and nearly all are freed when it ends without the collector's help."""

PROBE = b"turnpike"
TRIAL_S = 5.0

logger = logging.getLogger(__name__)


class ProxyMaster(dump.DumpMaster):
    """mitmdump's own; what has been made when it runs stays, so the garbage collector need not look at it again and again."""

    async def running(self) -> None:
        """Everything is loaded."""
        await super().running()
        gc.collect()
        gc.freeze()


def main(arguments: Sequence[str]) -> None:
    """Become mitmdump. `arguments` as from a command line, without the program's name."""
    raise_descriptor_limit()
    os.environ.setdefault("UV_USE_IO_URING", "0")  # of uvloop's libuv: a thread of the kernel that polls, for files that we don't read
    loop, why = chosen_loop(os.environ.get(LOOP_VARIABLE, ""))
    if loop:
        asyncio.set_event_loop_policy(_Policy(loop))
    if why:
        logger.debug("the standard event loop is used: %s", why)
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    dump.DumpMaster = ProxyMaster  # type: ignore[misc]  # what `mitmdump` makes
    sys.argv = [str(Path(sys.executable).parent / "mitmdump"), *arguments]  # it stands before its messages
    tools.mitmdump(list(arguments))


class _Policy(asyncio.DefaultEventLoopPolicy):
    """Makes loops of one kind."""

    def __init__(self, make: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__()
        self._make = make

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return self._make()


def chosen_loop(wanted: str) -> tuple[Callable[[], asyncio.AbstractEventLoop] | None, str]:
    """What makes uvloop's event loop where it runs mitmproxy's tasks; else None, and why."""
    if wanted == "asyncio":
        return None, f"{LOOP_VARIABLE} says so"
    try:
        make: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None, "uvloop is not installed"
    why = unfit(make)
    return (None, f"uvloop does not run here: {why}") if why else (make, "")


def unfit(make: Callable[[], asyncio.AbstractEventLoop]) -> str:
    """Why a loop cannot run what mitmproxy does with it, found by doing it; empty when it can.

    uvloop 0.23 passes tasks an argument that the eager tasks of Python 3.13.0 do not know; its versions do not tell.
    """
    loop, trial = make(), _trial()
    try:
        answer = loop.run_until_complete(trial)
    except Exception as error:  # whatever it is, the other loop does
        return f"{type(error).__name__}: {error}"
    finally:
        trial.close()  # where it was not even begun
        loop.close()
    return "" if answer == PROBE else "a connection did not give back what was sent"


async def _trial() -> bytes:
    """A server and a client with tasks that begin eagerly, named, awaited and cancelled."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)

    async def at_once() -> asyncio.Task[None] | None:
        return asyncio.current_task()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await _begun(reader.read())
        writer.write(data)
        writer.close()

    if not _begun(at_once()).done():
        raise RuntimeError("tasks do not begin eagerly")
    sleeper = _begun(asyncio.sleep(60))
    sleeper.cancel()
    with suppress(asyncio.CancelledError):
        await sleeper
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(PROBE)
    writer.write_eof()
    async with asyncio.timeout(TRIAL_S):
        answer = await reader.read()
    writer.close()
    server.close()
    return answer


def _begun[T](work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    try:
        return asyncio.create_task(work, name="trial")
    except BaseException:
        work.close()
        raise


def raise_descriptor_limit() -> None:
    """As many open connections as the system lets us: two descriptors each, and many systems begin with 1024."""
    if resource is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS names no limit that it would take
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
