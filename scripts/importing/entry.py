"""The nouns of an import: what a format's reader hands over, and what it says when it can't.

UnreadableFile    nothing of the file can be read; str() is why
BrokenEntry       one entry can't; the others go on
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Any

from addons.core.call import AttemptRecord, CallRecord, CapturedBody, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.core.redaction.cleaner import Cleaner
from addons.core.redaction.stored import EXCERPTS


class UnreadableFile(ValueError):
    """The file is none that can be imported."""


class BrokenEntry(ValueError):
    """An entry that can't be read; the message quotes no content."""


@dataclass(frozen=True, slots=True)
class BodyFacts:
    """What is known of a body beside its content; None: as the digest finds it. `size` is in bytes on the wire."""

    size: int | None = None
    truncated: bool | None = None
    redacted: bool | None = None
    encoding: str | None = None

    def over(self, body: StoredBody) -> StoredBody:
        return replace(
            body,
            size=body.size if self.size is None else self.size,
            truncated=body.truncated or bool(self.truncated),
            redacted=body.redacted or bool(self.redacted),
            encoding=self.encoding or body.encoding,
        )


@dataclass(slots=True)
class Given:
    """What a file says itself, and is not to be read again. `bodies`: kind → facts. None: as the digest finds it.

    `only_given_bodies`: no other bodies were stored where the entry comes from.
    """

    columns: dict[str, SqlValue] = field(default_factory=dict)
    bodies: dict[str, BodyFacts] = field(default_factory=dict)
    only_given_bodies: bool = False
    attempts: tuple[AttemptRecord, ...] | None = None
    deltas_ms: tuple[float, ...] | None = None
    redactions: tuple[RedactionNote, ...] = ()
    pinned: bool = False

    def over(self, call: StoredCall, cleaner: Cleaner, keep_bodies: bool) -> StoredCall:
        """The digested call with what was given put over it, texts masked like all that is stored."""
        columns = {name: _clean(name, value, cleaner) for name, value in self.columns.items() if keep_bodies or name not in EXCERPTS}
        new = [note for note in (*call.redactions, *cleaner.notes) if note not in self.redactions]
        if "redactions" in columns:
            columns["redactions"] = max(int(columns["redactions"] or 0), len(self.redactions)) + len(new)
        bodies = [body for body in call.bodies if body.kind in self.bodies or not self.only_given_bodies]
        return replace(
            call,
            row=call.row | columns,
            attempts=call.attempts if self.attempts is None else self.attempts,
            bodies=tuple(self.bodies.get(body.kind, BodyFacts()).over(body) for body in bodies),
            deltas_ms=call.deltas_ms if self.deltas_ms is None else self.deltas_ms,
            redactions=(*self.redactions, *new),
        )


def _clean(name: str, value: SqlValue, cleaner: Cleaner) -> SqlValue:
    if not isinstance(value, str):
        return value
    return cleaner.url(value, "request.path") if name == "path" else cleaner.text(value, f"call.{name}")


@dataclass(slots=True)
class Entry:
    """One recorded exchange. `record.id` and what tells the API are still to be found (`records.py`), unless the file gave them.

    `stored`: all of it as other captures hold it, which is to be masked and stored, and not to be digested again.
    """

    record: CallRecord
    given: Given = field(default_factory=Given)
    known_call: bool = False  # the file says that it is an LLM call
    stored: StoredCall | None = None


def from_base64(text: str, what: str) -> bytes:
    """Raises BrokenEntry."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise BrokenEntry(f"{what} is not base64: {error}") from error


def text_of(value: dict[str, Any], name: str, what: str) -> str:
    """A text that has to be there. Raises BrokenEntry."""
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise BrokenEntry(f"{what}.{name} is missing" if found is None or found == "" else f"{what}.{name} is no text")
    return found


def note_lost(given: Given, kind: str, body: CapturedBody, size: int | None) -> None:
    """A body that the file doesn't hold, of `size` bytes on the wire (None: nobody knows)."""
    body.size = size or 1  # more than there is, which is how a reading knows that it isn't whole
    given.columns[f"{kind}_bytes"] = size
    given.bodies[kind] = BodyFacts(size=size or 0, truncated=True)


def fill_with_messages(body: CapturedBody, messages: list[tuple[float, bytes]]) -> None:
    """One side of a WebSocket as a line per message (JSON has line ends between values only); each with its milliseconds since the
    call began."""
    lines = [(at_ms, message.replace(b"\n", b" ") + b"\n") for at_ms, message in messages]
    body.content = b"".join(line for _, line in lines)
    body.size = len(body.content)
    body.chunks = [(at_ms, len(line)) for at_ms, line in lines]
    body.decoded = True
