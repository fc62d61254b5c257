"""How quick the pages are on a large database while calls are written: `python -m tests.bench.browsing big.db`.

The database is one that `scripts/generate_captures.py` wrote, or a copy of it: calls are added to it. Pages are asked for from
`turnpike browse` as people start it; 50 calls a second are written meanwhile by the proxy's own writer, in a process of its own.
Prints medians in milliseconds, without and with writing, by the clock and of Datasette's processor time (what an idle machine would
need, where the file is in its memory), and percentiles of the time that one write (a transaction) took. Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx

from addons.core.call import CallRecord, StoredCall
from addons.storage.database import open_reader
from addons.storage.retention import Limits
from addons.storage.store import Store
from addons.storage.upkeep import Upkeep
from addons.storage.writer import Writer
from scripts.generating.traffic import Traffic

CALLS_PER_S = 50
ROUNDS = 7
BROWSE = (str(Path(sys.executable).parent / "turnpike"), "browse", "--port", "0")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def pages(call_id: str, conversation_id: str) -> dict[str, str]:
    """What is measured, and the target in the issue where there is one (milliseconds)."""
    return {
        "dashboard (500)": "/-/llm",
        "dashboard, 90 days": "/-/llm?range=90d",
        "traffic, its three facets (600)": "/turnpike/traffic",
        "traffic, three facets more": "/turnpike/traffic?_facet=client&_facet=status&_facet=api",
        "traffic, filtered by model": "/turnpike/traffic?model=gpt-4o-mini",
        "traffic, model, outcome, upstream": "/turnpike/traffic?model=gpt-4o-mini&outcome=error&upstream=openai",
        "traffic, filtered by nothing there": "/turnpike/traffic?client=nobody",
        "call page (200)": f"/-/llm/call/{call_id}",
        "row page": f"/turnpike/calls/{call_id}",
        "conversation": f"/-/llm/conversation/{conversation_id}",
        "conversation, the longest": "/-/llm/conversation/{longest}",
        "call page, last of the longest": "/-/llm/call/{last}",
        "search, a word everywhere (500)": "/turnpike/search?q=the",
        "search, two common words (500)": "/turnpike/search?q=the+which",
        "search, a rare word (500)": "/turnpike/search?q={rare}",
    }


Times = tuple[float, float, int]
"""Of one transaction: milliseconds by the clock, milliseconds of processor time (what an idle machine would need), calls in it."""


class TimedStore(Store):
    """Notes how long each transaction of calls took."""

    taken: list[Times] = []  # noqa: RUF012 # one store per process

    def write(self, calls: Sequence[StoredCall]) -> None:
        begun, busy = time.perf_counter(), time.thread_time()
        super().write(calls)
        if calls:
            self.taken.append(((time.perf_counter() - begun) * 1000, (time.thread_time() - busy) * 1000, len(calls)))


def write(path: Path, seed: int, stop: Event, results: Queue[list[Times]], keep_days: float | None) -> None:
    """50 calls a second through the writer until told to stop; the times of its transactions."""
    made = _calls(seed)
    ready: dict[str, StoredCall] = {}
    upkeep = Upkeep(path, lambda: Limits(keep_days, None))
    upkeep.due_at = time.monotonic() + (1 if keep_days else 3600)
    writer = Writer(path, lambda record: ready.pop(record.id), open_store=TimedStore, upkeep=upkeep)
    writer.start()
    due = time.monotonic()
    while not stop.is_set():
        call = next(made)
        record = CallRecord(str(call.row["id"]), 0, "POST", "h", "/", "openai.chat")
        ready[record.id] = call
        writer.put(record)
        due += 1 / CALLS_PER_S
        time.sleep(max(0.0, due - time.monotonic()))
    writer.stop()
    results.put(TimedStore.taken)


def _calls(seed: int) -> Iterator[StoredCall]:
    traffic = Traffic(seed=seed, calls=250_000, body_bytes=10**10, days=1, until_ms=time.time_ns() // 1_000_000)
    for number in count():
        yield from traffic.conversation(number, 250_000)


@contextmanager
def writing(path: Path, keep_days: float | None) -> Iterator[list[Times]]:
    """While inside, calls are written; the list is filled on leaving."""
    stop = multiprocessing.Event()
    results: Queue[list[Times]] = multiprocessing.Queue()
    process = multiprocessing.Process(target=write, args=(path, time.time_ns(), stop, results, keep_days))
    process.start()
    taken: list[Times] = []
    try:
        time.sleep(3)
        yield taken
    finally:
        stop.set()
        taken += results.get(timeout=60)
        process.join()


@contextmanager
def browsing(path: Path) -> Iterator[tuple[str, int]]:
    """`turnpike browse`: its address and its process."""
    process = subprocess.Popen([*BROWSE, "--database", str(path)], stdout=subprocess.PIPE, text=True, env={"PYTHONUNBUFFERED": "1"})
    try:
        if process.stdout is None:
            raise RuntimeError("no output")
        line = process.stdout.readline()
        if not (found := re.search(r"http://[^/\s]+", line)):
            raise RuntimeError(f"no address in {line!r}")
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait()


def processor_ms(pid: int) -> float:
    """What a process has used so far."""
    used = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) * 1000 / TICKS_PER_S


def measure(client: httpx.Client, path: str, pid: int) -> str:
    """The median of some rounds in milliseconds, or the status where it is not 200."""
    taken = []
    for number in range(ROUNDS + 2):
        if number == 2:
            busy = processor_ms(pid)
        begun = time.perf_counter()
        answer = client.get(path)
        taken.append((time.perf_counter() - begun) * 1000)
        if answer.status_code != 200:
            return f"({answer.status_code})"
    return f"{statistics.median(taken[2:]):.0f}, CPU {(processor_ms(pid) - busy) / ROUNDS:.0f} (first {taken[0]:.0f})"


def known(path: Path) -> dict[str, Any]:
    """A call in the middle, its conversation, a word that few texts have, and how much there is."""
    with closing(open_reader(path)) as connection:
        middle = (
            "SELECT id, conversation_id FROM calls WHERE ts_ms >= (SELECT (min(ts_ms) + max(ts_ms)) / 2 FROM calls) ORDER BY ts_ms LIMIT 1"
        )
        call_id, conversation_id = connection.execute(middle).fetchone()
        [text] = connection.execute("SELECT text FROM parts WHERE id >= (SELECT max(id) / 2 FROM parts) AND text > '' LIMIT 1").fetchone()
        many = "SELECT conversation_id, max(id) FROM calls GROUP BY conversation_id ORDER BY count(*) DESC LIMIT 1"
        longest, last = connection.execute(many).fetchone()
        [calls] = connection.execute("SELECT count(*) FROM calls").fetchone()
    rare = max(text.split(), key=len).strip(".").lower()
    return {"call_id": call_id, "conversation_id": conversation_id, "longest": longest, "last": last, "rare": rare, "calls": calls}


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path)
    parser.add_argument("--prune-days", type=float, help="also prune while writing, calls stored before so many days")
    parser.add_argument("--only", default="", help="only pages whose name holds this")
    options = parser.parse_args()
    facts = known(options.database)
    paths = {name: path.format(**facts) for name, path in pages(facts["call_id"], facts["conversation_id"]).items() if options.only in name}
    print(f"{facts['calls']} calls, {options.database.stat().st_size / 1e9:.1f} GB")
    with browsing(options.database) as (url, pid), httpx.Client(base_url=url, timeout=60) as client:
        idle = {name: measure(client, path, pid) for name, path in paths.items()}
        with writing(options.database, options.prune_days) as taken:
            busy = {name: measure(client, path, pid) for name, path in paths.items()}
            time.sleep(10)
    print(f"{'':34} {'idle, ms':>30} {'while writing, ms':>30}")
    for name in paths:
        print(f"{name:34} {idle[name]:>30} {busy[name]:>30}")
    for name, values in {
        "clock": [wall for wall, _, _ in taken],
        "processor": [busy for _, busy, _ in taken],
        "processor per call": [busy / calls for _, busy, calls in taken],
        "clock per call": [wall / calls for wall, _, calls in taken],
    }.items():
        found = ", ".join(f"p{share * 100:.0f} {percentile(values, share):.1f} ms" for share in (0.5, 0.9, 0.99))
        print(f"{len(taken)} transactions, {name}: {found}, max {max(values):.1f} ms")


if __name__ == "__main__":
    main()
