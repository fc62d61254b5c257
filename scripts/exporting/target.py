"""Where an export goes: stdout, or a file that appears whole and under its name at once, or not at all.

A file is written beside its place under a name that nobody can have prepared (O_EXCL, O_NOFOLLOW, mode 0600), by way of the folder that was
opened at the beginning, and renamed when it is done. So a folder that is exchanged meanwhile changes nothing, and a reader never sees half
of it. The file itself may be no symbolic link, also with --force; the folders on the way to it may be links, as for any program.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE = 0o600
STDOUT = Path("-")


class BadTarget(ValueError):
    """There is no writing to that place; str() is one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """A place to write to. `keep` are files that are never written over, not even with `force`."""

    path: Path
    force: bool = False
    keep: tuple[Path, ...] = ()

    @property
    def is_stdout(self) -> bool:
        return self.path == STDOUT

    def write(self, pieces: Iterable[bytes]) -> None:
        """Raises BadTarget, and OSError where the disk refuses."""
        if self.is_stdout:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        with self.file() as (_, file):
            for piece in pieces:
                file.write(piece)

    @contextmanager
    def file(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file (its path, and it open for writing), which takes its place at the end; on an error it is gone.

        Raises BadTarget, OSError.
        """
        self._check_name()
        with self._folder() as folder:
            self._check(folder)
            name = f".{self.path.name[:100]}.{secrets.token_hex(8)}.part"
            opened = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, PRIVATE_FILE, dir_fd=folder)
            try:
                with os.fdopen(opened, "wb") as file:
                    yield self.path.with_name(name), file
                    file.flush()
                    os.fsync(file.fileno())
                self._place(name, folder)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
                raise

    def check(self) -> None:
        """Before anything is read. Raises BadTarget."""
        if not self.is_stdout:
            self._check_name()
            with self._folder() as folder:
                self._check(folder)

    def _check_name(self) -> None:
        if self.path.name in ("", ".."):
            raise BadTarget(f"{self.path} is a folder; name a file")

    @contextmanager
    def _folder(self) -> Iterator[int]:
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError as error:
            raise BadTarget(f"{self.path}: there is no folder {self.path.parent}") from error
        except OSError as error:
            raise BadTarget(f"{self.path}: {self.path.parent}: {error.strerror}") from error
        try:
            yield folder
        finally:
            os.close(folder)

    def _check(self, folder: int) -> None:
        """What is there now must be nothing, or with `force` a plain file that is none of `keep`."""
        if any(_is_same(self.path, kept) for kept in self.keep):
            raise BadTarget(f"{self.path} is what Turnpike itself works with; name another file")
        try:
            found = os.lstat(self.path.name, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise BadTarget(f"{self.path}: {error.strerror}") from error
        if stat.S_ISLNK(found.st_mode):
            raise BadTarget(f"{self.path} is a symbolic link; name the file itself")
        if stat.S_ISDIR(found.st_mode):
            raise BadTarget(f"{self.path} is a folder; name a file")
        if not stat.S_ISREG(found.st_mode):
            raise BadTarget(f"{self.path} is no plain file; use - for stdout")
        if not self.force:
            raise BadTarget(f"{self.path} exists; --force writes over it")

    def _place(self, name: str, folder: int) -> None:
        """Without `force` by a hard link, which fails where somebody was quicker; where the file system has none, checked again."""
        self._check(folder)
        if not self.force:
            try:
                os.link(name, self.path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError as error:
                raise BadTarget(f"{self.path} exists; --force writes over it") from error
            except OSError:  # FAT, some network file systems
                pass
            else:
                os.unlink(name, dir_fd=folder)
                return
        os.replace(name, self.path.name, src_dir_fd=folder, dst_dir_fd=folder)


def belonging_to(database: Path) -> tuple[Path, ...]:
    """A database and the files that SQLite has beside it."""
    return tuple(database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm", "-journal"))


def _is_same(path: Path, kept: Path) -> bool:
    """By what they are, where both are there; else by where they would be."""
    with suppress(OSError):
        if path.samefile(kept):
            return True
    return path.parent.resolve() / path.name == kept.parent.resolve() / kept.name
