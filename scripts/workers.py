"""Several proxies on one port: each is started again when it dies, and all end together.

    python -m scripts.workers COUNT URL GRACE_S -- COMMAND …

The first one is started alone: what it can't do (a wrong configuration, a database that can't be opened) is said once, and it makes the
CA. Each has a process group of its own and ends with us, as in `supervisor.py`; what it prints has its number before it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import click

from addons.worker import KEY_BYTES, told
from scripts.running import Address
from scripts.supervisor import GRACE_S, POLL_S, SIGNAL_STATUS, STOP_SIGNALS, end_process, end_with_parent

QUICK_S = 5.0
"""One that has ended sooner than this after its start has not got into its stride."""

QUICK_ENDS = 3
BACKOFF_S = (0.1, 1.0, 3.0)
LINE_BYTES = 1 << 20
LAST_WORDS_S = 2.0
"""For what is still in the pipes of those that have ended; somebody else may hold these open."""


def check_reuse_port() -> None:
    """Raises ClickException where processes can't share a port."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except (AttributeError, OSError) as error:
        raise click.ClickException(
            "--workers needs SO_REUSEPORT, by which processes share a port, and this system does not have it; leave --workers out"
        ) from error


def hold_port(host: str, port: int) -> int:
    """For as long as this process lives, no other one of this user gives workers the same address: two that look at the same moment
    whether anybody listens there would share it. Gives the descriptor that holds it. Raises ClickException where another has it."""
    import fcntl  # noqa: PLC0415 # where ports can be shared it is there

    name = f"turnpike-{os.getuid()}-{host.replace('/', '_')}-{port}.lock"
    held = None
    try:
        held = os.open(Path(tempfile.gettempdir()) / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if held is not None:
            os.close(held)
        raise click.ClickException(f"port {port} on {host} is in use by another `turnpike run --workers`") from error
    except OSError as error:
        raise click.ClickException(f"port {port} on {host} cannot be held for the workers: {error}") from error
    return held


class Workers:
    """`command` is what each of them is; `ready`, which may block, says whether the first one is up. `grace_s`: what they have to end, a
    second less than a supervisor gives us."""

    def __init__(self, command: Sequence[str], count: int, ready: Callable[[], bool], *, grace_s: float = GRACE_S - 1) -> None:
        self._command, self._count, self._ready, self._grace_s = command, count, ready, grace_s
        self._run, self._key = secrets.token_hex(6), secrets.token_bytes(KEY_BYTES)
        self._processes: dict[int, Process] = {}
        self._statuses: list[int] = []
        self._is_up = self._stopping = False

    async def run(self) -> int:
        """Until asked to stop, or one can't be kept alive; the exit status."""
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[int] = loop.create_future()
        self._hurry, self._now = asyncio.Event(), asyncio.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="turnpike-"))
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._asked)
        keepers: list[asyncio.Task[None]] = []
        try:
            keepers.append(asyncio.create_task(self._keep(1)))
            await self._first_is_up()
            keepers += [asyncio.create_task(self._keep(number)) for number in range(2, self._count + 1) if not self._over.done()]
            status = await asyncio.shield(self._over)
        finally:
            self._stopping = True
            await asyncio.gather(*(self._end(process) for process in self._processes.values()))
            await asyncio.wait(keepers, timeout=LAST_WORDS_S)
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            shutil.rmtree(self._folder, ignore_errors=True)
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
        return status or next((status for status in self._statuses if status), 0)

    def _asked(self) -> None:
        if self._over.done():
            (self._now if self._hurry.is_set() else self._hurry).set()  # asked again: no more grace
        else:
            self._over.set_result(0)

    async def _first_is_up(self) -> None:
        while not self._over.done():
            if await asyncio.to_thread(self._ready):
                self._is_up = True
                return
            await asyncio.sleep(POLL_S)

    async def _keep(self, number: int) -> None:
        """Start one, and again whenever it has ended."""
        quick = 0
        while not self._stopping and not self._over.done():
            begun = time.monotonic()
            try:
                process = await self._start(number)
            except OSError as error:
                click.echo(f"turnpike: worker {number} cannot be started: {error}", err=True)
                self._end_all(1)
                return
            await self._relay(process, number)
            status = _status(await process.wait())
            if self._stopping or self._over.done():
                self._statuses.append(status)
                return
            quick = quick + 1 if time.monotonic() - begun < QUICK_S else 0
            if not self._is_up or quick >= QUICK_ENDS:
                if self._is_up:
                    click.echo(
                        f"turnpike: worker {number} has ended {quick} times right after its start (exit status {status}), so all end",
                        err=True,
                    )
                self._end_all(status or 1)
                return
            pause = BACKOFF_S[min(quick, len(BACKOFF_S) - 1)]
            click.echo(f"turnpike: worker {number} has ended (exit status {status}); it is started again", err=True)
            await asyncio.wait({self._over}, timeout=pause)

    def _end_all(self, status: int) -> None:
        if not self._over.done():
            self._over.set_result(status)

    async def _start(self, number: int) -> Process:
        reading, writing = os.pipe()
        try:
            os.write(writing, self._key)
        finally:
            os.close(writing)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                limit=LINE_BYTES,
                env={**os.environ, **told(number, self._count, self._run, reading, self._folder)},
                pass_fds=(reading,),
                process_group=0,
                preexec_fn=end_with_parent,
            )
        finally:
            os.close(reading)
        self._processes[number] = process
        if self._stopping:  # while it was being started
            await self._end(process)
        return process

    async def _relay(self, process: Process, number: int) -> None:
        """What it prints, line by line, until it has closed both."""
        pipes = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
        await asyncio.gather(*(_pass_on(pipe, f"[{number}] ", out) for pipe, out in pipes if pipe))

    async def _end(self, process: Process) -> None:
        await end_process(process, self._grace_s, self._hurry, self._now)


async def _pass_on(pipe: asyncio.StreamReader, prefix: str, out: TextIO) -> None:
    while True:
        try:
            line = await pipe.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            line = end.partial
        except asyncio.LimitOverrunError:  # a line without an end is passed on in pieces
            line = await pipe.read(LINE_BYTES)
        if not line:
            return
        with suppress(OSError, ValueError):  # nobody reads what we print: the proxies go on
            out.write(f"{prefix}{line.decode(errors='replace').rstrip('\n')}\n")
            out.flush()


def _status(code: int) -> int:
    return SIGNAL_STATUS - code if code < 0 else code


def grace_of(shutdown_grace_s: float) -> float:
    """Seconds that workers have to end, where running calls have `proxy.shutdown_grace`."""
    return GRACE_S - 1 + shutdown_grace_s


def command_of(command: Sequence[str], count: int, url: str, shutdown_grace_s: float) -> list[str]:
    """The command line by which a supervisor starts them as one process."""
    return [sys.executable, "-m", "scripts.workers", str(count), url, str(shutdown_grace_s), "--", *command]


def main(arguments: Sequence[str]) -> int:
    """See the module's first lines."""
    count, url, grace_s, _, *command = arguments
    return asyncio.run(Workers(command, int(count), Address.of(url).answers, grace_s=grace_of(float(grace_s))).run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
