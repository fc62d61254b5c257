"""The thread between the event loop and the shared state, whatever keeps that (`statefile.py`, `stateredis.py`).

    event loop ── put(Saved) ────► the last one waits ──► what has changed, at most every 200 ms ──► state
               ── ask(Demand) ───► at once ◄── Share ──► on_shares
               ◄── on_news ─────── a look every 200 ms (every 20 ms while slots are shared): what others have written

Nothing here raises into traffic: while the state is out of reach, the newest waits and is tried again, and `on_cut_off` says so.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from addons.core.slots import BEAT_S, Claim, Demand, Share, share_of
from addons.storage.database import StoreError
from addons.storage.staterows import News, Saved, Shared, news

logger = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.2
"""DESIGN §6: one commit at most every 200 ms."""

POLL_S, QUICK_POLL_S = 0.2, 0.02
"""Between two looks at what others have written; the quick one where they may wait for a slot of ours, or we for theirs."""

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
STOP_TIMEOUT_S = 5.0
LAST_TRY_S = 1.0  # the try that is running when the time to stop is over

Asked = tuple[Demand, int]
"""A demand, and how many slots are handed on with it."""


class StateKeeper(ABC):
    """The thread is a daemon, so that a disk that hangs can't keep the process alive; an exit handler calls `stop` where nobody did.

    `worker` names this process among those that share slots. The callbacks are called in the thread; set them before `start`.
    """

    name = "the state"
    quick_poll_s = QUICK_POLL_S

    def __init__(self, clock: Callable[[], float] = time.time, worker: str = "") -> None:
        self.error: str | None = None  # why it can't be reached now
        self.on_news: Callable[[News], None] | None = None
        self.on_shares: Callable[[list[Share]], None] = lambda _: None
        self.on_cut_off: Callable[[], None] = lambda: None
        self._clock, self._worker = clock, worker
        self._changed = threading.Condition()
        self._waiting: Saved | None = None
        self._resets: set[str] = set()
        self._demands: dict[str, Demand] = {}  # asked, and not answered
        self._settled: dict[str, Demand] = {}  # asked for, as the state has it
        self._closed = False
        self._give_up_at = 0.0
        self._write_at = self._poll_at = self._beat_at = self._retry_at = 0.0
        self._tries = 0
        self._thread = threading.Thread(target=self._run, name="turnpike-state", daemon=True)
        self._opened = threading.Event()
        self._open_error: StoreError | None = None
        self._written = Saved()  # what the state holds of ours
        self._seen: Shared | None = None  # all that it held at the last look

    # For the event loop -------------------------------------------------------------------------------------------------

    def start(self) -> Saved:
        """Opens or creates it, starts the thread, and gives what was kept and has not expired. Raises StoreError (one line)."""
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

    def reset(self, upstreams: Iterable[str]) -> None:
        """All processes let the keys of these upstreams be used again. Never blocks, never raises."""
        with self._changed:
            self._resets |= set(upstreams)
            self._changed.notify_all()

    def ask(self, demands: Iterable[Demand]) -> None:
        """What is needed of these keys now; `on_shares` answers, or `on_cut_off`. Never blocks, never raises."""
        with self._changed:
            self._demands |= {demand.name: demand for demand in demands}
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

    # What keeps it; each may raise anything, and is called in the thread ------------------------------------------------

    @abstractmethod
    def _connect(self) -> None:
        """Open what is not open."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close what is open; raises nothing."""

    @abstractmethod
    def _load(self) -> Saved:
        """All that has not expired; claims of an earlier process with our name are void."""

    @abstractmethod
    def _store(self, before: Saved, after: Saved) -> None:
        """See staterows.store."""

    @abstractmethod
    def _reset(self, upstreams: Iterable[str]) -> None:
        """Nothing of these upstreams cools, and others are told."""

    @abstractmethod
    def _settle(self, asked: Sequence[Asked]) -> dict[str, list[Claim]]:
        """See slots.settle; gives all claims to each of the keys."""

    @abstractmethod
    def _look(self, names: Iterable[str]) -> tuple[Shared, dict[str, list[Claim]]] | None:
        """What stands there, and the claims to these keys; None: the same as at the last look."""

    @abstractmethod
    def _leave(self) -> None:
        """This process holds no slots any more."""

    # The thread ---------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if self._begin():
                while self._wait():
                    self._turn()
        finally:
            self._disconnect()

    def _begin(self) -> bool:
        try:
            self._connect()
            self._written = self._load()
        except StoreError as error:
            self._open_error = error
        except Exception as error:  # else `start` would take a thread that has died for one that runs
            self._open_error = StoreError(f"cannot read {self.name}: {error}")
        finally:
            self._opened.set()
        return self._open_error is None

    def _wait(self) -> bool:
        """Until something is to be done. False: closed, and nothing waits, or it has been tried for long enough."""
        with self._changed:
            while (at := self._due_at()) > (now := time.monotonic()):
                self._changed.wait(None if at == inf else at - now)
            if not self._closed or self._waiting or self._resets:
                if self._closed and self._tries and time.monotonic() >= self._give_up_at:
                    logger.error("stopped while %s could not be written: cooldowns of the last moments are lost", self.name)
                    return False
                return True
        if self._settled and not self.error:
            self._try(self._leave)
        return False

    def _due_at(self) -> float:
        retry_at = min(self._retry_at, time.monotonic() + BACKOFF_S[0]) if self._closed else self._retry_at
        if self._closed and self._waiting is None and not self._resets:
            return 0.0
        times = [inf]
        if self._demands:
            times.append(retry_at)
        if self._waiting is not None or self._resets:
            times.append(retry_at if self._closed else max(self._write_at, retry_at))
        if self.on_news:
            times.append(max(self._poll_at, retry_at))
        if self._settled:
            times.append(max(self._beat_at, retry_at))
        return min(times)

    def _turn(self) -> None:
        """All that is due, until something fails."""
        now = time.monotonic()
        done = True
        if self._demands or (self._settled and now >= self._beat_at):
            done = self._try(self._share)
        if done and (self._waiting is not None or self._resets) and (self._closed or now >= self._write_at):
            done = self._write_waiting()
        if done and self.on_news and now >= self._poll_at:
            done = self._try(self._poll, writes=False)
        if not done:
            self._retry_at = time.monotonic() + BACKOFF_S[min(self._tries, len(BACKOFF_S) - 1)]
            self._tries += 1
            self.on_cut_off()
        elif self._tries:
            self._tries = 0
            self._beat_at = 0.0  # who was cut off asks again

    def _write_waiting(self) -> bool:
        with self._changed:
            saved, self._waiting = self._waiting, None
        if saved is not None and not self._write(saved):
            with self._changed:
                self._waiting = self._waiting or saved
            return False
        if self._resets and not self._try(self._write_resets):
            return False
        self._write_at = time.monotonic() + COMMIT_INTERVAL_S
        return True

    def _write(self, saved: Saved) -> bool:
        def store() -> None:
            self._connect()
            self._store(self._written, saved)
            self._written = saved

        return self._try(store)

    def _write_resets(self) -> None:
        self._connect()
        with self._changed:
            upstreams = set(self._resets)
        self._reset(upstreams)
        with self._changed:
            self._resets -= upstreams

    def _share(self) -> None:
        """Answer what was asked, and show that we are there."""
        self._connect()
        with self._changed:
            asked, self._demands = self._demands, {}
        done = self._settled  # what the state knows of
        demands = [*(asked.get(name, demand) for name, demand in done.items()), *(d for name, d in asked.items() if name not in done)]
        try:
            found = self._settle([(demand, demand.given - (done[demand.name].given if demand.name in done else 0)) for demand in demands])
        except BaseException:
            with self._changed:
                self._demands = asked | self._demands
            raise
        self._settled |= {demand.name: demand for demand in demands}
        self._beat_at = time.monotonic() + BEAT_S
        self._tell(found)

    def _tell(self, claims: Mapping[str, list[Claim]]) -> None:
        """What the claims mean for us; what was given to us is not asked for once more."""
        shares = [share_of(claims.get(name, []), self._worker, demand) for name, demand in self._settled.items()]
        for share in shares:
            self._settled[share.name] = self._settled[share.name]._replace(wanted=share.wanted, spare=share.spare)
        if shares:
            self.on_shares(shares)
        if any(all(claim.worker != self._worker for claim in claims.get(name, [])) for name in self._settled):
            self._beat_at = 0.0  # we were taken for dead: claim again

    def _poll(self) -> None:
        self._connect()
        self._poll_at = time.monotonic() + (self.quick_poll_s if self._settled else POLL_S)
        found = self._look(self._settled)
        if found is None:
            return
        shared, claims = found
        seen, self._seen = self._seen, shared
        if self.on_news and (told := news(seen, shared, self._clock())):
            self.on_news(told)
        self._tell(claims)

    def _forget_all(self) -> None:
        """What is there now, if anything, has nothing of ours."""
        self._written, self._seen = Saved(), None

    def _try(self, step: Callable[[], None], *, writes: bool = True) -> bool:
        try:
            step()
        except Exception as error:  # whatever it is, it costs a try and not the thread
            self._disconnect()
            self._set_error(self._told(error))
            return False
        if writes or not (self._waiting or self._resets or self._demands):  # that it can be read says nothing of what could not be written
            self._set_error(None)
        return True

    def _told(self, error: Exception) -> str:
        """An error as it may be shown; its text may quote what is kept."""
        return str(error) if isinstance(error, StoreError | OSError) else type(error).__name__

    def _set_error(self, error: str | None) -> None:
        """Said once per change, not once per try."""
        if error != self.error:
            if error:
                logger.error("%s cannot be written, what a restart would lose is kept in memory: %s", self.name, error)
            else:
                logger.warning("%s can be written again", self.name)
        self.error = error
