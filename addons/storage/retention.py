"""Taking old calls away in small steps: each a short transaction, after which the file is whole, whatever happens next.

    Pruner(path, limits, now_ms).step() ... until it gives False

A step deletes, as long as its time lasts, what nothing uses any more (segments, then messages), else the next call that is due;
when there is nothing left to delete, it merges the full text search's index, so that it forgets the words of what went; then it gives
free pages back to the file system. Which calls are too many is found by an estimate (`estimates`), since the file's use falls only with
that merge; if it is still too large after it, there is a second turn. Whoever else writes or prunes meanwhile (a
proxy, `turnpike prune`) does so between two steps: what may go is always asked under the lock, and foreign keys are enforced, so
that nothing can go that is still needed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from addons.core.wording import counted
from addons.storage.database import StorageFailure, StoreError, open_writer
from addons.storage.estimates import Freed, freed_now, pinned_bytes
from addons.storage.fulltext import Stale, merge_all, merge_some
from addons.storage.values import iso_time

DAY_MS = 86_400_000
MIB = 2**20
LOCK_S = 0.012
"""How long a step deletes before it commits, which takes a few milliseconds more: writers wait for no longer."""

BATCH = 16  # rows per statement, between two looks at the clock
TLS_FAILURES_BATCH = 500
FIRST_PAGES = 32
MERGE_EVERY = 4
"""Steps, each of which adds a piece to the search's index."""

SPARE_SHARE = 0.02
"""Of a file's pages that may stay free while it is in use: new calls take them, and giving back every page would move others twice."""

_UNUSED_SEGMENTS = f"DELETE FROM segments WHERE id IN (SELECT segment_id FROM segment_refs WHERE refs = 0 LIMIT {BATCH})"
_LOOSE_MESSAGES = f"SELECT message_id FROM loose_messages ORDER BY message_id DESC LIMIT {BATCH}"
"""The newest first: what a message was said after is older than itself."""

_HAS_LOOSE = "SELECT EXISTS (SELECT 1 FROM loose_messages)"
_IS_USED = "SELECT EXISTS (SELECT 1 FROM call_messages WHERE message_id = ?1) OR EXISTS (SELECT 1 FROM messages WHERE parent = ?1)"
_NEXT_CALL = "SELECT id, stored_at FROM calls WHERE stored_at >= ? AND stored_at < ? AND pinned = 0 ORDER BY stored_at LIMIT 1"
_TLS_FAILURES = f"DELETE FROM tls_failures WHERE rowid IN (SELECT rowid FROM tls_failures WHERE last_at < ? LIMIT {TLS_FAILURES_BATCH})"
_EVER = "~"  # sorts after every time


@dataclass(frozen=True, slots=True)
class Limits:
    """How long calls stay: `days` since they were stored, and while all that is not pinned uses no more than `max_bytes`.

    None: no such limit.
    """

    days: float | None
    max_bytes: int | None

    def cutoff(self, now_ms: int) -> str:
        """What was stored before this ISO time is too old; empty, before which nothing is, when there is no limit."""
        if self.days is None:
            return ""
        return iso_time(max(0, now_ms - int(self.days * DAY_MS)))


class Space(NamedTuple):
    """Bytes of the file that are in use, and that are free within it."""

    used: int
    free: int

    @property
    def total(self) -> int:
        return self.used + self.free


@dataclass(slots=True)
class Tally:
    """What went: how many calls, when the oldest and the newest of them were stored."""

    calls: int = 0
    oldest: str | None = None
    newest: str | None = None


