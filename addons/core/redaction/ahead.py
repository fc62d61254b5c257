"""What one call has to be cleaned, looked through before any of it is: in one go, which takes a fraction of the time that each by itself
would. What is without a finding has no more to be done for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from addons.core.call import Headers
from addons.core.redaction.bodies import BodyScanner, wide_codec
from addons.core.redaction.cleantexts import MAX_KEPT_CHARACTERS, SHAPES, CleanTexts
from addons.core.redaction.known import Known
from addons.core.redaction.names import HeaderKind, header_kind
from addons.core.redaction.pieces import APART
from addons.core.redaction.streams import comes_in_pieces
from addons.core.redaction.sweep import Body, Sweep

_TEXTS, _WORDS, _FIRST_BODY = range(3)
"""Owners of what is looked through: texts, headers that hold words of the protocol, and each body."""


class Ahead:
    """What is known of one call's texts, headers and bodies; nothing where nobody has looked ahead."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        """Nothing is in them."""
        self.words: set[str] = set()
        """Nothing is in them that is a secret by its shape."""
        self._bodies: list[bytes] = []

    def has_body(self, content: bytes) -> bool:
        """Is this very object a body in which nothing is?"""
        return any([body is content for body in self._bodies])

    def has_header(self, name: str, value: str) -> bool:
        """Has this header's value nothing in it?"""
        kind = header_kind(name)
        if kind is HeaderKind.PROTOCOL:
            return value in self.words
        return kind is HeaderKind.TEXT and value in self.texts and "://" not in value  # a URL's parameters have names


class LookAhead:
    """`clean`: what was seen before, and where this is noted."""

    def __init__(self, known: Known, scanner: BodyScanner, clean: CleanTexts) -> None:
        self._known, self._scanner, self._clean = known, scanner, clean

    def __call__(self, texts: Iterable[str], headers: Iterable[Headers], bodies: Iterable[Body]) -> Ahead:
        """What is found to be clean; of all else nothing is known, so that it is looked at when it is cleaned."""
        ahead, sweep = Ahead(), Sweep(self._known, self._scanner)
        swept = dict(enumerate(bodies, _FIRST_BODY))
        sweep.add_bodies(swept)
        pairs = [(header_kind(name), value) for some in headers for name, value in some]
        plain = {value for kind, value in pairs if kind is HeaderKind.TEXT}
        words = {value for kind, value in pairs if kind is HeaderKind.PROTOCOL}
        waiting, alone = self._add_texts({*texts, *plain}, sweep, ahead)
        new_words = self._add_words(words, sweep, ahead)
        sweep.run()
        ahead._bodies = [body.content for owner, body in swept.items() if owner not in sweep.dirty]
        clean = [(text, owner) for text, owner in waiting if owner not in sweep.unsure]
        ahead.texts.update([text for text, _ in clean])
        for text, owner in clean:
            if owner == _TEXTS or sweep.is_remembered or len(text) <= MAX_KEPT_CHARACTERS:  # others come again within their bodies
                self._clean.note(text)
        alone += [text for text, owner in waiting if owner in sweep.unsure]
        if new_words and (_WORDS not in sweep.dirty or not self._shapes_in(new_words)):
            self._note_words(new_words, ahead)
        if alone:
            self._look_at_each(alone, ahead)
        return ahead

    def _add_texts(self, texts: AbstractSet[str], sweep: Sweep, ahead: Ahead) -> tuple[list[tuple[str, int]], list[str]]:
        """Those that are looked at now, each with the owner that it stands with, and those that must be looked at by themselves."""
        waiting: list[tuple[str, int]] = []
        alone: list[str] = []
        short = {text for text in texts if len(text) <= MAX_KEPT_CHARACTERS}
        new = self._clean.missing(short)
        ahead.texts = short - new
        for text in [*new, *(texts - short)]:
            written = _utf8(text)
            holder = sweep.holder_of(written)
            if holder is not None:
                waiting.append((text, holder))
            elif text not in new and self._clean.has(text):
                ahead.texts.add(text)
            elif sweep.add_text(_TEXTS, written):
                waiting.append((text, _TEXTS))
            else:
                alone.append(text)
        return waiting, alone

    def _add_words(self, words: set[str], sweep: Sweep, ahead: Ahead) -> set[str]:
        new = self._clean.missing(words, SHAPES)
        ahead.words = words - new
        for value in new:
            sweep.add_plain(_WORDS, _utf8(value))
        return new

    def _shapes_in(self, words: Iterable[str]) -> bool:
        return bool(self._known.find_shapes(APART.join([b"", *map(_utf8, words), b""])))

    def _note_words(self, words: AbstractSet[str], ahead: Ahead) -> None:
        ahead.words |= words
        for value in words:
            self._clean.note(value, SHAPES)

    def _look_at_each(self, texts: Sequence[str], ahead: Ahead) -> None:
        """By itself, what is not read as it stands or has something in it; still in one go."""
        waiting = [(text, data) for text in texts if not wide_codec(data := _utf8(text)) and not comes_in_pieces(data, None)]
        found = self._scanner.find_each([data for _, data in waiting], "") if waiting else ()
        for (text, _), places in zip(waiting, found, strict=True):
            if not places:
                ahead.texts.add(text)
                self._clean.note(text)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
