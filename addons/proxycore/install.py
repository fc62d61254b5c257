"""Puts our stream in place, at the narrowest seams: `HttpLayer.make_stream` and `get_connection`, `ConnectionHandler.__init__`,
`handle_client` and `wakeup`. `broken_pins` checks the internals that all this rests on, so that an upgrade of mitmproxy fails there
and nowhere else.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HttpStream
from mitmproxy.proxy.server import ConnectionHandler

from addons.proxycore.attempts import AttemptStream, GetFreshConnection
from addons.proxycore.watch import Alarm, Watch

RESTS_ON: Mapping[type, Mapping[str, list[str]]] = {
    HttpStream: {
        "__init__": ["self", "context", "stream_id"],
        "_handle_event": ["self", "event"],
        "state_wait_for_request_headers": ["self", "event"],
        "start_request_stream": ["self"],
        "start_response_stream": ["self"],
        "state_consume_request_body": ["self", "event"],
        "state_stream_request_body": ["self", "event"],
        "state_wait_for_response_headers": ["self", "event"],
        "handle_protocol_error": ["self", "event"],
        "make_server_connection": ["self"],
        "send_response": ["self", "already_streamed"],
        "flow_done": ["self"],
        "check_killed": ["self", "emit_error_hook"],
        "check_invalid": ["self", "request"],
    },
    HttpLayer: {
        "make_stream": ["self", "stream_id"],
        "get_connection": ["self", "event", "reuse"],
        "event_to_child": ["self", "child", "event"],
    },
    ConnectionHandler: {
        "__init__": ["self", "context"],
        "handle_client": ["self"],
        "wakeup": ["self", "request"],
        "open_connection": ["self", "command"],
    },
}
"""The methods that are overridden, replaced or called, with their parameters."""

MAX_CONNECTIONS = 256  # per client connection and upstream address; what an HTTP/2 client opens in parallel is at most about 100

WATCH = "turnpike_watch"
"""The attribute of an HttpLayer where its watch is: it holds the layer, so a weak dictionary would never let go of either."""

_stock_init = ConnectionHandler.__init__
_stock_wakeup = ConnectionHandler.wakeup
_stock_handle_client = ConnectionHandler.handle_client
_alarms: WeakKeyDictionary[ConnectionHandler, set[asyncio.Task[None]]] = WeakKeyDictionary()
_stock_get_connection = HttpLayer.get_connection


def make_stream(self: HttpLayer, stream_id: int) -> layer.CommandGenerator[None]:
    """`HttpLayer.make_stream` with our class, and the watch beside its streams."""
    watch: Watch | None = getattr(self, WATCH, None)
    if watch is None:
        watch = Watch(self.context.fork(), self)
        setattr(self, WATCH, watch)
        yield from self.event_to_child(watch, events.Start())
    stream = AttemptStream(self.context.fork(), stream_id)
    stream.watch = watch
    self.streams[stream_id] = stream
    yield from self.event_to_child(stream, events.Start())


def get_connection(self: HttpLayer, event: GetHttpConnection, *, reuse: bool = True) -> layer.CommandGenerator[None]:
    """A connection that failed is tried again: mitmproxy would answer from memory as long as the client keeps its connection. It would
    also keep all that have closed, with the last request of each."""
    in_use = {stream.context.server for stream in self.streams.values()}
    for server in [known for known in self.connections if isinstance(known, Server) and known not in self.waiting_for_establishment]:
        never_open = server.error is not None and server.timestamp_tcp_setup is None
        if never_open or (server.timestamp_end is not None and server not in in_use):  # nothing more will come of it
            del self.connections[server]
        server.error = None
    yield from _stock_get_connection(self, event, reuse=reuse and not isinstance(event, GetFreshConnection))


async def _wakeup(self: ConnectionHandler, request: commands.RequestWakeup) -> None:
    """An alarm's moment may move while it is waited for; and answers that are drained need it when the client has left, which ends
    mitmproxy's own timers."""
    if isinstance(request, Alarm) and (task := asyncio.current_task()):
        await asyncio.sleep(0)  # a task that was begun eagerly is not in the set yet
        self.wakeup_timer.discard(task)
        alarms = _alarms.setdefault(self, set())
        alarms.add(task)
        task.add_done_callback(alarms.discard)
        await request.sleep()
        request.blocked = self._drain_lock.locked()
    await _stock_wakeup(self, request)


async def _handle_client(self: ConnectionHandler) -> None:
    try:
        await _stock_handle_client(self)
    finally:
        for alarm in _alarms.pop(self, ()):
            alarm.cancel()


def _init_handler(self: ConnectionHandler, context: Context) -> None:
    """With more than the stock 5 connections per upstream address, of which the sixth HTTP/2 stream to an HTTP/1 upstream waits."""
    _stock_init(self, context)
    self.max_conns = defaultdict(lambda: asyncio.Semaphore(MAX_CONNECTIONS))


def broken_pins() -> list[str]:
    """What of mitmproxy's internals is not as this module needs it; empty when all is well."""
    return [
        f"{owner.__name__}.{name} takes {found}"
        for owner, methods in RESTS_ON.items()
        for name, parameters in methods.items()
        if (found := _parameters(owner, name)) != parameters
    ]


def _parameters(owner: type, name: str) -> list[str] | None:
    method = getattr(owner, name, None)
    return list(inspect.signature(method).parameters) if method else None


def install() -> None:
    """Put our stream in place. Raises RuntimeError where this mitmproxy is not the one that it was written for."""
    if wrong := broken_pins():
        raise RuntimeError(f"this mitmproxy's HTTP layer is not the one of 12.2: {'; '.join(wrong)}")
    HttpLayer.make_stream = make_stream  # type: ignore[method-assign]
    HttpLayer.get_connection = get_connection  # type: ignore[method-assign]
    ConnectionHandler.__init__ = _init_handler  # type: ignore[method-assign]
    ConnectionHandler.wakeup = _wakeup  # type: ignore[method-assign]
    ConnectionHandler.handle_client = _handle_client  # type: ignore[method-assign]
