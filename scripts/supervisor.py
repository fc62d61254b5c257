"""Processes that live and die together.

Each child leads a process group of its own, so that Ctrl-C in a terminal reaches only us, and we end them one after the
other, in the order in which they were started. The first of them that ends by itself ends all, with its exit status.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import click

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 15.0
"""Seconds until a child that does not end is killed: more than the proxy takes to write what waits. Its time to finish its calls
(`proxy.shutdown_grace`) comes on top."""
POLL_S = 0.05
SIGNAL_STATUS = 128  # + the signal's number: what shells report
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here, since after the fork only the call itself is safe


def end_with_parent() -> None:
    """In the child, before it becomes the program: SIGTERM when we are killed without a chance to end it (Linux only)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Ended(Exception):
    """It is over: we were asked to stop (status 0), or a child has ended (with its exit status)."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Supervisor:
    """An async context: on leaving it no child is left."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._children: list[tuple[str, Process]] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[int] = loop.create_future()
        self._hurry, self._now = asyncio.Event(), asyncio.Event()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._asked)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping = True
        for _, process in self._children:
            await self._end(process)
        await asyncio.gather(*self._watchers)
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    async def start(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        output: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> int:
        """Start a child and return its process id. Its output is passed through, or goes to the descriptor `output`.

        Raises ClickException where it cannot be started.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                process_group=0,
                pass_fds=pass_fds,
                preexec_fn=end_with_parent,
            )
        except OSError as error:
            raise click.ClickException(f"{name} cannot be started: {error}") from error
        self._children.append((name, process))
        self._watchers.append(asyncio.create_task(self._watch(name, process)))
        return process.pid

    async def ready(self, test: Callable[[], bool]) -> None:
        """Wait until the test, which may block, is true. Raises Ended."""

        async def poll() -> None:
            while not await asyncio.to_thread(test):
                await asyncio.sleep(POLL_S)

        await self.alive(poll())

    async def alive[T](self, work: Coroutine[Any, Any, T]) -> T:
        """The result of some work, which is broken off when everything ends. Raises Ended."""
        task = asyncio.create_task(work)
        try:
            both: set[asyncio.Future[Any]] = {task, self._over}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Ended(self._over.result())
        finally:
            if task.cancel():
                await asyncio.wait({task})

    async def wait(self) -> int:
        """Until we are asked to stop, or a child ends; its exit status."""
        return await asyncio.shield(self._over)

    def _asked(self) -> None:
        if not self._over.done():
            self._over.set_result(0)
        elif not self._hurry.is_set():
            self._hurry.set()  # asked again: no more grace; the children are told so, and write what they have
        else:
            self._now.set()

    async def _watch(self, name: str, process: Process) -> None:
        code = await process.wait()
        if not self._stopping and not self._over.done():
            status = SIGNAL_STATUS - code if code < 0 else code
            click.echo(f"turnpike: {name} has ended (exit status {status}), so everything ends", err=True)
            self._over.set_result(status)

    async def _end(self, process: Process) -> None:
        await end_process(process, self._grace_s, self._hurry, self._now)


async def end_process(process: Process, grace_s: float, hurry: asyncio.Event, now: asyncio.Event) -> None:
    """SIGTERM, and after `grace_s` seconds SIGKILL to its group. At `hurry` it gets a second SIGTERM, and at most GRACE_S more; at `now`
    it is killed."""
    for seconds, sooner in ((grace_s, hurry), (min(grace_s, GRACE_S), now)):
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended by itself just now
                process.terminate()
            tasks = {asyncio.create_task(process.wait()), asyncio.create_task(sooner.wait())}
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        if not hurry.is_set():
            break
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
