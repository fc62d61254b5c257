"""`state.db`: the cooldowns, lock-outs and breakers that outlive a restart, and what several processes agree upon (DESIGN §6). It holds no
key, only hashes; nothing serves it.

Several processes may share the file: each writes what has changed on its own side, of two times for the same key the later stays, and
each sees within a moment what another has written: `PRAGMA data_version` tells cheaply whether anybody has.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from addons.core.slots import Claim, settle
from addons.storage import staterows
from addons.storage.database import StoreError, open_writer
from addons.storage.migrations import STATE
from addons.storage.statekeeper import Asked, StateKeeper
from addons.storage.staterows import Saved, Shared

PATIENCE_MS = 1000
"""For another process's lock: calls may wait for the answer."""


class StateFile(StateKeeper):
    """The state in an SQLite file of its own."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, worker: str = "") -> None:
        super().__init__(clock, worker)
        self.path, self.name = path, f"{STATE.name} {path}"
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._version: int | None = None

    def _connect(self) -> None:
        """Opened anew after a failure, and when the file was deleted or replaced while we run."""
        if self._connection and self._file_inode() == self._inode:
            return
        if self._inode and self._file_inode() != self._inode:
            self._forget_all()
        self._disconnect()
        self._connection = open_writer(self.path, STATE)
        self._connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        self._inode, self._version = self.path.stat().st_ino, None

    def _file_inode(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _load(self) -> Saved:
        with self._transaction() as connection:
            staterows.leave(connection, self._worker)
            return staterows.load(connection, self._clock())

    def _store(self, before: Saved, after: Saved) -> None:
        with self._transaction() as connection:
            staterows.store(connection, before, after)

    def _reset(self, upstreams: Iterable[str]) -> None:
        with self._transaction() as connection:
            staterows.reset(connection, upstreams)

    def _settle(self, asked: Sequence[Asked]) -> dict[str, list[Claim]]:
        found = {}
        with self._transaction() as connection:
            now = time.monotonic()  # of the machine, so that a clock that is set makes nobody dead
            for demand, giving in asked:
                before = staterows.read_claims(connection, demand.name)
                found[demand.name] = settle(before, self._worker, demand, giving, now)
                staterows.write_claims(connection, demand.name, before, found[demand.name])
        return found

    def _look(self, names: Iterable[str]) -> tuple[Shared, dict[str, list[Claim]]] | None:
        connection = self._open_connection()
        [version] = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return None
        with self._transaction("DEFERRED"):
            found = staterows.look(connection, self._clock()), {name: staterows.read_claims(connection, name) for name in names}
        self._version = version  # read before: what comes in between is looked at twice rather than never
        return found

    def _leave(self) -> None:
        with self._transaction() as connection:
            staterows.leave(connection, self._worker)

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """What fails inside is rolled back by closing the connection, which whoever catches the error does."""
        connection = self._open_connection()
        connection.execute(f"BEGIN {kind}")
        yield connection
        connection.execute("COMMIT")

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.name} is not open")
        return self._connection

    def _told(self, error: Exception) -> str:
        return str(error) if isinstance(error, sqlite3.Error) else super()._told(error)
