"""What clients have not taken yet: at the end of the process it would be lost. `broken_pins` checks what this rests on."""

from __future__ import annotations

import inspect

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO


def unsent_bytes(master: Master) -> int:
    """Bytes of answers that wait in our own buffers, over all connections to clients."""
    server = master.addons.get("proxyserver")
    if not isinstance(server, Proxyserver):
        return 0
    waiting = 0
    for handler in server.connections.values():
        io = handler.transports.get(handler.client)
        transport = getattr(io.writer, "transport", None) if io else None  # UDP has none
        if transport is not None and not transport.is_closing():
            waiting += transport.get_write_buffer_size()
    return waiting


def broken_pins() -> list[str]:
    """What of mitmproxy is not as this module needs it; empty when all is well."""
    wrong = []
    if "writer" not in ConnectionIO.__annotations__:
        wrong.append("ConnectionIO has no writer")
    if "transports" not in ConnectionHandler.__annotations__ or "client" not in ConnectionHandler.__annotations__:
        wrong.append("ConnectionHandler has no transports or no client")
    if "self.connections" not in inspect.getsource(Proxyserver.__init__):
        wrong.append("Proxyserver has no connections")
    return wrong
