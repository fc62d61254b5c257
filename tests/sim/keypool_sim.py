"""Twenty keys of 60 requests a minute under bursts of 200 calls, for ten simulated minutes: `python -m tests.sim.keypool_sim`.

Prints, for several limiters, arrivals and seeds, the share of calls that were served, the 429s provoked, the longest wait and how unevenly
the keys were used (the most used one against the mean), for the key pool and two others:

naive    round robin; after a 429 the next key at once, nothing is remembered
fixed    round robin; a key rests 5 s after each 429, whatever the answer names, and the next one is used
ours     `core/keypool.py`; a named wait of at most 10 s is waited for with the same key, else the next key

A call is given up after 5 attempts, or when it would wait for more than 30 s (DESIGN §3, §5). Nothing here knows the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from addons.core.keypool import KeyPool, Lease, PooledKey, Ticket
from tests.sim.provider import KEYS, STREAM_S, Call, Limiter, Simulation, SlidingWindow, TokenBucket

BURST, TOTAL_S = 200, 600.0
MAX_ATTEMPTS, NAMED_WAIT_S = 5, 10.0
ARRIVING_S = (0.0, 0.2)  # the calls of one burst


class Client:
    """What all three have in common."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def start(self, call: Call) -> None:
        raise NotImplementedError

    def refused(self, call: Call, retry_after_s: float) -> None:
        raise NotImplementedError

    def accepted(self, call: Call) -> None:
        self.simulation.after(self.simulation.some(STREAM_S), lambda: self.simulation.end(call, served=True))

    def again(self, call: Call) -> None:
        if call.attempts < MAX_ATTEMPTS:
            self.start(call)
        else:
            self.simulation.end(call, served=False)


class Naive(Client):
    """Knows whose turn it is, and nothing else."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.turn = 0

    def start(self, call: Call) -> None:
        self.turn = (self.turn + 1) % KEYS
        self.simulation.send(call, self.turn, self)

    def refused(self, call: Call, retry_after_s: float) -> None:
        self.again(call)


class Fixed(Naive):
    """Lets a key rest for 5 s."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.until = [0.0] * KEYS

    def start(self, call: Call) -> None:
        now = self.simulation.now
        wait = min(self.until) - now
        if wait <= 0:
            self.turn = next(key % KEYS for key in range(self.turn + 1, self.turn + 1 + KEYS) if self.until[key % KEYS] <= now)
            self.simulation.send(call, self.turn, self)
        elif wait > call.left_s:
            self.simulation.end(call, served=False)
        else:
            call.waited_s += wait
            self.simulation.after(wait, lambda: self.start(call))

    def refused(self, call: Call, retry_after_s: float) -> None:
        self.until[call.key] = self.simulation.now + 5
        self.again(call)


