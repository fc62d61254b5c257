"""What a request is addressed to: pure readings of hosts, base-URL paths and client headers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from addons.core.memo import Memo
from addons.core.providers import PROVIDERS, STANDARD, Api, identify, identify_any

SESSION_HEADERS = ("x-turnpike-session", "x-claude-code-session-id", "session-id", "session_id", "thread-id", "x-session-id")
"""Where clients name their session, ours first (Claude Code, Codex, opencode)."""


_OLD_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}")
"""What resolvers still take as inet_aton(3) did (`127.1`, `0x7f000001`); nobody in good faith writes it."""


class UnknownUpstream(ValueError):
    """`X-Upstream-Name` names nothing that the configuration has; the message lists what it has."""


@dataclass(frozen=True, slots=True)
class BaseUrlCall:
    """A base-URL call: the upstream, the provider's path with our segments taken off, and the API (None: a side call)."""

    upstream: str
    path: str
    api: Api | None


def resolve_base_url(method: str, path: str, header: str | None, providers: Mapping[str, str], default: str | None) -> BaseUrlCall:
    """Who is meant by what follows the prefix (DESIGN §3): path segment, header, default, then the first that speaks the dialect.

    A path that is no API's goes only to an upstream that the client names (as a side call).

    `path` begins with "/" and may have a query; `providers` is upstream name → provider. Raises UnknownUpstream.
    """
    segment, rest = _first_segment(path)
    if segment in providers:
        return BaseUrlCall(segment, rest, _identify(providers[segment], method, rest))
    if header is not None:
        if header not in providers:
            raise UnknownUpstream(f"no upstream is named {header!r}; known: {', '.join(providers) or 'none'}")
        return BaseUrlCall(header, path, _identify(providers[header], method, path))
    for name in ([default] if default else []) + list(providers):
        if api := _identify(providers[name], method, path):
            return BaseUrlCall(name, path, api)
    if not providers:
        raise UnknownUpstream("no upstream is configured")
    # Whoever is the default has not been asked for this: what the client sends may be meant for somebody else.
    raise UnknownUpstream(f"{path.partition('?')[0]} is no API path, and {segment!r} no upstream; known: {', '.join(providers)}")


def _first_segment(path: str) -> tuple[str, str]:
    bare, mark, query = path.partition("?")
    segment, _, rest = bare[1:].partition("/")
    return segment, f"/{rest}{mark}{query}"


def _identify(provider: str, method: str, path: str) -> Api | None:
    """The provider's own path, the same below its root (what an SDK asks for whose base URL is `{prefix}/{upstream}`), or a
    standard path of a family that it speaks."""
    spec = PROVIDERS[provider]
    roots = ("", spec.root, *(spec.root + surface.prefix for surface in spec.speaks.values()))
    api = next((api for root in roots if (api := identify(provider, method, root + path))), None)
    if api is None:
        api = identify_any(STANDARD, method, path)
    return api if api and api.family in spec.speaks else None


def is_loopback(address: str) -> bool:
    """Is this IP address (mapped IPv4 and a zone included) one of this machine's loopback ones? False for names."""
    return _LOOPBACK[address]


def _is_loopback(address: str) -> bool:
    ip = _ip(address)
    return ip is not None and ip.is_loopback


_LOOPBACK = Memo[str, bool](_is_loopback)


def is_this_machine(host: str) -> bool:
    """Does this host, as a client writes it, lead to this machine? Also what only looks otherwise: 0.0.0.0, `127.1`, `x.localhost`.

    A DNS name that resolves to loopback is not known here.
    """
    bare = host.lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    ip = _ip(bare)
    return bool(_OLD_IPV4.fullmatch(bare)) if ip is None else ip.is_loopback or ip.is_unspecified


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def host_name(authority: str) -> str:
    """The host of a Host header or an origin (`http://[::1]:8080` → `::1`), lower case, without port and scheme."""
    bare = authority.rpartition("://")[2].partition("/")[0].rpartition("@")[2].strip().lower()
    if bare.startswith("["):
        return bare[1:].partition("]")[0]
    return bare if bare.count(":") > 1 else bare.partition(":")[0]


def is_own_host(host: str, socket_address: str, names: Collection[str]) -> bool:
    """May the proxy be spoken to under this name? (loopback, the socket's own address, or a configured name)"""
    return host in ("localhost", socket_address.lower()) or is_loopback(host) or any(fnmatchcase(host, name.lower()) for name in names)


def is_own_authority(authority: str, socket_address: str, names: tuple[str, ...]) -> bool:
    """The same of a Host header."""
    return _OWN_AUTHORITIES[authority, socket_address, names]


_OWN_AUTHORITIES = Memo[tuple[str, str, tuple[str, ...]], bool](lambda asked: is_own_host(host_name(asked[0]), *asked[1:]))


def is_foreign_page(headers: Mapping[str, str], host_header: str, names: Collection[str]) -> bool:
    """Does a browser say that a page of another origin made this request? `headers` has lower-case names."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    authority = origin.rpartition("://")[2].lower()
    return "://" not in origin or (
        authority != host_header.lower() and not any(fnmatchcase(host_name(authority), name.lower()) for name in names)
    )


def session_of(headers: Mapping[str, str]) -> str | None:
    """The session that the client names in a header; `headers` has lower-case names."""
    for name in SESSION_HEADERS:
        if session := headers.get(name):
            return session
    return None


def product_of(user_agent: str | None) -> str | None:
    """The first product of a User-Agent: `claude-cli/2.1 (external)` → `claude-cli`."""
    words = (user_agent or "").split()
    return words[0].partition("/")[0] or None if words else None
