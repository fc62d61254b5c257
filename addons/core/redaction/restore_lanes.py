"""Restores event after event of a stream. A lane is one text that grows over events: a choice's content, a tool call's arguments.

What may be the beginning of a placeholder at the end of a lane's piece waits for the next piece; when the lane ends without
one, it goes out in an event of its own: a copy of the last one with nothing but that text, so that ids and indexes are right
(of the responses dialect, `sequence_number` too: it stands there twice then, rather than all later events being renumbered).
`logprobs` and the offsets in annotations are the model's own and are left alone: they count the placeholder, not the secret.

Thinking is restored, its signature is not touched. Whoever checks the signature sees the placeholder again, since the
client's next request has the secret swapped for the same one.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Mapping, Set
from typing import Any, NamedTuple

from addons.core.jsonvalues import parse
from addons.core.redaction.restore_dialects import CALL, EVERY, Piece, StreamDialect
from addons.core.redaction.restore_frames import Frame
from addons.core.redaction.restore_text import Restorable
from addons.core.redaction.restore_values import JsonText, Mode, Path, form_of, nesting_of

MAX_LANES = 64
MAX_PATTERN_BYTES = 64 * 1024
"""Of an event that is kept to be copied. In a longer one nothing is held back; deltas have some hundred bytes."""

Changes = dict[int | Path, bytes]


class _Held(NamedTuple):
    """The end of a piece, and the event that it came in."""

    text: bytes
    piece: Piece
    pattern: bytes
    others: Set[Path]


class Lanes:
    """`held` is true while anything waits: until then an event without a placeholder needs not be shown to it."""

    def __init__(self, dialect: StreamDialect, frame: Frame, pairs: Restorable, mode: Mode) -> None:
        self._dialect = dialect
        self._frame = frame
        self._pairs = pairs
        self._mode: Mode = mode
        self.held: dict[Hashable, _Held] = {}

    def restore(self, raw: bytes, last: bool = False) -> bytes:
        """One event with its framing; `last` says that none will follow."""
        start, data = self._frame.payload(raw) or (0, b"")
        event = JsonText.read(raw[start:], data) if data else None
        if event is not None and isinstance(event.value, dict):
            return self._restored(event, raw, start, last)
        return self.close() + raw if last or self._frame.is_end(data) else raw

    def close(self) -> bytes:
        """All that waits, as events."""
        return self._out(list(self.held))

    def _restored(self, event: JsonText, raw: bytes, start: int, last: bool) -> bytes:
        pieces = [piece for piece in self._dialect.pieces(event.value) if not piece.path or event[piece.path]]
        ended = EVERY if last else self._dialect.ended(event.value)
        before = self._ending(pieces, ended)
        texts = frozenset(piece.path for piece in pieces)
        changes = self._wholes(event, texts) if self._pairs.within(raw) else {}
        for place, piece in enumerate(pieces):
            hold = len(raw) <= MAX_PATTERN_BYTES and not _ends(piece, pieces[place + 1 :], ended)
            changes |= self._grown(event, piece, hold, raw, texts)
        after = self._out(list(self.held)[MAX_LANES:])
        return b"".join([before, raw[:start], event.changed(changes), after]) if changes else before + raw + after

    def _ending(self, pieces: list[Piece], ended: Container[Hashable]) -> bytes:
        """What waits in lanes that get no more, to go before this event."""
        growing = {piece.lane for piece in pieces if piece.path}
        gone = [lane for lane, held in self.held.items() if lane not in growing and _ends(held.piece, pieces, ended)]
        return self._out(gone)

    def _wholes(self, event: JsonText, growing: frozenset[Path]) -> Changes:
        """The strings that are no pieces: whole texts, function calls, what the last events repeat."""
        return {place: new for place, path, new in restored_strings(event, self._pairs, self._mode) if path not in growing}

    def _grown(self, event: JsonText, piece: Piece, hold: bool, raw: bytes, texts: frozenset[Path]) -> Changes:
        nesting = nesting_of(piece.form, self._mode)
        if not piece.path or not nesting:
            return {}
        old = event[piece.path]
        waiting = self.held.pop(piece.lane, None)
        new, held = self._pairs.taken(waiting.text + old if waiting else old, nesting, hold)
        if held:
            self.held[piece.lane] = _Held(held, piece, raw, texts)
        return {piece.path: new} if new != old else {}

    def _out(self, lanes: list[Hashable]) -> bytes:
        """What waits in these lanes. What came in one event goes out in one: some providers say the same under two names."""
        patterns: dict[int, list[_Held]] = {}
        for lane in lanes:
            held = self.held.pop(lane)
            patterns.setdefault(id(held.pattern), []).append(held)
        return b"".join([self._copy(waiting) for waiting in patterns.values()])

    def _copy(self, waiting: list[_Held]) -> bytes:
        pattern = waiting[0].pattern
        found = self._frame.payload(pattern)
        texts = {held.piece.path: held.text.decode() for held in waiting}
        value = alone(parse(found[1]) if found else {}, texts, waiting[0].others - texts.keys())
        return self._frame.copy(pattern, value)


def restored_strings(event: JsonText, pairs: Restorable, mode: Mode) -> Iterator[tuple[int, Path | None, bytes]]:
    """Number, path (None for keys) and restored raw text of every string that has a placeholder where one is to be restored."""
    for number, (path, is_key), raw in event.holding(pairs.prefix):
        nesting = nesting_of(form_of(path), mode)
        if nesting and pairs.within(raw):
            yield number, None if is_key else path, pairs.restored(raw, nesting)


def _ends(piece: Piece, others: list[Piece], ended: Container[Hashable]) -> bool:
    """Is the text that `piece` belongs to over, with these others after it?"""
    if piece.owner in ended:
        return True
    return piece.group != CALL and any(other.owner == piece.owner and other.group != piece.group for other in others)


_KEPT = frozenset(("index", "type", "thought", "jsonPath", "willContinue"))
_EMPTIED = frozenset(("usage", "logprobs", "finish_reason"))
_ROOTS: frozenset[Path] = frozenset(((), ("response",)))


def alone(value: Any, texts: Mapping[Path, str], others: Set[Path] = frozenset(), at: Path = ()) -> Any:
    """A copy of an event that says only `texts`, each at its path; `others` are the paths of its other pieces.

    On the way there names, roles and ends are left out: clients join what comes again.

    >>> chunk = {"id": "x", "choices": [{"index": 2, "delta": {"role": "assistant", "content": "b"}}]}
    >>> alone(chunk, {("choices", 0, "delta", "content"): "c"})
    {'id': 'x', 'choices': [{'index': 2, 'delta': {'content': 'c'}}]}
    """
    if at in texts:
        return texts[at]
    steps = {path[len(at)] for path in texts if path[: len(at)] == at}
    if isinstance(value, list):
        return [alone(child, texts, others, (*at, place)) for place, child in enumerate(value) if place in steps]
    return {
        key: alone(old, texts, others, (*at, key)) if key in steps else _beside(key, old, (*at, key) in others)
        for key, old in value.items()
        if key in steps or _stays(key, at)
    }


def _stays(key: str, at: Path) -> bool:
    return at in _ROOTS or key in _KEPT or key in _EMPTIED or (key == "role" and at[-1] != "delta")


def _beside(key: str, old: Any, is_text: bool) -> Any:
    """Ollama has both its texts side by side."""
    if is_text:
        return ""
    if key in _EMPTIED:
        return [] if isinstance(old, list) else None
    return old
