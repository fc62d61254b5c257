"""Files into the store: every entry that is an LLM call, through the readers, the masking and the tables that proxied calls go through.

A call's id is made of the file's content and the entry's number, so that the same file imported again finds all its calls there,
while two equal entries of one file stay two calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import ModuleType

from addons.config import Config
from addons.core.call import CallRecord, StoredCall
from addons.core.ids import RANDOM_BYTES, ulid
from addons.core.redaction.cleaner import Cleaner
from addons.core.redaction.stored import StoredCleaner
from addons.state import State
from addons.storage.store import Store
from scripts.importing import flows, har, jsonl
from scripts.importing.entry import BrokenEntry, Entry, UnreadableFile
from scripts.importing.jsonscan import NotJSON, members, start_of
from scripts.importing.records import add_client_facts, find_call
from scripts.importing.source import Plain, Source
from scripts.progress import Progress

BATCH_BYTES = 8 * 1024 * 1024
BATCH_CALLS = 100  # a transaction each; short, since a proxy may want to write between two
JSONL_SUFFIXES = (".jsonl", ".ndjson")
JSONL_KEYS = (b"turnpike", b"call")


@dataclass(slots=True)
class Tally:
    """What became of a file's entries. `broken`: (number from 1, reason)."""

    new: int = 0
    known: int = 0
    others: int = 0
    broken: list[tuple[int, str]] = field(default_factory=list)

    @property
    def entries(self) -> int:
        return self.new + self.known + self.others + len(self.broken)


@dataclass(slots=True)
class _Batch:
    calls: dict[str, StoredCall] = field(default_factory=dict)
    pinned: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return len(self.calls) >= BATCH_CALLS or self.size >= BATCH_BYTES


class Importer:
    """Imports one file after the other; conversations are told apart over all of them.

    `keep_pins`: what was pinned where it comes from is pinned here too; else retention counts for all alike.
    """

    def __init__(self, config: Config, store: Store, *, keep_pins: bool = False) -> None:
        self._config = config
        self._keep_pins = keep_pins
        self._store = store
        self._state = State()
        self._state.adopt(config)
        self._cleaner = StoredCleaner(self._state.redactor)

    def run(self, source: Source, progress: Progress) -> Tally:
        """Raises UnreadableFile where nothing of the file could be read, StorageFailure where the disk or a lock is in the way."""
        tally, batch = Tally(), _Batch()
        for number, end, found in _entries(source.content, _format_of(source)):
            if isinstance(found, str):
                tally.broken.append((number, found))
            elif found is None:
                tally.others += 1
            else:
                self._take(found, _call_id(source.digest, number, found.record), number, tally, batch)
            if batch.full:
                batch = self._write(batch, tally)
            progress(end)
        self._write(batch, tally)
        if tally.broken and len(tally.broken) == tally.entries:
            raise UnreadableFile("; ".join(f"entry {number}: {reason}" for number, reason in tally.broken[:3]))
        return tally

    def _take(self, entry: Entry, call_id: str, number: int, tally: Tally, batch: _Batch) -> None:
        record = entry.record
        record.id = record.id or call_id
        try:
            if not self._prepare(entry):
                tally.others += 1
                return
            stored = self._digest(entry)
        except Exception as error:  # our own fault; its message may quote content. Not stored, so that a mended version can import it
            tally.broken.append((number, f"cannot be digested ({type(error).__name__})"))
            return
        if record.id in batch.calls or self._store.call(record.id) is not None:
            tally.known += 1
            return
        batch.calls[record.id] = stored
        batch.size += len(record.request.content) + len(record.response.content)
        batch.pinned += [record.id] if self._keep_pins and entry.given.pinned else []

    def _prepare(self, entry: Entry) -> bool:
        if entry.known_call:
            return True
        if not find_call(entry.record, self._config):
            return False
        add_client_facts(entry.record)
        return True

    def _digest(self, entry: Entry) -> StoredCall:
        if entry.stored:
            capture = self._config.capture
            named = replace(entry.stored, row=entry.stored.row | {"id": entry.record.id})
            return self._cleaner.call(named, keep_bodies=capture.bodies, max_body=capture.max_body)
        stored = self._state.digest_record(entry.record)
        return entry.given.over(stored, Cleaner(self._state.redactor), self._config.capture.bodies)

    def _write(self, batch: _Batch, tally: Tally) -> _Batch:
        if batch.calls:
            self._store.write(list(batch.calls.values()))
            for call_id in batch.pinned:
                self._store.set_pinned(call_id, True)
            tally.new += len(batch.calls)
        return _Batch()


def _call_id(digest: bytes, number: int, record: CallRecord) -> str:
    return ulid(record.started_ms, sha256(digest + number.to_bytes(8)).digest()[:RANDOM_BYTES])


def _format_of(source: Source) -> ModuleType:
    """The module that reads a file, told by how it begins. Raises UnreadableFile."""
    content = source.content
    start = start_of(content)
    first = content[start : start + 1]
    if not first or source.path.suffix.lower() in JSONL_SUFFIXES:
        return jsonl
    if first.isdigit():
        return flows
    if first != b"{":
        raise UnreadableFile("neither a HAR, nor mitmproxy's flows, nor Turnpike's own JSON lines")
    try:
        key = next((key for key, _ in members(content, start)), b"")
    except NotJSON as error:
        raise UnreadableFile(f"neither a HAR nor JSON lines: {error}") from error
    return jsonl if key in JSONL_KEYS else har


def _entries(content: Plain, form: ModuleType) -> Iterator[tuple[int, int, Entry | str | None]]:
    """(number from 1, where it ends, the entry, or why it can't be read, or None for what is no HTTP request)."""
    number, pieces = 0, form.cut(content)
    while True:
        number += 1
        try:
            end, raw = next(pieces)
        except StopIteration:
            return
        except BrokenEntry as error:  # where the next one begins is not known
            yield number, len(content), f"{error}; nothing behind it can be read"
            return
        yield number, end, _read(form, raw)


def _read(form: ModuleType, raw: bytes) -> Entry | str | None:
    try:
        entry: Entry | None = form.read(raw)
    except BrokenEntry as error:
        return str(error)
    except Exception as error:  # a value that no reader thought of costs its own entry only
        return f"cannot be read ({type(error).__name__})"
    return entry
