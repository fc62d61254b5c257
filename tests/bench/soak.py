"""Calls at a given rate for some minutes, a part of them with faults: `python -m tests.bench.soak --minutes 3 --rate 40`.

Prints how many calls clients were given an id for and how many rows there are (they must be equal), how late the event loop was, and how
the memory grew. What it finds wrong is its exit status. Faults are the fake provider's knobs: errors, limits, resets, cut streams,
slow answers; and clients that leave.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.bench.load import Connection, Series, chat, config, get, keys, lag_quantile, rss_mb, scrape, slope_per_minute
from tests.e2e.harness import Turnpike

FAULTS = (
    "fake:status=500",
    "fake:status=503",
    "fake:status=400",
    "fake:status=429,retry_after=1",
    "fake:reset",
    "fake:chunks=20,cut=7",
    "fake:chunks=20,fail_after=5",
    "fake:first_byte=2",
    "fake:chunks=40,delay=0.05",
    "fake:size=20000",
    "fake:gzip",
)
FAULT_SHARE, LEAVE_SHARE, STREAM_SHARE = 0.1, 0.02, 0.5
WORKERS, KEYS = 64, 12
SETTLE_S = 20.0  # and the slope is that of the second half: before, caches and tables fill
MAX_LAG_S, MAX_SLOPE_MB = 0.05, 1.0


class Soak:
    """One run."""

    def __init__(self, turnpike: Turnpike, fake: FakeProvider, rate: float, seed: int) -> None:
        self.turnpike, self.fake, self.rate = turnpike, fake, rate
        self.random = random.Random(seed)
        self.ids: list[str] = []
        self.ends: Counter[str] = Counter()
        self.memory: list[tuple[float, float]] = []
        self.late = 0

    async def run(self, seconds: float) -> None:
        """Open loop: calls begin when they are due, as long as a worker is free."""
        due: asyncio.Queue[None] = asyncio.Queue(WORKERS)
        workers = [asyncio.create_task(self._work(due)) for _ in range(WORKERS)]
        begun = time.monotonic()
        number = 0
        next_look = begun + SETTLE_S
        while (now := time.monotonic()) < begun + seconds:
            number += 1
            await asyncio.sleep(max(0.0, begun + number / self.rate - now))
            if due.full():
                self.late += 1
            else:
                due.put_nowait(None)
            if time.monotonic() >= next_look:
                next_look += 1.0
                self.memory.append((time.monotonic() - begun, rss_mb(self.turnpike.pid)))
                self.fake.clear()
        await due.join()
        for worker in workers:
            worker.cancel()

    async def _work(self, due: asyncio.Queue[None]) -> None:
        connection = Connection(self.turnpike.port)
        while True:
            await due.get()
            try:
                await self._call(connection)
            finally:
                due.task_done()

    async def _call(self, connection: Connection) -> None:
        choose = self.random
        model = choose.choice(FAULTS) if choose.random() < FAULT_SHARE else "gpt-4o-mini"
        body = chat(model, f"call {choose.random()} " + "word " * choose.randrange(400), stream=choose.random() < STREAM_SHARE)
        if choose.random() < LEAVE_SHARE:
            await self._leave(connection, body)
            return
        status, call_id = await connection.call(body)
        self.ends[str(status) if status else "broken"] += 1
        if call_id:
            self.ids.append(call_id)

    async def _leave(self, connection: Connection, body: bytes) -> None:
        """Once the answer has begun."""
        try:
            _, headers = await connection.begin(body)
            self.ids.append(headers["x-turnpike-call"])
        except (OSError, EOFError, KeyError):
            self.ends["broken"] += 1
        else:
            self.ends["left"] += 1
        await connection.close()


def settled(turnpike: Turnpike) -> Series:
    """Wait until nothing runs and nothing waits to be written."""
    deadline = time.monotonic() + 60
    while True:
        series = scrape(turnpike.proxy_url)
        if not get(series, "turnpike_calls_running") and not get(series, "turnpike_queue_bytes"):
            return series
        if time.monotonic() > deadline:
            raise SystemExit("calls still run, or wait to be written, after a minute")
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=40.0, help="calls per second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="turnpike-soak-") as folder, running_fake_provider() as fake:
        with Turnpike(Path(folder), config(fake.url), env=keys(KEYS)) as turnpike:
            before = scrape(turnpike.proxy_url)
            soak = Soak(turnpike, fake, given.rate, given.seed)
            asyncio.run(soak.run(given.minutes * 60))
            after = settled(turnpike)
            peak = rss_mb(turnpike.pid, "VmHWM")
        rows = {row["id"] for row in turnpike.query("select id from calls")}
        outcomes = turnpike.query("select outcome, count(*) as n from calls group by 1 order by 2 desc")
    missing = [call_id for call_id in soak.ids if call_id not in rows]
    lag, slope = lag_quantile(before, after, 0.99), slope_per_minute(soak.memory[len(soak.memory) // 2 :])
    cpu = get(after, "process_cpu_seconds_total") - get(before, "process_cpu_seconds_total")
    told = {row["outcome"]: row["n"] for row in outcomes}
    lags = [f"p{100 * share:g} ≤ {1000 * lag_quantile(before, after, share):g} ms" for share in (0.5, 0.99, 0.999)]
    print(f"calls      {sum(soak.ends.values())} in {given.minutes:g} min, {soak.late} not begun (all {WORKERS} clients busy)")
    print(f"ends       {dict(soak.ends.most_common())}")
    print(f"rows       {len(rows)}: {told}; {len(soak.ids)} ids told, {len(missing)} without a row")
    print(f"dropped    {get(after, 'turnpike_rows_dropped_total'):g} rows, {get(after, 'turnpike_bodies_dropped_total'):g} bodies")
    print(f"loop lag   {', '.join(lags)}")
    print(f"memory     {soak.memory[0][1]:.1f} → {soak.memory[-1][1]:.1f} MB, peak {peak:.1f}, slope {slope:+.2f} MB/min")
    print(f"processor  {cpu:.1f} s, {1000 * cpu / max(1, len(rows)):.2f} ms per call")
    # a connection that is reset before the headers tells its client no id: such calls have rows all the same
    lost = missing or len(rows) < len(soak.ids) or len(rows) != sum(soak.ends.values())
    return int(bool(lost) or lag > MAX_LAG_S or slope > MAX_SLOPE_MB)


if __name__ == "__main__":
    sys.exit(main())
