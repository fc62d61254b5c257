"""Stock add-ons that have nothing to do, mostly because an option that nobody uses brings them to life, are not asked.

Most look at one attribute, and do nothing while it is empty (`NEEDS`): so does the dispatch, without the call. Two find out at some
length, 30 us of each call, that there is nothing for them (`RULES`): one writes out the whole URL before it sees that it has no rule,
the other parses the host of the request to compare it with `mitm.it`. Each is asked all the same where its code is not what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mitmproxy import http
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.blocklist import BlockList
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.mapremote import MapRemote
from mitmproxy.addons.modifybody import ModifyBody
from mitmproxy.addons.modifyheaders import ModifyHeaders
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.addons.proxyauth import ProxyAuth
from mitmproxy.addons.save import Save
from mitmproxy.addons.serverplayback import ServerPlayback
from mitmproxy.addons.stickyauth import StickyAuth
from mitmproxy.addons.stickycookie import StickyCookie
from mitmproxy.addons.upstream_auth import UpstreamAuth

from addons.proxycore.pins import source_digest

Idle = Callable[[Any, http.HTTPFlow], bool]
"""Whether the handler of this add-on would do nothing with this flow."""

PUNYCODE = b"xn--"  # may be decoded to anything


def _not_its_host(addon: Onboarding, flow: http.HTTPFlow) -> bool:
    """It serves where `pretty_host`, which comes of the Host header or `:authority` or else is the host itself, is its own."""
    request, host = flow.request.data, addon.host
    said = request.authority + b"".join([value for name, value in request.headers.fields if name.lower() == b"host"])
    return request.host != host and said.isascii() and PUNYCODE not in (lower := said.lower()) and host.lower().encode() not in lower


NEEDS: Mapping[type, tuple[str, tuple[str, ...]]] = {
    BlockList: ("items", ("request",)),
    MapLocal: ("replacements", ("request",)),
    MapRemote: ("replacements", ("request",)),
    ModifyBody: ("replacements", ("request", "response")),
    ModifyHeaders: ("replacements", ("requestheaders", "responseheaders")),
    ProxyAuth: ("validator", ("requestheaders",)),
    Save: ("stream", ("request", "response", "error")),
    ServerPlayback: ("flowmap", ("request",)),
    StickyAuth: ("flt", ("request",)),
    StickyCookie: ("flt", ("request", "response")),
    UpstreamAuth: ("auth", ("requestheaders",)),
}
"""Add-on → the attribute without which it does nothing, in which hooks."""

RULES: Mapping[type, Mapping[str, Idle]] = {Onboarding: {"request": _not_its_host}}

READ: Mapping[type, Mapping[str, str]] = {
    ASGIApp: {"request": "602d253086c75a35", "should_serve": "4f7a8f8411d51f35"},
    Onboarding: {"request": "f6e48a4764c85df0"},
    BlockList: {"request": "b57fd28ef2853c16"},
    MapLocal: {"request": "4c6bf038aa472f3e"},
    MapRemote: {"request": "e7caae41db682e44"},
    ModifyBody: {"request": "5fb02b2517e09723", "response": "bbfe8871b747e4bf", "run": "02ce875e252ccd49"},
    ModifyHeaders: {"requestheaders": "8b201eff589f2090", "responseheaders": "bce93c61dc453f1f", "run": "14324bf81cea64a6"},
    ProxyAuth: {"requestheaders": "27acaafec84601a1"},
    Save: {"request": "5b91fa00461227c1", "response": "1cc915d5098b7270", "error": "ff67097fd3999468", "save_flow": "eba6fbbeeca034bf"},
    ServerPlayback: {"request": "e39ec867c40b012a"},
    StickyAuth: {"request": "76b0bbaeb50614fa"},
    StickyCookie: {"request": "d57c78803120ae99", "response": "2cd0720d69afba13"},
    UpstreamAuth: {"requestheaders": "9222268024657614"},
}
"""Digests of what all this was read from: the handlers, and what they call."""


def needed(addon: Any, hook: str) -> str | None:
    """The attribute without which this add-on does nothing in this hook; None where there is none, or it is not as it was read."""
    attribute, names = NEEDS.get(type(addon), ("", ()))
    return attribute if hook in names and _as_read(addon, hook) else None


def idle_rule(addon: Any, hook: str) -> Idle | None:
    """The rule for this hook of this add-on; None where there is none, or it is not as it was read."""
    rule = RULES.get(type(addon), {}).get(hook)
    return rule if rule and _as_read(addon, hook) else None


def _as_read(addon: Any, hook: str) -> bool:
    return hook not in vars(addon) and not broken_pins(type(addon))


def broken_pins(kind: type) -> list[str]:
    """What of a stock add-on's class, and of those that it comes from, is not as it was read; empty when all is well."""
    return [
        f"{owner.__name__}.{name}"
        for owner in kind.__mro__
        for name, digest in READ.get(owner, {}).items()
        if source_digest(vars(owner).get(name)) != digest
    ]
