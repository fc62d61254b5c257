"""How long a provider asks to be left alone, read from headers and error bodies: pure, the clock passed in as Unix seconds.

`named_wait` asks these sources in turn and takes the first that says something sensible, the most deliberate word first:

1. `retry-after-ms` (OpenAI, Azure), which is finer than
2. `Retry-After` (RFC 9110 §10.2.3: seconds, here also with a fraction, or an HTTP date)
3. fields of the error body: Google's `RetryInfo.retryDelay` and `quotaResetDelay`, Codex's `resets_in_seconds`, …
4. sentences: "Please try again in 1m30s", "You will regain access on 2026-04-01 at 00:00 UTC"
5. `x-ratelimit-reset-*` and its kin. They come with every answer and tell when a limit is whole again, which may be long
   after the next call would pass, so they come last, and only those of what is used up.

What makes no sense (negative, past, over MAX_WAIT_S, NaN, no number) is no hint, and the next source is asked. Nothing here raises.
A moment (a date, a Unix time) is measured from the answer's own `Date`, if that makes sense, so that a wrong clock here does no harm.

Sources: RFC 9110, RFC 3339, google.rpc.RetryInfo and ErrorInfo; the rate limit pages of OpenAI, Anthropic, Azure, Groq, Mistral,
OpenRouter and Cerebras.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from addons.core.jsonvalues import obj, objects

Pairs = Sequence[tuple[str, str]]
"""Header pairs with lower-case names."""

MAX_WAIT_S = 31 * 86_400.0
"""The longest that is believed: a monthly quota's."""

MAX_SAID_CHARACTERS = 4000
"""As much of a message is searched: more than any provider says, and quickly done also where something else answers with a page."""

FIRST_EPOCH_S, FIRST_EPOCH_MS, LAST_EPOCH_MS = 1e9, 1e12, 1e13  # a bare number may be a Unix time, from 2001 to 2286

RETRY_HEADERS_S: Mapping[str, float] = {"retry-after-ms": 0.001, "x-ms-retry-after-ms": 0.001, "retry-after": 1.0}
"""In the order of trust; the value times this is seconds."""

BODY_FIELDS_S: Mapping[str, float] = {
    "retryDelay": 1.0,  # google.rpc.RetryInfo
    "quotaResetDelay": 1.0,  # Google's Code Assist
    "retry_after_ms": 0.001,
    "retry_after": 1.0,
    "retry_after_seconds": 1.0,
    "resets_in_seconds": 1.0,  # Codex with a subscription
    "resets_at": 1.0,
}

