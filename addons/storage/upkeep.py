"""What the writer's thread does between its batches: retention, in small steps, and moving the WAL into the file.

Nothing here raises, and nothing here holds up a call for longer than one step takes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from addons.storage.database import StorageFailure, StoreError
from addons.storage.fulltext import Stale
from addons.storage.retention import Limits, Pruner, Space, told
from addons.storage.store import Store

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 30.0
"""After the start, which has enough to do."""

LOOK_EVERY_S = 60.0
PAUSE_S = 0.02
"""Between two steps, at least: half of the thread's time stays for calls."""

CHECKPOINT_S = 2.0
"""Between two checkpoints while calls are written. SQLite's own come inside a commit, which would wait for the disk."""

MERGES = 6
"""After a commit, at most: it needs about two."""

CHECKPOINT_EVERY = 50
"""Steps of a round: some ten megabytes of pages."""


class Upkeep:
    """A look every minute, and a round of steps where something is due. `due_at` (time.monotonic) says when to call `step`.

    `limits` is asked at each look, so that a configuration that has changed holds for the next. Used from one thread.
    """

    def __init__(self, path: Path, limits: Callable[[], Limits]) -> None:
        self._path, self._limits = path, limits
        self._pruner: Pruner | None = None
        self._stale = Stale()
        self._before = Space(0, 0)
        self._error: str | None = None
        self._checkpoint_at = 0.0
        self.due_at = time.monotonic() + FIRST_LOOK_S

    def step(self) -> None:
        """One step, if it is due; a failure costs the round, and is tried again with the next look."""
        if time.monotonic() < self.due_at:
            return
        try:
            more = self._step()
        except StoreError as error:
            self._fail(str(error))
            more = False
        except Exception as error:  # a fault of our own must not cost a single call
            self._fail(type(error).__name__)
            more = False
        self.due_at = time.monotonic() + (PAUSE_S if more else LOOK_EVERY_S)

    def after_commit(self, store: Store) -> None:
        """Calls were written: their words are merged into the search's index, and now and then the WAL is moved into the file."""
        try:
            for _ in range(MERGES):
                if not store.merge_text():
                    break
            if time.monotonic() >= self._checkpoint_at:
                self._checkpoint_at = time.monotonic() + CHECKPOINT_S
                store.checkpoint()
        except StorageFailure as error:  # the next commit is another chance, and SQLite does both itself when it must
            logger.debug("the WAL stays for now: %s", error)

    def close(self) -> None:
        """Ends a round before its end, where one runs."""
        if self._pruner:
            self._pruner.close()
        self._pruner = None

    def _step(self) -> bool:
        if self._pruner is None:
            self._pruner = Pruner(self._path, self._limits(), time.time_ns() // 1_000_000, stale=self._stale)
            self._before = self._pruner.space()
        more = self._pruner.step()
        if more and self._pruner.steps % CHECKPOINT_EVERY == 0:
            self._pruner.checkpoint()
        if not more:
            self._end(self._pruner)
        return more

    def _end(self, pruner: Pruner) -> None:
        tally, after = pruner.tally, pruner.space()
        self.close()
        self._error = None
        if tally.calls:
            logger.info("retention: %s", told(tally, self._before, after))

    def _fail(self, error: str) -> None:
        """Said once per change, not once per minute."""
        try:
            self.close()
        except Exception as also:  # what is left of it is SQLite's to free
            logger.debug("the pruner could not be closed: %s", type(also).__name__)
            self._pruner = None
        if error != self._error:
            logger.warning("retention: nothing could be pruned, calls are recorded as before: %s", error)
        self._error = error
