"""A run beside an older one: each figure, how much it has changed, and whether that is more than the rounds differ among themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.benching.figures import BETTER_HIGH, Spread, ratios, spreads
from scripts.benching.report import Report
from scripts.benching.rounds import Result
from scripts.benching.tables import grid
from scripts.benching.targets import DIRECT

SHOWN = (
    "requests_per_s",
    "chunks_per_s",
    "cpu_ms_per_call",
    "added_latency_p50_ms",
    "added_latency_p99_ms",
    "added_ttft_p50_ms",
    "gap_p99_ms",
    "peak_rss_mb",
)
RATIOS = ("requests_per_s", "chunks_per_s", "cpu_ms_per_call")
"""Compared also by what else was measured in both runs: that takes the machine out."""

WITHIN = "within the spread"


def text(old: Report, new: Report) -> str:
    """Changes against the older run, and in what the two differ beside."""
    head = [f"compared with the run of {old.made_at}", *(f"note: {line}" for line in differences(old, new))]
    parts = ["\n".join(head)]
    before = {result.cell: result for result in old.results}
    for result in new.results:
        if result.cell in before:
            rows = list(_rows(before[result.cell], result))
            parts.append(f"{result.cell.name}\n{grid(['', 'what', 'figure', 'before', 'now', 'change', ''], rows)}")
        else:
            parts.append(f"{result.cell.name}: not measured then")
    return "\n\n".join(parts)


def differences(old: Report, new: Report) -> Iterator[str]:
    """Settings and machines that are not the same, a line each."""
    for what, before, now in (("machine", old.machine, new.machine), ("setting", old.settings, new.settings)):
        for name in dict.fromkeys((*before, *now)):
            if before.get(name) != now.get(name):
                yield f"another {what}: {name} was {_short(before.get(name))}, is {_short(now.get(name))}"
    if old.load and new.load and abs(max(old.load) - max(new.load)) > max(1.0, new.machine.get("cores") or 1) / 2:
        yield f"the machine's load was {max(old.load):.1f}, is {max(new.load):.1f}: rather look at the ratios"


def _rows(old: Result, new: Result) -> Iterator[list[str]]:
    both = [name for name in new.rounds if name in old.rounds]
    for name in both:
        yield from _changes(name, SHOWN, spreads(old.flat(name)), spreads(new.flat(name)))
    for theirs in both:
        for ours in both[: both.index(theirs)]:
            if DIRECT not in {ours, theirs}:
                before, now = (ratios(one.flat(ours), one.flat(theirs)) for one in (old, new))
                yield from _changes(f"{ours} : {theirs}", RATIOS, before, now)


def _changes(what: str, names: tuple[str, ...], before: dict[str, Spread], now: dict[str, Spread]) -> Iterator[list[str]]:
    for name in names:
        if name in before and name in now:
            then, here = before[name], now[name]
            change = f"{(here.median - then.median) / abs(then.median):+.1%}" if then.median else "-"
            yield ["", what, name, _spread(then), _spread(here), change, verdict(name, then, here)]


def verdict(name: str, then: Spread, here: Spread) -> str:
    """Is it better? Only where the rounds of the two runs do not overlap, and there are several of each."""
    if min(then.count, here.count) < 2:
        return "one round only"
    if then.overlaps(here):
        return WITHIN
    return "better" if (here.median > then.median) == (name in BETTER_HIGH) else "worse"


def _spread(spread: Spread) -> str:
    return f"{spread.median:.4g} ({spread.least:.4g}-{spread.most:.4g})"


def _short(value: Any) -> str:
    return "not set" if value is None else f"{value}"
