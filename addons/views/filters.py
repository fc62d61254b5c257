"""What the dashboard's address asks for: a range of time and filters, to SQL and back to an address.

    range=7d  |  from=2026-11-01&to=2026-11-02T12:00  |  otherwise=7d (where neither end is given: the form sends it)
      model= upstream= client= project= tag= key= status= outcome=
    error_type= failure=
    none=tag  calls that have no tag (an empty value is no filter, since a form sends all its fields)      nolive

All times are UTC. What cannot be understood is left out and told, with the name of its parameter, so that the page still works.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import urlencode

from addons.core.call import Outcome

MODEL = "coalesce(response_model, served_model, model)"
"""As the view `traffic` shows it: as the answer named it, else as it was sent, else as the client asked for it."""

COLUMNS = {
    "model": MODEL,
    "upstream": "upstream",
    "client": "client",
    "project": "project",
    "tag": "tag",
    "key": "key_hint",
    "status": "status",
    "outcome": "outcome",
    "error_type": "error_type",
    "failure": "(SELECT max(failed.failure) FROM attempts AS failed WHERE failed.call_id = calls.id)",
}
"""Parameter → what it is compared with, in SQL on `calls`."""

MATCHES = {
    "model": ":is_model IN (response_model, served_model, model)",  # a call that failed has no answer to name its model
    # the first condition is one that the index answers: no other call has an attempt that failed
    "failure": """(outcome IS NOT 'ok' OR attempts IS NOT 1)
 AND EXISTS (SELECT 1 FROM attempts AS failed WHERE failed.call_id = calls.id AND failed.failure = :is_failure)""",
}
"""Parameter → its condition, where that is another than `=`."""

RANGES = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000}
"""Name → seconds back from now."""

DEFAULT_RANGE = "24h"
MAX_STEPS = 120
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
DAY_S = 86_400
LAST_MS = 253_370_764_800_000  # the year 9999, which Python's dates end with
OTHERS = ("range", "otherwise", "from", "to", "none", "nolive", "seen")
OUTCOMES = get_args(Outcome)
_STATUS = re.compile(r"([1-5])(\d\d|xx)")
_SHOWN = 60  # of a value that is quoted back


@dataclass(frozen=True, slots=True)
class Problem:
    """A parameter that could not be understood, and what was done instead."""

    parameter: str
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """Milliseconds since 1970, `to_ms` not included. `name` is one of RANGES, None for a range of one's own; `live`: it ends now."""

    name: str | None
    from_ms: int
    to_ms: int
    step_ms: int
    live: bool

    def edges(self) -> list[tuple[int, int]]:
        """The steps, cut at both ends; steps begin at multiples of `step_ms`, so that they are the same ones a minute later."""
        starts = range(self.from_ms - self.from_ms % self.step_ms, self.to_ms, self.step_ms)
        return [(max(start, self.from_ms), min(start + self.step_ms, self.to_ms)) for start in starts]


@dataclass(frozen=True, slots=True)
class Filters:
    """`values`: (parameter, wanted value) in the order of COLUMNS; `none`: parameters whose column must be NULL."""

    values: tuple[tuple[str, str], ...] = ()
    none: tuple[str, ...] = ()

    def where(self) -> tuple[str, dict[str, str | int]]:
        """SQL that begins with ` AND `, or nothing, and the values for its names."""
        parts: list[str] = [f" AND {COLUMNS[name]} IS NULL" for name in self.none]
        named: dict[str, str | int] = {}
        for name, value in self.values:
            if name == "status" and value.endswith("xx"):
                parts.append(f" AND status BETWEEN {value[0]}00 AND {value[0]}99")
            else:
                parts.append(f" AND {MATCHES.get(name, f'{COLUMNS[name]} = :is_{name}')}")
                named[f"is_{name}"] = int(value) if name == "status" else value
        return "".join(parts), named


@dataclass(frozen=True, slots=True)
class Query:
    """All that a dashboard's address says."""

    span: Span
    filters: Filters = Filters()
    given: tuple[tuple[str, str], ...] = ()
    """`from` and `to` as they were written, where the range is one's own."""
    live: bool = True

    def parameters(self) -> list[tuple[str, str]]:
        """The address's parameters again, without what was left out."""
        span = [("range", self.span.name)] if self.span.name else list(self.given)
        filters = [*self.filters.values, *(("none", name) for name in self.filters.none)]
        return [*span, *filters, *([] if self.live else [("nolive", "1")])]

    def address(self) -> str:
        """`?…` for a link."""
        return f"?{urlencode(self.parameters())}"

    def narrowed(self, name: str, value: str | None) -> Query:
        """With one filter more, or another value of it; None: only calls for which it is not known."""
        plain = self.without(name).filters
        if value is None:
            return replace(self, filters=replace(plain, none=tuple(key for key in COLUMNS if key in {*plain.none, name})))
        values = {**dict(plain.values), name: value}
        return replace(self, filters=replace(plain, values=tuple((key, values[key]) for key in COLUMNS if key in values)))

    def without(self, name: str) -> Query:
        """With that filter taken off."""
        values = tuple(pair for pair in self.filters.values if pair[0] != name)
        return replace(self, filters=Filters(values, tuple(key for key in self.filters.none if key != name)))

    def within(self, name: str) -> Query:
        """With one of RANGES instead; its moments are set when the address is opened."""
        return replace(self, span=replace(self.span, name=name))


