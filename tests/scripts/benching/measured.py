"""Measurements of two runs, made up, for whatever shows or compares them."""

from __future__ import annotations

from typing import Any

from scripts.benching.report import Report, settings_record
from scripts.benching.rounds import Result
from scripts.benching.shapes import Cell, Settings
from scripts.benching.targets import BARE, DIRECT, TURNPIKE

WHOLE = Cell("base", "whole", "kept", 1000, 32)
STREAM = Cell("connect", "stream", "new", 200_000, 1)


def one_round(rate: float, p50: float, *, stream: bool = False, errors: dict[str, int] | None = None) -> dict[str, Any]:
    """As `rounds.measure` gives it: `rate` requests per second, the median latency in milliseconds."""
    ranks = {"p50": p50, "p90": p50 * 2, "p99": p50 * 3, "max": p50 * 4}
    more = {"chunks": round(rate * 40), "chunks_per_s": rate * 40, "ttft_ms": ranks, "gap_ms": ranks} if stream else {"ttft_ms": None}
    return {
        "requests": round(rate),
        "requests_per_s": rate,
        "elapsed_s": 1.0,
        "drain_s": 0.0,
        "load_cpu_s": 0.1,
        "errors": errors or {},
        "latency_ms": ranks,
        "cpu_s": 0.9,
        "cpu_ms_per_call": 900 / rate,
        "rss_mb": 80.0,
        "peak_rss_mb": 90.0,
        **more,
    }


def report(speed: float = 1.0, errors: dict[str, int] | None = None) -> Report:
    """Two cells, three rounds each; turnpike does `speed` times 300, 330 and 360 requests per second, bare 200, 300 and 150."""
    results = []
    for cell in (WHOLE, STREAM):
        stream = cell.answers == "stream"
        rounds = {
            DIRECT: [one_round(3000, 1.0, stream=stream) for _ in range(3)],
            TURNPIKE: [one_round(rate * speed, 5.0 / speed, stream=stream) for rate in (300, 330)]
            + [one_round(360 * speed, 5.0 / speed, stream=stream, errors=errors)],
            BARE: [one_round(rate, 8.0, stream=stream) for rate in (200, 300, 150)],
        }
        results.append(Result(cell, rounds))
    machine = {"cpu": "a CPU", "cores": 2, "python": "3.13.0", "mitmproxy": "12.2.3"}
    return Report("2026-11-27T00:00:00+00:00", machine, settings_record(Settings()), results, [0.5, 1.0], complete=True)
