"""What a scan gives: where the secrets are."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple


class Finding(NamedTuple):
    """A secret at `data[start:end]`, in bytes; `keep_tail` says whether its last characters may be shown."""

    start: int
    end: int
    rule: str
    keep_tail: bool = True


_by_start, _by_end = attrgetter("start"), attrgetter("end")


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted, with overlaps joined under the first one's name: no character of any of them is left over."""
    found_all = list(findings)
    if len(found_all) < 2:
        return found_all
    ordered = sorted(found_all, key=_by_end, reverse=True)
    ordered.sort(key=_by_start)
    joined: list[Finding] = []
    for found in ordered:
        if joined and found.start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Finding(last.start, max(last.end, found.end), last.rule, last.keep_tail and found.keep_tail)
        else:
            joined.append(found)
    return joined
