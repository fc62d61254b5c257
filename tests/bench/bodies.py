"""What looking through a request body costs: `python -m tests.bench.bodies`.

Prints milliseconds of processor time for about 1 MB, the best of many rounds: finding the strings alone (a scanner that finds nothing),
with the rules of both profiles, a second send of the same history with one new message; then the whole way of a body, masked for the
store and with placeholders on its way out: a second send of a history that holds a secret, and bodies made to be slow.
"""

from __future__ import annotations

import json
import random
import secrets
import string
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from addons.core.attempt import Request
from addons.core.redaction.bodies import BodyScanner, Finder
from addons.core.redaction.findings import Finding
from addons.core.redaction.known import Known
from addons.core.redaction.memory import Memory
from addons.core.redaction.outgoing import Policy, clean
from addons.core.redaction.placeholders import PlaceholderMap, PlaceholderMaps
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.scanner import Scanner
from addons.rulefiles import make_scanner

SIZE, ROUNDS = 1_000_000, 15
KEY = b"k" * 32
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


Typed = tuple[bytes, str | None]


def full_bodies() -> dict[str, Typed]:
    """Many events, many secrets, other encodings; the whole way of a body counts, not its scan alone."""
    rng = random.Random(3)

    def word(size: int) -> str:
        return "".join(rng.choices(string.ascii_letters + string.digits, k=size))

    tokens = [f"ghp_{word(36)}" for _ in range(SIZE // 42)]
    fields = json.dumps([{"password": word(12)} for _ in range(SIZE // 128)])
    stream = b"".join(b'data: {"delta":"%b"}\n\n' % word(6).encode() for _ in range(SIZE // 28))
    return {
        "an event stream": (b'event: x\ndata: {"delta":"a"}\n\n' * (SIZE // 30), "text/event-stream"),
        "an event stream, every other broken": (
            stream.replace(b'"}\n\nd', b"\n\nd")[: SIZE // 2] + stream[: SIZE // 2],
            "text/event-stream",
        ),
        "an event stream, each at its place": (b"".join(b'data: {"%d":"a"}\n\n' % n for n in range(SIZE // 22)), "text/event-stream"),
        "web tokens": (" ".join(f"eyJ{word(8)}.eyJ{word(8)}." for _ in range(SIZE // 25)).encode(), None),
        "web tokens, joined": ("".join(f"eyJ{word(8)}.eyJ{word(8)}." for _ in range(SIZE // 24)).encode(), None),
        "secrets in a text": (" ".join(tokens).encode(), None),
        "secrets in one string": (json.dumps({"content": "\n".join(tokens)}).encode(), "application/json"),
        "secrets in strings": (json.dumps(tokens).encode(), "application/json"),
        "passwords by name": (json.dumps([{"password": word(12)} for _ in range(SIZE // 32)]).encode(), "application/json"),
        "secrets in UTF-16": (fields.encode("utf-16"), "application/json"),
        "secrets in UTF-32": (fields.encode("utf-32"), "application/json"),
    }


def masked(profile_scanner: Scanner, body: Typed) -> None:
    """As it is stored."""
    Redactor((), profile_scanner, Memory()).body(*body, "response.body")


def swapped(finder: Finder, body: Typed) -> None:
    """As it is sent."""
    send(BodyScanner(finder, Memory()), body[0], PlaceholderMaps(KEY).map_for("client", "conversation", 0.0))


def send(scanner: BodyScanner, content: bytes, pairs: PlaceholderMap) -> None:
    request = Request("POST", "https", "example.org", 443, "/v1/chat/completions", ((b"Content-Type", b"application/json"),), content)
    clean(request, Policy("placeholder"), scanner, lambda: pairs)


def second_send_ms(finder: Finder, first: bytes, second: bytes) -> float:
    """The whole way of the second send alone."""
    times = []
    for _ in range(ROUNDS):
        scanner, pairs = BodyScanner(finder, Memory()), PlaceholderMaps(KEY).map_for("client", "conversation", 0.0)
        send(scanner, first, pairs)
        start = time.process_time()
        send(scanner, second, pairs)
        times.append(time.process_time() - start)
    return min(times) * 1000


def scan_fresh(finder: Finder, content: bytes) -> None:
    """With a memory that knows nothing yet."""
    BodyScanner(finder, Memory()).find(content, None, "request.body")


def best_ms(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds of the quickest round."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times) * 1000


def second_ms(finder: Finder, first: bytes, second: bytes) -> float:
    """Of the second send alone."""
    times = []
    for _ in range(ROUNDS):
        scanner = BodyScanner(finder, Memory())
        scanner.find(first, None, "request.body")
        start = time.process_time()
        scanner.find(second, None, "request.body")
        times.append(time.process_time() - start)
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

    secret_history = [*history[:5], {"role": "user", "content": f"my key is ghp_{secrets.token_hex(18)} and"}, *history[5:]]
    ahead = body([*secret_history, {"role": "user", "content": "And now a new message, please. " * 20}])
    print(f"\nsecond send, with a secret in the history: {second_send_ms(finders['outgoing'], body(secret_history), ahead):.2f} ms")
    print("\nwhole way, 1 MB                       stored ms    outgoing ms")
    scanner = make_scanner("stored")
    for name, full in full_bodies().items():
        print(
            f"{name:<36} {best_ms(partial(masked, scanner, full), 3):10.1f} {best_ms(partial(swapped, finders['outgoing'], full), 3):14.1f}"
        )


if __name__ == "__main__":
    main()
