"""How upstreams and their keys stand, as it outlives a restart and as other processes see it: between the pools and breakers of `core/` and
the state."""

from __future__ import annotations

from collections.abc import Mapping

from addons.core.breaker import Breaker, BreakerRecord
from addons.core.keypool import KeyCooldown, KeyPool
from addons.storage.staterows import News, Saved, SavedBreaker, SavedCooldown


def saved_of(pools: Mapping[str, KeyPool], breakers: Mapping[str, Breaker], now: float) -> Saved:
    """All that a restart would lose, at this moment (Unix seconds)."""
    cooldowns = tuple(SavedCooldown(name, *saved) for name, pool in pools.items() for saved in pool.snapshot(now))
    records = ((name, breaker.snapshot()) for name, breaker in breakers.items())
    return Saved(cooldowns, tuple(SavedBreaker(name, r.open_until, r.failures, r.why or "") for name, r in records if r.open_until))


def restore(saved: Saved, pools: Mapping[str, KeyPool], breakers: Mapping[str, Breaker], now: float) -> None:
    """Pools and breakers stand as they were saved; upstreams that the configuration no longer has are left out."""
    for name, pool in pools.items():
        pool.restore((KeyCooldown(*row[1:]) for row in saved.cooldowns if row.upstream == name), now)
    for row in saved.breakers:
        if row.upstream in breakers:
            breakers[row.upstream].restore(BreakerRecord(row.failures, row.until, row.why or None), now)


def merge(news: News, pools: Mapping[str, KeyPool], breakers: Mapping[str, Breaker], now: float) -> None:
    """Take up what another process has found out. A cooldown may become longer, never shorter, but where somebody has ended it."""
    for name in news.reset:
        if name in pools:
            pools[name].forgive(now)
            breakers[name].succeeded(now)
    for row in news.closed:
        if row.upstream in breakers and breakers[row.upstream].open_until == row.until:
            breakers[row.upstream].succeeded(now)
    later = tuple(row for row in news.set.breakers if row.upstream in breakers and row.until > (breakers[row.upstream].open_until or 0.0))
    restore(Saved(news.set.cooldowns, later), pools, breakers, now)
