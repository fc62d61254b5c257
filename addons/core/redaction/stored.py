"""A call as it was stored, masked once more: before it leaves the captures, and before it enters others.

What is stored was masked by the rules of its day. An older database, a line written by hand, rules that have changed since and keys that
were configured later are the reasons why nothing is taken over unseen. Masking what is masked changes nothing, so that a call that holds
no secret comes out equal, value by value.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from addons.core.call import RedactionNote, SqlValue, StoredBody, StoredCall
from addons.core.captured import credentials_in, header
from addons.core.redaction.cleaner import Cleaner
from addons.core.redaction.masking import MASK
from addons.core.redaction.redactor import Redactor

EXCERPTS = ("prompt", "response")
"""Columns of content, which `capture.bodies: false` keeps out."""

OURS = frozenset({"id", "started_at", "stored_at", "replay_of", "outcome", "api", "tokens_source", "cost_source"})
"""Columns that only the program itself writes, in words of its own."""

REMEMBERED = 4096
REMEMBERED_LENGTH = 500  # characters of a value; longer ones (an error, a decision) hardly come twice


class StoredCleaner:
    """Cleans call after call. Values that many calls share (models, hosts, user agents) are looked at once."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._seen: OrderedDict[tuple[str, str], tuple[str, tuple[RedactionNote, ...]]] = OrderedDict()

    def row(self, row: dict[str, SqlValue]) -> dict[str, SqlValue]:
        """The columns of `calls` alone. `redactions` counts what was masked now, too."""
        clean, notes = self._columns(row)
        return _counted(clean, 0, notes)

    def call(self, call: StoredCall, *, keep_bodies: bool = True, max_body: int | None = None) -> StoredCall:
        """All of a call. Without `keep_bodies` no body, message or excerpt is kept; bodies are cut to `max_body` bytes."""
        row, notes = self._columns(call.row if keep_bodies else call.row | dict.fromkeys(EXCERPTS))
        cleaner = Cleaner(self._knowing(call))
        kept = [_body(body, cleaner, max_body) for body in call.bodies] if keep_bodies else []
        said = call.messages if keep_bodies else ()
        asked = len(said) - call.answers
        messages = (
            *cleaner.messages(said[:asked], "request.messages", "request.body"),
            *cleaner.messages(said[asked:], "response.messages", "response.body"),
        )
        new = [note for note in (*notes, *cleaner.notes) if note not in call.redactions]
        return replace(
            call,
            row=_counted(row, len(call.redactions), new),
            bodies=tuple(kept),
            messages=messages if keep_bodies else (),
            answers=call.answers if keep_bodies else 0,
            redactions=(*call.redactions, *new),
        )

    def _knowing(self, call: StoredCall) -> Redactor:
        """With the credentials of the request's headers, where an older version left one there."""
        headers = next((body.headers for body in call.bodies if body.kind == "request"), ())
        found = credentials_in(headers, str(call.row.get("path") or ""))
        sent = [value for value in found if not value.startswith(MASK.decode())]
        return self._redactor.knowing(sent) if sent else self._redactor

    def _columns(self, row: dict[str, SqlValue]) -> tuple[dict[str, SqlValue], list[RedactionNote]]:
        clean, notes = dict(row), list[RedactionNote]()
        for name, value in row.items():
            if isinstance(value, str) and name not in OURS and not (name == "conversation_id" and value == row.get("id")):
                clean[name], found = self._text(name, value)
                notes += found
        return clean, notes

    def _text(self, name: str, value: str) -> tuple[str, tuple[RedactionNote, ...]]:
        if len(value) > REMEMBERED_LENGTH:
            return self._scan(name, value)
        key = name, value
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._scan(name, value)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(key)
        return found

    def _scan(self, name: str, value: str) -> tuple[str, tuple[RedactionNote, ...]]:
        cleaner = Cleaner(self._redactor)
        clean = cleaner.url(value, "request.path") if name == "path" else cleaner.text(value, f"call.{name}")
        return clean or "", tuple(cleaner.notes)


def _body(body: StoredBody, cleaner: Cleaner, max_body: int | None) -> StoredBody:
    content = cleaner.body(body.content, header(body.headers, "content-type"), f"{body.kind}.body", body.truncated)
    is_cut = max_body is not None and len(content) > max_body
    return replace(
        body,
        headers=cleaner.headers(body.headers, f"{body.kind}.header"),
        content=content[:max_body] if is_cut else content,
        truncated=body.truncated or is_cut,
        redacted=body.redacted or content != body.content,
    )


def _counted(row: dict[str, SqlValue], known: int, new: list[RedactionNote]) -> dict[str, SqlValue]:
    """`redactions` of the row, which may be more than there are notes of."""
    return row | {"redactions": max(int(row.get("redactions") or 0), known) + len(new)} if new else row