def parse(parameters: Mapping[str, Sequence[str]], now_ms: int) -> tuple[Query, tuple[Problem, ...]]:
    """The query of an address, and what in it was not understood. Empty values count as not given."""
    given = {name: kept for name, values in parameters.items() if (kept := [value for value in values if value])}
    problems = [
        Problem(_short(name), f"there is no such parameter; there are {', '.join((*COLUMNS, *OTHERS[:-1]))}")
        for name in given
        if name not in COLUMNS and name not in OTHERS
    ]
    one = {name: values[0] for name, values in given.items()}
    for name in (name for name in (*COLUMNS, *OTHERS) if name != "none" and len(given.get(name, ())) > 1):
        problems.append(Problem(name, f"it is given {len(given[name])} times; the first, {_quoted(one[name])}, counts"))
    span, ends = _span(one, now_ms, problems)
    if ends and "range" in one:
        text = f"{_quoted(one['range'])} and {' and '.join(name for name, _ in ends)} are two ranges; the latter counts"
        problems.append(Problem("range", text))
    filters = Filters(_values(one, problems), _absent(given, problems))
    return Query(span, filters, ends, live="nolive" not in parameters), tuple(problems)


def _span(one: Mapping[str, str], now_ms: int, problems: list[Problem]) -> tuple[Span, tuple[tuple[str, str], ...]]:
    ends = {name: moment for name in ("from", "to") if name in one and (moment := _moment(name, one[name], problems)) is not None}
    given = tuple((name, one[name]) for name in ends)
    if ends:
        to_ms = ends.get("to", now_ms)
        from_ms = ends.get("from", to_ms - RANGES[DEFAULT_RANGE] * 1000)
        if from_ms < to_ms:
            return _custom(from_ms, to_ms, "to" not in ends), given
        end = one.get("to", "now")
        problems.append(Problem("from", f"{_quoted(one['from'])} is not before {_quoted(end)}; the last {DEFAULT_RANGE} are shown"))
    name = one.get("range") or one.get("otherwise") or DEFAULT_RANGE
    if name not in RANGES:
        problems.append(Problem("range", f"{_quoted(name)} is none of {', '.join(RANGES)}; the last {DEFAULT_RANGE} are shown"))
        name = DEFAULT_RANGE
    return _latest(name, now_ms), ()


def _latest(name: str, now_ms: int) -> Span:
    """It begins and ends with a whole step: up to a step longer than its name says."""
    length_ms = RANGES[name] * 1000
    step_ms = _step_ms(length_ms)
    from_ms = now_ms - length_ms
    return Span(name, from_ms - from_ms % step_ms, now_ms - now_ms % step_ms + step_ms, step_ms, live=True)


def _custom(from_ms: int, to_ms: int, live: bool) -> Span:
    step_ms = _step_ms(to_ms - from_ms)
    return Span(None, from_ms, to_ms - to_ms % step_ms + step_ms if live else to_ms, step_ms, live)


def _step_ms(length_ms: int) -> int:
    """The shortest of STEPS_S, or of whole days, that cuts this into no more than MAX_STEPS."""
    least_s = length_ms / 1000 / MAX_STEPS
    return 1000 * next((step for step in STEPS_S if step >= least_s), DAY_S * -int(-least_s // DAY_S))


def _moment(name: str, text: str, problems: list[Problem]) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moment_ms = round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        moment_ms = -1
    if 0 <= moment_ms <= LAST_MS:
        return moment_ms
    problems.append(Problem(name, f"{_quoted(text)} is no time since 1970; write 2026-11-21 or 2026-11-21T10:00 (UTC). It is left out"))
    return None


def _values(one: Mapping[str, str], problems: list[Problem]) -> tuple[tuple[str, str], ...]:
    values = {name: one[name] for name in COLUMNS if name in one}
    if "status" in values and not _STATUS.fullmatch(values["status"]):
        problems.append(Problem("status", f"{_quoted(values.pop('status'))} is no HTTP status; write 429, 4xx or 5xx. It is left out"))
    if "outcome" in values and values["outcome"] not in OUTCOMES:
        problems.append(Problem("outcome", f"{_quoted(values.pop('outcome'))} is none of {', '.join(OUTCOMES)}. It is left out"))
    return tuple(values.items())


def _absent(given: Mapping[str, Sequence[str]], problems: list[Problem]) -> tuple[str, ...]:
    names = given.get("none", ())
    for name in names:
        if name not in COLUMNS:
            problems.append(Problem("none", f"{_quoted(name)} is none of {', '.join(COLUMNS)}. It is left out"))
        elif name in given:
            problems.append(
                Problem("none", f"{name} cannot be both unknown and {_quoted(given[name][0])}; both are asked for, so nothing fits")
            )
    return tuple(name for name in COLUMNS if name in names)


def _quoted(text: str) -> str:
    return f"“{_short(text)}”"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
