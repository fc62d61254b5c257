"""What waits to be written: filled by the event loop, emptied by the writer's thread, bounded in bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from addons.core.call import CallRecord, CapturedBody
from addons.storage.store import Store

Action = Callable[[Store], object]
"""Something to write that is no call; done in the writer's thread."""

Entry = tuple[CallRecord | Action, int]
"""What waits, and the bytes it is counted with."""

ROW_BYTES = 4096
"""What a record is counted with besides its bodies: about its own objects and headers."""

CHUNK_BYTES = 120
"""One (time, length) pair of CapturedBody.chunks."""


LOOK_S = 0.02
"""Between two looks for more, while a batch is gathered."""


class RecordQueue:
    """First in, first out. Above `limit_bytes` records come in without their bodies; above twice that not at all."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque()
        self._closed = self._awaited = False
        self.bytes = 0  # of all that waits or is being written
        self.dropped_bodies = 0
        self.dropped_rows = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, record: CallRecord) -> bool:
        """Takes a record in, without its bodies when they do not fit. False: closed, or no room for even a row."""
        with self._changed:
            cost = _cost(record)
            if self.bytes + cost > self._limit:
                self.dropped_bodies += sum(body.size > 0 for body in (record.request, record.response))
                record.request, record.response = _without_content(record.request), _without_content(record.response)
                cost = _cost(record)
            return self._append(record, cost)

    def put_action(self, action: Action) -> bool:
        """Takes an action in, under the same bound as a row. False: closed, or no room."""
        with self._changed:
            return self._append(action, ROW_BYTES)

    def take(self, deadline: float | None) -> Entry | None:
        """The next entry, waited for until `deadline` (time.monotonic; None: for ever). None: nothing came, or closed and empty."""
        with self._changed:
            while not self._entries and not self._closed:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return None
                self._awaited = True
                self._changed.wait(remaining)
                self._awaited = False
            return self._entries.popleft() if self._entries else None

    def gather(self, deadline: float) -> Entry | None:
        """As `take`, for who has taken one and gathers others: looks for more now and then, so that not each wakes a thread."""
        while not self._entries and not self._closed:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            self.wait_closed(min(remaining, LOOK_S))
        return self._entries.popleft() if self._entries else None

    def more_records(self, count: int, cost: int) -> tuple[list[CallRecord], int]:
        """The records that wait next, not waited for, and what they are counted with: at most so many and so much, up to an action."""
        records: list[CallRecord] = []
        together = 0
        while self._entries and len(records) < count:
            item, own = self._entries[0]  # only who takes changes this end
            if not isinstance(item, CallRecord) or together + own > cost:
                break
            self._entries.popleft()
            records.append(item)
            together += own
        return records, together

    def written(self, cost: int) -> None:
        """What was taken out is on disk: its bytes are free."""
        with self._changed:
            self.bytes -= cost

    def close(self) -> None:
        """Nothing more comes in; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_closed(self, seconds: float) -> None:
        """Sleeps, at most until the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def _append(self, item: CallRecord | Action, cost: int) -> bool:
        if self._closed or self.bytes + cost > 2 * self._limit:
            self.dropped_rows += 1
            return False
        self._entries.append((item, cost))
        self.bytes += cost
        if self._awaited:
            self._changed.notify_all()
        return True


def _cost(record: CallRecord) -> int:
    bodies = (record.request, record.response)
    return ROW_BYTES + sum(len(body.content) + len(body.tail) + CHUNK_BYTES * len(body.chunks) for body in bodies)


def _without_content(body: CapturedBody) -> CapturedBody:
    """Marked as cut, since `size` stays."""
    return CapturedBody(headers=body.headers, size=body.size)
