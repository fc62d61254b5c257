"""What a scan gives: where the secrets are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret at `data[start:end]`, in bytes; `keep_tail` says whether its last characters may be shown."""

    start: int
    end: int
    rule: str
    keep_tail: bool = True


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted, with overlaps joined under the first one's name: no character of any of them is left over."""
    joined: list[Finding] = []
    for found in sorted(findings, key=lambda f: (f.start, -f.end)):
        if joined and found.start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Finding(last.start, max(last.end, found.end), last.rule, last.keep_tail and found.keep_tail)
        else:
            joined.append(found)
    return joined
