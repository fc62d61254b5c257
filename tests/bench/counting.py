"""What counting costs: microseconds per call on the event loop and in the writer's thread, and milliseconds per scrape of /metrics.

`python -m tests.bench.counting`: processor time, medians of many rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from addons.accesslog import access_line
from addons.core.call import AttemptRecord, CallRecord, SqlValue, StoredCall
from addons.core.tallies import Tallies
from addons.logfiles import LogFiles
from addons.metrics import exposition
from addons.storage.writer import Writer
from tests.rooms import Records, make_state, new_key

ROUNDS, TIMES = 30, 2000
UPSTREAMS, KEYS, MODELS = 8, 25, 200


def cpu_us(act: Callable[[], object], times: int = TIMES) -> float:
    """Of one."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            act()
        rounds.append(1e6 * (time.process_time() - start) / times)
    return statistics.median(rounds)


def stored(upstream: str, model: str) -> StoredCall:
    known: dict[str, SqlValue] = {
        "outcome": "ok",
        "tokens_source": "reported",
        "upstream": upstream,
        "model": model,
        "ttft_ms": 120.0,
        "duration_ms": 900.0,
    }
    return StoredCall(row={"ts_ms": 1_800_000_000_000, "input_tokens": 9, "output_tokens": 9, "cost_usd": 0.01, **known})


def main() -> None:
    record = CallRecord("id", 0, "POST", "h", "/", "openai.chat", upstream="up0", duration_ms=900.0)
    record.attempts = [AttemptRecord(1, "up0", "h")]
    tallies, logs, call = Tallies(), LogFiles(), stored("up0", "m")
    print(f"event loop, per call       {cpu_us(lambda: tallies.ended(record)):6.2f} µs")
    print(f"writer, counts per call    {cpu_us(lambda: tallies.stored(call)):6.2f} µs")
    print(f"writer, access line        {cpu_us(lambda: logs.put('access.jsonl', access_line(call))):6.2f} µs")
    with tempfile.TemporaryDirectory() as folder:
        env = {f"KEY{n}_{k}": new_key() for n in range(UPSTREAMS) for k in range(1, KEYS + 1)}
        upstreams = "\n".join(f"  up{n}: {{provider: openai, base_url: 'http://h{n}', keys: [{{env: KEY{n}*}}]}}" for n in range(UPSTREAMS))
        state = make_state(Path(folder), f"version: 1\nupstreams:\n{upstreams}\n", env)
    state.writer = cast(Writer, Records())
    for n in range(MODELS):
        record.upstream = record.attempts[0].upstream = f"up{n % UPSTREAMS}"
        state.tallies.ended(record)
        state.tallies.stored(stored(f"up{n % UPSTREAMS}", f"model-{n}"))
    size = len(exposition(state).splitlines())
    print(f"scrape, {UPSTREAMS * KEYS} keys, {MODELS} models, {size} lines: {cpu_us(lambda: exposition(state), 3) / 1000:.1f} ms")


if __name__ == "__main__":
    main()
