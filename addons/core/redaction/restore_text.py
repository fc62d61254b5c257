"""Placeholders in raw JSON text, and the secrets that they stand for: what one answer is restored with.

A placeholder has no character that JSON, or JSON in a JSON string, would write in another way, and begins with a letter that
no escape ends with. So it is looked for in the raw bytes of a string literal, whatever stands around it, and what takes its
place is escaped as often as the literal is nested.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: five bits a character, none of I, L, O, U, which are misread and make words."""

MIN_BITS = 64
MAX_LENGTH = 64

_TEMPLATE = re.compile(r"([G-Z][A-Za-z0-9_-]{2,23})\{([0-9]{1,2})\}")
_BITS = 5
_PAIRS = [low + high for high in ALPHABET for low in ALPHABET]
_PAIR_MASK = 1023  # two characters at a time


class Shape:
    """What every placeholder looks like: a literal prefix, then `size` characters of `ALPHABET`. Made of a template, `QVK{16}`.

    Raises ValueError, with what would be right, for a template that is guessable, long, or would not come through
    JSON, URLs, shells and models unchanged. All are of one length, so none is the beginning of another.
    """

    def __init__(self, template: str) -> None:
        match = _TEMPLATE.fullmatch(template)
        if match is None:
            raise ValueError(
                "a placeholder's shape is a prefix (a capital from G to Z, then 2 to 23 of A-Z a-z 0-9 _ -) and a length: QVK{16}"
            )
        self.prefix, self.size = match[1], int(match[2])
        self.length = len(self.prefix) + self.size
        if self.size * _BITS < MIN_BITS:
            raise ValueError(f"a placeholder needs at least {-(-MIN_BITS // _BITS)} characters after its prefix, else it could be guessed")
        if self.length > MAX_LENGTH:
            raise ValueError(f"a placeholder is at most {MAX_LENGTH} characters long")
        self.hot = self._hot()

    def write(self, number: int) -> str:
        """The placeholder of a random number, of which the lowest `5 * size` bits count."""
        pairs = [_PAIRS[number >> shift & _PAIR_MASK] for shift in range(0, self.size * _BITS, 2 * _BITS)]
        return (self.prefix + "".join(pairs))[: self.length]

    def __repr__(self) -> str:
        return f"Shape({self.prefix}{{{self.size}}})"

    def _hot(self) -> re.Pattern[bytes]:
        """Finds, in raw JSON, a whole placeholder or what may be the beginning of one at the end of a string."""
        begun = f"{re.escape(self.prefix)}[{ALPHABET}]{{0,{self.size - 1}}}"
        for length in range(len(self.prefix) - 1, 0, -1):
            begun = f"{re.escape(self.prefix[:length])}|{begun}"
        return re.compile(f'{re.escape(self.prefix)}[{ALPHABET}]{{{self.size}}}|(?:{begun})"'.encode())


class Restorable:
    """The placeholders of one conversation and their secrets, as they were at one moment. Immutable; shows no secret."""

    __slots__ = ("_pairs", "_sorted", "hot", "prefix", "shape")

    def __init__(self, pairs: Mapping[str, str], shape: Shape) -> None:
        self._pairs = {placeholder.encode(): secret for placeholder, secret in pairs.items()}
        self._sorted = sorted(self._pairs)
        self.prefix = shape.prefix.encode()
        self.shape = shape
        self.hot = shape.hot.search  # may something have to be done about this text?

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def __repr__(self) -> str:
        return f"Restorable(<{len(self._pairs)} pairs>)"

    def within(self, raw: bytes) -> bool:
        """Does any of them stand in it, whole?"""
        return self.prefix in raw and next(self._places(raw), None) is not None

    def restored(self, raw: bytes, nesting: int) -> bytes:
        """The inside of a JSON string literal with its placeholders restored. `nesting` is 1, or 2 where the string holds JSON."""
        return self.taken(raw, nesting, hold=False)[0]

    def taken(self, raw: bytes, nesting: int, hold: bool) -> tuple[bytes, bytes]:
        """As `restored`, and with `hold` apart from it what stands at the end and may be the beginning of a placeholder."""
        pieces, done = [], 0
        for at in self._places(raw):
            end = at + self.shape.length
            pieces += [raw[done:at], ESCAPES[nesting](self._pairs[raw[at:end]])]
            done = end
        cut = self._begun(raw, done) if hold else len(raw)
        return b"".join([*pieces, raw[done:cut]]), raw[cut:]

    def _places(self, raw: bytes) -> Iterator[int]:
        prefix, length = self.prefix, self.shape.length
        at = raw.find(prefix)
        while at >= 0:
            known = raw[at : at + length] in self._pairs
            if known:
                yield at
            at = raw.find(prefix, at + (length if known else 1))

    def _begun(self, raw: bytes, start: int) -> int:
        """Where the end that may go on as a placeholder begins; the end itself where there is none."""
        first = self.prefix[:1]
        at = raw.find(first, max(start, len(raw) - self.shape.length + 1))
        while at >= 0:
            place = bisect_left(self._sorted, raw[at:])
            if place < len(self._sorted) and self._sorted[place].startswith(raw[at:]):
                return at
            at = raw.find(first, at + 1)
        return len(raw)


def _escaped(secret: str) -> bytes:
    """All ASCII: so no client that takes U+2028 for the end of a line cuts an event there, and lone surrogates come through."""
    return json.dumps(secret)[1:-1].encode()


def _escaped_twice(secret: str) -> bytes:
    return _escaped(json.dumps(secret, ensure_ascii=False)[1:-1])


ESCAPES: dict[int, Callable[[str], bytes]] = {1: _escaped, 2: _escaped_twice}
