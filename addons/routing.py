"""Which upstream a call goes to: the first matching route, else the one that the client named (DESIGN §1, Router)."""

from __future__ import annotations

from urllib.parse import urlsplit

from mitmproxy import http

from addons.answers import refuse
from addons.core.attempt import Request, without_own
from addons.core.encodings import UndecodableBody, decode
from addons.core.jsonbytes import read_string
from addons.core.providers import Api
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
        model = api.model
        if self.state.config.routes and model is None:
            model = model_of(request)
        headers = {name.lower(): value for name, value in flow.request.headers.items()}
        facts = CallFacts(model, record.client, exchange.upstream or "", exchange.path, headers)
        decision = decide(self.state.config.routes, facts, api, self.state.providers)
        record.route, record.decision = decision.route, decision.as_json()
        return decision

    def _refuses_websocket(self, exchange: Exchange) -> bool:
        policy = self.state.config.proxy.websocket
        return policy == "refuse" or (policy == "auto" and exchange.record.api == "openai.responses")

    def _readdress(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A side call on our own address goes to the host that the upstream has, with the client's own credential."""
        base_url = self.state.config.upstreams[exchange.upstream or ""].base_url
        if base_url is None:
            refuse(flow, exchange, 404, "not_found", f"upstream {exchange.upstream!r} has no base_url, so nothing is at this path")
            return
        base = urlsplit(base_url)
        request = flow.request
        request.scheme, request.host, request.port = base.scheme, base.hostname or "", base.port or (443 if base.scheme == "https" else 80)
        request.path = exchange.path


def model_of(request: Request) -> str | None:
    """The model that a body names, also in a compressed one; None where it can't be read."""
    if not request.body:
        return None
    encoding = next((value.decode("latin-1") for name, value in request.headers if name.lower() == b"content-encoding"), None)
    try:
        return read_string(decode(request.body, encoding), "model")
    except UndecodableBody:
        return None
