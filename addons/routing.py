"""Which upstream a call goes to: the first matching route, else the one that the client named (DESIGN §1, Router)."""

from __future__ import annotations

from urllib.parse import urlsplit

from mitmproxy import http

from addons.answers import refuse
from addons.core.attempt import Request, content_encoding, without_own
from addons.core.encodings import UndecodableBody, decode
from addons.core.jsonbytes import read_string
from addons.core.providers import PROVIDERS, Api
from addons.core.routing import CallFacts, Decision, decide
from addons.exchange import Exchange, exchange_of
from addons.state import State


class Router:
    """Decides once per call; Failover carries it out."""

    def __init__(self, state: State) -> None:
        self.state = state

    def request(self, flow: http.HTTPFlow) -> None:
        """Decide for a call, readdress a side call that came by base URL."""
        exchange = exchange_of(flow)
        if exchange is None or flow.response:
            return
        if flow.request.headers.get("upgrade", "").lower() == "websocket" and exchange.kind == "call" and self._refuses_websocket(exchange):
            self.state.counts["websockets_refused"] += 1
            exchange.kind = "side"  # a handshake that the client repeats as a POST is no call
            refuse(flow, exchange, 426, "not_allowed", "WebSockets are not passed on here; send the call as a POST")
        elif exchange.kind == "side":
            flow.request.headers = http.Headers(without_own(tuple(flow.request.headers.fields)))
            if exchange.base_url_call:
                self._readdress(flow, exchange)

    def request_stream(self, flow: http.HTTPFlow) -> None:
        """The same for a body that is not held: routes that name a model do not match."""
        self.request(flow)

    def decide(self, flow: http.HTTPFlow, exchange: Exchange, api: Api, request: Request) -> Decision:
        """The candidates of a call, noted in its record."""
        record = exchange.record
        model, routes = api.model, exchange.config.routes
        if routes and model is None:
            model = model_of(request)
        headers = {name.lower(): value for name, value in flow.request.headers.items()}
        facts = CallFacts(model, record.client, exchange.upstream or "", exchange.path, headers)
        decision = decide(routes, facts, api, exchange.config.providers)
        record.route, record.decision = decision.route, decision.as_json()
        return decision

    def _refuses_websocket(self, exchange: Exchange) -> bool:
        policy = exchange.config.proxy.websocket
        return policy == "refuse" or (policy == "auto" and exchange.record.api == "openai.responses")

    def _readdress(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A side call on our own address goes to where the upstream is, with the client's own credential."""
        upstream = exchange.config.upstreams[exchange.upstream or ""]
        base_url, root = upstream.base_url, PROVIDERS[upstream.provider].root
        if base_url is None:
            refuse(flow, exchange, 404, "not_found", f"upstream {exchange.upstream!r} has no base_url, so nothing is at this path")
            return
        base = urlsplit(base_url)
        request = flow.request
        request.scheme, request.host, request.port = base.scheme, base.hostname or "", base.port or (443 if base.scheme == "https" else 80)
        below = exchange.path.removeprefix(root) if exchange.path.startswith(f"{root}/") else exchange.path
        request.path = base.path.rstrip("/") + below


def model_of(request: Request) -> str | None:
    """The model that a body names, also in a compressed one; None where it can't be read."""
    if not request.body:
        return None
    try:
        return read_string(decode(request.body, content_encoding(request.headers)), "model")
    except UndecodableBody:
        return None
