"""What placeholders cost the client: `python -m tests.bench.placeholders`.

TTFT of a streamed call whose prompt holds a secret, with outgoing redaction off and with placeholders, alternating in one run; and the
longest gap in a stream while prompts of 1 MB are cleaned beside it, against the same prompts to an upstream that sees everything.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from scripts.fake_provider.server import running_fake_provider
from tests.e2e.harness import Turnpike, new_key

CALLS = 150
LONG = 1_000_000
BESIDE = 12


def chat(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": text}]}


def ttft_ms(client: httpx.Client, url: str, text: str) -> float:
    begun = time.perf_counter()
    with client.stream("POST", url, json=chat(text)) as answer:
        for chunk in answer.iter_raw():
            if b"content" in chunk:
                return (time.perf_counter() - begun) * 1000
    raise RuntimeError("no content came")


def longest_gap_ms(base: str, beside: str) -> float:
    """Of a stream with a chunk every 5 ms, while long prompts are sent elsewhere."""
    done = threading.Event()
    long = "".join(f"line {n} of a log that says nothing of note, {n * 7919 % 10007}\n" for n in range(LONG // 60))

    def send() -> None:
        with httpx.Client(timeout=60) as client:
            for n in range(BESIDE):
                client.post(beside, json={**chat(f"{n} {long}"), "stream": False})
        done.set()

    gaps = []
    with httpx.Client(timeout=60) as client:
        headers = {"X-Fake-Chunks": "4000", "X-Fake-Delay": "0.005"}
        with client.stream("POST", f"{base}/off/v1/chat/completions", json=chat("hello"), headers=headers) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            threading.Thread(target=send, daemon=True).start()
            last = time.perf_counter()
            for _ in pieces:
                now = time.perf_counter()
                gaps.append((now - last) * 1000)
                last = now
                if done.is_set():
                    break
    return max(gaps)


def main() -> None:
    with running_fake_provider() as fake, tempfile.TemporaryDirectory() as folder:
        upstream = {"provider": "openai", "base_url": f"{fake.url}/v1"}
        upstreams = {"off": upstream | {"redaction": {"mode": "off"}}, "on": upstream}
        config = {"version": 1, "upstreams": upstreams, "redaction": {"outgoing": {"mode": "placeholder"}}}
        with Turnpike(Path(folder), config) as turnpike, httpx.Client(timeout=60) as client:
            base = turnpike.base_url
            text = f"please keep {new_key('sk-proj-')} for me. " + "Some more words. " * 200
            found: dict[str, list[float]] = {"off": [], "on": []}
            for n in range(CALLS):
                for name in ("off", "on") if n % 2 else ("on", "off"):
                    found[name].append(ttft_ms(client, f"{base}/{name}/v1/chat/completions", text))
            off, on = (statistics.median(found[name][20:]) for name in ("off", "on"))
            print(f"TTFT, median of {CALLS - 20}: off {off:.2f} ms, placeholders {on:.2f} ms, {on - off:+.2f} ms ({on / off:.3f} times)")
            for name in ("off", "on", "off", "on", "off", "on"):
                gap = longest_gap_ms(base, f"{base}/{name}/v1/chat/completions")
                print(f"longest gap in a stream beside {BESIDE} prompts of 1 MB, {name}: {gap:.1f} ms")


if __name__ == "__main__":
    main()
