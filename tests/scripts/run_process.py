"""A real `turnpike run` in a folder of its own, its output read line by line."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

START_S = 30.0
STOP_S = 25.0
POLL_S = 0.02


class RunProcess:
    """Starts on entering, is asked to stop on leaving. HOME is `folder`, so that the CA lies there too."""

    def __init__(self, folder: Path, command: list[str], env: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        environment = os.environ | {"HOME": str(folder), "PYTHONUNBUFFERED": "1"} | dict(env or {})
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as output:
                for line in output:
                    self._new.put(line.rstrip())
        self._new.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_S)

    def line(self, part: str) -> str:
        """The first line that holds `part`, as soon as it is printed. Raises AssertionError where it does not come."""
        if found := next((line for line in self.lines if part in line), None):
            return found
        deadline = time.monotonic() + START_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._new.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            self.lines.append(line)
            if part in line:
                return line
        raise AssertionError(f"no line with {part!r}:\n" + "\n".join(self.lines))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """The exit status after the signal."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """The exit status, once it has ended and all was read."""
        status = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        while (line := self._new.get(timeout=STOP_S)) is not None:
            self.lines.append(line)
        return status

    def children(self) -> list[int]:
        """The processes that it has started (Linux)."""
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    """Does the process exist?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(test: Callable[[], bool]) -> None:
    """Waits, 20 seconds at most, for what another process does."""
    async with asyncio.timeout(20):
        while not test():
            await asyncio.sleep(POLL_S)
