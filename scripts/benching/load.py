"""The load, a process of its own: so many clients on one event loop, which note when they asked and what came when.

    python -m scripts.benching.load JOB            (shapes.Job as JSON)

It speaks in lines of JSON: `{"warm": true}` when the warm-up has ended, then waits for a line; `{"done": N}` twice a second;
`{"ended": N}` at the end, N calls answered well; and when it has counted `{"result": …}`, as `Tally.to_json` gives it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from scripts.benching.connections import Broken, Connection, Gaps, open_connection
from scripts.benching.figures import percentiles
from scripts.benching.prompts import PATHS, Prompts
from scripts.benching.schedule import Closed, Open, Schedule
from scripts.benching.shapes import Job

TELL_S = 0.5
RETRY_S = 0.05
"""After a failure, so that a target that refuses is not asked ten thousand times a second."""
SERIALS_APART = 10**6


@dataclass(slots=True)
class Tally:
    """Of one measurement. Seconds; only calls that came to a good end count in the times."""

    latency: array[float] = field(default_factory=lambda: array("d"))
    ttft: array[float] = field(default_factory=lambda: array("d"))
    gaps: Gaps = field(default_factory=Gaps)
    chunks: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def done(self) -> int:
        return len(self.latency) + self.errors.total()

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": len(self.latency),
            "chunks": self.chunks,
            "errors": dict(self.errors),
            "elapsed_s": self.elapsed_s,
            "load_cpu_s": self.cpu_s,
            "latency_ms": percentiles(self.latency),
            "ttft_ms": percentiles(self.ttft),
            "gap_ms": percentiles(self.gaps.seconds),
        }


class Load:
    """The clients of one measurement; their connections outlive the warm-up."""

    def __init__(self, job: Job) -> None:
        self.job = job
        cell = job.cell
        serials = time.time_ns() // 10**9 % SERIALS_APART * SERIALS_APART
        self._prompts = Prompts(job.kind, job.model, cell.answers == "stream", cell.prompt_bytes, serials)
        self._head = _head(job)
        self._kept = cell.connections == "kept"
        self._connections: dict[int, Connection] = {}
        self.tally = Tally()

    async def run(self, schedule: Schedule) -> Tally:
        """All clients until the schedule ends, and every call with it."""
        self.tally = tally = Tally()
        for connection in self._connections.values():
            connection.gaps = tally.gaps
        start, cpu_start = perf_counter(), time.process_time()
        watcher = asyncio.create_task(self._watch())
        async with asyncio.TaskGroup() as group:
            for client in range(self.job.cell.concurrency):
                group.create_task(self._client(client, schedule))
        watcher.cancel()
        tally.elapsed_s, tally.cpu_s = perf_counter() - start, time.process_time() - cpu_start
        return tally

    async def _client(self, client: int, schedule: Schedule) -> None:
        while (intended := schedule.next(perf_counter())) is not None:
            if (early := intended - perf_counter()) > 0:
                await asyncio.sleep(early)
            elif -early > self.job.timeout_s:
                self.tally.errors["not sent in time: the target does not follow the rate"] += 1
                continue
            try:
                await self._call(client, intended)
            except Broken as error:
                self.tally.errors[str(error)] += 1
                await asyncio.sleep(RETRY_S)

    async def _call(self, client: int, intended: float) -> None:
        body = self._prompts.next(client)
        connection = self._connections.get(client)
        if connection is None or not connection.usable:
            connection = await open_connection(self.job.door, self.tally.gaps, self.job.timeout_s)
            self._connections[client] = connection
        reply = await connection.ask(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
        if not self._kept:
            connection.close()
        if reply.status != 200:
            raise Broken(f"status {reply.status}")
        tally = self.tally
        tally.latency.append(reply.end - intended)
        tally.chunks += reply.events
        if reply.first is not None:
            tally.ttft.append(reply.first - intended)

    async def _watch(self) -> None:
        """Tells how far it is, and ends calls that take too long."""
        while True:
            await asyncio.sleep(TELL_S)
            tell({"done": self.tally.done})
            oldest = perf_counter() - self.job.timeout_s
            for connection in self._connections.values():
                if connection.started is not None and connection.started < oldest:
                    connection.give_up(f"no whole answer within {self.job.timeout_s:g} s")

    async def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        await asyncio.sleep(0)


def _head(job: Job) -> bytes:
    """All of a request up to the value of Content-Length."""
    door = job.door
    host = door.tunnel or f"{door.host}:{door.port}"
    fields = {"Host": host, "Content-Type": "application/json", "Authorization": "Bearer bench", **job.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {door.path}{PATHS[job.kind]} HTTP/1.1\r\n{lines}Content-Length: ".encode()


def tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


async def main(job: Job) -> None:
    load = Load(job)
    if job.warmup_s > 0:
        await load.run(Closed(perf_counter(), job.warmup_s))
    tell({"warm": True})
    await asyncio.to_thread(sys.stdin.readline)
    now, rate = perf_counter(), job.cell.rate
    schedule = Closed(now, job.duration_s, job.requests) if rate is None else Open(now, rate, job.duration_s, job.requests)
    tally = await load.run(schedule)
    tell({"ended": len(tally.latency)})
    tell({"result": tally.to_json()})
    await load.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(Job.from_json(sys.argv[1])))
