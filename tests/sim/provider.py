"""A simulated provider that limits requests per key, and the clock that it runs by: discrete events, seeded."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from addons.core.keypool import Lease

KEYS, PER_MINUTE = 20, 60
DEADLINE_S = 30.0  # of a call's waits
REFUSAL_S, FIRST_BYTE_S, STREAM_S = (0.03, 0.15), (0.3, 1.5), (0.0, 4.0)  # how long these take, from … to


class Limiter(Protocol):
    """What a provider does with the requests of one key."""

    def take(self, now: float) -> float | None:
        """None: accepted. Else the seconds until one would be."""


class TokenBucket:
    """Refills evenly and holds `size` requests."""

    def __init__(self, size: int) -> None:
        self.size, self.tokens, self.at = size, float(size), 0.0

    def take(self, now: float) -> float | None:
        per_s = PER_MINUTE / 60
        self.tokens, self.at = min(self.size, self.tokens + (now - self.at) * per_s), now
        if self.tokens < 1 - 1e-9:
            return (1 - self.tokens) / per_s
        self.tokens -= 1
        return None


class SlidingWindow:
    """So many requests in any 60 s."""

    def __init__(self) -> None:
        self.accepted: deque[float] = deque()

    def take(self, now: float) -> float | None:
        while self.accepted and self.accepted[0] <= now - 60:
            self.accepted.popleft()
        if len(self.accepted) >= PER_MINUTE:
            return self.accepted[0] + 60 - now
        self.accepted.append(now)
        return None


@dataclass(slots=True, eq=False)
class Call:
    """`lease` is of the key pool; the others know a key by its number."""

    done: Callable[[], None] | None = None
    attempts: int = 0
    waited_s: float = 0.0
    key: int = -1
    lease: Lease | None = None

    @property
    def left_s(self) -> float:
        return DEADLINE_S - self.waited_s


class Client(Protocol):
    """Whoever sends; told of the end."""

    def accepted(self, call: Call) -> None: ...

    def refused(self, call: Call, retry_after_s: float) -> None: ...


class Simulation:
    """The clock, the provider, and what is counted."""

    def __init__(self, make_limiter: Callable[[], Limiter], seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.limiters = [make_limiter() for _ in range(KEYS)]
        self.requests = [0] * KEYS
        self.served = self.failed = self.refusals = 0
        self.longest_wait_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heappush(self._events, (self.now + seconds, next(self._order), event))

    def run(self) -> None:
        while self._events:
            self.now, _, event = heappop(self._events)
            event()

    def some(self, span: tuple[float, float]) -> float:
        return self.random.uniform(*span)

    def send(self, call: Call, key: int, client: Client) -> None:
        call.attempts += 1
        call.key = key
        self.requests[key] += 1
        wait = self.limiters[key].take(self.now)
        if wait is None:
            self.after(self.some(FIRST_BYTE_S), lambda: client.accepted(call))
        else:
            self.refusals += 1
            retry_after = float(max(1, math.ceil(wait)))
            self.after(self.some(REFUSAL_S), lambda: client.refused(call, retry_after))

    def end(self, call: Call, served: bool) -> None:
        self.served += served
        self.failed += not served
        self.longest_wait_s = max(self.longest_wait_s, call.waited_s)
        if call.done:
            call.done()