class Pruner:
    """One round over the captures; used from the thread that made it, and closed at its end.

    `spare`: the share of the file's pages that may stay free. `stale`: what is left between rounds; without it, nothing is.
    `deleting`: did the last step delete or merge? Else it gave pages back, if any.
    """

    def __init__(self, path: Path, limits: Limits, now_ms: int, *, spare: float = SPARE_SHARE, stale: Stale | None = None) -> None:
        """Raises StoreError when the database cannot be opened."""
        self._connection = open_writer(path)
        self._limits, self._cutoff, self._spare = limits, limits.cutoff(now_ms), spare
        self._stale, self._leave_stale = stale or Stale(), stale is not None
        self._goal: int | None = None  # bytes to free, as far as the size wants it
        self._freed = Freed()
        self._turn_from = 0  # calls that went before this turn
        self._is_merging = False
        self._from = ""  # pinned calls before it need no second look
        self._pages = FIRST_PAGES
        self._failures_left = True
        self.steps = 0
        self.deleting = True
        self.tally = Tally()
        try:
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")  # `checkpoint` does it, when no lock is held
            self._connection.execute("PRAGMA foreign_keys = ON")
            # what is freed is given back or written over; to zero every page of it first would double the work (Debian's SQLite would)
            self._connection.execute("PRAGMA secure_delete = FAST")
            self._version = read_number(self._connection, "data_version")
            self.can_shrink = bool(read_number(self._connection, "auto_vacuum"))
        except sqlite3.Error as error:
            self.close()
            raise StorageFailure(str(error)) from error

    def close(self) -> None:
        """The pages that went are off the file itself once they are checkpointed."""
        self._note_stale()
        try:
            self.checkpoint()
        except StoreError:
            pass  # another one does it later: the WAL keeps it
        finally:
            self._connection.close()

    def step(self, lock_s: float = LOCK_S) -> bool:
        """Does some of what is to be done, under the lock for about `lock_s` seconds. False: nothing was left to do.

        Raises StorageFailure when the disk or another's lock is in the way; the next step may succeed.
        """
        self.steps += 1
        with _failures():
            if self._goal is None:
                self._goal = excess(self._connection, self._limits) - self._stale.bytes
            if self.steps % MERGE_EVERY == 0:
                merge_some(self._connection)
        deadline = time.monotonic() + lock_s
        self.deleting = (
            self._merge(deadline, in_between=True) or self._delete(deadline) or self._merge(deadline) or self._needs_another_turn()
        )
        return self.deleting or self._shrink(lock_s)

    def others_write(self) -> bool:
        """Has another connection written since this was last asked?"""
        before = self._version
        with _failures():
            self._version = read_number(self._connection, "data_version")
        return self._version != before

    def space(self) -> Space:
        """Of the file, as this connection sees it."""
        with _failures():
            return read_space(self._connection)

    def checkpoint(self) -> None:
        """Moves what is in the WAL into the file, as far as readers let it, and cuts the file where pages went. Blocks nobody."""
        with _failures():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _delete(self, deadline: float) -> bool:
        deleted = False
        with self._transaction():
            while self._delete_some():
                deleted = True
                if time.monotonic() >= deadline:
                    break
        return deleted

    def _delete_some(self) -> bool:
        return self._delete_segments() or self._delete_messages() or self._delete_failures() or self._delete_call()

    def _delete_segments(self) -> bool:
        return self._connection.execute(_UNUSED_SEGMENTS).rowcount > 0

    def _delete_messages(self) -> bool:
        """Their parts and what the full text search knows of them go with them."""
        loose = self._connection.execute(_LOOSE_MESSAGES).fetchall()
        for (message_id,) in loose:
            [used] = self._connection.execute(_IS_USED, (message_id,)).fetchone()
            table, column = ("loose_messages", "message_id") if used else ("messages", "id")
            self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (message_id,))
        return bool(loose)

    def _delete_failures(self) -> bool:
        if self._failures_left:
            self._failures_left = self._connection.execute(_TLS_FAILURES, (self._cutoff,)).rowcount > 0
        return self._failures_left

    def _delete_call(self) -> bool:
        """The oldest one that is due, with all that refers to it; replays of it stay, and no longer name it."""
        found = self._connection.execute(_NEXT_CALL, (self._from, self._cutoff)).fetchone()
        if found is None and self._goal is not None and self._freed.bytes < self._goal:
            found = self._connection.execute(_NEXT_CALL, (self._from, _EVER)).fetchone()
        if found is None:
            return False
        call_id, stored_at = found
        freed = freed_now(self._connection, call_id)
        self._freed = Freed(self._freed.bytes + freed.bytes, self._freed.stale + freed.stale)
        self._connection.execute("DELETE FROM calls WHERE id = ?", (call_id,))
        self._from = stored_at
        self.tally.calls += 1
        self.tally.oldest = self.tally.oldest or stored_at
        self.tally.newest = stored_at
        return True

    def _merge(self, deadline: float, *, in_between: bool = False) -> bool:
        """Some of the search's index, where it holds words of what went: much of them `in_between`, any at the end of a turn.

        False: it holds none, or may for a while.
        """
        with _failures():
            if not self._is_merging:
                if not self._is_stale(in_between):
                    return False
                merge_all(self._connection)
                self._is_merging = True
            while merge_some(self._connection):
                if time.monotonic() >= deadline:
                    return True
        self._is_merging = False
        self._stale.clear()
        return True

    def _is_stale(self, in_between: bool) -> bool:
        self._note_stale()
        if in_between:  # a call's words are counted when it goes, and leave with its messages: not between the two
            [waits] = self._connection.execute(_HAS_LOOSE).fetchone()
            return not waits and self._stale.is_dense(self._connection)
        if not self._leave_stale:
            return self._stale.bytes > 0
        return self._stale.is_old() or self._stale.is_much(read_space(self._connection).used)

    def _note_stale(self) -> None:
        self._stale.bytes += self._freed.stale
        self._freed = Freed(self._freed.bytes)

    def _needs_another_turn(self) -> bool:
        """Calls went, and all that was theirs, and still the file is too large: the estimate was too high, or calls came."""
        if self.tally.calls == self._turn_from or self._stale.bytes:
            return False
        with _failures():
            self._goal, self._freed = excess(self._connection, self._limits), Freed()
        self._turn_from = self.tally.calls
        return self._goal > 0

    def _shrink(self, lock_s: float) -> bool:
        """Gives some free pages back, as many as fit into the time. False: there are none to give, or the file cannot shrink."""
        space = self.space()
        if not self.can_shrink or space.free <= space.total * self._spare:
            return False
        begun = time.monotonic()
        with _failures():  # a transaction of its own; SQLite does a page with each row that is fetched
            self._connection.execute(f"PRAGMA incremental_vacuum({self._pages})").fetchall()
        taken = time.monotonic() - begun
        self._pages = max(8, min(2048, int(self._pages * min(1.5, lock_s / 2 / max(taken, 1e-4)))))
        return self.space().free < space.free

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        before = Tally(self.tally.calls, self.tally.oldest, self.tally.newest), self._from, self._freed
        with _failures():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self.tally, self._from, self._freed = before
                if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._connection.execute("ROLLBACK")
                raise


