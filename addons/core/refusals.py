"""What a refusal says beyond its status, in plain values: its words, its sentence, the time that a limit is for, and what it is on.

Words are what is meant for machines: `type`, `code`, `status`, `reason` … wherever a provider puts them. The sentence is the error's
message without its addresses, since `…/settings/billing` and `…/quotaincrease` stand in plain rate limits too.

Sources: the providers' API references, google.rpc.QuotaFailure and ErrorInfo, Anthropic's headers as Claude Code reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from addons.core.jsonvalues import label, obj, objects, text
from addons.core.waits import MAX_SAID_CHARACTERS

WHOLE_KEY = "*"
STREAM = None
"""What stands for the status of an error event inside a stream."""

SUBSCRIPTION_SPENT = "subscription-spent"
"""A word of ours, for what Anthropic says in headers only."""

Window = Literal["short", "long"]
"""The time that a limit is for: up to an hour, or a day and more (which makes it a quota)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was said: `words` in lower case, `message` without addresses, `group` as in `Failure`."""

    status: int | None
    words: frozenset[str]
    message: str
    window: Window | None = None
    group: str | None = None


_ADDRESS = re.compile(r"\bhttps?://\S+")


def plain(message: str) -> str:
    """The beginning of a message, without addresses."""
    return _ADDRESS.sub("", message[:MAX_SAID_CHARACTERS])


def read_refusal(status: int, headers: Sequence[tuple[str, str]], value: Any, message: str) -> Refusal:
    """From an answer: header names in lower case, the error body as JSON, and its message."""
    said = f"{plain(message)} {plain(text(value, 'error', 'metadata', 'raw') or '')}".strip()  # `raw`: what OpenRouter was told
    unified = _rejected_windows(headers)
    group = _quota_group(value)
    if unified:
        group = WHOLE_KEY if not unified.isdisjoint(_SHARED) or unified == {""} else None
    words = frozenset([*_spoken(value, headers), *([SUBSCRIPTION_SPENT] if unified else [])])
    return Refusal(status, words, said, window_of(_quota_names(value)) or window_of([said]), group)


def _spoken(value: Any, headers: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Every machine-readable word, AWS's without what stands around them (`ns#Name`, `Name:http://…`)."""
    error = obj(value, "error")
    places = (obj(value), obj(value, "detail"), error, obj(error, "details"), *objects(error, "details"), *objects(error, "errors"))
    found = [label(place, key) for place in places for key in ("type", "code", "status", "reason", "error_type", "error_code", "__type")]
    found += [told for name, told in headers if name == "x-amzn-errortype"]
    yield from (word.rpartition("#")[2].partition(":")[0].strip().lower() for word in found if word)


_WINDOW = re.compile(
    r"(?:per|/|every)[ _-]?(?:\d{1,3} )?(?P<unit>second|sec\b|minute|min\b|hour|day|week|month)"
    r"|\b(?P<adverb>hourly|daily|weekly|monthly)\b",
    re.IGNORECASE,
)
_LONG = frozenset({"day", "week", "month", "daily", "weekly", "monthly"})


def window_of(texts: Iterable[str]) -> Window | None:
    """The longest of those that each text names first (what follows is often an offer)."""
    named = [match[match.lastgroup or 0].lower() for match in map(_WINDOW.search, texts) if match]
    if not named:
        return None
    return "short" if _LONG.isdisjoint(named) else "long"


def _quota_names(value: Any) -> Iterator[str]:
    """Google's names of the limits that were hit: `GenerateRequestsPerDayPerProjectPerModel-FreeTier`."""
    for detail in objects(value, "error", "details"):
        names = [text(violation, "quotaId") for violation in objects(detail, "violations")]
        yield from filter(None, [*names, text(detail, "metadata", "quota_limit")])


def _quota_group(value: Any) -> str | None:
    """Whether Google's limits are of a model, or one of them is of all together."""
    for detail in objects(value, "error", "details"):
        for violation in objects(detail, "violations"):
            quota = (text(violation, "quotaId") or "permodel").lower()
            if "model" not in quota and not any("model" in name for name in obj(violation, "quotaDimensions")):
                return WHOLE_KEY
    return None


_UNIFIED = re.compile(r"anthropic-ratelimit-unified-(?:(?P<window>\w+)-)?status")
_SHARED = frozenset({"5h", "7d"})  # others are of some models only


def _rejected_windows(headers: Sequence[tuple[str, str]]) -> frozenset[str]:
    """The windows of an Anthropic subscription that are used up; "" for that it is as a whole."""
    told = [(match["window"] or "", status) for name, status in headers if (match := _UNIFIED.fullmatch(name))]
    return frozenset(window for window, status in told if status.strip() == "rejected" and window != "overage")
