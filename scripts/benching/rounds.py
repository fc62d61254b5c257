"""The run: each cell, some rounds, in each round every target in turn, from the first to the last and back again."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

import click

from scripts.benching import processes
from scripts.benching.figures import MS, Round, flat
from scripts.benching.shapes import Cell, Job, Settings
from scripts.benching.targets import DIRECT, Target
from scripts.supervisor import end_with_parent

DRAIN_S = 60.0
ROWS_S = 3.0
"""After the queue is empty: rows that are not there then will not come."""
POLL_S = 0.02
LIMIT = 2**20  # bytes of one line that the load tells
MB = 1e6
_QUEUED = re.compile(r"^turnpike_queue_(?:rows|bytes)(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
NOT_DRAINED = "rows still in the queue after 60 s"
ROWS_MISSING = "calls without a row in the database"

Told = Callable[[str], None]
"""Called with what is being done."""


@dataclass(slots=True)
class Result:
    """Of one cell: target → its rounds, in their order."""

    cell: Cell
    rounds: dict[str, list[Round]] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        return sum(sum(one["errors"].values()) for rounds in self.rounds.values() for one in rounds)

    def flat(self, target: str) -> list[dict[str, float]]:
        """All figures of each round, with what was added to the direct way."""
        direct = self.rounds.get(DIRECT, [])
        rounds = self.rounds[target]
        return [flat(one, direct[n] if target != DIRECT and n < len(direct) else None) for n, one in enumerate(rounds)]


async def run_all(settings: Settings, targets: list[Target], results: list[Result], tell: Told) -> None:
    """Fill `results`, the upstream being the first of the targets; what is there when it is broken off is of whole rounds."""
    total = settings.rounds * sum(target.takes(cell) for cell in settings.cells for target in targets)
    at, begun = 0, perf_counter()
    for cell in settings.cells:
        result = Result(cell)
        for number in range(settings.rounds):
            measured: dict[str, Round] = {}
            for target in _in_turn([target for target in targets if target.takes(cell)], number):
                left = f", {_minutes((perf_counter() - begun) / at * (total - at))} left" if at else ""
                label = f"[{at + 1}/{total}{left}] {target.name}, {cell.short}:"
                measured[target.name] = await measure(settings, cell, target, targets[0], partial(_tell_more, tell, label))
                at += 1
            for target in targets:
                if target.name in measured:
                    result.rounds.setdefault(target.name, []).append(measured[target.name])
            if number == 0:
                results.append(result)


def _in_turn(targets: list[Target], number: int) -> list[Target]:
    """A B C, then C B A: what drifts on the machine does not always meet the same one."""
    return targets if number % 2 == 0 else targets[::-1]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _tell_more(tell: Told, label: str, text: str) -> None:
    tell(f"{label} {text}")


async def measure(settings: Settings, cell: Cell, target: Target, upstream: Target, tell: Told) -> Round:
    """One measurement, until what was recorded is written. Raises ClickException where the load itself fails."""
    duration, requests = settings.duration_s, settings.requests
    door = target.doors[cell.way]
    job = Job(cell, door, settings.kind, settings.model, duration, requests, settings.warmup_s, settings.timeout_s, target.headers)
    async with _loading(job) as load:
        tell("warm-up")
        await _line(load, "warm", tell)
        await drain(target, None)
        if target.pid is not None:
            processes.reset_peak(target.pid)
        before, rows, served = _usage(target), count_rows(target), _usage(upstream)
        await _go(load)
        answered: int = await _line(load, "ended", tell)
        missing, drain_s = await drain(target, None if rows is None else rows + answered)
        after, served_after = _usage(target), _usage(upstream)
        result: Round = await _line(load, "result", tell)
    result["errors"] |= missing
    result["drain_s"] = drain_s
    elapsed = result["elapsed_s"] + drain_s
    result["requests_per_s"] = result["requests"] / elapsed
    if cell.answers == "stream":
        result["chunks_per_s"] = result["chunks"] / elapsed
    if served and served_after:
        result["upstream_cpu_s"] = served_after.cpu_s - served.cpu_s
    if before and after:
        result["cpu_s"] = after.cpu_s - before.cpu_s
        result["cpu_ms_per_call"] = result["cpu_s"] * MS / result["requests"] if result["requests"] else None
        result["rss_mb"], result["peak_rss_mb"] = after.rss_bytes / MB, after.peak_bytes / MB
    return result


def _usage(target: Target) -> processes.Usage | None:
    return processes.usage(target.pid) if target.pid is not None else None


@asynccontextmanager
async def _loading(job: Job) -> AsyncIterator[Process]:
    """The process that makes the load; none is left."""
    arguments = [sys.executable, "-P", "-m", "scripts.benching.load", job.to_json()]
    load = await asyncio.create_subprocess_exec(
        *arguments, stdin=PIPE, stdout=PIPE, limit=LIMIT, process_group=0, preexec_fn=end_with_parent
    )
    try:
        yield load
    finally:
        if load.returncode is None:
            with suppress(ProcessLookupError):
                load.kill()  # it has told all that it has to tell
        await load.wait()


async def _line(load: Process, name: str, tell: Told) -> Any:
    """What it tells under that name."""
    if load.stdout is None:
        raise TypeError("the load has no stdout")
    done, since = 0, perf_counter()
    async for line in load.stdout:
        message = json.loads(line)
        if name in message:
            return message[name]
        now = perf_counter()
        tell(f"{'warm-up' if name == 'warm' else 'measured'}, {(message['done'] - done) / (now - since):.0f} requests/s")
        done, since = message["done"], now
    raise click.ClickException("the process that makes the load has ended by itself")


async def _go(load: Process) -> None:
    if load.stdin is None:
        raise TypeError("the load has no stdin")
    load.stdin.write(b"\n")
    await load.stdin.drain()


async def drain(target: Target, rows: int | None) -> tuple[dict[str, int], float]:
    """Wait until a Turnpike has written all that it has recorded: what is wrong then (kind → calls), and seconds that it took.

    `rows`: how many the database must hold by then.
    """
    if target.metrics is None:
        return {}, 0.0
    begun = perf_counter()
    empty_since: float | None = None
    while True:
        queued = await asyncio.to_thread(read_queue, target)
        now = perf_counter()
        there = count_rows(target) if queued == 0 else None
        if queued == 0 and (rows is None or there is None or there >= rows):
            return {}, now - begun
        empty_since = (empty_since or now) if queued == 0 else None
        if rows is not None and there is not None and empty_since is not None and now - empty_since > ROWS_S:
            return {ROWS_MISSING: rows - there}, empty_since - begun
        if now - begun > DRAIN_S:
            return {NOT_DRAINED: 1}, now - begun
        await asyncio.sleep(POLL_S)


def read_queue(target: Target) -> float | None:
    """Rows and bytes that wait, added up (0: none), of /metrics; None where it cannot be read."""
    if target.metrics is None:
        return 0.0
    with closing(http.client.HTTPConnection(target.metrics.host, target.metrics.port, timeout=5)) as connection:
        try:
            connection.request("GET", "/metrics")
            found = _QUEUED.findall(connection.getresponse().read().decode())
        except (OSError, http.client.HTTPException):
            return None
    return sum(map(float, found)) if found else None


def count_rows(target: Target) -> int | None:
    """Of the table `calls`; nothing is ever taken away from this one, so that the last number is the count."""
    if target.database is None:
        return None
    try:
        with closing(sqlite3.connect(f"{target.database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return int(connection.execute("select coalesce(max(rowid), 0) from calls").fetchone()[0])
    except sqlite3.Error:
        return None
