"""The writer thread: takes records from the event loop, digests them, and commits what has gathered every 200 ms.

    put ──► RecordQueue ──► gather (digest, until the interval is over) ──► Store.write ──► on_stored
                                        │                              ╰── disk in the way: the same batch again
                                        ╰── nothing to do: a step of Upkeep (retention, checkpoints)

Nothing here raises into traffic. Digesting happens while the interval runs, so that the commit itself is short and
a kill costs no more than the interval.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from addons.core.call import CallRecord, SqlValue, StoredCall
from addons.storage.database import StorageFailure, StoreError
from addons.storage.queue import Action, Entry, RecordQueue
from addons.storage.store import Store
from addons.storage.upkeep import Upkeep
from addons.storage.values import iso_time

logger = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.2
"""DESIGN §6: one commit at most every 200 ms."""

LIMIT_BYTES = 256 * 1024 * 1024
BATCH_BYTES = 16 * 1024 * 1024  # more than this is committed at once, so that digests do not pile up beside the records
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
REOPEN_S = 2.0
"""Between two tries to open a database, while no call comes."""

STOP_TIMEOUT_S = 10.0
HURRY_S = 2.0
"""Before the end of that time: what waits is no longer read, only written."""


GROUP_RECORDS = 32
GROUP_BYTES = 512 * 1024
"""What waits is digested together, at most so much: it costs less than one after the other, and takes some milliseconds."""

SWITCH_S = 0.0005
"""How long this thread keeps Python's lock while the event loop wants it (`sys.setswitchinterval`, by default 5 ms). The loop gives it up
with every read and write, so under load each would cost a call that long."""

Digest = Callable[[CallRecord], StoredCall]
DigestEach = Callable[[Sequence[CallRecord]], Sequence[StoredCall | Exception]]
"""The same of several, where what one raised stands in its place."""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """`queued`: rows that wait; `queued_bytes`: with what is being written; `last_commit`: Unix time in seconds, None before the first."""

    queued: int
    queued_bytes: int
    written: int
    dropped_bodies: int
    dropped_rows: int
    last_error: str | None
    last_commit: float | None


@dataclass(slots=True)
class _Batch:
    calls: list[StoredCall] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    cost: int = 0


class Writer:
    """Everything taken in is written, also what waits when `stop` is called or the process ends without it.

    The thread is a daemon, so that a disk that hangs cannot keep the process alive past `stop`'s timeout; an exit handler
    calls `stop` where nobody did.
    """

    def __init__(
        self,
        store_path: Path,
        digest: Digest,
        on_stored: Callable[[Sequence[StoredCall]], None] | None = None,
        *,
        digest_each: DigestEach | None = None,
        limit_bytes: int = LIMIT_BYTES,
        open_store: Callable[[Path], Store] = Store,
        upkeep: Upkeep | None = None,
    ) -> None:
        self._path, self._digest, self._on_stored, self._open_store = store_path, digest, on_stored, open_store
        self._digest_each = digest_each or self._one_by_one
        self._queue = RecordQueue(limit_bytes)
        self._thread = threading.Thread(target=self._run, name="turnpike-writer", daemon=True)
        self._opened = threading.Event()
        self._open_error: StoreError | None = None
        self._store: Store | None = None
        self._upkeep = upkeep
        self._error: str | None = None
        self._refused = False
        self._written = 0
        self._commit_time: float | None = None
        self._give_up_at: float | None = None
        self._hurry_at: float | None = None

    def start(self) -> None:
        """Opens (or creates) the database and starts the thread. Raises StoreError when it can never be used as it is.

        Where the disk is in the way the thread goes on trying, and calls wait in memory.
        """
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))
        self._thread.start()
        self._opened.wait()
        if self._open_error:
            raise self._open_error
        atexit.register(self.stop)

    def put(self, record: CallRecord) -> None:
        """Takes a finished call; the record is the writer's from now on. Never blocks, never raises."""
        self._note_taken(self._queue.put(record), f"call {record.id}")

    def do(self, action: Action) -> None:
        """Has `action(store)` done in the writer's thread, after what was put before it. Never blocks, never raises."""
        self._note_taken(self._queue.put_action(action), "an action")

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> bool:
        """Writes what was taken in and ends the thread. False when that took longer than `timeout` seconds.

        What has not been read shortly before its end is written with its plain facts only.
        """
        atexit.unregister(self.stop)
        self._give_up_at = time.monotonic() + timeout
        self._hurry_at = self._give_up_at - min(HURRY_S, timeout / 2)
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(timeout + BACKOFF_S[0])
        if self._thread.is_alive():
            logger.error("the writer did not end within %g s: %d calls are lost", timeout, len(self._queue))
        return not self._thread.is_alive() and not self._queue.bytes

    def stats(self) -> WriterStats:
        """Counts for /metrics."""
        queue = self._queue
        return WriterStats(
            queued=len(queue),
            queued_bytes=queue.bytes,
            written=self._written,
            dropped_bodies=queue.dropped_bodies,
            dropped_rows=queue.dropped_rows,
            last_error=self._error,
            last_commit=self._commit_time,
        )

    def healthy(self) -> tuple[bool, str]:
        """Can calls be recorded now? And if not, why; for /ready."""
        if not self._thread.is_alive():
            return False, "the writer does not run"
        return (False, f"the database cannot be written: {self._error}") if self._error else (True, "ok")

    def _note_taken(self, taken: bool, what: str) -> None:
        if not taken and not self._refused:
            reason = "has stopped" if self._queue.closed else "has no room left"
            logger.error("the writer %s: %s and those after it are not recorded", reason, what)
        self._refused = not taken

    def _run(self) -> None:
        try:
            self._store = self._open_store(self._path)
        except StorageFailure as error:
            self._error = str(error)
            # a warning: mitmproxy ends where an error is logged while it starts
            logger.warning("the database cannot be opened, calls are kept in memory until it can: %s", error)
        except Exception as error:  # else `start` would take a thread that has died for one that runs
            self._open_error = error if isinstance(error, StoreError) else StoreError(f"cannot open {self._path}: {type(error).__name__}")
            return
        finally:
            self._opened.set()
        try:
            self._write_all()
        finally:
            if self._upkeep:
                self._upkeep.close()
            self._close_store()

    def _write_all(self) -> None:
        """Batch after batch until the queue is closed and empty."""
        next_commit = 0.0
        while batch := self._gather(next_commit):
            next_commit = time.monotonic() + COMMIT_INTERVAL_S
            if not self._commit(batch):
                logger.error("stopped while the database could not be written: %d calls are lost", len(batch.calls) + len(self._queue))
                return
            if self._upkeep:
                self._upkeep.after_commit(self._current_store())
                self._upkeep.step()

    def _take(self) -> Entry | None:
        """The first entry of a batch, with upkeep while nothing comes; what could not be opened is tried again, so that `healthy` is
        true again."""
        while self._error and not len(self._queue) and not self._queue.closed:
            entry = self._queue.take(time.monotonic() + REOPEN_S)
            if entry:
                return entry
            self._reopen()
        while upkeep := self._upkeep:
            entry = self._queue.take(upkeep.due_at)
            if entry or self._queue.closed:
                return entry
            upkeep.step()
        return self._queue.take(None)

    def _take_more(self, deadline: float) -> Entry | None:
        """A further entry, until `deadline`; upkeep that is due meanwhile is not put off."""
        while (upkeep := self._upkeep) and upkeep.due_at < deadline:
            entry = self._queue.gather(upkeep.due_at)
            if entry or self._queue.closed:
                return entry
            upkeep.step()
        return self._queue.gather(deadline)

    def _gather(self, next_commit: float) -> _Batch | None:
        """Waits for a first entry, then digests all that comes until the next commit is due. None: closed and empty.

        After a commit that took longer than the interval, what waits is still gathered for one interval: else every
        batch under load would be a batch of one.
        """
        batch = _Batch()
        entry = self._take()
        full_at = max(next_commit, time.monotonic() + COMMIT_INTERVAL_S)
        while entry:
            item, cost = entry
            batch.cost += cost
            if isinstance(item, CallRecord):
                records, more = self._queue.more_records(GROUP_RECORDS - 1, GROUP_BYTES - cost)
                batch.cost += more
                batch.calls += self._digested([item, *records])
            else:
                batch.actions.append(item)
            if batch.cost > BATCH_BYTES or time.monotonic() >= (full_at if len(self._queue) else next_commit):
                break
            if self._store and not len(self._queue):
                self._store.prepare(batch.calls)
            entry = self._take_more(next_commit)
        return batch if batch.cost else None

    def _digested(self, records: Sequence[CallRecord]) -> list[StoredCall]:
        if self._in_hurry():  # a row without texts is better than none
            return list(map(plain_facts, records))
        try:
            digested = self._digest_each(records)
        except Exception:  # by themselves, so that it costs only the one
            digested = self._one_by_one(records)
        return [_or_plain_facts(stored, record) for stored, record in zip(digested, records, strict=True)]

    def _one_by_one(self, records: Sequence[CallRecord]) -> list[StoredCall | Exception]:
        digested: list[StoredCall | Exception] = []
        for record in records:
            try:
                digested.append(plain_facts(record) if self._in_hurry() else self._digest(record))
            except Exception as error:
                digested.append(error)
        return digested

    def _in_hurry(self) -> bool:
        return self._hurry_at is not None and time.monotonic() >= self._hurry_at

    def _commit(self, batch: _Batch) -> bool:
        """Writes a batch, again and again while the disk is in the way. False: given up, since the writer must stop."""
        tries = 0
        while not self._write(batch):
            if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                return False
            self._pause(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)])
            tries += 1
        self._queue.written(batch.cost)
        self._written += len(batch.calls)
        self._commit_time = time.time()
        self._tell(batch)
        return True

    def _write(self, batch: _Batch) -> bool:
        try:
            store = self._current_store()
            store.write(batch.calls)
            while batch.actions:
                self._act(store, batch.actions[0])
                del batch.actions[0]
        except StoreError as error:
            self._set_error(str(error))
            return False
        except Exception as error:  # a fault of our own must cost a try, not the thread with all later calls
            self._set_error(type(error).__name__)
            self._close_store()
            return False
        self._set_error(None)
        return True

    def _act(self, store: Store, action: Action) -> None:
        try:
            action(store)
        except StorageFailure:
            raise
        except Exception as error:  # an action that cannot be done must not hold up the calls behind it
            logger.error("an action on the database failed: %s", type(error).__name__)

    def _current_store(self) -> Store:
        """The store, opened anew when its file was deleted or replaced while we run."""
        if self._store and self._store.replaced:
            logger.warning("the database was replaced or deleted: %s is opened anew", self._path)
            self._close_store()
        if self._store is None:
            self._store = self._open_store(self._path)
        return self._store

    def _reopen(self) -> None:
        """While nothing is to be written."""
        try:
            self._current_store()
        except Exception as error:  # as when a batch is written
            self._set_error(str(error) if isinstance(error, StoreError) else type(error).__name__)
        else:
            self._set_error(None)

    def _close_store(self) -> None:
        if self._store:
            self._store.close()
        self._store = None

    def _pause(self, seconds: float) -> None:
        if self._queue.closed:
            time.sleep(min(seconds, BACKOFF_S[0]))
        else:
            self._queue.wait_closed(seconds)

    def _set_error(self, error: str | None) -> None:
        """Said once per change, not once per try."""
        if error != self._error:
            if error:
                logger.error("the database cannot be written, calls are kept in memory meanwhile: %s", error)
            else:
                logger.warning("the database can be written again")
        self._error = error

    def _tell(self, batch: _Batch) -> None:
        if not self._on_stored or not batch.calls:
            return
        try:
            self._on_stored(batch.calls)
        except Exception as error:  # a listener's fault; the rows are safe
            logger.error("after storing %d calls: %s", len(batch.calls), type(error).__name__)


