"""What calls have to be cleaned, looked through before any of it is: in one go, which takes a fraction of the time that each by itself
would, and for some calls together, which share the fixed costs. What is without a finding has no more to be done for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

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


class Subject(NamedTuple):
    """What of one call is to be cleaned."""

    texts: Collection[str]
    headers: Collection[Headers] = ()
    bodies: Collection[Body] = ()

    @property
    def size(self) -> int:
        """Of its bodies, in bytes."""
        return sum([len(body.content) for body in self.bodies])


class Ahead:
    """What is known of one call's texts, headers and bodies; nothing where nobody has looked ahead."""

    def __init__(
        self,
        texts: AbstractSet[str] = frozenset(),
        headers: AbstractSet[tuple[str, str]] = frozenset(),
        bodies: Sequence[bytes | None] = (),
    ) -> None:
        self.texts = texts
        """Nothing is in them."""
        self.headers = headers
        """Names and values, with nothing in the value that has to be masked under this name."""
        self._bodies = bodies

    def has_body(self, content: bytes) -> bool:
        """Is this very object a body in which nothing is?"""
        return any([body is content for body in self._bodies])


class LookAhead:
    """`clean`: what was seen before, and where this is noted."""

    def __init__(self, known: Known, scanner: BodyScanner, clean: CleanTexts) -> None:
        self._known, self._scanner, self._clean = known, scanner, clean

    def __call__(self, subjects: Sequence[Subject]) -> list[Ahead]:
        """What of each is found to be clean; of all else nothing is known, so that it is looked at when it is cleaned."""
        if self._known.looks_at_edges:
            return [Ahead() for _ in subjects]
        sweep = Sweep(self._known, self._scanner)
        bodies = dict(enumerate([body for subject in subjects for body in subject.bodies], _FIRST_BODY))
        sweep.add_bodies(bodies)
        plain, protocol = _headers(subjects)
        texts, waiting, alone = self._add_texts({value for _, value in plain}.union(*[subject.texts for subject in subjects]), sweep)
        words = {value for _, value in protocol}
        new_words = self._add_words(words, sweep)
        sweep.run()
        texts |= self._clean_texts(waiting, alone, sweep)
        if new_words:
            words -= new_words - self._clean_words(new_words, sweep)
        headers = {pair for pair in protocol if pair[1] in words}
        headers.update([pair for pair in plain if pair[1] in texts and "://" not in pair[1]])  # a URL's parameters have names
        clean = iter([None if number in sweep.dirty else body.content for number, body in bodies.items()])
        return [Ahead(texts, headers, [next(clean) for _ in subject.bodies]) for subject in subjects]

    def _add_texts(self, texts: AbstractSet[str], sweep: Sweep) -> tuple[set[str], list[tuple[str, bytes, int]], list[str]]:
        """Those known to be clean; those that are looked at now, as text, as bytes, and with the owner that it stands with; and those
        that must be looked at by themselves."""
        waiting: list[tuple[str, bytes, int]] = []
        alone: list[str] = []
        short = {text for text in texts if len(text) <= MAX_KEPT_CHARACTERS}
        new = self._clean.missing(short)
        clean = short - new
        for text in [*new, *(texts - short)]:
            written = _utf8(text)
            holder = sweep.holder_of(written)
            if holder is not None:
                waiting.append((text, written, holder))
            elif text not in new and self._clean.has(text):
                clean.add(text)
            elif sweep.add_text(_TEXTS, written):
                waiting.append((text, written, _TEXTS))
            else:
                alone.append(text)
        return clean, waiting, alone

    def _clean_texts(self, waiting: Iterable[tuple[str, bytes, int]], alone: Iterable[str], sweep: Sweep) -> set[str]:
        """After the sweep: those in which nothing is."""
        clean, others = set(), list(alone)
        for text, data, owner in waiting:
            if not sweep.is_clean(data, owner):
                others.append(text)
                continue
            clean.add(text)
            if owner == _TEXTS or sweep.is_remembered or len(text) <= MAX_KEPT_CHARACTERS:  # others come again within their bodies
                self._clean.note(text)
        return clean | self._look_at_each(others) if others else clean

    def _add_words(self, words: set[str], sweep: Sweep) -> set[str]:
        new = self._clean.missing(words, SHAPES)
        for value in new:
            sweep.add_plain(_WORDS, _utf8(value))
        return new

    def _clean_words(self, words: set[str], sweep: Sweep) -> set[str]:
        """All of them, or none where something is in one: they are few."""
        if not sweep.is_sure(_WORDS) and self._shapes_in(words):
            return set()
        for value in words:
            self._clean.note(value, SHAPES)
        return words

    def _shapes_in(self, words: Iterable[str]) -> bool:
        return bool(self._known.find_shapes(APART.join([b"", *map(_utf8, words), b""])))

    def _look_at_each(self, texts: Sequence[str]) -> set[str]:
        """By itself, what is not read as it stands or has something in it; still in one go. Gives the clean ones."""
        waiting = [(text, data) for text in texts if not wide_codec(data := _utf8(text)) and not comes_in_pieces(data, None)]
        found = self._scanner.find_each([data for _, data in waiting], "") if waiting else ()
        clean = {text for (text, _), places in zip(waiting, found, strict=True) if not places}
        for text in clean:
            self._clean.note(text)
        return clean


def _headers(subjects: Iterable[Subject]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Those of plain text, and those with words of the protocol; each once."""
    pairs = {pair for subject in subjects for some in subject.headers for pair in some}
    kinds = [(header_kind(pair[0]), pair) for pair in pairs]
    return [pair for kind, pair in kinds if kind is HeaderKind.TEXT], [pair for kind, pair in kinds if kind is HeaderKind.PROTOCOL]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
