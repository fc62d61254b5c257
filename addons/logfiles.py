"""Files of lines, rotated by day and size, written by a thread of their own.

    any thread ── put(name, line) ──► bounded queue ──► the thread: every 200 ms what waits, one write per file

Nothing here raises into traffic. A disk that is in the way costs lines, which are counted, and one warning. Several processes may
write the same files.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one process writes there
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

INTERVAL_S = 0.2
STOP_TIMEOUT_S = 2.0
LIMIT_BYTES = 8 * 2**20  # what may wait: some 15 000 lines
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Place:
    """`folder` is made where it is missing; a file that has `max_bytes` is rotated; what has rotated is deleted after `keep_days`."""

    folder: Path
    keep_days: float
    max_bytes: int


class LogFile:
    """`NAME.EXT`; what has rotated is `NAME-2026-11-27.EXT`, then `NAME-2026-11-27.1.EXT` … Days are UTC's. For one thread."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._path = place.folder / name
        self._rotated = re.compile(rf"{re.escape(self._path.stem)}-\d{{4}}-\d\d-\d\d(\.\d+)?{re.escape(self._path.suffix)}")
        self._fd = -1
        self._inode = self._size = 0
        self._day = ""

    def write(self, lines: Sequence[bytes], now: float) -> None:
        """Append lines, each ending in a line break; `now` in Unix seconds. Raises OSError."""
        self._open_current(now)
        if self._size and self._day != _day(now):
            self._rotate(now)
        batch: list[bytes] = []
        room = self._place.max_bytes - self._size
        for line in lines:
            if len(line) > room and (batch or self._size):
                self._append(b"".join(batch))
                batch.clear()
                self._rotate(now)
                room = self._place.max_bytes - self._size
            batch.append(line)
            room -= len(line)
        self._append(b"".join(batch))

    def close(self) -> None:
        """Let go of the file; the next `write` opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _append(self, data: bytes) -> None:
        while data:
            written = os.write(self._fd, data)
            self._size += written
            data = data[written:]

    def _open_current(self, now: float) -> None:
        """Open the file; once more where another process has rotated it, or somebody has moved it away."""
        if self._fd >= 0:
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:
                    self._size = os.fstat(self._fd).st_size
                    return
            self.close()
        self._place.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
        found = os.fstat(self._fd)
        if found.st_mode & 0o077:
            self._path.chmod(PRIVATE_FILE)
        self._inode, self._size, self._day = found.st_ino, found.st_size, _day(found.st_mtime if found.st_size else now)
        self._forget_old(now)

    def _rotate(self, now: float) -> None:
        with _locked(self._fd):  # of two processes that have found it full, one renames it
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                self._path.rename(self._free_name())
        self.close()
        self._open_current(now)

    def _free_name(self) -> Path:
        stem, suffix = f"{self._path.stem}-{self._day}", self._path.suffix
        name, number = self._path.with_name(f"{stem}{suffix}"), 0
        while name.exists():
            number += 1
            name = self._path.with_name(f"{stem}.{number}{suffix}")
        return name

    def _forget_old(self, now: float) -> None:
        """Delete what has rotated too long ago."""
        for file in self._place.folder.iterdir():
            if self._rotated.fullmatch(file.name):
                with suppress(FileNotFoundError):  # another process was quicker
                    if file.stat().st_mtime < now - self._place.keep_days * DAY_S:
                        file.unlink()


class LogFiles:
    """Takes lines from any thread. The thread is a daemon; an exit handler calls `stop` where nobody did."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.dropped = 0  # lines that are in no file
        self._limit = limit_bytes
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._closed = False
        self._place: Place | None = None
        self._files: dict[str, LogFile] = {}
        self._error: str | None = None
        self._thread: threading.Thread | None = None

    def use(self, place: Place) -> None:
        """Write there from now on; the first time begins to write at all."""
        with self._changed:
            self._place = place
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="turnpike-logs", daemon=True)
                self._thread.start()
                atexit.register(self.stop)

    def put(self, name: str, *lines: str) -> None:
        """Lines (without their breaks) for the file of this name. Never blocks, never raises; before `use` they wait."""
        encoded = [line.encode("utf-8", "backslashreplace") + b"\n" for line in lines]
        with self._changed:
            was_empty = not self._waiting
            for data in encoded:
                if self._closed or self._bytes + len(data) > self._limit:
                    self.dropped += 1
                    continue
                self._waiting.append((name, data))
                self._bytes += len(data)
            if was_empty and self._waiting:
                self._changed.notify_all()

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """Write what waits, and end the thread."""
        atexit.unregister(self.stop)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        place = self._place
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._waiting))
                lines, closed, wanted = list(self._waiting), self._closed, self._place
                self._waiting.clear()
                self._bytes = 0
            if wanted != place:
                place = wanted
                self._close_files()
            if place and lines:
                self._write(place, lines)
            if closed:
                self._close_files()
                return
            with self._changed:  # what comes meanwhile is written at once
                self._changed.wait_for(lambda: self._closed, INTERVAL_S)

    def _write(self, place: Place, lines: list[tuple[str, bytes]]) -> None:
        by_name: dict[str, list[bytes]] = {}
        for name, line in lines:
            by_name.setdefault(name, []).append(line)
        error: str | None = None
        for name, batch in by_name.items():
            file = self._files.setdefault(name, LogFile(place, name))
            try:
                file.write(batch, time.time())
            except OSError as problem:  # a part of them may be there
                error = f"{place.folder / name}: {problem.strerror or type(problem).__name__}"
                self.dropped += len(batch)
                file.close()
        if error and not self._error:
            logger.warning("log files cannot be written, their lines are dropped meanwhile: %s", error)
        self._error = error

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


@contextmanager
def _locked(fd: int) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
