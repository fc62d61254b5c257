"""A run as one SVG: for each group of cells, bars of what was done per second and of what was added, per number of clients and target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from scripts.benching.figures import Spread, spreads
from scripts.benching.report import Report
from scripts.benching.rounds import Result
from scripts.benching.targets import DIRECT

WIDTH, PANEL_HEIGHT, GAP, MARGIN = 460, 240, 40, 56
BAR, BETWEEN, TITLE = 36, 30, 30
COLORS = ("#1f6f8b", "#d1495b", "#edae49", "#66a182", "#7b5ea7", "#8d6b4f", "#4a4e69")
"""Told apart by people who see red and green alike too."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of a group: a figure, its title and unit."""

    figure: str
    title: str


WHOLE = (
    Panel("requests_per_s", "requests/s"),
    Panel("added_latency_p50_ms", "added latency p50, ms"),
    Panel("cpu_ms_per_call", "CPU ms per call"),
)
STREAMED = (
    Panel("chunks_per_s", "chunks/s"),
    Panel("added_ttft_p50_ms", "added TTFT p50, ms"),
    Panel("cpu_ms_per_call", "CPU ms per call"),
)


def svg(report: Report) -> str:
    """The picture; whiskers show the least and the most of the rounds."""
    names = list(dict.fromkeys(name for result in report.results for name in result.rounds if name != DIRECT))
    groups = [(title, list(several)) for title, several in groupby(report.results, key=lambda result: result.cell.group)]
    height = MARGIN + TITLE + len(groups) * (PANEL_HEIGHT + GAP + TITLE)
    width = 3 * WIDTH + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12" role="img">',
        f"<title>turnpike bench, {escape(report.made_at)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_legend(names),
    ]
    top = MARGIN + TITLE
    for title, results in groups:
        parts.append(f'<text x="{MARGIN}" y="{top}" font-size="15" font-weight="bold">{escape(title)}</text>')
        panels = STREAMED if results[0].cell.answers == "stream" else WHOLE
        for n, panel in enumerate(panels):
            parts += _panel(panel, results, names, MARGIN + n * WIDTH, top + TITLE)
        top += PANEL_HEIGHT + GAP + TITLE
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(names: Sequence[str]) -> list[str]:
    parts = []
    x = float(MARGIN)
    for n, name in enumerate(names):
        parts.append(f'<rect x="{x}" y="20" width="12" height="12" fill="{COLORS[n % len(COLORS)]}"/>')
        parts.append(f'<text x="{x + 18}" y="30">{escape(name)}</text>')
        x += 40 + 7.5 * len(name)
    return parts


def _panel(panel: Panel, results: Sequence[Result], names: Sequence[str], left: float, top: float) -> list[str]:
    bars = [(result, name, spreads(result.flat(name)).get(panel.figure)) for result in results for name in names if name in result.rounds]
    highest = nice(max([spread.most for _, _, spread in bars if spread], default=0.0))
    bottom, tall = top + PANEL_HEIGHT - 30, PANEL_HEIGHT - 60
    room = WIDTH - MARGIN - 20
    step = min(BAR, (room - BETWEEN * len(results)) / max(1, len(bars)))
    parts = [f'<text x="{left}" y="{top + 8}">{escape(panel.title)}</text>', *_scale(highest, left, bottom, tall, room)]
    x = left + BETWEEN / 2
    for result in results:
        begun = x
        for owner, name, spread in bars:
            if owner is not result:
                continue
            if spread is not None:
                color = COLORS[names.index(name) % len(COLORS)]
                parts += _bar(spread, x=x, width=step, bottom=bottom, scale=tall / highest, color=color, name=name)
            x += step
        middle, count = (begun + x) / 2, result.cell.concurrency
        clients = f"{count} client{'s' if count > 1 else ''}"
        parts.append(f'<text x="{middle:.1f}" y="{bottom + 16}" text-anchor="middle">{clients}</text>')
        x += BETWEEN
    return parts


def _scale(highest: float, left: float, bottom: float, tall: float, room: float) -> list[str]:
    parts = []
    for n in range(5):
        y = bottom - tall * n / 4
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + room}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#666" font-size="10">{highest * n / 4:g}</text>')
    return parts


def _bar(spread: Spread, *, x: float, width: float, bottom: float, scale: float, color: str, name: str) -> list[str]:
    """A negative one (less was added than nothing, within the noise) has no height."""
    height, high, low = (max(0.0, value) * scale for value in (spread.median, spread.most, spread.least))
    middle = x + width / 2
    label = f"{escape(name)}: {spread.median:.4g} ({spread.least:.4g}-{spread.most:.4g})"
    place = f'x="{x:.1f}" y="{bottom - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}"'
    return [
        f'<rect {place} fill="{color}"><title>{label}</title></rect>',
        f'<line x1="{middle:.1f}" y1="{bottom - high:.1f}" x2="{middle:.1f}" y2="{bottom - low:.1f}" stroke="#222"/>',
    ]


def nice(value: float) -> float:
    """The end of a scale whose quarters are round, not below the value; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value * 0.999999)
