"""What it costs to choose a key among 50 upstreams of 100 keys: `python -m tests.bench.choosing`.

Prints microseconds per choice, the median and the 99th percentile. A choice asks the upstreams in order, as `core/tries.py` does: for a
key, and where there is none why not, until one has a key. Between two choices things change, so that not all is answered from memory:
the key is given back, and a key that cools is refused again, for longer.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Mapping, Sequence

from addons.core.keypool import KeyPool, Lease, PooledKey
from addons.core.rotation import ROTATIONS

UPSTREAMS, KEYS, ROUNDS = 50, 100, 4000
MODEL, NOW, WAIT_S = "a-model", 1_000_000.0, 3600.0

CASES: Mapping[str, Sequence[int]] = {
    "all free": [0] * UPSTREAMS,
    "half cooling": [1] * (UPSTREAMS // 2) + [2] * (UPSTREAMS // 2),  # a choice passes over half the upstreams, then over half the keys
    "all cooling": [1] * UPSTREAMS,
}
"""Of each upstream, every which key cools (0: none)."""


def make_pool(rotation: str, every: int) -> tuple[KeyPool, Lease | None]:
    """A pool whose keys have all had a call, and the lease of one that cools."""
    pool = KeyPool([PooledKey(secrets.token_hex(16), None, "", max_concurrent=1) for _ in range(KEYS)], rotation)
    leases = [lease for _ in pool.keys if (lease := pool.lease(NOW, MODEL))]
    refused = leases[::every] if every else []
    for lease in leases:
        if lease in refused:
            pool.cool(lease, NOW, WAIT_S)
        else:
            pool.succeeded(lease, NOW)
        pool.release(lease, NOW)
    return pool, refused[0] if refused else None


def choose(pools: Sequence[KeyPool]) -> tuple[KeyPool, Lease] | None:
    """The first upstream that has a key; of the others, why not."""
    for pool in pools:
        if lease := pool.lease(NOW, MODEL):
            return pool, lease
        if pool.exhausted(NOW, MODEL):
            pool.free_at(NOW, MODEL)
    return None


def measure(rotation: str, case: Sequence[int]) -> tuple[float, float]:
    """Microseconds of a choice: median, 99th percentile."""
    made = [make_pool(rotation, every) for every in case]
    pools, times = [pool for pool, _ in made], []
    for number in range(ROUNDS):
        start = time.perf_counter()
        choice = choose(pools)
        times.append((time.perf_counter() - start) * 1e6)
        if choice:
            choice[0].succeeded(choice[1], NOW)
            choice[0].release(choice[1], NOW)
        pool, refused = made[number % UPSTREAMS]
        if refused:
            pool.cool(refused, NOW, WAIT_S + number)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def main() -> None:
    """All cases in all modes."""
    for name, case in CASES.items():
        for rotation in ROTATIONS:
            median, p99 = measure(rotation, case)
            print(f"{name:13} {rotation:12} {median:6.1f} µs, 99th percentile {p99:6.1f} µs")


if __name__ == "__main__":
    main()
