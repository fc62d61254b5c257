"""A rule made ready: its expression, how far it looks, and what it takes for a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

from addons.core.redaction.assignments import Assignment
from addons.core.redaction.engines import compile_pattern
from addons.core.redaction.ruleset import Rule
from addons.core.redaction.verdicts import Spans, Verdict
from addons.core.redaction.windows import reach_of, widths_of, windows

_MAX_LEAD = 4096
_MAX_LEAD_INSIDE = _SHORT_LEAD = 64
"""Where the keyword itself could be part of the lead, it could stand there at every place; these rules' leads are short."""

_ESCAPING = frozenset(b"\\%")
_ESCAPE = re.compile(rb"\\(?:[nrtbf]|u00[0-9a-fA-F]{2})|%[0-9a-fA-F]{2}")


class Compiled:
    """`rank` is the rule's place in the files: of two that find the same, the first names it."""

    __slots__ = ("_max_lead", "_widths", "is_secret", "lead", "pattern", "rank", "reach", "rule", "words")

    def __init__(self, rule: Rule, rank: int, native: bool) -> None:
        self.rule = rule
        self.rank = rank
        self.is_secret = Verdict(rule, native=native)
        self.words = tuple(dict.fromkeys(word.encode() for word in rule.keywords))
        self.pattern: Any = compile_pattern(rule.pattern, native=native and rule.kind == "search")
        self.reach = reach_of(rule.pattern)
        self.lead = bytes(byte for byte in range(256) if re.match(rule.lead.encode(), bytes([byte]))) if rule.lead else b""
        inside = any(not word.strip(self.lead) for word in self.words)
        self._max_lead = _MAX_LEAD_INSIDE if inside else _MAX_LEAD
        self._widths = widths_of(rule.pattern)

    def spans(self, match: Any, offset: int = 0) -> Spans:
        """Of the match and of its secret: the group that the rule names, else the first that matched, else all of it."""
        start, end = match.span()
        groups = (self.rule.group,) if self.rule.group else range(1, self.pattern.groups + 1)
        first, last = next((span for number in groups if (span := match.span(number))[0] >= 0), (start, end))
        return start + offset, end + offset, first + offset, last + offset

    def lead_start(self, data: bytes, at: int) -> int:
        """Where the run of the lead's characters begins that ends at `at`; -1 for one that is longer than any lead."""
        begin = max(0, at - _SHORT_LEAD)
        start = begin + len(data[begin:at].rstrip(self.lead))
        if start == begin and begin and self._max_lead > _SHORT_LEAD:
            begin = max(0, at - self._max_lead)
            start = begin + len(data[begin:at].rstrip(self.lead))
        if start == begin and begin:
            return -1
        if start and (data[start - 1] in _ESCAPING or data[start - 2] in _ESCAPING):
            for before in (start - 1, start - 2):  # letters of an escape are no part of what follows, whether they could be or not
                if before >= 0 and (escape := _ESCAPE.match(data, before, at)):
                    return escape.end()
        return start

    def search(self, data: bytes, places: Sequence[tuple[int, int]]) -> Iterator[Spans]:
        """The secrets in and about these places."""
        for begin, end in windows(places, len(data), self.reach):
            for match in self.pattern.finditer(data[begin:end]):
                spans = self.spans(match, begin)
                if spans[3] > spans[2] and self.is_secret(data, spans):
                    yield spans

    def value_end(self, data: bytes, value: Assignment, name: int) -> int:
        """Where this value, whose name begins at `name`, ends if it is a secret, else 0."""
        rule = self.rule
        if (rule.quoted and not value.quoted) or (rule.assigned and value.weak) or (rule.bare and value.code):
            return 0
        least, most = self._widths
        for end in (value.end,) if value.end == value.full_end or rule.bare else (value.end, value.full_end):
            fits = least <= end - value.start <= most and self.pattern.fullmatch(data, value.start, end)
            if fits and self.is_secret(data, (name, end, value.start, end)):
                return value.full_end
        return 0


by_rank = attrgetter("rank")

Found = tuple[int, int, int, Compiled]
"""Start, minus end, rank, rule: sorted, the one that names a finding stands first."""
