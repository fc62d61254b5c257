"""Asked per attempt: whose credential goes to this upstream, and if a pool key's, which pool's (DESIGN §3 `inject`, §4)."""

from __future__ import annotations

import asyncio
import time

from mitmproxy import http

from addons.core.attempt import NONE, OWN, Credential, Request, own_credential
from addons.core.inject import keeps_own, wants_pool_key
from addons.core.keypool import KeyPool, Lease
from addons.core.tries import Tries
from addons.exchange import Exchange
from addons.proxycore.attempts import wake

SHORTEST_NAP_S, NAP_S = 0.01, 0.2  # clocks round; that a key can't be free in time is noticed as late


class Keys:
    """Says which pool a call draws from, and looks after those that wait for a key.

    A key is handed out for its own upstream only, so it can't reach another host whatever the request says.
    """

    def __init__(self) -> None:
        self._waiting: dict[Tries, http.HTTPFlow] = {}
        self._timer: asyncio.TimerHandle | None = None

    def pool(self, exchange: Exchange, upstream: str, request: Request) -> KeyPool | None:
        """The pool whose key replaces the client's credential at this upstream; None where none does."""
        config, pool = exchange.config.upstreams[upstream], exchange.pools[upstream]
        # another upstream is not shown the client's credential, so there it decides nothing
        asked = config.inject == "placeholder" and keeps_own(exchange.upstream, upstream)
        own = own_credential(request.headers, request.path) if asked else ""
        safe = config.base_url is not None or request.scheme == "https"  # else the client chose plain text for our key
        wanted = wants_pool_key(config.inject, config.inject_for, own, exchange.may_use_keys and safe)
        return pool if wanted and pool.keys else None

    def credential(self, exchange: Exchange, upstream: str, lease: Lease | None) -> tuple[Credential, str | None]:
        """The credential of an attempt, and the hint of the key (last 4 characters, None where no pool key is used)."""
        if lease:
            return Credential("key", lease.key.value), lease.key.hint
        return (OWN if keeps_own(exchange.upstream, upstream) else NONE), None

    def wait(self, flow: http.HTTPFlow, tries: Tries) -> None:
        """A call waits for a key: it is served when one has cooled, and woken where none can be in time."""
        self._waiting[tries] = flow
        for pool in {option.pool for option in tries.options if option.pool}:
            pool.on_waiting = self._news
            pool.serve(time.time())
        self._set_timer()

    def _news(self, pool: KeyPool) -> None:
        """Something has changed in a pool that calls wait for: its next key may be free earlier than was thought."""
        at = pool.next_event(now := time.time())
        loop = asyncio.get_running_loop()
        if self._timer and at is not None and loop.time() + at - now < self._timer.when():
            self._timer.cancel()
            self._timer = loop.call_later(max(SHORTEST_NAP_S, at - now), self._tick)

    def _set_timer(self) -> None:
        """Once for all pools, and not later than NAP_S: what frees or cools a key while calls wait changes whom to wake, and when."""
        if self._timer is None and self._waiting:
            pools = {option.pool for tries in self._waiting for option in tries.options if option.pool}
            now = time.time()
            next_at = min((at for pool in pools if (at := pool.next_event(now)) is not None), default=now + NAP_S)
            nap = min(NAP_S, max(SHORTEST_NAP_S, next_at - now))
            self._timer = asyncio.get_running_loop().call_later(nap, self._tick)

    def _tick(self) -> None:
        self._timer, now = None, time.time()
        for pool in {option.pool for tries in self._waiting for option in tries.options if option.pool}:
            pool.serve(now)
        for tries, flow in list(self._waiting.items()):
            if not tries.waits_for_key():
                del self._waiting[tries]
            elif tries.hopeless(now):
                del self._waiting[tries]
                wake(flow)
        self._set_timer()
