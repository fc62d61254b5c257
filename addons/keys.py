"""Asked per attempt: whose credential goes to this upstream, and if a pool key's, which pool's (DESIGN §3 `inject`, §4)."""

from __future__ import annotations

import asyncio
import time
from weakref import WeakKeyDictionary

from addons.core.attempt import NONE, OWN, Credential, Request, own_credential
from addons.core.inject import keeps_own, wants_pool_key
from addons.core.keypool import KeyPool, Lease
from addons.exchange import Exchange

SHORTEST_NAP_S = 0.01  # clocks round


class Keys:
    """Says which pool a call draws from, and has those that wait for a key served when one has cooled.

    A key is handed out for its own upstream only, so it can't reach another host whatever the request says.
    """

    def __init__(self) -> None:
        self._timers: WeakKeyDictionary[KeyPool, asyncio.TimerHandle] = WeakKeyDictionary()

    def pool(self, exchange: Exchange, upstream: str, request: Request) -> KeyPool | None:
        """The pool whose key replaces the client's credential at this upstream; None where none does."""
        config, pool = exchange.config.upstreams[upstream], exchange.pools[upstream]
        own = own_credential(request.headers, request.path)
        safe = config.base_url is not None or request.scheme == "https"  # else the client chose plain text for our key
        wanted = wants_pool_key(config.inject, config.inject_for, own, exchange.may_use_keys and safe)
        return pool if wanted and pool.keys else None

    def credential(self, exchange: Exchange, upstream: str, lease: Lease | None) -> tuple[Credential, str | None]:
        """The credential of an attempt, and the hint of the key (last 4 characters, None where no pool key is used)."""
        if lease:
            return Credential("key", lease.key.value), lease.key.hint
        return (OWN if keeps_own(exchange.upstream, upstream) else NONE), None

    def serve(self, pool: KeyPool) -> None:
        """Give what is free to the calls that wait, and come back when the next key has cooled."""
        pool.serve(time.time())
        if timer := self._timers.pop(pool, None):
            timer.cancel()
        at = pool.next_event(now := time.time())
        if at is not None:
            self._timers[pool] = asyncio.get_running_loop().call_later(max(SHORTEST_NAP_S, at - now), self.serve, pool)
