"""Several processes on one port: mitmproxy's TCP listeners are bound with SO_REUSEPORT (DESIGN §2.10), and the kernel spreads connections.

Only where `turnpike run --workers` has started us: it has made sure that nobody else listens there. Without it a port stays exclusive.

mitmproxy opens its listeners before it loads scripts. Alone that matters little, as nobody knows yet that it runs; beside others half of
the clients would be served without any of our rooms. So a listener takes connections only from `open_port` on.
"""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

from mitmproxy.proxy import mode_servers

_closed: list[asyncio.Server] | None = None
"""Listeners that are bound and do not listen yet; None: those that are made listen at once."""


def broken_pins() -> list[str]:
    """What of mitmproxy is not as `share_port` needs it; empty when all is well."""
    source = inspect.getsource(mode_servers.AsyncioServerInstance.listen)
    return [] if "asyncio.start_server(self.handle_stream, host, port)" in source else ["AsyncioServerInstance.listen has changed"]


def share_port() -> None:
    """Before mitmproxy starts. Raises RuntimeError where this mitmproxy opens listeners in another way."""
    global _closed  # noqa: PLW0603 # of the process, as its listeners are
    if wrong := broken_pins():
        raise RuntimeError(f"this mitmproxy can't share a port: {'; '.join(wrong)}")
    _closed = []
    # the module's own name for asyncio, so that nobody else's listeners are concerned
    mode_servers.__dict__["asyncio"] = SimpleNamespace(**vars(asyncio) | {"start_server": _start_server})


async def open_port() -> None:
    """All rooms are there: connections are taken."""
    global _closed  # as above
    waiting, _closed = _closed or [], None
    for server in waiting:
        await server.start_serving()


async def _start_server(*args: Any) -> asyncio.Server:
    server = await asyncio.start_server(*args, reuse_port=True, start_serving=_closed is None)
    if _closed is not None:
        _closed.append(server)
    return server
