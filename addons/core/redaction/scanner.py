"""Find secrets in bytes: `Scanner(rules, exact).find(data) -> list[Finding]`, in order and without overlap, in linear time.

One pass looks for all keywords (`engines.Keywords`). Where one stands its rules are tried, each after its kind (`ruleset.py`):

- `anchored`: one match right there. By `re`: at a known place it takes a tenth of the time of a call of google-re2. A rule's
  repetitions are bounded or exclude what follows, and what a match has covered is not matched again.
- `value`: the name's end, the separator and the value by one expression (`assignments.py`), then the whole value by the rule.
- `search`: by google-re2, which is linear whatever a user's file says, in windows around the keywords (`windows.py`).

Without google-re2 the windows are searched by `re`, whose time they bound, and the keywords by one expression. Both find the same.

A scanner is immutable and may be used by several threads at once. The interpreter's lock (`engines.py`) is held for no longer than a
chunk of keywords or a window takes, about 2 ms, so a scan in a thread leaves the event loop beside it its turns.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import cache
from operator import itemgetter

from addons.core.redaction.compiled import Compiled, Found
from addons.core.redaction.edges import looks_at_edges
from addons.core.redaction.engines import NATIVE, Hit, Keywords
from addons.core.redaction.exact import ExactStrings
from addons.core.redaction.findings import Finding, merge
from addons.core.redaction.ruleset import Rule
from addons.core.redaction.values import Values
from addons.core.redaction.verdicts import stands_alone

__all__ = ["Finding", "Scanner", "merge", "scan", "scan_shapes"]

_MIN_CUT_PREFIX = 3
"""Shorter beginnings of tokens (`ey`, `do`) begin ordinary words."""

_LAST_RUN = re.compile(rb"[A-Za-z0-9_./+=~:-]+\Z")
_LAST_RUN_REACH = 512

_in_order = itemgetter(0, 1, 2)


class Scanner:
    """The rules of one profile, and values that are secrets in themselves (`exact`: configured keys, the user's strings)."""

    def __init__(self, rules: Iterable[Rule], exact: Iterable[str] = (), *, native: bool = NATIVE) -> None:
        compiled = [Compiled(rule, rank, native) for rank, rule in enumerate(rules)]
        words = sorted({word for rule in compiled for word in rule.words})
        numbers = {word: number for number, word in enumerate(words)}
        tables: dict[str, list[list[Compiled]]] = {kind: [[] for _ in words] for kind in ("anchored", "search", "value")}
        for rule in compiled:
            for word in rule.words:
                tables[rule.rule.kind][numbers[word]].append(rule)
        self._anchored, self._searched, self._valued = tables["anchored"], tables["search"], tables["value"]
        self._matchers = [[(rule.pattern.match, rule) for rule in rules] for rules in self._anchored]
        self._values = Values(self._valued)
        self.looks_at_edges = any(looks_at_edges(rule.rule) for rule in compiled)
        self._everywhere = [rule for rule in compiled if not rule.words]
        self._keywords = Keywords(words, native=native)
        self._count = len(compiled)
        self._exact: tuple[ExactStrings, ...] = tuple(filter(None, (ExactStrings(exact, native=native),)))
        self._native = native

    def knowing(self, exact: Iterable[str]) -> Scanner:
        """The same with further exact values, for one call: credentials that the client itself sent. Costs next to nothing."""
        knowing = copy(self)
        knowing._exact = tuple(filter(None, (*self._exact, ExactStrings(exact, native=self._native))))
        return knowing

    def find(self, data: bytes, cut: bool = False) -> list[Finding]:
        """All secrets in `data`; overlapping ones are joined under the first one's name.

        `cut`: the end of `data` is missing, so what only begins like a secret there counts as one.
        """
        exact = [found for strings in self._exact for found in strings.find(data, cut)]
        return merge([*exact, *self._findings(data, False), *(self._at_cut(data) if cut else ())])

    def find_shapes(self, data: bytes) -> list[Finding]:
        """Only what is a secret by its own shape, or an exact value, wherever it stands."""
        exact = [found for strings in self._exact for found in strings.find(data)]
        return merge([*exact, *self._findings(data, True)])

    def _findings(self, data: bytes, shapes: bool) -> Iterator[Finding]:
        named: list[Hit] = []
        wanted: dict[Compiled, list[tuple[int, int]]] = {rule: [(0, len(data))] for rule in self._everywhere}
        found = list(self._at_keywords(data, named, wanted))
        for rule, places in wanted.items():
            found += ((spans[2], -spans[3], rule.rank, rule) for spans in rule.search(data, places))
        if not shapes:
            found += self._values.find(data, named)
        found.sort(key=_in_order)
        for start, end, _, rule in found:
            if not (shapes and rule.rule.context):
                yield Finding(*_whole(data, start, -end), rule.rule.id, rule.rule.keep_tail)

    def _at_keywords(self, data: bytes, named: list[Hit], wanted: dict[Compiled, list[tuple[int, int]]]) -> Iterator[Found]:
        """What anchored rules find; fills in the hits of words that names have, and where the other rules want to search."""
        done = [0] * self._count  # by rank: up to where a match of the rule has covered the data already
        matchers, valued, searched = self._matchers, self._valued, self._searched
        for begin, hits in self._keywords.chunks(data):
            for number, start, end in hits:
                at = begin + start
                for match_at, rule in matchers[number]:
                    if at < done[rule.rank]:
                        continue
                    if rule.lead:
                        begun = rule.lead_start(data, at)
                        match = match_at(data, begun) if begun >= 0 else None
                    else:
                        match = match_at(data, at)
                    if match is not None:
                        spans = rule.spans(match)
                        done[rule.rank] = spans[1]
                        if rule.is_secret(data, spans):
                            yield spans[2], -spans[3], rule.rank, rule
                if valued[number]:
                    named.append((number, at, begin + end))
                for rule in searched[number]:
                    wanted.setdefault(rule, []).append((at - rule.reach, begin + end + rule.reach))

    def _at_cut(self, data: bytes) -> Iterator[Finding]:
        """What begins like a token in the last run of a token's characters, and the value of a name that goes up to the end."""
        reach = max(0, len(data) - _LAST_RUN_REACH)
        tail = data[reach:]
        run = _LAST_RUN.search(tail)
        named: list[Hit] = []
        for begin, hits in self._keywords.chunks(tail):
            for number, first, last in hits:
                start, end = begin + first, begin + last
                if self._valued[number]:
                    named.append((number, start, end))
                if run and start >= run.start() and end - start >= _MIN_CUT_PREFIX and end < len(tail):
                    yield from (Finding(reach + start, len(data), rule.rule.id, False) for rule in self._begun(number, tail, start, end))
        yield from (Finding(reach + start, len(data), rule.rule.id, False) for start, rule in self._values.at_end(tail, named))

    def _begun(self, number: int, tail: bytes, start: int, end: int) -> Iterator[Compiled]:
        """The rules whose token may begin here: the keyword is written as in the rule, and stands alone."""
        for rule in self._anchored[number]:
            literal = rule.rule.pattern.replace("\\", "").encode()
            if not rule.lead and not rule.rule.context and tail[start:end] in literal and stands_alone(tail, start, len(tail)):
                yield rule


_MAX_CONTINUED = 3
"""Bytes of a character of UTF-8 after its first."""


def _whole(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The place with no character of UTF-8 cut in two."""
    first, last = start, end
    while first > max(0, start - _MAX_CONTINUED) and 0x80 <= data[first] < 0xC0:
        first -= 1
    while last < min(len(data), end + _MAX_CONTINUED) and 0x80 <= data[last] < 0xC0:
        last += 1
    return first, last


def scan(data: bytes, cut: bool = False) -> list[Finding]:
    """With the rules that come with the program, of the stored profile."""
    return _builtin().find(data, cut)


def scan_shapes(data: bytes) -> list[Finding]:
    """As `Scanner.find_shapes`, with the rules that come with the program."""
    return _builtin().find_shapes(data)


@cache
def _builtin() -> Scanner:
    """For callers that have no scanner yet. Core reads no files: this goes when the last of them is given one."""
    make: Callable[[], Scanner] = importlib.import_module("addons.rulefiles").builtin_scanner
    return make()
