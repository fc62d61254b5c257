"""All that is stored of a call, or of some, looked through in one go: is there anything to be found in it? Hardly ever, and then nothing
more is to be done; a scanner costs its start-up for everything that it is given by itself.

What is put in here is read in the same way (`gathering.py`) as where it is looked at by itself. What may be read in another way there is
refused, and looked at there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import accumulate, chain
from typing import NamedTuple

from addons.core.redaction.bodies import BodyScanner, Divided, divided, wide_codec
from addons.core.redaction.gathering import Finder, Gathering
from addons.core.redaction.memory import Trace
from addons.core.redaction.parts import divide, is_event_stream
from addons.core.redaction.segments import MIN_REMEMBERED_BYTES, Run
from addons.core.redaction.streams import comes_in_pieces, joined_of_events, joined_texts

MAX_SWEPT_BYTES = 64 * 1024
"""Of a body. What a long one costs is hardly its start-up, and where something is found it is looked through again."""

_PLAIN = re.compile(rb'(?![^\0]{0,3}\0)(?!\xef\xbb\xbf)(?!\s*+(?:[{\["]|(?:data|event|id|retry)?:))')
_OBJECT = re.compile(rb"(?![^\0]{0,3}\0)\s*+\{")
"""How a text begins that is read as it stands, and JSON: else it is an event stream, or of another encoding, or may be."""

_DATA = re.compile(rb"data: ?(?=\{)")
_NO_DATA = frozenset((b"", b"data: [DONE]", b"data:[DONE]"))
_STRANGE = re.compile(rb"[{\[]|^data", re.MULTILINE)
"""What the other lines of an event do not hold."""

_OBJECT_START = b'{"'

_BODIES = -1
"""The owner of what is JSON in all bodies."""


class Body(NamedTuple):
    """A whole body, content-decoded. `comes_again`: within what the next call sends, so that it is remembered in parts."""

    content: bytes
    content_type: str | None
    comes_again: bool = False


class Sweep:
    """`owner`: a number from 0 on that the caller gives. First the bodies, then texts, then `run`: `dirty` has the owners
    in which something is, or that must be looked at by themselves."""

    def __init__(self, scanner: Finder, bodies: BodyScanner | None = None) -> None:
        """`bodies` knows what was seen of bodies before."""
        self.dirty: set[int] = set()
        self.is_remembered = False  # will a body be known in parts when it comes again?
        self._gathering = Gathering(scanner)
        self._plain: dict[int, list[bytes]] = {}
        self._json: dict[int, Collection[bytes]] = {}
        self._held: dict[bytes, int] = {}
        self._bodies = bodies
        self._unseen: dict[int, list[Run]] = {}
        self._unsure: set[int] = set()  # owners that are dirty, or with something that is left alone
        self._last = True  # may the last string be without an end?

    def add_bodies(self, bodies: Mapping[int, Body]) -> None:
        """Whole bodies."""
        self.dirty |= {owner for owner, body in bodies.items() if not self._add_body(owner, body)}
        texts = list(chain.from_iterable(self._json.values()))
        if len(self._json) > 1 and texts and self._gathering.add(_BODIES, "json", *texts, last=self._last):
            self._hold({_BODIES})  # as one, which costs less than two
            return
        broken = {owner for owner, own in self._json.items() if own and not self._gathering.add(owner, "json", *own, last=self._last)}
        self.dirty |= broken
        self._hold(self._json.keys() - broken)

    def holder_of(self, text: bytes) -> int | None:
        """The owner with which this text is looked at already: what a message says stands in its body, too."""
        holder = self._held.get(text)
        return holder if holder is not None and _PLAIN.match(text) else None

    def is_clean(self, text: bytes, holder: int) -> bool:
        """After `run`: is nothing in this text, which was looked at with its holder? What stands beside it may be dirty."""
        return text not in self._gathering.found_in if self._held.get(text) == holder else self.is_sure(holder)

    def is_sure(self, owner: int) -> bool:
        """After `run`: is nothing with this owner, not even what is left alone where it stands?"""
        return owner not in self._unsure

    def add_text(self, owner: int, text: bytes) -> bool:
        """A text that is no body. False where it must be looked at by itself."""
        if _PLAIN.match(text):
            self.add_plain(owner, text)
            return True
        return _OBJECT.match(text) is not None and self._gathering.add(owner, "json", text)

    def add_plain(self, owner: int, text: bytes) -> None:
        """A text that is read as it stands, however it begins."""
        self._plain.setdefault(owner, []).append(text)

    def run(self) -> None:
        """Look through it all."""
        gathering = self._gathering
        for owner, texts in self._plain.items():
            gathering.add(owner, "text", *texts)
        found = gathering.traces(cut=False)
        self.dirty |= {owner for owner, traces in found.items() if traces and owner != _BODIES}
        if in_bodies := found.get(_BODIES):
            self.dirty |= self._owners_of(in_bodies)
        self._unsure = self.dirty | gathering.passed_over
        for owner, unseen in self._unseen.items():
            if self._bodies and owner not in self.dirty:
                self._bodies.note_clean(unseen)

    def _add_body(self, owner: int, body: Body) -> bool:
        content = body.content
        if wide_codec(content):
            return False
        if not comes_in_pieces(content, body.content_type):
            if body.comes_again and self._bodies and len(content) >= MIN_REMEMBERED_BYTES:
                return self._add_history(owner, divided(content, body.content_type), self._bodies)
            return self._add_whole(owner, body)
        if len(content) > MAX_SWEPT_BYTES:
            return False
        try:
            if is_event_stream(content, body.content_type):
                return self._add_events(owner, content)
            return self._add_whole(owner, body) and self._add_joined(owner, joined_texts(content))  # JSON lines, Gemini's array
        except RecursionError:  # nested as deep as nothing is in good faith
            return False

    def _add_history(self, owner: int, content: Divided, bodies: BodyScanner) -> bool:
        """What is new of a body that mostly was seen before."""
        if len(content.parts) != 1 or content.parts[0].kind != "json":
            return False
        unseen = bodies.unseen(content)
        if unseen is None:
            return False
        texts = [content.body[run[0].start : run[-1].end] for run in unseen]
        if sum(map(len, texts)) > MAX_SWEPT_BYTES:
            return False
        self._json[owner], self._unseen[owner] = texts, unseen
        self.is_remembered = True
        self._last = self._last and (not unseen or unseen[-1][-1].end == content.parts[0].end)
        return True

    def _add_whole(self, owner: int, body: Body) -> bool:
        content = body.content
        parts = divide(content, body.content_type)
        if len(parts) != 1 or len(content) > MAX_SWEPT_BYTES:
            return False
        start, end, kind = parts[0]
        text = content[start:end]
        if kind == "json":
            self._json[owner] = (text,)
            return True
        return self._gathering.add(owner, kind, text)

    def _add_events(self, owner: int, content: bytes) -> bool:
        """Server-sent events as everybody writes them: one line of data each, which is the last of its lines."""
        content = content.replace(b"\r\n", b"\n")
        payloads, others = _read_events(content)
        if b"\r" in content or any(map(_STRANGE.search, others)):
            return False
        if payloads:
            self._json[owner] = _cut(payloads)
        self._plain.setdefault(owner, []).extend(others)
        return self._add_joined(owner, joined_of_events(payloads))

    def _add_joined(self, owner: int, texts: Collection[bytes]) -> bool:
        """What strings of several events say together."""
        self._held.update(dict.fromkeys(texts, owner))
        return all([self.add_text(owner, text) for text in texts if text])

    def _hold(self, owners: AbstractSet[int]) -> None:
        for owner, texts in self._gathering.texts_of(owners):
            self._held.update(dict.fromkeys(texts, owner))

    def _owners_of(self, traces: Iterable[Trace]) -> set[int]:
        """Whose of the bodies that are read as one these are."""
        owners = list(self._json)
        ends = list(accumulate(sum(map(len, texts)) + len(texts) for texts in self._json.values()))  # a byte stands behind each text
        return {owner for trace in traces for owner in owners[bisect_right(ends, trace.start) : bisect_right(ends, trace.end - 1) + 1]}


def _read_events(content: bytes) -> tuple[list[bytes], dict[bytes, None]]:
    """The JSON of each event, and what stands between two of them, each once."""
    payloads: list[bytes] = []
    others: dict[bytes, None] = {}
    before = b""
    for block in content.split(b"\n\n"):
        at = block.rfind(b"\n") + 1
        if data := _DATA.match(block, at):
            payloads.append(block[data.end() :])
        elif block[at:] not in _NO_DATA:
            before += block + b"\n\n"
            continue
        if at or before:
            others[before + block[:at]] = None
            before = b""
    if before:
        others[before] = None
    return payloads, others


def _cut(payloads: Iterable[bytes]) -> dict[bytes, None]:
    """Each cut before its last object, as bodies are (`segments.py`): what is before is mostly the same for all, and looked at once."""
    texts: dict[bytes, None] = {}
    for payload in payloads:
        at = payload.rfind(_OBJECT_START)
        if at > 0 and payload[at + 2 : at + 3].isalnum():
            texts[payload[:at]] = None
            texts[payload[at:]] = None
        else:
            texts[payload] = None
    return texts
