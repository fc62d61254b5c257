"""CPU seconds per call with one process and with several on the port, in alternation: `python -m tests.bench.workers [WORKERS] [CALLS]`.

The clock says little on a machine that others use too, and a client and a provider of Python are slower than two proxies; what a call
costs the proxies' processes (with the one that keeps them) is what counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import httpx

from scripts.fake_provider.server import running_fake_provider
from scripts.launch import program
from tests.e2e.harness import clean_environment, free_port, new_key, wait_for
from tests.scripts.run_process import RunProcess

CONNECTIONS = 16
WARM_UP = 100
ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")
CALL = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}


class Proxy:
    """A `turnpike run` with so many workers."""

    def __init__(self, process: RunProcess, url: str, workers: int) -> None:
        self.process, self.url, self.workers = process, url, workers

    def cpu_s(self) -> float:
        """Of all its processes, until now."""
        pids = [self.process.process.pid, *(self.process.children() if self.workers > 1 else [])]
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS

    def written(self) -> int:
        """Rows, of all workers."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("turnpike_rows_written_total"))

    def load(self, calls: int) -> tuple[float, float]:
        """CPU seconds per call, and calls per second; counted until all rows are written."""
        before, cpu, begun = self.written(), self.cpu_s(), time.perf_counter()
        asyncio.run(self._send(calls))
        seconds = time.perf_counter() - begun
        wait_for(lambda: self.written() - before >= calls, "all rows", 30)
        return (self.cpu_s() - cpu) / calls, calls / seconds

    async def _send(self, calls: int) -> None:
        async def connection(count: int) -> None:
            async with httpx.AsyncClient(timeout=60) as client:
                for _ in range(count):
                    (await client.post(f"{self.url}/proxy/one/v1/chat/completions", json=CALL)).raise_for_status()

        await asyncio.gather(*(connection(calls // CONNECTIONS) for _ in range(CONNECTIONS)))


@contextmanager
def proxy(folder: Path, upstream: str, workers: int) -> Iterator[Proxy]:
    """One that is up."""
    folder.mkdir()
    port, config = free_port(), folder / "turnpike.yml"
    document = {
        "version": 1,
        "proxy": {"port": port},
        "capture": {"database": str(folder / "turnpike.db")},
        "state": {"url": f"sqlite:{folder / 'state.db'}"},
        "upstreams": {"one": {"provider": "openai", "base_url": f"{upstream}/v1", "keys": [{"env": "K"}]}},
        "logs": {"level": "warning"},
    }
    config.write_text(json.dumps(document))
    url = f"http://127.0.0.1:{port}"
    command = [program("turnpike"), "run", "--config", str(config), "--workers", str(workers)]
    with RunProcess(folder, command, clean_environment() | {"K": new_key()}) as process:
        one = Proxy(process, url, workers)
        wait_for(lambda: answers(one), "the proxy", 60)
        yield one


def answers(one: Proxy) -> bool:
    try:
        ready = httpx.get(f"{one.url}/ready").json()
    except httpx.HTTPError:
        return False
    return one.workers == 1 or len(ready["worker"]["running"]) == one.workers


def main(workers: int = 2, calls: int = 800) -> None:
    """Print a line per round, and the ratio of the medians."""
    calls -= calls % CONNECTIONS
    found: dict[int, list[float]] = {1: [], workers: []}
    with ExitStack() as stack:
        fake, folder = stack.enter_context(running_fake_provider()), stack.enter_context(tempfile.TemporaryDirectory())
        both = [stack.enter_context(proxy(Path(folder, str(n)), fake.url, n)) for n in (1, workers)]
        for each in both:
            each.load(WARM_UP - WARM_UP % CONNECTIONS)
        for _ in range(ROUNDS):
            for each in both:
                cpu_s, rate = each.load(calls)
                found[each.workers].append(cpu_s)
                print(f"{each.workers} workers: {cpu_s * 1000:.2f} ms of CPU per call, {rate:.0f} calls/s", flush=True)
    print(f"CPU per call, {workers} workers to one: {median(found[workers]) / median(found[1]):.2f} (medians of {ROUNDS} rounds)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