def _or_plain_facts(digested: StoredCall | Exception, record: CallRecord) -> StoredCall:
    if isinstance(digested, StoredCall):
        return digested
    # its message may quote a secret, its class may not; the row is not lost
    logger.error("call %s is stored with its plain facts only: %s", record.id, type(digested).__name__)
    return plain_facts(record)


def plain_facts(record: CallRecord) -> StoredCall:
    """A row without reading or masking anything: nothing here was written by the client, but for the path without its query."""
    row: dict[str, SqlValue] = {
        "id": record.id,
        "started_at": iso_time(record.started_ms),
        "ts_ms": record.started_ms,
        "conversation_id": record.id,
        "replay_of": record.replay_of,
        "method": record.method,
        "host": record.host,
        "path": record.path.partition("?")[0],
        "provider": record.provider,
        "upstream": record.upstream,
        "api": record.api,
        "model": record.asked_model,
        "served_model": record.served_model,
        "route": record.route,
        "status": record.status,
        "outcome": record.outcome,
        "error_type": "digest_failed",
        "key_hint": record.key_hint,
        "attempts": len(record.attempts),
        "request_bytes": record.request.size,
        "response_bytes": record.response.size,
        "connect_ms": record.connect_ms,
        "ttfb_ms": record.ttfb_ms,
        "duration_ms": record.duration_ms,
    }
    return StoredCall(row=row, attempts=tuple(record.attempts))
