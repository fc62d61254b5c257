"""What looking through a request body costs: `python -m tests.bench.bodies`.

Prints milliseconds for about 1 MB, the best of many rounds: finding the strings alone (a scanner that finds nothing), with the rules of
both profiles, a second send of the same history with one new message, and bodies made to be slow.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from addons.core.redaction.bodies import BodyScanner, Finder
from addons.core.redaction.findings import Finding
from addons.core.redaction.known import Known
from addons.core.redaction.memory import Memory
from addons.rulefiles import make_scanner

SIZE, ROUNDS = 1_000_000, 15
PROFILES = ("outgoing", "stored")


class Nothing:
    """Finds nothing."""

    def find(self, data: bytes, cut: bool = False) -> Sequence[Finding]:
        return ()

    def find_shapes(self, data: bytes) -> Sequence[Finding]:
        return ()

    def find_exact(self, data: bytes) -> Sequence[Finding]:
        return ()


def messages(size: int) -> list[dict[str, Any]]:
    """As an agent's history is: code as tool arguments and results, text between."""
    rng = random.Random(1)
    sources = [path.read_text(errors="ignore") for path in sorted(Path(json.__file__).parent.parent.glob("*.py"))]
    made: list[dict[str, Any]] = []
    total = 0
    while total < size:
        source = rng.choice(sources)
        at = rng.randrange(max(1, len(source) - 4000))
        text = source[at : at + rng.choice([300, 1000, 4000, 12000])]
        call = "toolu_" + secrets.token_hex(12)
        made.append({"role": "user", "content": [{"type": "text", "text": text}]})
        made.append(
            {"role": "assistant", "content": [{"type": "tool_use", "id": call, "name": "Edit", "input": {"path": "/a.py", "text": text}}]}
        )
        made.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": "done"}]})
        total += 2 * len(text)
    return made


def body(history: Sequence[Any]) -> bytes:
    return json.dumps({"model": "m", "messages": history, "stream": True}, separators=(",", ":"), ensure_ascii=False).encode()


def slow_bodies() -> dict[str, bytes]:
    """What costs most, or would if it were not bounded."""
    nested = '"a"'
    while len(nested) < SIZE // 2:
        nested = json.dumps([nested])
    return {
        "many short strings": b"[" + b",".join([b'"a"'] * (SIZE // 4)) + b"]",
        "many keys": b"[" + b",".join([b'{"password":"abc"}'] * (SIZE // 19)) + b"]",
        "escapes only": b'["' + b"\\u0041" * (SIZE // 6) + b'"]',
        "backslashes and quotes": b'["' + b'\\\\\\"' * (SIZE // 4) + b'"]',
        "a string without an end": b'["' + b'\\" ' * (SIZE // 3),
        "quotes": b'{"' * (SIZE // 2),
        "deep": b"[" * SIZE,
        "JSON in strings": nested.encode(),
        "numbers": b"[" + b",".join([b"0.0123456"] * (SIZE // 10)) + b"]",
        "broken UTF-8": b'["' + b"\xff\\n" * (SIZE // 3) + b'"]',
        "an event stream": b'event: x\ndata: {"delta":"a"}\n\n' * (SIZE // 30),
    }


def scan_fresh(finder: Finder, content: bytes) -> None:
    """With a memory that knows nothing yet."""
    BodyScanner(finder, Memory()).find(content, None, "request.body")


def best_ms(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds of the quickest round."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def second_ms(finder: Finder, first: bytes, second: bytes) -> float:
    """Of the second send alone."""
    times = []
    for _ in range(ROUNDS):
        scanner = BodyScanner(finder, Memory())
        scanner.find(first, None, "request.body")
        start = time.perf_counter()
        scanner.find(second, None, "request.body")
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def main() -> None:
    """Print a table."""
    history = messages(SIZE)
    first = body(history)
    second = body([*history, {"role": "user", "content": "And now a new message, please. " * 20}])
    finders: dict[str, Finder] = {"strings alone": Nothing()}
    finders |= {profile: Known([secrets.token_hex(20) for _ in range(3)], make_scanner(profile)) for profile in PROFILES}
    print(f"{len(first) / 1e6:.2f} MB, {len(history)} messages       first ms   second ms")
    for name, finder in finders.items():
        fresh_ms = best_ms(partial(scan_fresh, finder, first))
        print(f"{name:<34} {fresh_ms:9.2f} {second_ms(finder, first, second):11.2f}")
    print("\nmade to be slow, 1 MB               strings      stored ms")
    for name, slow in slow_bodies().items():
        figures = [best_ms(partial(scan_fresh, finders[f], slow), 3) for f in ("strings alone", "stored")]
        print(f"{name:<34} {figures[0]:9.1f} {figures[1]:11.1f}")


if __name__ == "__main__":
    main()
