"""What the benches of memory and of long runs share: a light client, and how the proxy's process stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.harness import new_key

MB = 1024 * 1024

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def chat(model: str, prompt: str, *, stream: bool = False) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], "stream": stream}).encode()


class Connection:
    """A kept HTTP/1 connection to the proxy's base URL; opened anew after whatever has broken it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=256 * 1024)

    async def close(self) -> None:
        if self._writer:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        self._reader = self._writer = None

    async def begin(self, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
        """Send a call; status and headers (names in lower case) of its answer."""
        if self._writer is None:
            await self.open()
        assert self._writer and self._reader
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"POST /proxy/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, _, value in pairs}

    async def rest(self, headers: dict[str, str]) -> int:
        """The body of the answer; its length."""
        assert self._reader
        if "content-length" in headers:
            return len(await self._reader.readexactly(int(headers["content-length"])))
        size = 0
        while length := int(await self._reader.readline(), 16):
            await self._reader.readexactly(length + 2)
            size += length
        await self._reader.readline()
        return size

    async def call(self, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str | None]:
        """A whole call: status (0 where the connection broke) and its id, if it was told."""
        call_id = None
        try:
            status, answer = await self.begin(body, headers)
            call_id = answer.get("x-turnpike-call")
            await self.rest(answer)
        except (OSError, EOFError, ValueError):
            await self.close()
            return 0, call_id
        if answer.get("connection", "").lower() == "close":
            await self.close()
        return status, call_id


@asynccontextmanager
async def connections(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """So many, open."""
    made = [Connection(port) for _ in range(count)]
    for start in range(0, count, 50):  # the listener's backlog is 100
        await asyncio.gather(*(connection.open() for connection in made[start : start + 50]))
    try:
        yield made
    finally:
        await asyncio.gather(*(connection.close() for connection in made))


def rss_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process now (VmHWM: the most that it had)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def scrape(url: str) -> Series:
    """All of /metrics: (name, labels) → value."""
    text = httpx.get(f"{url}/metrics", timeout=30).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def get(series: Series, name: str, **labels: str) -> float:
    return series.get((name, frozenset(labels.items())), 0.0)


def lag_quantile(before: Series, after: Series, quantile: float) -> float:
    """Seconds: the smallest bound that so many of the event loop's beats have kept between two scrapes."""
    name = "turnpike_event_loop_lag_seconds_bucket"
    counts = {dict(labels)["le"]: value - before.get((found, labels), 0.0) for (found, labels), value in after.items() if found == name}
    total = counts["+Inf"]
    bounds = sorted((bound for bound in counts if bound != "+Inf"), key=float)
    return next((float(bound) for bound in bounds if counts[bound] >= quantile * total), float("inf"))


def slope_per_minute(points: list[tuple[float, float]]) -> float:
    """Of (seconds, value): the least squares' slope, per minute."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 60 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def keys(count: int) -> dict[str, str]:
    """Variables for that many keys: of one alone, a single limit would hold up all calls."""
    return {f"BENCH_KEY_{n}": new_key() for n in range(1, count + 1)}


def config(url: str, **more: Any) -> dict[str, Any]:
    """One upstream, the provider's."""
    return {"version": 1, "upstreams": {"openai": {"base_url": f"{url}/v1", "default": True, "keys": [{"env": "BENCH_KEY*"}]}}, **more}
