"""Memory over many calls, and with many connections: `python -m tests.bench.memory [calls] [idle] [streams]` (one of them, or all).

    calls    how RSS grows over --calls short calls (100 000 take some minutes), a third of them streams
    idle     --idle kept connections that say nothing (each has made a call)
    streams  --streams slow streams at once, over plain HTTP

Prints megabytes; the issue's bound for the last two is 400 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.bench.load import Connection, chat, config, connections, keys, rss_mb, slope_per_minute
from tests.e2e.harness import Turnpike

AT_ONCE = 16
STREAM = "fake:chunks=100,delay=0.2"
BOUND_MB = 400


async def calls(turnpike: Turnpike, fake: FakeProvider, count: int) -> None:
    """RSS after each tenth; the slope leaves the first two out."""
    print(f"{count} calls, {AT_ONCE} at once: {rss_mb(turnpike.pid):.1f} MB before")
    points: list[tuple[float, float]] = []
    begun = time.monotonic()
    async with connections(turnpike.port, AT_ONCE) as made:
        for tenth in range(10):
            numbers = iter(range(tenth * count // 10, (tenth + 1) * count // 10))

            async def work(connection: Connection) -> None:
                for n in numbers:  # noqa: B023 - shared by the workers of this tenth, which end before the next
                    await connection.call(chat("gpt-4o-mini", f"call {n}", stream=n % 3 == 0))

            await asyncio.gather(*(work(connection) for connection in made))
            fake.clear()
            points.append((time.monotonic() - begun, rss_mb(turnpike.pid)))
            print(f"  {(tenth + 1) * count // 10:>8} calls  {points[-1][0]:6.0f} s  {points[-1][1]:6.1f} MB", flush=True)
    per_thousand = 1000 * (points[-1][1] - points[1][1]) / (0.8 * count)
    print(f"  slope {slope_per_minute(points[2:]):+.2f} MB/min, {per_thousand:+.3f} MB per 1 000 calls")


async def idle(turnpike: Turnpike, count: int) -> None:
    """Each connection has made one call."""
    before = rss_mb(turnpike.pid)
    async with connections(turnpike.port, count) as made:
        opened = rss_mb(turnpike.pid)
        for start in range(0, count, AT_ONCE):
            await asyncio.gather(*(connection.call(chat("gpt-4o-mini", "hello")) for connection in made[start : start + AT_ONCE]))
        after = rss_mb(turnpike.pid)
        print(f"{count} idle connections: {before:.1f} MB before, {opened:.1f} opened, {after:.1f} after a call each (bound {BOUND_MB})")


async def streams(turnpike: Turnpike, count: int) -> None:
    """All at once, read as they come; the highest RSS while they run."""
    before, peak = rss_mb(turnpike.pid), 0.0

    async def read(connection: Connection) -> int:
        status, headers = await connection.begin(chat(STREAM, "hello", stream=True))
        await connection.rest(headers)
        return status

    async with connections(turnpike.port, count) as made:
        running = asyncio.gather(*(read(connection) for connection in made))
        while not running.done():
            peak = max(peak, rss_mb(turnpike.pid))
            await asyncio.sleep(0.2)
        good = (await running).count(200)
    print(f"{count} slow streams at once: {before:.1f} MB before, {peak:.1f} at most (bound {BOUND_MB}); {good} came whole")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", help="calls, idle, streams; none: all")
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=500)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384) if hard > 0 else 16_384, hard))
    chosen = given.what or ["calls", "idle", "streams"]
    with running_fake_provider() as fake:
        for what in chosen:
            with (
                tempfile.TemporaryDirectory(prefix="turnpike-memory-") as folder,
                Turnpike(Path(folder), config(fake.url), env=keys(1)) as turnpike,
            ):
                if what == "calls":
                    asyncio.run(calls(turnpike, fake, given.calls))
                elif what == "idle":
                    asyncio.run(idle(turnpike, given.idle))
                else:
                    asyncio.run(streams(turnpike, given.streams))


if __name__ == "__main__":
    main()