def told(tally: Tally, before: Space, after: Space) -> str:
    """One line about a round, as the log and `turnpike prune` say it."""
    size = f"the database has {after.total / MIB:.1f} MiB, {before.total / MIB:.1f} before"
    if not tally.calls:
        return f"nothing to prune; {size}"
    return f"pruned {counted(tally.calls, 'call')}, stored {tally.oldest} to {tally.newest}; {size}"


def read_space(connection: sqlite3.Connection) -> Space:
    """What of the file is in use, and free. Raises sqlite3.Error."""
    size, pages, free = (read_number(connection, name) for name in ("page_size", "page_count", "freelist_count"))
    return Space((pages - free) * size, free * size)


def excess(connection: sqlite3.Connection, limits: Limits) -> int:
    """Bytes to free, for the size. Where there is no need, not above 0. Raises sqlite3.Error."""
    if limits.max_bytes is None:
        return 0
    above = read_space(connection).used - limits.max_bytes
    return above - pinned_bytes(connection) if above > 0 else above


def read_number(connection: sqlite3.Connection, pragma: str) -> int:
    """The value of a pragma. Raises sqlite3.Error."""
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


@contextmanager
def _failures() -> Iterator[None]:
    """Each step stands for itself: whatever SQLite refuses may be tried again, and leaves the file as it was."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageFailure(getattr(error, "sqlite_errorname", None) or str(error)) from error
