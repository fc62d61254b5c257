"""Pools and leases for tests of the key pool."""

from __future__ import annotations

import secrets

from addons.core.keypool import KeyPool, Lease, PooledKey, Ticket


def make_key(label: str = "a", *, weight: float = 1.0, priority: int = 1, max_concurrent: int | None = None) -> PooledKey:
    value = secrets.token_hex(16)
    return PooledKey(value, value[-4:], label, weight, priority, max_concurrent)


def make_pool(labels: str, rotation: str = "sequential", *, max_concurrent: int | None = None) -> KeyPool:
    """A pool with a key for each letter."""
    return KeyPool([make_key(label, max_concurrent=max_concurrent) for label in labels], rotation)


def leased(pool: KeyPool, now: float, model: str = "m", affinity: str | None = None) -> Lease:
    """A lease, which must be there."""
    lease = pool.lease(now, model, affinity)
    assert lease
    return lease


def used(pool: KeyPool, now: float, times: int, model: str = "m") -> str:
    """The labels of the keys of that many calls, each ended before the next."""
    labels = ""
    for _ in range(times):
        lease = leased(pool, now, model)
        pool.succeeded(lease, now)
        pool.release(lease, now)
        labels += lease.key.label
    return labels


def free(pool: KeyPool, now: float, model: str = "m") -> str:
    """The labels of the calls that could start at once; they are all ended again."""
    leases: list[Lease] = []
    while len(leases) < 50 and (lease := pool.lease(now, model)):
        leases.append(lease)
    for lease in leases:
        pool.release(lease, now)
    return "".join(lease.key.label for lease in leases)


def waiting(pool: KeyPool, now: float, model: str = "m", affinity: str | None = None, log: list[Ticket] | None = None) -> Ticket:
    """A ticket in line; `log` gets it when it is granted."""
    ticket = Ticket(model, affinity, (log if log is not None else []).append)
    pool.enqueue(ticket, now)
    return ticket
