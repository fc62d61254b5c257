"""What was found in pieces of text that come again: an agent sends its whole history with every call.

Keyed by a digest of the piece and of all that the finding depends on (rules, exact strings), so it never holds a secret; and no text,
but where the caller takes a short one, in which nothing was found, for its own key. Two generations: what is asked for moves to the
young one; when that is full, the old one is dropped. Each step is one atomic operation on a dictionary, so threads may share a memory
without a lock; the worst that a race does is to forget.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from itertools import count
from typing import Any, NamedTuple

MEMORY_BYTES = 4 * 1024 * 1024  # some 20 000 pieces, 40 MB and more of history

_ENTRY_BYTES, _TRACE_BYTES = 200, 150
_MOST_TRACES = 1000
"""A piece that is full of findings is not remembered: it alone would take more than all others."""


class Trace(NamedTuple):
    """A finding within a piece: offsets and how to read it, never the secret. The fields are those of `Located`."""

    start: int
    end: int
    rule: str
    keep_tail: bool
    escapes: int
    bare: bool
    form: bool = False


Traces = tuple[Trace, ...]


class Memory:
    """At most about `max_bytes`. Safe to share between threads."""

    def __init__(self, max_bytes: int = MEMORY_BYTES, entry_bytes: int = _ENTRY_BYTES) -> None:
        self._half_bytes = max_bytes // 2
        self._entry_bytes = entry_bytes
        self._young: dict[Hashable, tuple[Any, ...]] = {}
        self._old: dict[Hashable, tuple[Any, ...]] = {}
        self._traces: list[None] = []  # as long as there are traces in the young generation: lists grow atomically, counters do not
        self._serials = count()

    def __repr__(self) -> str:
        return f"Memory(<{len(self._young) + len(self._old)} pieces>)"

    def serial(self) -> bytes:
        """An identity for one whose findings nobody else may take for theirs."""
        return b"serial:%d" % next(self._serials)

    def get(self, key: Hashable) -> tuple[Any, ...] | None:
        """What was found in a piece (its traces), None if it is not known."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self._put(key, found)
        return found

    def put(self, key: Hashable, traces: Sequence[Trace]) -> None:
        self._put(key, tuple(traces))

    def missing[Key: Hashable](self, keys: AbstractSet[Key]) -> set[Key]:
        """Those of many keys that are not known."""
        young, old = self._young, self._old
        return {key for key in keys if key not in young and (key not in old or self.get(key) is None)}

    def get_paths(self, key: Hashable) -> tuple[str, ...] | None:
        """Where in its JSON each finding stands, None if it is not known. No key names a piece too."""
        return self.get(key)

    def put_paths(self, key: Hashable, paths: Sequence[str]) -> None:
        self._put(key, tuple(paths))

    def _put(self, key: Hashable, found: tuple[Any, ...]) -> None:
        if len(found) > _MOST_TRACES:
            return
        young, counted = self._young, self._traces
        young[key] = found
        if found:
            counted += [None] * len(found)
        if len(young) * self._entry_bytes + len(counted) * _TRACE_BYTES > self._half_bytes:
            self._old, self._young, self._traces = young, {}, []


def digests(identity: bytes, pieces: Sequence[bytes]) -> list[bytes]:
    """The keys of pieces under an identity. SHA-256 takes 0.6 ms a megabyte where the processor helps."""
    base = sha256(b"%d:%b" % (len(identity), identity))
    keys = []
    for piece in pieces:
        digest = base.copy()
        digest.update(piece)
        keys.append(digest.digest())
    return keys
