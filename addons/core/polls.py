"""Answers that are asked for again: a response made in the background is polled until it is done, and its usage must count once.

Polls().once(record, reading) -> the reading, without usage and marked `repeated` where that usage is not to be counted
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from addons.core.call import AnswerReading, CallRecord, Usage

POLLED = frozenset({"openai.responses", "openai.runs", "gemini.interactions", "anthropic.batches"})
"""APIs whose answers have a path of their own, that ends with or holds their id."""

MEMORY = 10_000
"""Answers remembered, the most recently seen ones: a poll follows its answer within hours, and an id takes some 100 bytes."""


class Polls:
    """Bounded memory of the answers that were counted. A call that *makes* an answer always counts; one that names an answer in its path
    (a poll, a cancellation, tool results handed in, results of a batch) counts when no other call counted that answer yet; the same call
    may be read again."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._counted: OrderedDict[tuple[str, str], str] = OrderedDict()  # by host and answer: the call that counted first

    def once(self, record: CallRecord, reading: AnswerReading) -> AnswerReading:
        if record.api not in POLLED:
            return reading
        again = _named(record, reading)
        if not again and not reading.id:
            return reading
        key = record.host.lower(), again or reading.id or ""
        counted = self._counted.get(key, record.id) != record.id
        if reading.usage.known:
            self._remember(key, record.id)
        if again and (counted or not reading.usage.known):
            return replace(reading, usage=Usage(), repeated=True)
        return reading

    def _remember(self, key: tuple[str, str], call_id: str) -> None:
        self._counted.setdefault(key, call_id)
        self._counted.move_to_end(key)
        while len(self._counted) > self._memory:
            self._counted.popitem(last=False)


def _named(record: CallRecord, reading: AnswerReading) -> str | None:
    """The answer that the path names, by the id that the answer itself gives; batches' results have none but the path's."""
    path = record.path.partition("?")[0]
    if record.api == "anthropic.batches":
        return path
    return reading.id if reading.id and f"/{reading.id}" in path else None
