"""What is printed: a table per group of cells, below it the ratios, at the end what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from scripts.benching.figures import Spread, ratios, spreads
from scripts.benching.report import Report
from scripts.benching.rounds import Result
from scripts.benching.targets import DIRECT, OURS

NONE = "-"
BUSY = 0.9
"""Of a core: from there on the load itself may be what is measured."""

Spreads = dict[str, Spread]


@dataclass(frozen=True, slots=True)
class Column:
    """`figures`: shown one after the other with ` / ` between them; with `spread` the least and the most behind the median."""

    title: str
    figures: tuple[str, ...]
    digits: int
    spread: bool = False

    def text(self, found: Spreads) -> str:
        shown = [found.get(name) for name in self.figures]
        if not any(shown):
            return NONE
        return " / ".join(self._one(spread) if spread else NONE for spread in shown)

    def _one(self, spread: Spread) -> str:
        text = number(spread.median, self.digits)
        several = self.spread and spread.count > 1
        return f"{text} ({number(spread.least, self.digits)}-{number(spread.most, self.digits)})" if several else text


def number(value: float, digits: int) -> str:
    """With so many digits after the point, fewer where there are enough before it."""
    return f"{value:.{max(0, digits - (abs(value) >= 10) - (abs(value) >= 100))}f}"


def _ranks(name: str, *ranks: str) -> tuple[str, ...]:
    return tuple(f"{name}_{rank}_ms" for rank in ranks)


ALL = ("p50", "p90", "p99", "max")
REQUESTS = Column("requests/s", ("requests_per_s",), 0, spread=True)
CHUNKS = Column("chunks/s", ("chunks_per_s",), 0, spread=True)
LATENCY = Column("latency ms p50", ("latency_p50_ms",), 2)
ADDED = Column("added latency ms p50 / p90 / p99 / max", _ranks("added_latency", *ALL), 2)
TTFT = Column("TTFT ms p50", ("ttft_p50_ms",), 2)
ADDED_TTFT = Column("added TTFT ms p50 / p90 / p99 / max", _ranks("added_ttft", *ALL), 2)
GAPS = Column("gaps ms p50 / p90 / p99 / max", _ranks("gap", *ALL), 2)
CPU = Column("CPU ms/call", ("cpu_ms_per_call",), 2)
MEMORY = Column("RSS, peak MB", ("rss_mb", "peak_rss_mb"), 0)
DRAINED = Column("written after s", ("drain_s",), 2)

DONE = (REQUESTS, CHUNKS, LATENCY, CPU, MEMORY, DRAINED)
TIMES = (ADDED, TTFT, ADDED_TTFT, GAPS)
RATIOS = (
    Column("requests/s", ("requests_per_s",), 2, spread=True),
    Column("chunks/s", ("chunks_per_s",), 2, spread=True),
    Column("CPU/call", ("cpu_ms_per_call",), 2, spread=True),
    Column("latency p50", ("latency_p50_ms",), 2, spread=True),
    Column("p99", ("latency_p99_ms",), 2, spread=True),
    Column("TTFT p50", ("ttft_p50_ms",), 2, spread=True),
)


def text(report: Report) -> str:
    """All of it."""
    parts = [_head(report)]
    for group, several in groupby(report.results, key=lambda result: result.cell.group):
        parts.append(_group(group, list(several)))
    parts += filter(None, ("\n".join(_errors(report)), "\n".join(_doubts(report))))
    return "\n\n".join(parts)


def _head(report: Report) -> str:
    machine, settings = report.machine, report.settings
    cores = "proxy and load on cores of their own" if settings["pinned"] else "nothing pinned"
    load = " → ".join(f"{value:.1f}" for value in report.load)
    length = f"{settings['requests']} requests" if settings["requests"] else f"{settings['duration_s']:g} s"
    where = f"{machine['cpu']}, {machine['cores']} cores ({cores}), load {load}"
    how = f"each {length} after {settings['warmup_s']:g} s of warm-up, {settings['rounds']} rounds in alternation; medians (least-most)."
    return (
        f"{where}; Python {machine['python']}, mitmproxy {machine['mitmproxy']}\n{how}\n"
        "Calls count until they are written; `added`: to what the same upstream takes when it is asked directly, in the same round."
    )


def _group(group: str, results: list[Result]) -> str:
    found = [(result, name, spreads(result.flat(name))) for result in results for name in result.rounds]
    parts = [group]
    for columns in (DONE, TIMES):
        rows = [[str(result.cell.concurrency), name, *(column.text(figures) for column in columns)] for result, name, figures in found]
        parts.append(_used(columns, "", [row for row in rows if set(row[2:]) != {NONE}]))
    if compared := _ratio_rows(results):
        parts.append(_used(RATIOS, "ratio", compared))
    return "\n".join(parts)


def _used(columns: Sequence[Column], second: str, rows: list[list[str]]) -> str:
    """A grid of the columns that have anything in them."""
    shown = [n for n in range(len(columns)) if any(row[n + 2] != NONE for row in rows)]
    return grid(["clients", second, *(columns[n].title for n in shown)], [row[:2] + [row[n + 2] for n in shown] for row in rows])


def _ratio_rows(results: list[Result]) -> list[list[str]]:
    rows = []
    for result in results:
        for ours in (name for name in OURS.values() if name in result.rounds):
            for theirs in (name for name in result.rounds if name not in {DIRECT, *OURS.values()}):
                found = ratios(result.flat(ours), result.flat(theirs))
                rows.append([str(result.cell.concurrency), f"{ours} : {theirs}", *(column.text(found) for column in RATIOS)])
    return rows


def _errors(report: Report) -> Iterator[str]:
    for result in report.results:
        for name, rounds in result.rounds.items():
            counted: Counter[str] = Counter()
            for one in rounds:
                counted.update(one["errors"])
            total = counted.total()
            sent = total + sum(one["requests"] for one in rounds)
            for kind, count in counted.most_common():
                yield f"ERRORS {name}: {count} of {sent} {kind} ({result.cell.name})"


def _doubts(report: Report) -> Iterator[str]:
    """Where what was measured may not be what was meant."""
    if not report.complete:
        yield "note: the run was broken off; this is what had been measured by then"
    for result in report.results:
        for name, rounds in result.rounds.items():
            shares = [(one["load_cpu_s"] + one.get("upstream_cpu_s", 0.0)) / one["elapsed_s"] for one in rounds if one["elapsed_s"]]
            if name != DIRECT and shares and max(shares) > BUSY:
                yield f"note: load and upstream took {max(shares):.0%} of a core beside {name} ({result.cell.name}): they may be the limit"


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns to the right, names to the left."""
    lines = [list(titles), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(titles))]
    return "\n".join(
        "  "
        + "  ".join(text.ljust(width) if n == 1 else text.rjust(width) for n, (text, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ).replace(" \n", "\n")
