"""Asked per attempt: whose credential goes to this upstream, and if a pool key's, which (DESIGN §3 `inject`, §4)."""

from __future__ import annotations

from addons.core.attempt import NONE, OWN, Credential, Request, own_credential
from addons.core.inject import keeps_own, wants_pool_key
from addons.exchange import Exchange


class Keys:
    """Leases keys. A key is handed out for its own upstream only, so it can't reach another host whatever the request says."""

    def credential(self, exchange: Exchange, upstream: str, request: Request) -> tuple[Credential, str | None]:
        """The credential of an attempt, and the hint of the key (last 4 characters, None where no pool key is used)."""
        exchange.release_key()
        config, pool = exchange.config.upstreams[upstream], exchange.pools[upstream]
        own = own_credential(request.headers, request.path)
        safe = config.base_url is not None or request.scheme == "https"  # else the client chose plain text for our key
        wanted = wants_pool_key(config.inject, config.inject_for, own, exchange.may_use_keys and safe)
        if wanted and (lease := pool.lease()):
            exchange.lease = pool, lease
            return Credential("key", lease.key.value), lease.key.hint
        return (OWN if keeps_own(exchange.upstream, upstream) else NONE), None
