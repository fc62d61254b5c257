"""What scanning costs: `python -m tests.bench.redaction [--plain]`.

Prints, for each profile, milliseconds per megabyte of a prompt without secrets (code, docs, logs, JSON) and of hostile texts, warm, the
best of several rounds; then how long another thread had to wait for its turn while one thread scanned. `--plain`: without google-re2
and ahocorasick_rs.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from addons.core.redaction.ruleset import PROFILES
from addons.core.redaction.scanner import Scanner
from addons.rulefiles import read_rules

ROOT = Path(__file__).parent.parent.parent
MEGABYTE = 1_000_000
ROUNDS = 7
TARGET_MS = {"outgoing": 15, "stored": 30}
HOSTILE_TARGET_MS = 300

HOSTILE = {
    "a name, over and over": b"token=",
    "a name and a quote": b'token="',
    "a name and a colon": b"password: ",
    "an option": b"--token a1b2c3 ",
    "a token's beginning": b"sk-",
    "a token's beginning, apart": b" sk-aaaa",
    "a web token's middle": b"a.ey",
    "web tokens without end": b"eyJaaaaaaaaaaaa.",
    "a mark after its lead": b"8Q~",
    "URLs": b"://a:",
    "PEM headers": b"-----BEGIN PRIVATE KEY-----\n",
    "PEM blocks": b"-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAA",
    "Kubernetes": b"kind: Secret\ndata:\n a: ",
    "quotes": b"\"'`",
    "one letter": b"a",
}


def prompt() -> bytes:
    """Code, docs, logs and JSON, a quarter each."""
    rng = random.Random(1)
    code = b"".join(path.read_bytes() for path in sorted((ROOT / "addons").rglob("*.py")))
    docs = b"".join(path.read_bytes() for path in sorted(ROOT.glob("*.md")))
    logs = b"".join(
        b"2026-01-01 12:00:%02d INFO [worker-%d] request id=%s path=/v1/items/%d?page=%d status=200 token_count=%d\n"
        % (n % 60, n % 9, rng.randbytes(8).hex().encode(), n, n % 7, n % 4000)
        for n in range(2500)
    )
    entries = [{"id": n, "name": f"item {n}", "url": f"https://example.org/{n}", "key": f"k{n}", "tags": ["a", "b"]} for n in range(2500)]
    quarter = MEGABYTE // 4
    return b"".join((part * (quarter // len(part) + 1))[:quarter] for part in (code, docs, logs, json.dumps(entries).encode()))


def best_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Of some rounds the quickest, after one that warms up."""
    work()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1e3


def longest_wait_ms(work: Callable[[], object]) -> float:
    """How long this thread waited for its turn, at most, while another one worked."""
    thread = threading.Thread(target=work)
    thread.start()
    longest, last = 0.0, time.perf_counter()
    while thread.is_alive():
        time.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest * 1e3


def main() -> None:
    """Measure and print."""
    native = "--plain" not in sys.argv
    text = prompt()
    for profile in PROFILES:
        scanner = Scanner((rule for rule in read_rules(["builtin"]) if profile in rule.profiles), native=native)
        found = len(scanner.find(text))
        print(f"{profile:9} prompt{' ':30} {best_ms(partial(scanner.find, text)):7.1f} ms/MB (≤ {TARGET_MS[profile]}), {found} findings")
        for name, piece in HOSTILE.items():
            data = (piece * (MEGABYTE // len(piece) + 1))[:MEGABYTE]
            print(f"{profile:9} {name:36} {best_ms(partial(scanner.find, data), 2):7.1f} ms/MB (≤ {HOSTILE_TARGET_MS})")
        print(f"{profile:9} {'longest wait of another thread':36} {longest_wait_ms(partial(scanner.find, text)):7.1f} ms")


if __name__ == "__main__":
    main()
