"""The redactor with a memory: everything that is stored of one call is cleaned through one of these, which keeps the notes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from operator import is_
from typing import Any

from addons.core.call import Headers, Message, Part, RedactionNote
from addons.core.redaction.ahead import Ahead, Subject
from addons.core.redaction.redactor import CREDENTIAL_HEADER, Redactor
from addons.core.redaction.sweep import Body

SHARED_BYTES = 64 * 1024
"""Of the bodies of calls that are looked through together; what longer ones cost is hardly the start-up, which is shared."""


class Cleaner:
    """`notes` has one entry per masked place so far. `where` as in RedactionNote."""

    def __init__(self, redactor: Redactor) -> None:
        self.notes: list[RedactionNote] = []
        self._redactor = redactor
        self._ahead = Ahead()

    def text(self, text: str | None, where: str, limit: int | None = None) -> str | None:
        """Masked first, then cut to `limit` characters; without lone surrogates, which no database takes."""
        if text is None:
            return None
        if text in self._ahead.texts:
            return _storable(text)[:limit]
        clean, notes = self._redactor.text(text, where)
        self.notes += notes
        return _storable(clean)[:limit]

    def url(self, path: str, where: str) -> str:
        clean, notes = self._redactor.url(path, where)
        self.notes += notes
        return _storable(clean)

    def headers(self, pairs: Headers, where: str) -> Headers:
        clean, notes = self._redactor.headers(pairs, where, self._ahead)
        # A credential in the header made for it is what every call has: noted, it would drown what should be looked at.
        self.notes += [note for note in notes if note.rule != CREDENTIAL_HEADER]
        if "".join(chain.from_iterable(clean)).isascii():
            return clean
        return tuple([(_storable(name), _storable(value)) for name, value in clean])

    def body(self, content: bytes, content_type: str | None, where: str, cut: bool) -> bytes:
        if self._ahead.has_body(content):
            return content
        clean, notes = self._redactor.body(content, content_type, where, cut)
        self.notes += notes
        return clean

    def messages(self, messages: Sequence[Message], where: str, body: str) -> tuple[Message, ...]:
        """Parts masked. A rule that the notes of the same `body` tell of already is not noted again."""
        if all(map(self._is_plainly_clean, messages)):
            return tuple(messages)
        own = Cleaner(self._redactor)
        own._ahead = self._ahead
        clean = tuple([own._message(message, where) for message in messages])
        known = {note.rule for note in self.notes if note.where == body}
        self.notes += [note for note in own.notes if note.rule not in known]
        return clean

    def _is_plainly_clean(self, message: Message) -> bool:
        """Is it of texts alone that are known to be clean, and storable?"""
        known = self._ahead.texts
        return all([not part.data and part.text is not None and part.text in known and part.text.isascii() for part in message.parts])

    def _message(self, message: Message, where: str) -> Message:
        parts = [self._part(part, where) for part in message.parts]
        same = all(map(is_, parts, message.parts))
        return message if same else Message(message.role, tuple(parts))

    def _part(self, part: Part, where: str) -> Part:
        """The very same where nothing is masked."""
        data = {key: self._value(value, where) for key, value in part.data.items()} if part.data else part.data
        text = self.text(part.text, where)
        return part if text == part.text and data == part.data else Part(part.kind, text, data)

    def _value(self, value: Any, where: str) -> Any:
        if isinstance(value, str):
            return self.url(value, where) if "://" in value else self.text(value, where)
        if isinstance(value, dict):
            return {key: self._value(child, where) for key, child in value.items()}
        return [self._value(child, where) for child in value] if isinstance(value, list) else value


def subject(
    texts: Iterable[str | None], headers: Collection[Headers], messages: Iterable[Message], bodies: Collection[Body] = ()
) -> Subject:
    """What is to come of a call."""
    parts = [part for message in messages for part in message.parts]
    spoken = [part.text for part in parts if part.text]
    named = [text for part in parts if part.data for text in _texts_in(part.data)]
    return Subject([*filter(None, texts), *spoken, *named], headers, bodies)


def look_ahead(asked: Iterable[tuple[Cleaner, Subject]]) -> None:
    """What is to come for each of these, looked through in one go where they look for the same: see `Redactor.look_ahead`."""
    for group in _shared(asked):
        redactor = group[0][0]._redactor
        aheads = redactor.look_ahead_each([subject for _, subject in group])
        for (cleaner, _), ahead in zip(group, aheads, strict=True):
            cleaner._ahead = ahead


def _shared(asked: Iterable[tuple[Cleaner, Subject]]) -> list[list[tuple[Cleaner, Subject]]]:
    """In groups of one redactor each: the credentials that a client itself sent are looked for in its own calls."""
    groups: list[list[tuple[Cleaner, Subject]]] = []
    open_groups: dict[int, tuple[list[tuple[Cleaner, Subject]], int]] = {}  # by id of the redactor: the last group, and its bytes
    for one in asked:
        number, size = id(one[0]._redactor), one[1].size
        group, together = open_groups.get(number, (None, 0))
        if group is None or together + size > SHARED_BYTES:
            group, together = [], 0
            groups.append(group)
        group.append(one)
        open_groups[number] = group, together + size
    return groups


def _texts_in(data: dict[str, Any]) -> Iterator[str]:
    waiting: list[Any] = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def _storable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
