"""addons/storage/queue.py: order and bounds."""

from __future__ import annotations

import threading
import time

from addons.core.call import CallRecord
from addons.storage.queue import ROW_BYTES, RecordQueue
from tests.storage.support import call_record


def taken(queue: RecordQueue) -> CallRecord:
    """The next record, which must be there."""
    entry = queue.take(time.monotonic())
    assert entry and isinstance(entry[0], CallRecord)
    return entry[0]


def test_first_in_is_first_out() -> None:
    """Records leave in the order they came, then there is nothing."""
    queue = RecordQueue(1_000_000)
    records = [call_record() for _ in range(3)]
    assert all(queue.put(record) for record in records)
    assert [taken(queue) for _ in records] == records
    assert queue.take(time.monotonic()) is None


def test_above_the_limit_bodies_go_and_rows_stay() -> None:
    """A record that does not fit loses its content, keeps its size and is thereby marked as cut."""
    queue = RecordQueue(20_000)
    for _ in range(3):
        assert queue.put(call_record(b"x" * 10_000))
    records = [taken(queue) for _ in range(3)]
    assert [len(record.request.content) for record in records] == [10_000, 0, 0]
    assert [record.request.truncated for record in records] == [False, True, True]
    assert {record.request.size for record in records} == {10_000}
    assert records[2].request.headers
    assert queue.dropped_bodies == 2


def test_rows_too_have_an_end() -> None:
    """Above twice the limit nothing is taken, and it is counted: memory stays bounded with a disk that is gone."""
    queue = RecordQueue(2 * ROW_BYTES)
    assert [queue.put(call_record(b"")) for _ in range(6)] == [True] * 4 + [False] * 2
    assert queue.dropped_rows == 2
    assert queue.bytes == 4 * ROW_BYTES


def test_what_waits_next_is_taken_without_waiting() -> None:
    """Up to a count, to a cost, and to an action; in order, and counted."""
    queue = RecordQueue(1_000_000)
    records = [call_record(b"") for _ in range(5)]
    for record in records[:4]:
        queue.put(record)
    queue.put_action(lambda store: None)
    queue.put(records[4])
    assert queue.more_records(2, 1_000_000) == (records[:2], 2 * ROW_BYTES)
    assert queue.more_records(9, ROW_BYTES) == (records[2:3], ROW_BYTES)
    assert queue.more_records(9, ROW_BYTES - 1) == ([], 0)
    assert queue.more_records(9, 1_000_000) == (records[3:4], ROW_BYTES)
    assert queue.more_records(9, 1_000_000) == ([], 0) and queue.take(None) and taken(queue) is records[4]
    assert queue.more_records(9, 1_000_000) == ([], 0)


def test_room_is_free_only_when_written() -> None:
    """What was taken out and is not on disk yet still counts."""
    queue = RecordQueue(1_000_000)
    queue.put(call_record(b"x" * 1000))
    entry = queue.take(None)
    assert entry and queue.bytes == entry[1] == 1000 + ROW_BYTES
    queue.written(entry[1])
    assert queue.bytes == 0


def test_a_closed_queue_gives_what_it_has_and_takes_nothing() -> None:
    """Closing loses nothing and wakes whoever waits."""
    queue = RecordQueue(1_000_000)
    queue.put(call_record())
    queue.close()
    assert not queue.put(call_record())
    assert queue.take(None)
    assert queue.take(None) is None


def test_who_gathers_takes_what_came_meanwhile() -> None:
    """Without being woken for each; what is there is given at once, and nothing after the deadline, or when the queue is closed."""
    queue = RecordQueue(1_000_000)
    records = [call_record() for _ in range(2)]
    queue.put(records[0])
    assert queue.gather(time.monotonic()) is not None
    timer = threading.Timer(0.01, queue.put, [records[1]])
    timer.start()
    entry = queue.gather(time.monotonic() + 10)
    assert entry and entry[0] is records[1]
    timer.join()
    assert queue.gather(time.monotonic() + 0.01) is None
    timer = threading.Timer(0.01, queue.close)
    timer.start()
    assert queue.gather(time.monotonic() + 3600) is None
    timer.join()


def test_who_waits_is_woken_by_the_next() -> None:
    """Also after a wait that ended without anything."""
    queue = RecordQueue(1_000_000)
    assert queue.take(time.monotonic() + 0.001) is None
    timer = threading.Timer(0.01, queue.put, [call_record()])
    timer.start()
    assert queue.take(None)
    timer.join()
