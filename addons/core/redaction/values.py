"""The values that names give away: which names stand where keywords do, what their values are, and which rules judge them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from addons.core.redaction.assignments import Assignment, begins_word, find_assignment, name_end, name_start
from addons.core.redaction.compiled import Compiled, Found, by_rank
from addons.core.redaction.engines import Hit

_MAX_WORDS = 8
"""Of one name: its last ones count."""

_BEFORE, _AFTER = 48, 208
"""What stands so far around a name's first word decides what it means: the same again (logs, JSON, hostile text) is not judged again."""

_BETWEEN_REACH = 140
"""How far after a name it may be seen that no value comes."""

_NO_VALUE = b'"\n\0'
"""Behind a name that its text ends with (`pieces.APART`): the key of a number, mostly, as in each answer's `prompt_tokens`."""

_MAX_KNOWN = 4000

_CREDENTIAL_WORD = re.compile(
    rb"token|secret|key|passw|pwd|passphrase|auth|cred|api|client|access|private|licen[cs]e|bearer|webhook|signature"
    rb"|(?:[^a-z]|\A)(?:id|pass|pat|dsn|sid)(?:[^a-z]|\Z)"
)
"""What a name must hold besides the service's for its value to be a credential."""

_by_start = itemgetter(1)


class _Judged(NamedTuple):
    """Of one name: where it ends, what was looked at, and its secret if it has one, all from the name's first word on."""

    name_end: int
    reach: int
    start: int = 0
    end: int = 0
    rule: Compiled | None = None


class Values:
    """`rules_of` has the rules of each keyword, by its number."""

    def __init__(self, rules_of: Sequence[Sequence[Compiled]]) -> None:
        self._rules_of = rules_of

    def find(self, data: bytes, hits: list[Hit]) -> Iterator[Found]:
        """The secrets that have a name with one of these words in it."""
        hits.sort(key=_by_start)
        known: dict[bytes, _Judged] = {}
        at, count = 0, len(hits)
        while at < count:
            _, first, last = hits[at]
            end = name_end(data, last)
            if data.startswith(_NO_VALUE, end):
                at = _first_from(hits, at + 1, end)
                continue
            around = data[first - _BEFORE : first + _AFTER] if first >= _BEFORE else b""
            judged = known.get(around)
            if judged is None:
                judged, local = self._judged(data, hits, at)
                if local and around and judged.reach < _AFTER and len(known) < _MAX_KNOWN:
                    known[around] = judged
            if judged.rule:
                yield first + judged.start, -first - judged.end, judged.rule.rank, judged.rule
            at = _first_from(hits, at + 1, first + judged.name_end)

    def at_end(self, data: bytes, hits: list[Hit]) -> Iterator[tuple[int, Compiled]]:
        """Where a value begins that goes up to the end of the data, and a rule that may be meant."""
        hits.sort(key=_by_start)
        for number, hit in enumerate(hits):
            value = find_assignment(data, hit[1], name_end(data, hit[2]))
            if value and value.full_end == len(data) and not value.code:
                rules, _ = self._meant(data, hits, number, value)
                yield from ((value.start, rule) for rule in rules[:1])

    def _judged(self, data: bytes, hits: Sequence[Hit], at: int) -> tuple[_Judged, bool]:
        """What the name says that begins with the hit number `at`, and whether only its surroundings were asked."""
        first = hits[at][1]
        end = name_end(data, hits[at][2])
        value = find_assignment(data, first, end)
        if value is None:
            return _Judged(end - first, end - first + _BETWEEN_REACH), True
        rules, name = self._meant(data, hits, at, value)
        reach = value.full_end + 1 - first
        for rule in rules:
            if last := rule.value_end(data, value, name):
                return _Judged(value.name_end - first, reach, value.start - first, last - first, rule), rule.is_secret.local
        return _Judged(value.name_end - first, reach), all(rule.is_secret.local for rule in rules)

    def _meant(self, data: bytes, hits: Sequence[Hit], at: int, value: Assignment) -> tuple[Sequence[Compiled], int]:
        """The rules that this name calls, and where it begins.

        A word calls a rule where it begins a word of the name, and the name tells of a credential; a `bare` rule needs neither.
        """
        last = _first_from(hits, at, value.name_end)
        inside = hits[max(at, last - _MAX_WORDS) : last]
        name = name_start(data, inside[0][1])
        rules = {rule for hit in inside for rule in self._rules_of[hit[0]]}
        if not all(rule.rule.bare for rule in rules):
            has_word = _CREDENTIAL_WORD.search(data[name : value.name_end].lower())
            begun = [hit for hit in inside if has_word and begins_word(data, hit[1])]
            called = {rule for hit in begun for rule in self._rules_of[hit[0]]}
            rules = {rule for rule in rules if rule.rule.bare or rule in called}
        return sorted(rules, key=by_rank), name


def _first_from(hits: Sequence[Hit], at: int, place: int) -> int:
    """The number of the first hit, `at` or later, that begins at this place or after it."""
    while at < len(hits) and hits[at][1] < place:
        at += 1
    return at
