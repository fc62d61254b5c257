"""A file that is read again when it changes, and what of a change waits for a restart."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from addons.config_errors import ConfigError

Stamp = tuple[int, int, int] | None
"""mtime in ns, size, inode; None: not there."""

NEED_RESTART = ("proxy.host", "proxy.port", "proxy.allow_remote", "capture.database", "capture.max_queue", "state.url")


class Watching(Protocol):
    """What is read: it knows the files that it was made of."""

    @property
    def watched(self) -> tuple[Path, ...]: ...


class WatchedFile[T: Watching]:
    """Holds what was last read well, as `current`. Raises ConfigError when made, if the file is not valid then."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path = path
        self._read = read
        self._stamps: dict[Path, Stamp] = {path: None}
        self.current = self.reload()

    def changed(self) -> bool:
        """Has any file changed since it was last read, well or not? Costs a stat per file."""
        return any(_stamp(file) != seen for file, seen in self._stamps.items())

    def reload(self) -> T:
        """Read again. Raises ConfigError and leaves `current` as it is."""
        outcome, unseen = self._attempt()
        if unseen:  # a file that is new to us may have changed between its reading and its stamp
            outcome, _ = self._attempt()
        if isinstance(outcome, ConfigError):
            raise outcome
        self.current = outcome
        return outcome

    def _attempt(self) -> tuple[T | ConfigError, bool]:
        """Read, and stamp what was read; were there files whose stamp is not from before the reading?"""
        before = {file: _stamp(file) for file in self._stamps}
        try:
            outcome: T | ConfigError = self._read(self._path)
        except ConfigError as error:
            outcome = error
        files = {self._path, *outcome.watched}
        self._stamps = {file: before[file] if file in before else _stamp(file) for file in files}
        return outcome, not files <= before.keys()


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:  # not there, or not to be reached: reading it will say so
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def restart_needed(old: BaseModel, new: BaseModel) -> list[str]:
    """The dotted paths whose change takes effect only with a restart."""
    return [path for path in NEED_RESTART if attrgetter(path)(old) != attrgetter(path)(new)]
