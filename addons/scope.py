"""Is this host ours, and this path an API call? If not: a blind tunnel, or passed untouched as a side call (DESIGN §2b)."""

from __future__ import annotations

from typing import NamedTuple

from mitmproxy import ctx, exceptions, http
from mitmproxy.proxy import layer, layers
from mitmproxy.proxy.layers.http import HttpStream

from addons.answers import refuse
from addons.config import Config, Upstream
from addons.core.addressing import (
    BaseUrlCall,
    UnknownUpstream,
    host_name,
    is_loopback,
    is_own_host,
    is_this_machine,
    product_of,
    resolve_base_url,
    session_of,
)
from addons.core.attempt import without_own
from addons.core.ids import is_ulid
from addons.core.memo import Memo
from addons.core.providers import identify
from addons.draining import refuse_new
from addons.exchange import Exchange, Kind, exchange_of, open_exchange
from addons.proxycore.hooks import ORIGIN_FORM
from addons.state import State
from addons.wireheaders import ReadHeaders, make_headers, read_headers


class Scope:
    """Opens the exchange of every flow that is ours, and keeps all others out of sight of the add-ons that follow."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._addresses = Addresses(Config())

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A CONNECT: ours is opened, another host is tunnelled or blocked."""
        ours = self._is_ours(flow.request.host)
        if self.state.draining_until is not None:
            refuse_new(self.state, flow, None)
        elif not ours and self._passes_other(flow):
            self.state.counts["tunnels"] += 1
        if ours:
            return
        raise exceptions.AddonHalt  # no later add-on sees a host that is not ours

    def next_layer(self, data: layer.NextLayer) -> None:
        """What follows a CONNECT to another host is passed on unopened; no flow is made of it."""
        address = data.context.server.address
        if address and any(isinstance(above, HttpStream) for above in data.context.layers) and not self._is_ours(address[0]):
            data.layer = layers.TCPLayer(data.context, ignore=True)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Decide what a request is, from its method, host and path alone."""
        request = flow.request
        if flow.metadata.get(ORIGIN_FORM) or self._is_own_address(flow):
            self._open_addressed_to_us(flow)
        elif upstream := self.state.config.upstream_for_host(request.host):
            self._open_forwarded(flow, upstream)
        elif request.host != ctx.options.onboarding_host:
            self._pass_unseen(flow)
        if (exchange := exchange_of(flow)) and exchange.kind == "call":
            _read_client_headers(flow, exchange)

    def _open_addressed_to_us(self, flow: http.HTTPFlow) -> None:
        config, request = self.state.config, flow.request
        headers = read_headers(request.headers)
        if self._addresses.config is not config:
            self._addresses = Addresses(config)
        path = request.path
        bare, mark, query = path.partition("?")
        meant = self._addresses[request.method, bare, bool(mark), headers.by_name.get("x-upstream-name")]
        if meant.unknown is not None:
            exchange = self._open(flow, "call", path[len(config.proxy.prefix) :], headers)
            exchange.base_url_call = True
            refuse(flow, exchange, 400, "upstream_not_found", meant.unknown, known=list(config.providers))
        elif meant.call is None:
            self._open(flow, "local", path, headers)
        else:
            exchange = self._open(flow, "call" if meant.call.api else "side", f"{meant.call.path}{mark}{query}", headers)
            exchange.base_url_call = True
            self._name(exchange, meant.call.upstream)
            exchange.api = meant.call.api

    def _open_forwarded(self, flow: http.HTTPFlow, upstream: Upstream) -> None:
        request = flow.request
        headers = read_headers(request.headers)
        named = headers.by_name.get("x-upstream-name")
        api = identify(upstream.provider, request.method, request.path)
        exchange = self._open(flow, "call" if api else "side", request.path, headers)
        exchange.api = api
        self._name(exchange, upstream.name)
        if named is not None and api:
            if named not in self.state.config.providers:
                known = ", ".join(self.state.config.providers)
                refuse(flow, exchange, 400, "upstream_not_found", f"no upstream is named {named!r}; known: {known}")
            else:
                self._name(exchange, named)

    def _open(self, flow: http.HTTPFlow, kind: Kind, path: str, headers: ReadHeaders | None = None) -> Exchange:
        return open_exchange(flow, kind, path, self.state.config, self.state.pools, headers=headers)

    def _name(self, exchange: Exchange, upstream: str) -> None:
        exchange.upstream = exchange.record.upstream = upstream
        exchange.record.provider = self.state.config.upstreams[upstream].provider
        if exchange.kind == "side":
            self.state.counts["side_calls"] += 1

    def _pass_unseen(self, flow: http.HTTPFlow) -> None:
        """Plain HTTP to another host: streamed both ways, shown to no later add-on, so that `-w` and the log hold nothing of it."""
        if self.state.draining_until is not None:
            refuse_new(self.state, flow, None)
        elif self._passes_other(flow):
            self.state.counts["tunnels"] += 1
            flow.request.stream = True
            flow.request.headers = make_headers(without_own(flow.request.headers.fields))
        self._open(flow, "other", "")
        raise exceptions.AddonHalt

    def _passes_other(self, flow: http.HTTPFlow) -> bool:
        """May this peer go to this host, which is not ours? If not, the flow is answered with 403."""
        host = flow.request.host
        if self.state.config.proxy.other_hosts == "block":
            reason = "this proxy passes on only the hosts of its upstreams (proxy.other_hosts: block)"
        elif not is_loopback(flow.client_conn.peername[0]) and is_this_machine(host):
            reason = "peers from elsewhere are not passed on to this machine's own services"
        else:
            return True
        self.state.counts["blocked_hosts"] += 1
        refuse(flow, None, 403, "not_allowed", reason)
        return False

    def request(self, flow: http.HTTPFlow) -> None:
        """As `_pass_unseen` says. HTTP/2 frames a body by itself; HTTP/1 needs its length, or would take it for the next request."""
        request = flow.request
        if request.is_http2 and request.raw_content and "content-length" not in request.headers:
            request.headers["content-length"] = str(len(request.raw_content))
        _halt_if_other(flow)

    def request_stream(self, flow: http.HTTPFlow) -> None:
        """As above; of a body that is not held nobody knows the length."""
        if flow.request.is_http2 and "content-length" not in flow.request.headers and flow.response is None:
            refuse(flow, exchange_of(flow), 413, "body_too_large", "a body of this length needs a Content-Length")
        _halt_if_other(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """As `_pass_unseen` says."""
        if flow.response and (exchange := exchange_of(flow)) and exchange.kind == "other" and flow.response.raw_content is None:
            flow.response.stream = True
        _halt_if_other(flow)

    def _stay_unseen(self, flow: http.HTTPFlow) -> None:
        """As `_pass_unseen` says."""
        _halt_if_other(flow)

    response = error = websocket_start = websocket_message = websocket_end = _stay_unseen

    def _is_ours(self, host: str) -> bool:
        return self.state.config.upstream_for_host(host) is not None

    def _is_own_address(self, flow: http.HTTPFlow) -> bool:
        """Does an absolute-form request name this very socket? (inside a CONNECT to one of our hosts it can't)"""
        socket_host, socket_port = flow.client_conn.sockname[:2]
        request = flow.request
        if request.port != socket_port or flow.client_conn.sni is not None:
            return False
        return is_own_host(host_name(request.host), socket_host, self.state.config.proxy.names)


class Meant(NamedTuple):
    """What a request that is addressed to us is for: a call, a text that says why it can't be one, or (neither) one of our endpoints."""

    call: BaseUrlCall | None = None
    unknown: str | None = None


Asked = tuple[str, str, bool, str | None]
"""Method; path without its query; whether it has one; `X-Upstream-Name`. Nothing else decides, so that a query, which may hold a
credential and is another each time, is not kept."""


class Addresses(Memo[Asked, Meant]):
    """What was found out of a configuration about the requests that it has seen."""

    def __init__(self, config: Config) -> None:
        super().__init__(self._look_at)
        self.config = config

    def _look_at(self, asked: Asked) -> Meant:
        method, bare, has_query, named = asked
        prefix, default = self.config.proxy.prefix, self.config.default_upstream
        below = bare.startswith(f"{prefix}/") or (bare == prefix and has_query)
        if not below or is_local(method, bare, prefix, named is not None):
            return Meant()
        try:
            call = resolve_base_url(method, bare[len(prefix) :], named, self.config.providers, default.name if default else None)
        except UnknownUpstream as error:
            return Meant(unknown=str(error))
        return Meant(call)


LOCAL_PATHS = ("/healthz", "/ready", "/metrics")
LOCAL_BELOW_PREFIX = {
    ("GET", "/v1/upstreams"),
    ("POST", "/v1/token-count"),
    ("POST", "/v1/cost-estimate"),
    ("GET", "/v1/models"),
    ("POST", "/v1/models/refresh"),
    ("GET", "/v1/quota-stats"),
    ("POST", "/v1/quota-stats/reset"),
}


def is_local(method: str, path: str, prefix: str, names_upstream: bool) -> bool:
    """Is this one of the proxy's own endpoints? They win over upstreams, unless the request names one."""
    bare = path.partition("?")[0]
    method = "GET" if method == "HEAD" else method
    return bare in LOCAL_PATHS or (not names_upstream and (method, bare.removeprefix(prefix)) in LOCAL_BELOW_PREFIX)


def _halt_if_other(flow: http.HTTPFlow) -> None:
    exchange = exchange_of(flow)
    if exchange and exchange.kind == "other":
        raise exceptions.AddonHalt


def _read_client_headers(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """What the client says of itself."""
    headers = exchange.read_headers(flow.request).by_name
    record = exchange.record
    record.user_agent = headers.get("user-agent")
    record.client = product_of(record.user_agent)
    record.session = session_of(headers)
    record.tag = headers.get("x-turnpike-tag")
    is_handshake = headers.get("upgrade", "").lower() == "websocket"
    if exchange.api:
        # a WebSocket's handshake has no body to name the model in
        in_query = flow.request.query.get("model") if is_handshake else None
        record.api, record.asked_model = exchange.api.name, exchange.api.model or in_query
    replayed = headers.get("x-turnpike-replay", "")
    if is_ulid(replayed):
        record.replay_of = replayed  # the Gate takes it off what is not from loopback
        record.session = headers.get("x-turnpike-session") or record.id  # not in the original's, whose headers and messages it repeats