UNITS_S: Mapping[str, float] = {
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
    **dict.fromkeys(("us", "µs", "μs", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("week", "weeks"), 604_800.0),
}

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_PIECE = rf"(?:{_NUMBER})\s?(?:{'|'.join(sorted(UNITS_S, key=len, reverse=True))})(?![a-zµμ])"
_DURATION = rf"{_PIECE}(?:[\s,]{{0,2}}(?:and\s)?{_PIECE}){{0,5}}|[0-9]{{1,3}}:[0-9]{{2}}:[0-9]{{2}}(?:\.[0-9]{{1,9}})?"
_ANY_CASE = re.ASCII | re.IGNORECASE  # without ASCII, `s` would also stand for the long s, which is no unit
_ONE_NUMBER = re.compile(_NUMBER)
_ONE_PIECE = re.compile(rf"({_NUMBER})\s?([a-zµμ]{{1,12}})", _ANY_CASE)
_ONE_DURATION = re.compile(_DURATION, _ANY_CASE)
_HTTP_DATE = re.compile(r"[A-Za-z]{3,9},? [A-Za-z0-9 -]{5,20} [0-9]{1,2}:[0-9]{2}:[0-9]{2}[A-Za-z0-9 +-]{0,12}")
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}[0-9:.]{0,18}(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?")

_SAID = (
    r"\b(?:try\sagain|retry(?:ing)?|wait|replenished|resets?|available|regain access)"
    r"(?:\s(?:later|again|your request|the request))?:?\s"
)
_IN_TEXT = re.compile(rf"{_SAID}(?:(?:in|after|for|within)\s)?(?:about\s|approximately\s|~)?(?P<wait>{_DURATION})", _ANY_CASE)
_AT_TEXT = re.compile(
    rf"{_SAID}(?:on|at|after)\s(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:(?:\sat\s|T|\s)(?P<time>[0-9]{{2}}:[0-9]{{2}}))?", _ANY_CASE
)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit as a provider's headers tell it: of requests, of tokens a minute … `wait_s` is the time until it is whole again; a
    provider that refills continuously (OpenAI, Anthropic, Groq) takes the next call earlier than that. None: not told."""

    dimension: str
    limit: float | None = None
    left: float | None = None
    wait_s: float | None = None

    @property
    def spent(self) -> bool:
        """Is nothing of it left?"""
        return self.left is not None and self.left <= 0

    @property
    def share_left(self) -> float:
        """From 0 (spent) to 1; 1 where that is not told."""
        return 1.0 if self.left is None or not self.limit else self.left / self.limit


def named_wait(headers: Pairs, value: Any, message: str, now: float | None) -> float | None:
    """Seconds by the sources 1 to 4: `value` is the error body as JSON, `message` its text. Without a clock moments are not read."""
    clocks = _clocks(headers, now)
    for name, unit_s in RETRY_HEADERS_S.items():
        for told in (text for header, text in headers if header == name):
            if (wait := _wait(told, clocks, unit_s)) is not None:
                return wait
    for place in _places(value):
        for name, unit_s in BODY_FIELDS_S.items():
            if (wait := _wait(place.get(name), clocks, unit_s)) is not None:
                return wait
    return _in_text(message, clocks)


def reset_wait(limits: Iterable[Limit], spent_only: bool) -> float | None:
    """Seconds by source 5, from what `limits_in` gave: until the last of the spent limits is whole again.

    Where none is spent (`spent_only` is false): those of which it is not told what is left, else the one nearest to its end.
    """
    told = [limit for limit in limits if limit.wait_s is not None]
    found = [limit for limit in told if limit.spent]
    if not found and not spent_only:
        found = [limit for limit in told if limit.left is None] or sorted(told, key=lambda limit: limit.share_left)[:1]
    return max((limit.wait_s for limit in found if limit.wait_s is not None), default=None)


_LIMIT_HEADER = re.compile(r"(?:x-|anthropic-)?rate-?limit(?P<rest>[a-z0-9_-]{1,60})")
_MARKS = frozenset({"limit", "remaining", "reset", "status"})
_FILLERS = frozenset({"", "after", "at"})


def limits_in(headers: Pairs, now: float) -> list[Limit]:
    """All limits that headers tell of. One of 0 is none: that is how a provider says that it does not limit this. Nor is Anthropic's
    `overage` one, which says whether a subscription may be exceeded."""
    clocks = _clocks(headers, now)
    told: dict[str, dict[str, str]] = {}
    for name, text in headers:
        if match := _LIMIT_HEADER.fullmatch(name):
            words = match["rest"].split("-")
            if mark := next((word for word in words if word in _MARKS), None):
                told.setdefault("-".join(word for word in words if word not in _MARKS | _FILLERS), {})[mark] = text
    limits = [_limit(dimension, marks, clocks) for dimension, marks in told.items()]
    return [limit for limit in limits if limit.limit != 0 and "overage" not in limit.dimension]


def _limit(dimension: str, marks: Mapping[str, str], clocks: Sequence[float]) -> Limit:
    left = _number(marks.get("remaining", ""))
    if left is None and "status" in marks:  # Anthropic's subscriptions tell no number
        left = 0.0 if marks["status"].strip() == "rejected" else 1.0
    return Limit(dimension, _number(marks.get("limit", "")), left, _wait(marks.get("reset"), clocks))


def _places(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of an error body that may hold a wait."""
    error = obj(value, "error")
    for detail in objects(error, "details"):
        yield from (detail, obj(detail, "metadata"))
    yield from (error, obj(error, "metadata"), obj(value, "detail"), obj(value))


def _clocks(headers: Pairs, now: float | None) -> tuple[float, ...]:
    """From when moments are counted: the answer's own Date, then our time."""
    if now is None:
        return ()
    date = next((text for name, text in headers if name == "date"), None)
    own = None if date is None else _moment(date.strip())
    return (now,) if own is None else (own, now)


def _wait(told: Any, clocks: Sequence[float], unit_s: float = 1.0) -> float | None:
    """Seconds from a number, a duration, or a moment."""
    if not isinstance(told, str | int | float):
        return None
    text = str(told).strip()
    number = _number(text)
    if number is None and _ONE_DURATION.fullmatch(text):
        return _believed(_duration(text))
    if number is not None and number < FIRST_EPOCH_S:
        return _believed(number * unit_s)
    moment = _moment(text) if number is None else _epoch(number)
    waits = (_believed(moment - clock) for clock in clocks if moment is not None)
    return next((wait for wait in waits if wait is not None), None)


def _in_text(message: str, clocks: Sequence[float]) -> float | None:
    message = message[:MAX_SAID_CHARACTERS]
    if match := _IN_TEXT.search(message):
        return _believed(_duration(match["wait"]))
    if match := _AT_TEXT.search(message):
        return _wait(f"{match['day']}T{match['time'] or '00:00'}Z", clocks)
    return None


def _believed(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= MAX_WAIT_S else None


def _number(text: str) -> float | None:
    """Plain digits, with a fraction if need be: no sign, exponent, or NaN."""
    stripped = text.strip()
    return float(stripped) if _ONE_NUMBER.fullmatch(stripped) else None


def _duration(text: str) -> float:
    """Seconds of `1h2m3.5s`, `20ms`, `1 minute, 30 seconds`, `00:12:34`."""
    if ":" in text:
        hours, minutes, seconds = map(float, text.split(":"))
        return hours * 3600 + minutes * 60 + seconds
    return sum(float(number) * UNITS_S[unit.lower()] for number, unit in _ONE_PIECE.findall(text))


def _epoch(number: float) -> float | None:
    """A Unix time that was given in seconds or milliseconds, in seconds."""
    if FIRST_EPOCH_MS <= number < LAST_EPOCH_MS:
        return number / 1000
    return number if FIRST_EPOCH_S <= number < LAST_EPOCH_MS / 1000 else None


def _moment(text: str) -> float | None:
    """Unix seconds of an HTTP date or an RFC 3339 time."""
    try:
        if _RFC_3339.fullmatch(text):
            found = datetime.fromisoformat(text.upper())
        elif _HTTP_DATE.fullmatch(text):
            found = parsedate_to_datetime(text)
        else:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # a day, hour or offset that does not exist: no date
        return None
