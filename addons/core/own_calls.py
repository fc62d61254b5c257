"""What calls that nobody has made need: a key to make them with, and the request of a probe."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from addons.core.addressing import resolve_base_url
from addons.core.attempt import NONE, Credential, HeaderFields, Request, Target, build
from addons.core.cooldowns import LOCKED, WHOLE_KEY
from addons.core.listing import family_of
from addons.core.pooledkey import PooledKey
from addons.core.providers import PROVIDERS, Api

ANTHROPIC_VERSION: HeaderFields = ((b"anthropic-version", b"2023-06-01"),)  # required, also by GETs
_PROBED = "the probed upstream"  # no first segment of a path is this


def spare_key(keys: Iterable[PooledKey], now: float) -> PooledKey | None:
    """A key that is not locked out, if possible one that does not rest as a whole, the best priority first.

    It is not leased: what it is for costs no tokens, so that it takes no call's place. `now` in Unix seconds.
    """

    def rests(key: PooledKey, group: str) -> bool:
        return group in key.cooldowns and key.cooldowns[group].until > now

    usable = [key for key in keys if not rests(key, LOCKED)]
    return min(usable, key=lambda key: (rests(key, WHOLE_KEY), key.priority), default=None)


def probe_request(provider: str, base_url: str, path: str, key: PooledKey | None) -> Request:
    """A GET of `path` at the upstream, with this key or without any. The path is understood as that of a base-URL call (DESIGN §3)."""
    base, root = urlsplit(base_url), PROVIDERS[provider].root
    api = resolve_base_url("GET", path, _PROBED, {_PROBED: provider}, None).api
    family = api.family if api else family_of(provider)
    headers = ANTHROPIC_VERSION if family == "anthropic" else ()
    below = path.removeprefix(root) if path.startswith(f"{root}/") else path
    port = base.port or (443 if base.scheme == "https" else 80)
    request = Request("GET", base.scheme, base.hostname or "", port, base.path.rstrip("/") + below, headers, None)
    target = Target(provider, base_url if api else None)  # what is no API call has its address already
    return build(request, api or Api("other", family, below), target, Credential("key", key.value) if key else NONE)