class Ours(Client):
    """The key pool, used as `core/tries.py` uses it."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.numbers = {PooledKey(f"key {number}", None, ""): number for number in range(KEYS)}
        self.pool = KeyPool(list(self.numbers), "balanced")
        self.pool.on_waiting = self._set_timer
        self.timer: float | None = None

    def start(self, call: Call) -> None:
        now = self.simulation.now
        if lease := self.pool.lease(now):
            self._send(call, lease)
        elif (self.pool.free_at(now, "") or now) - now > call.left_s:
            self.simulation.end(call, served=False)
        else:
            self.pool.enqueue(self._ticket(call), now)

    def refused(self, call: Call, retry_after_s: float) -> None:
        lease, now = leased(call), self.simulation.now
        wait = self.pool.cool(lease, now, retry_after_s) - now
        if wait <= min(NAMED_WAIT_S, call.left_s) and call.attempts < MAX_ATTEMPTS:
            self.pool.keep(self._ticket(call), lease, now)
        else:
            self.pool.release(lease, now)
            self.again(call)

    def accepted(self, call: Call) -> None:
        self.pool.succeeded(leased(call), self.simulation.now)
        self.simulation.after(self.simulation.some(STREAM_S), lambda: self._ended(call))

    def _ended(self, call: Call) -> None:
        self.pool.release(leased(call), self.simulation.now)
        self.simulation.end(call, served=True)

    def _ticket(self, call: Call) -> Ticket:
        since = self.simulation.now

        def granted(ticket: Ticket) -> None:
            call.waited_s += self.simulation.now - since
            if lease := ticket.take():
                self._send(call, lease)

        def given_up() -> None:
            if ticket.waits:
                ticket.cancel(self.simulation.now)
                call.waited_s += self.simulation.now - since
                self.simulation.end(call, served=False)

        ticket = Ticket("", None, granted)
        self.simulation.after(call.left_s, given_up)
        return ticket

    def _send(self, call: Call, lease: Lease) -> None:
        call.lease = lease
        self.simulation.send(call, self.numbers[lease.key], self)

    def _set_timer(self, pool: KeyPool) -> None:
        at, now = pool.next_event(self.simulation.now), self.simulation.now
        if at is not None and (self.timer is None or at < self.timer or self.timer <= now):
            self.timer = at
            self.simulation.after(at - now, self._serve)

    def _serve(self) -> None:
        self.pool.serve(self.simulation.now)


def leased(call: Call) -> Lease:
    """What it was sent with."""
    if call.lease is None:
        raise ValueError("not sent yet")
    return call.lease


@dataclass(frozen=True, slots=True)
class Bursts:
    """200 calls at once, every so many seconds, or at random with that mean."""

    every_s: float
    at_random: bool = False

    def __call__(self, simulation: Simulation, client: Client) -> None:
        at = 0.0
        while at < TOTAL_S:
            for _ in range(BURST):
                simulation.after(at + simulation.some(ARRIVING_S), partial(client.start, Call()))
            at += self.every_s * (simulation.random.expovariate(1) if self.at_random else 1)


def crowd(simulation: Simulation, client: Client) -> None:
    """200 clients that ask again some 5 s after each end."""

    def ask() -> None:
        if simulation.now < TOTAL_S:
            client.start(Call(done=lambda: simulation.after(simulation.some((2.5, 7.5)), ask)))

    for _ in range(BURST):
        simulation.after(simulation.some(ARRIVING_S), ask)


Arrivals = Callable[[Simulation, Client], None]

CLIENTS: Mapping[str, Callable[[Simulation], Client]] = {"naive": Naive, "fixed": Fixed, "ours": Ours}
LIMITERS: Mapping[str, Callable[[], Limiter]] = {
    "bucket of 60": lambda: TokenBucket(60),
    "bucket of 10": lambda: TokenBucket(10),
    "sliding window": SlidingWindow,
}
ARRIVALS: Mapping[str, Arrivals] = {
    "every 15 s": Bursts(15),
    "every 10 s": Bursts(10),  # exactly what twenty keys give
    "every 8 s": Bursts(8),
    "every 5 s": Bursts(5),
    "at random, 10 s": Bursts(10, at_random=True),
    "at random, 7 s": Bursts(7, at_random=True),
    "200 clients": crowd,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`share` of the calls that were served; `unevenness`: requests of the most used key by the mean."""

    calls: int
    share: float
    refusals: int
    longest_wait_s: float
    unevenness: float

    def __str__(self) -> str:
        return f"{self.share:6.1%} {self.refusals:6} 429s {self.longest_wait_s:5.1f} s {self.unevenness:5.2f}"


def simulate(client: str, limiter: str, arrivals: str, seed: int) -> Outcome:
    """Ten minutes, and until the last call has ended."""
    simulation = Simulation(LIMITERS[limiter], seed)
    ARRIVALS[arrivals](simulation, CLIENTS[client](simulation))
    simulation.run()
    calls = simulation.served + simulation.failed
    unevenness = max(simulation.requests) * KEYS / sum(simulation.requests)
    return Outcome(calls, simulation.served / calls, simulation.refusals, simulation.longest_wait_s, unevenness)


def main() -> None:
    """Everything, side by side."""
    columns = "".join(f" | {client:32}" for client in CLIENTS)
    print(f"{'limiter':14} {'bursts of 200':15} {'seed':4} {'calls':>6}{columns}")
    for limiter in LIMITERS:
        for arrivals in ARRIVALS:
            for seed in (1, 2, 3):
                outcomes = [simulate(client, limiter, arrivals, seed) for client in CLIENTS]
                print(f"{limiter:14} {arrivals:15} {seed:4} {outcomes[0].calls:6}", *outcomes, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
