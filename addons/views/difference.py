"""What differs between two texts, word by word, in bounded time. Pure.

Lines that stand once in both texts pin the two together (patience diff), what is between them is compared by Myers' algorithm
(https://doi.org/10.1007/BF01840446), and lines that changed are compared again by words. `Budget` holds what that may cost over
all texts of a page: what would cost more is shown as replaced in one piece, and `Budget.coarse` says so.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

WORDS_MAX = 100_000
"""Characters of one changed passage on each side that are compared by words; longer ones are compared by lines."""

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
_SIGNS = r"!-/:-@\[-^`{-~"
_WORD = re.compile(rf"[{_CJK}]|[^\s{_SIGNS}{_CJK}]+|\s+|[{_SIGNS}]")
"""Scripts without spaces are compared sign by sign. All other signs stay together, so that no emoji or accent is torn apart."""

Match = tuple[int, int, int]
"""Where n equal items begin: place in a, place in b, n."""


@dataclass(slots=True)
class Budget:
    """What comparing may still cost: `steps` of Myers' algorithm (about 1 µs each), `characters` cut into words."""

    steps: int = 80_000
    characters: int = 250_000
    coarse: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage: `a` and `b` are equal, or what stands in one text in place of the other (either may be empty)."""

    a: str
    b: str

    @property
    def same(self) -> bool:
        return self.a == self.b


def compare(a: str, b: str, budget: Budget) -> list[Piece]:
    """The pieces of two texts in order: the joined `a` are the one text, the joined `b` the other."""
    lines_a, lines_b = a.splitlines(keepends=True), b.splitlines(keepends=True)
    pieces: list[Piece] = []
    for piece in _pieces(lines_a, lines_b, matches(lines_a, lines_b, budget)):
        pieces.extend([piece] if piece.same or not piece.a or not piece.b else _by_words(piece, budget))
    return _joined(pieces)


def matches(a: Sequence[str], b: Sequence[str], budget: Budget) -> list[Match]:
    """The equal runs of two sequences, in the order of both. Not always the most that there are; never wrong."""
    start = _common(a, b, lambda at: at)
    rest = min(len(a), len(b)) - start
    end = min(rest, _common(a, b, lambda at: -1 - at))
    found: list[Match] = [(0, 0, start)]
    at_a = at_b = start
    for anchor_a, anchor_b in [*_anchors(a, b, start, end), (len(a) - end, len(b) - end)]:
        if anchor_a < at_a or anchor_b < at_b:
            continue  # the run before it went on over it
        found += _between(a, b, (at_a, anchor_a), (at_b, anchor_b), budget)
        at_a, at_b = anchor_a, anchor_b
        while at_a < len(a) - end and at_b < len(b) - end and a[at_a] == b[at_b]:
            at_a, at_b = at_a + 1, at_b + 1
        found.append((anchor_a, anchor_b, at_a - anchor_a))
    return [match for match in (*found, (len(a) - end, len(b) - end, end)) if match[2]]


def _common(a: Sequence[str], b: Sequence[str], place: Callable[[int], int]) -> int:
    """How many items are equal from one end; `place` says which end."""
    for at in range(min(len(a), len(b))):
        if a[place(at)] != b[place(at)]:
            return at
    return min(len(a), len(b))


def _anchors(a: Sequence[str], b: Sequence[str], start: int, end: int) -> list[tuple[int, int]]:
    """Places of items that stand once in both, the longest run of them that is in order in both."""
    once_a, once_b = ({item: at for at, item in _once(items, start, len(items) - end)} for items in (a, b))
    pairs = [(at, once_b[item]) for item, at in once_a.items() if item in once_b]
    tails: list[int] = []  # of the best runs of each length: where they end in b
    ends: list[int] = []  # and which pair that is
    before: list[int] = []
    for number, (_, in_b) in enumerate(pairs):
        length = bisect_left(tails, in_b)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1], ends[length : length + 1] = [in_b], [number]
    chain: list[tuple[int, int]] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _once(items: Sequence[str], start: int, stop: int) -> Iterator[tuple[int, str]]:
    count = Counter(items[start:stop])
    return ((at, items[at]) for at in range(start, stop) if count[items[at]] == 1)


def _between(a: Sequence[str], b: Sequence[str], span_a: tuple[int, int], span_b: tuple[int, int], budget: Budget) -> list[Match]:
    """The matches within two spans; none where finding them would cost too much."""
    part_a, part_b = a[slice(*span_a)], b[slice(*span_b)]
    if not set(part_a) & set(part_b):
        return []
    path = _myers(part_a, part_b, budget)
    if path is None:  # half of what was left is still there for others
        budget.coarse = True
        return []
    return [(span_a[0] + x, span_b[0] + y, n) for x, y, n in path]


def _myers(a: Sequence[str], b: Sequence[str], budget: Budget) -> list[Match] | None:
    """The matches of a shortest edit script; None when half of the budget does not suffice."""
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    least = budget.steps // 2
    for edits in range(len(a) + len(b) + 1):
        budget.steps -= edits + 1
        if budget.steps < least:
            return None
        trace.append(furthest.copy())
        for diagonal in range(-edits, edits + 1, 2):
            x = begin = _step(furthest, diagonal, edits)
            y = x - diagonal
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            budget.steps -= (x - begin) >> 2
            furthest[diagonal] = x
            if x >= len(a) and y >= len(b):
                return _path(trace, len(a), len(b))
    return None


def _step(furthest: dict[int, int], diagonal: int, edits: int) -> int:
    """Where an insertion (same x) or a deletion (x + 1) leads on this diagonal, whichever gets further."""
    if diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]):
        return furthest[diagonal + 1]
    return furthest[diagonal - 1] + 1


def _path(trace: list[dict[int, int]], x: int, y: int) -> list[Match]:
    """The diagonals of the path that ended in (x, y), walked back."""
    found: list[Match] = []
    for edits in range(len(trace) - 1, -1, -1):
        furthest, diagonal = trace[edits], x - y
        begin = _step(furthest, diagonal, edits)
        if x > begin:
            found.append((begin, begin - diagonal, x - begin))
        down = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
        before = diagonal + 1 if down else diagonal - 1
        x = furthest[before]
        y = x - before
    return found[::-1]


def _pieces(a: Sequence[str], b: Sequence[str], found: Sequence[Match]) -> Iterator[Piece]:
    """Equal and changed passages in turn."""
    at_a = at_b = 0
    for x, y, n in (*found, (len(a), len(b), 0)):
        if x > at_a or y > at_b:
            yield Piece("".join(a[at_a:x]), "".join(b[at_b:y]))
        if n:
            text = "".join(a[x : x + n])
            yield Piece(text, text)
        at_a, at_b = x + n, y + n


def _by_words(piece: Piece, budget: Budget) -> list[Piece]:
    """A changed passage, compared by words; as it is where that is too long, or shows nothing that both have."""
    start = _word_start(piece.a, _equal_length(piece.a, piece.b, str.startswith))
    head, a, b = piece.a[:start], piece.a[start:], piece.b[start:]
    if max(len(a), len(b)) > WORDS_MAX or len(a) + len(b) > budget.characters:
        budget.coarse = True
        return [Piece(head, head), Piece(a, b)]
    budget.characters -= len(a) + len(b)
    words_a, words_b = _WORD.findall(a), _WORD.findall(b)
    found = list(_pieces(words_a, words_b, matches(words_a, words_b, budget)))
    kept = sum(len(part.a.strip()) for part in found if part.same)
    if not head and kept * 4 < min(len(a), len(b)):  # a word here and there is chance
        return [piece]
    return [Piece(head, head), *_without_islands(found)]


def _equal_length(a: str, b: str, begins: Callable[[str, str], bool]) -> int:
    """Length of the common beginning, found by halving."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if begins(b, a[:middle]) else (low, middle - 1)
    return low


def _word_start(text: str, at: int) -> int:
    """The place at or before `at` where a blank ends, 0 where there is none near."""
    near = max(0, at - 200)
    blank = max(text.rfind(" ", near, at), text.rfind("\n", near, at))
    return blank + 1


def _without_islands(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Blanks between two changed words belong to the change: a sentence that is new is marked in one."""
    last = len(pieces) - 1
    for number, piece in enumerate(pieces):
        between = 0 < number < last and piece.same and not piece.a.strip() and "\n" not in piece.a
        if between:
            yield Piece(piece.a, "")
            yield Piece("", piece.b)
        else:
            yield piece


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece."""
    solid = [piece for piece in pieces if piece.a or piece.b]
    return [
        Piece("".join(piece.a for piece in run), "".join(piece.b for piece in run))
        for run in (list(group) for _, group in groupby(solid, key=lambda piece: piece.same))
    ]
