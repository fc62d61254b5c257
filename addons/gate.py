"""Who may speak to the proxy, and with whose credential: loopback only by default, and no web page (DESIGN §4)."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from mitmproxy import connection, http
from mitmproxy.proxy import server_hooks

from addons.answers import refuse
from addons.core.addressing import host_name, is_foreign_page, is_loopback, is_own_authority, is_this_machine, session_of
from addons.draining import refuse_new
from addons.exchange import exchange_of
from addons.state import State
from addons.wireheaders import host_header

HEALTH = "/healthz"


class Gate:
    """Refuses peers, names and pages. It also knows its own connections, so that a call that comes back is no new caller:
    else a remote peer could tunnel to 127.0.0.1 and be taken for a local one."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.own_connections: set[Ends] = set()

    def client_connected(self, client: connection.Client) -> None:
        """From the first moment, also before `running` has bound the listener to loopback."""
        if not self.state.config.proxy.allow_remote and not is_loopback(client.peername[0]):
            self.state.counts["refused_peers"] += 1
            client.error = "peer is not on loopback (proxy.allow_remote: false)"

    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """A peer from elsewhere is not passed on to this machine's own services under a name that only resolves to them.

        Scope has refused the names that say so themselves. What was resolved here is what is connected to, so that a name
        can't be one thing now and another a moment later. The hosts of upstreams are the configuration's own choice.
        """
        if is_loopback(data.client.peername[0]) or data.server.address is None or self._is_upstreams(*data.server.address[:2]):
            return
        host, port = data.server.address[:2]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            data.server.error = "this host is not known"
            return
        if any(is_this_machine(str(address[0])) for *_, address in found):
            data.server.error = "peers from elsewhere are not passed on to this machine's own services"
        else:
            address = found[0][4]
            data.server.address = str(address[0]), int(address[1])

    def _is_upstreams(self, host: str, port: int) -> bool:
        config = self.state.config
        bases = (urlsplit(upstream.base_url) for upstream in config.upstreams.values() if upstream.base_url)
        ports = {"https": 443, "http": 80}
        return config.upstream_for_host(host) is not None or (host, port) in ((b.hostname, b.port or ports[b.scheme]) for b in bases)

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Remember both ends of a connection that we open; one end alone may stand in other connections too."""
        if ends := _ends(data.server.sockname, data.server.peername):
            self.own_connections.add(ends)

    def server_disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Forget it."""
        if ends := _ends(data.server.sockname, data.server.peername):
            self.own_connections.discard(ends)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Refuse what must not be answered; say of the rest whether pool keys may be used."""
        exchange = exchange_of(flow)
        if exchange is None:
            return  # what Scope has answered is looked at too: who may not speak to us is not told which upstreams there are
        if self.state.draining_until is not None and exchange.kind != "local" and not flow.response:
            refuse_new(self.state, flow, exchange)
            return
        if self._is_loop(flow.client_conn):
            refuse(flow, exchange, 403, "not_allowed", "this connection comes from the proxy itself")
            return
        headers = exchange.read_headers(flow.request).by_name
        authority = host_header(flow.request, headers) or ""
        names = self.state.config.proxy.names
        foreign = is_foreign_page(headers, authority, names)
        local_peer = is_loopback(flow.client_conn.peername[0])
        to_us = exchange.kind == "local" or exchange.base_url_call
        if to_us and exchange.path != HEALTH:
            if not is_own_authority(authority, flow.client_conn.sockname[0], names):
                host = host_name(authority)
                refuse(flow, exchange, 403, "not_allowed", f"{host!r} is no name of this proxy; add it to proxy.names if it should be")
            elif foreign:
                refuse(flow, exchange, 403, "not_allowed", "requests made by pages of other origins are refused")
        # A page may also be shown by a browser that uses us as its proxy: its calls pass, but on its own credential.
        exchange.may_use_keys = local_peer and not foreign
        if not local_peer:
            if exchange.record.replay_of:
                exchange.record.session = session_of(headers)
            exchange.record.replay_of = None

    def _is_loop(self, client: connection.Client) -> bool:
        return _ends(client.peername, client.sockname) in self.own_connections


Ends = tuple[tuple[str, int], tuple[str, int]]
"""Near and far end of a connection, each an address and a port."""


def _ends(near: connection.Address | None, far: connection.Address | None) -> Ends | None:
    return ((near[0], near[1]), (far[0], far[1])) if near and far else None
