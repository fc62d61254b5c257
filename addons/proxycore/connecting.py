"""A time limit for opening connections to upstreams, TLS included: mitmproxy has none.

The clock starts at `server_connect`, since mitmproxy may let a connection wait for its turn before (DESIGN §2.12).
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from mitmproxy import connection, tls
from mitmproxy.proxy import server_hooks

NAP_S = 0.1

_limits: WeakKeyDictionary[connection.Client, dict[connection.Address, float]] = WeakKeyDictionary()


def limit_connect(client: connection.Client, address: connection.Address, seconds: float) -> None:
    """Connections that are opened for this client to this address have so long."""
    _limits.setdefault(client, {})[address] = seconds


class ConnectClock:
    """First in the list of rooms, so that what other rooms do at `server_connect` (a DNS look-up) counts."""

    def __init__(self) -> None:
        self._timers: WeakKeyDictionary[connection.Server, asyncio.TimerHandle] = WeakKeyDictionary()

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """The task that calls this hook is the one that connects, and then reads: ending it ends either."""
        address = data.server.address
        seconds = _limits.get(data.client, {}).get(address) if address else None
        task = asyncio.current_task()
        if seconds is not None and task is not None:
            self._limit(data.server, task, seconds, seconds)

    def _limit(self, server: connection.Server, task: asyncio.Task[Any], after: float, seconds: float) -> None:
        def end() -> None:
            if server.timestamp_start is None:  # it waits for its turn still: ended there, nobody would be told
                self._limit(server, task, NAP_S, seconds)
            else:
                task.cancel(f"no connection within {seconds:g} s")

        self._timers[server] = asyncio.get_running_loop().call_later(after, end)

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """TCP is there; with TLS the handshake is still to come."""
        if not data.server.tls:
            self._stop(data.server)

    def tls_established_server(self, data: tls.TlsData) -> None:
        """The handshake has been made."""
        self._stop(data.conn)

    def tls_failed_server(self, data: tls.TlsData) -> None:
        """It has failed by itself."""
        self._stop(data.conn)

    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Refused, not found, or out of time."""
        self._stop(data.server)

    def server_disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Closed, maybe during the handshake."""
        self._stop(data.server)

    def _stop(self, server: connection.Connection) -> None:
        if isinstance(server, connection.Server) and (timer := self._timers.pop(server, None)):
            timer.cancel()
