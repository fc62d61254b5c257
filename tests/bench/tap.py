"""What the Meter's tap costs the event loop per streamed chunk: `python -m tests.bench.tap`.

Prints microseconds per chunk: the median of many rounds, alternated with a callable that does nothing, which is what any
stream callable of mitmproxy costs. The rest (parsing, pricing, masking) is done in the writer's thread after the end.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from addons.config import Config
from addons.core.ask_usage import UsageFilter
from addons.core.call import CallRecord
from addons.exchange import Exchange
from addons.meter import Tap

CHUNK = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}\n\n'
CHUNKS, ROUNDS = 2000, 60


def tap(usage_filter: UsageFilter | None = None) -> Callable[[bytes], object]:
    """A new one, as each answer has it."""
    exchange = Exchange("call", CallRecord("id", 0, "POST", "h", "/", "openai.chat"), time.perf_counter(), "/", Config(), {})
    return Tap(exchange, exchange.record.response, 16 * 2**20, usage_filter=usage_filter)


MAKERS: dict[str, Callable[[], Callable[[bytes], object]]] = {
    "nothing": lambda: lambda data: data,
    "tap": tap,
    "tap that takes our usage out": lambda: tap(UsageFilter()),
}


def per_chunk_us(take: Callable[[bytes], object]) -> float:
    """Microseconds per chunk of one answer."""
    start = time.perf_counter()
    for _ in range(CHUNKS):
        take(CHUNK)
    return (time.perf_counter() - start) / CHUNKS * 1e6


def main() -> None:
    """Alternate, and print medians."""
    times: dict[str, list[float]] = {name: [] for name in MAKERS}
    for _ in range(ROUNDS):
        for name, make in MAKERS.items():
            times[name].append(per_chunk_us(make()))
    base = statistics.median(times["nothing"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:30} {median:6.2f} µs per chunk, {median - base:5.2f} µs more than nothing")


if __name__ == "__main__":
    main()
