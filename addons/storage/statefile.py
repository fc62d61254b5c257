"""`state.db`: the cooldowns, lock-outs and breakers that outlive a restart (DESIGN §6). It holds no key, only hashes; nothing serves it.

    event loop ── put(Saved) ──► the last one waits ──► a thread of its own: what has changed, in one transaction ──► state.db

Nothing here raises into traffic: while the disk is in the way, the newest state waits and is tried again. Several processes may
share the file: each writes what has changed on its own side, and of two times for the same key the later stays.
"""

from __future__ import annotations

import atexit
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from addons.storage import staterows
from addons.storage.database import StoreError, open_writer
from addons.storage.migrations import STATE
from addons.storage.staterows import Saved

logger = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.2
"""DESIGN §6: one commit at most every 200 ms."""

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
STOP_TIMEOUT_S = 5.0
LAST_TRY_S = 1.0  # the try that is running when the time to stop is over


class StateFile:
    """The thread is a daemon, so that a disk that hangs can't keep the process alive; an exit handler calls `stop` where nobody did."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.error: str | None = None  # why it can't be written now
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: Saved | None = None
        self._closed = False
        self._give_up_at = 0.0
        self._thread = threading.Thread(target=self._run, name="turnpike-state", daemon=True)
        self._opened = threading.Event()
        self._open_error: StoreError | None = None
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._written = Saved()  # what the file holds of ours

    def start(self) -> Saved:
        """Opens or creates the file, starts the thread, and gives what was kept and has not expired. Raises StoreError (one line)."""
        self._thread.start()
        self._opened.wait()
        if self._open_error:
            raise self._open_error
        atexit.register(self.stop)
        return self._written

    def put(self, saved: Saved) -> None:
        """This is how things stand; what was put before and is not written yet is forgotten. Never blocks, never raises."""
        with self._changed:
            self._waiting = saved
            self._changed.notify_all()

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> bool:
        """Writes what waits and ends the thread; what is put later goes nowhere. False: not written within `timeout` seconds."""
        atexit.unregister(self.stop)
        with self._changed:
            if not self._closed:
                self._closed, self._give_up_at = True, time.monotonic() + timeout
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout + LAST_TRY_S)
        return not self._thread.is_alive() and self.error is None

    def _run(self) -> None:
        try:
            if self._load():
                self._write_all()
        finally:
            self._close()

    def _load(self) -> bool:
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            self._written = staterows.load(connection, self._clock())
            connection.execute("COMMIT")
        except StoreError as error:
            self._open_error = error
        except Exception as error:  # else `start` would take a thread that has died for one that runs
            self._open_error = StoreError(f"cannot read {STATE.name} {self.path}: {error}")
        finally:
            self._opened.set()
        return self._open_error is None

    def _write_all(self) -> None:
        tries = 0
        while saved := self._take():
            if self._write(saved):
                tries, pause = 0, COMMIT_INTERVAL_S
            elif self._closed and time.monotonic() >= self._give_up_at:
                logger.error("stopped while %s could not be written: cooldowns of the last moments are lost", self.path)
                return
            else:
                self._put_back(saved)
                pause = BACKOFF_S[min(tries, len(BACKOFF_S) - 1)]
                tries += 1
            self._pause(pause, failing=tries > 0)

    def _take(self) -> Saved | None:
        """Waits for something to be put. None: closed, and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting is not None)
            saved, self._waiting = self._waiting, None
            return saved

    def _put_back(self, saved: Saved) -> None:
        with self._changed:
            self._waiting = self._waiting or saved

    def _pause(self, seconds: float, *, failing: bool) -> None:
        with self._changed:
            closed = self._changed.wait_for(lambda: self._closed, seconds)
        if closed and failing:
            time.sleep(min(seconds, BACKOFF_S[0]))

    def _write(self, saved: Saved) -> bool:
        try:
            connection = self._current()
            connection.execute("BEGIN IMMEDIATE")
            staterows.store(connection, self._written, saved)
            connection.execute("COMMIT")
        except Exception as error:  # whatever it is, it costs a try and not the thread; closing rolls back what was begun
            self._close()
            self._set_error(str(error) if isinstance(error, StoreError | sqlite3.Error | OSError) else type(error).__name__)
            return False
        self._written = saved
        self._set_error(None)
        return True

    def _current(self) -> sqlite3.Connection:
        """The connection, opened anew after a failure, and when the file was deleted or replaced while we run."""
        try:
            there = self.path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            self._written = Saved()  # what is there now, if anything, has nothing of ours
            self._close()
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        self._connection = open_writer(self.path, STATE)
        self._inode = self.path.stat().st_ino
        return self._connection

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _set_error(self, error: str | None) -> None:
        """Said once per change, not once per try."""
        if error != self.error:
            if error:
                logger.error("%s cannot be written, what a restart would lose is kept in memory: %s", STATE.name, error)
            else:
                logger.warning("%s can be written again", STATE.name)
        self.error = error
