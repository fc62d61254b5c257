"""Which upstream a call goes to: the first matching route, else the one that the client named (DESIGN §1, Router)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import urlsplit

from mitmproxy import http

from addons.answers import refuse
from addons.config import Config
from addons.core.attempt import Request, without_own
from addons.core.providers import PROVIDERS, Api
from addons.core.routes import ROUTE_HEADER, CallFacts, Plan, UnknownRoute, needs_model_data
from addons.core.routing import Decision, Surroundings, by_route, without_route
from addons.core.strategies import Measures, TypicalCosts
from addons.exchange import Exchange, exchange_of
from addons.state import State
from addons.wireheaders import make_headers

LOADING_S = 5.0  # it takes a third of a second
NOBODY = frozenset[str]()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A configuration made ready for deciding. `keyed`: the upstreams whose keys may be put in."""

    config: Config
    plan: Plan
    keyed: frozenset[str]


class Router:
    """Decides once per call; Failover carries it out."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._last: _Prepared | None = None
        self._costs: TypicalCosts | None = None
        self._measures = Measures(self._cost, self._expected_s, random.random)

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Decide for a call, readdress a side call that came by base URL. Who asks for a route by its name before what is known of models
        has been loaded waits for that: decided without prices, the dearest upstream may be the first."""
        exchange = exchange_of(flow)
        if exchange is None or flow.response:
            return None
        headers = exchange.read_headers(flow.request).by_name
        if headers.get("upgrade", "").lower() == "websocket" and exchange.kind == "call" and self._refuses_websocket(exchange):
            self.state.counts["websockets_refused"] += 1
            exchange.kind = "side"  # a handshake that the client repeats as a POST is no call
            refuse(flow, exchange, 426, "not_allowed", "WebSockets are not passed on here; send the call as a POST")
        elif exchange.kind == "side":
            flow.request.headers = make_headers(without_own(flow.request.headers.fields))
            if exchange.base_url_call:
                self._readdress(flow, exchange)
        elif not self.state.models.loaded and self._needs_tables(headers.get(ROUTE_HEADER), exchange.config):
            return self._loaded()
        return None

    def request_stream(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """The same for a body that is not held: routes that name a model do not match."""
        return self.request(flow)

    def _needs_tables(self, name: str | None, config: Config) -> bool:
        try:
            return name is not None and needs_model_data(self._prepared(config).plan.named(name))
        except UnknownRoute:
            return False  # which `decide` tells the client

    async def _loaded(self) -> None:
        self.state.models.want()
        thread = self.state.models.loading
        if thread:
            await asyncio.to_thread(thread.join, LOADING_S)

    def decide(self, flow: http.HTTPFlow, exchange: Exchange, api: Api, request: Request) -> Decision:
        """The candidates of a call, noted in its record. An unknown `X-Turnpike-Route` is refused: there are no candidates then."""
        record, prepared = exchange.record, self._prepared(exchange.config)
        try:
            decision = self._decide(flow, exchange, api, request, prepared)
        except UnknownRoute as error:
            refuse(flow, exchange, 400, "route_not_found", str(error), known=list(error.known))
            return Decision(None, ())
        record.route, record.decision = decision.route, decision.as_json()
        return decision

    def _decide(self, flow: http.HTTPFlow, exchange: Exchange, api: Api, request: Request, prepared: _Prepared) -> Decision:
        """The model is read from the body only where it may matter. Raises UnknownRoute."""
        headers, plan = exchange.read_headers(flow.request).by_name, prepared.plan
        upstream, named = exchange.upstream or "", headers.get(ROUTE_HEADER)
        model = api.model or exchange.record.asked_model
        if named:
            self.state.models.want()  # it may be a ready-made one
        if model is None and exchange.fields and plan.looks_at_models(upstream, named):
            model = exchange.fields.model
        if plan.routes or named:
            owner = None if exchange.base_url_call else exchange.config.upstream_for_host(request.host)
            facts = CallFacts(model, exchange.record.client, upstream, exchange.path, headers, owner.name if owner else None)
            if route := plan.route_for(facts):
                return by_route(plan, route, facts, api, self._surroundings(exchange, prepared))
        return without_route(plan, upstream, model)

    def _prepared(self, config: Config) -> _Prepared:
        """Once per configuration; a call that runs over a reload keeps its own."""
        if self._last is None or self._last.config is not config:
            keyed = frozenset(name for name, keys in config.secrets.items() if keys and config.upstreams[name].inject != "never")
            self._last = _Prepared(config, Plan(config.routes, config.upstreams), keyed)
        return self._last

    def _surroundings(self, exchange: Exchange, prepared: _Prepared) -> Surroundings:
        keyed = prepared.keyed if exchange.may_use_keys else NOBODY
        return Surroundings(self.state.models, self._measures, keyed, self.state.listed)

    def _cost(self, provider: str, model: str) -> float | None:
        """USD of a typical call. Prices would load the table, here and now."""
        state = self.state
        if not state.models.loaded:
            return None
        if self._costs is None or self._costs.prices is not state.prices:
            self._costs = TypicalCosts(state.prices)
        return self._costs.at(time.time())(provider, model)

    def _expected_s(self, upstream: str, model: str | None) -> float | None:
        """Seconds until a typical answer has come."""
        return self.state.speeds.expected_s(upstream, model, time.monotonic())

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
