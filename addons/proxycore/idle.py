"""Stock add-ons that find out at some length that there is nothing for them to do: asked here at less cost, by the very same rule.

mitmproxy's own `request` handlers of these two take 30 us of each call: one writes out the whole URL before it sees that it has no rule,
the other parses the host of the request to compare it with `mitm.it`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mitmproxy import http
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.onboarding import Onboarding

from addons.proxycore.pins import source_digest

Idle = Callable[[Any, http.HTTPFlow], bool]
"""Whether the handler of this add-on would do nothing with this flow."""


def _maps_nothing(addon: MapLocal, _: http.HTTPFlow) -> bool:
    return not addon.replacements


def _not_its_host(addon: Onboarding, flow: http.HTTPFlow) -> bool:
    """It serves where `pretty_host`, which comes of the Host header or `:authority` or else is the host itself, is its own."""
    request, host = flow.request.data, addon.host
    said = request.authority + b"".join([value for name, value in request.headers.fields if name.lower() == b"host"])
    return request.host != host and said.isascii() and PUNYCODE not in (lower := said.lower()) and host.lower().encode() not in lower


PUNYCODE = b"xn--"  # may be decoded to anything

RULES: Mapping[type, Mapping[str, Idle]] = {MapLocal: {"request": _maps_nothing}, Onboarding: {"request": _not_its_host}}

READ: Mapping[tuple[type, str], str] = {
    (MapLocal, "request"): "4c6bf038aa472f3e",
    (Onboarding, "request"): "f6e48a4764c85df0",
    (ASGIApp, "request"): "602d253086c75a35",
    (ASGIApp, "should_serve"): "4f7a8f8411d51f35",
}
"""Digests of what the rules were read from."""


def idle_rule(addon: Any, hook: str) -> Idle | None:
    """The rule for this hook of this add-on; None where there is none, or its code is not what was read, or is somebody else's."""
    rule = RULES.get(type(addon), {}).get(hook)
    return rule if rule and hook not in vars(addon) and not broken_pins() else None


def broken_pins() -> list[str]:
    """What of the stock add-ons is not as it was read; empty when all is well."""
    return [f"{owner.__name__}.{name}" for (owner, name), digest in READ.items() if source_digest(vars(owner)[name]) != digest]
