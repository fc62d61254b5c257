"""Our HTTP stream: mitmproxy's, with what no stock hook tells, and answers that are drained.

- whether a request came in origin form (`GET /path`: spoken to the proxy itself) or absolute form (to be forwarded):
  mitmproxy fills in the host from the Host header before any hook runs, and only origin form is open to DNS rebinding;
- `request_stream`: a body too long to be held is about to be sent on, so the target must be known now;
- `upstream_failed`: no answer came, and nothing has reached the client yet, so an addon may still give one.

Installed at `HttpLayer.make_stream`, the narrowest seam; `install` checks the internals that this rests on, so that an
upgrade of mitmproxy fails there and nowhere else. Read in mitmproxy 12.2 `proxy/layers/http/__init__.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHeadersHook
from mitmproxy.proxy.server import ConnectionHandler

ORIGIN_FORM = "turnpike_origin_form"
CLIENT_LEFT = "turnpike_client_left"
FAILURE = "turnpike_failure"
DRAIN = "turnpike_drain"
"""Keys in `flow.metadata`, plain values only: bool, bool, the error's text, bool (an answer is read to its end when the client leaves)."""

RESTS_ON = {
    "__init__": ["self", "context", "stream_id"],
    "state_wait_for_request_headers": ["self", "event"],
    "start_request_stream": ["self"],
    "state_consume_request_body": ["self", "event"],
    "handle_protocol_error": ["self", "event"],
    "send_response": ["self", "already_streamed"],
    "check_killed": ["self", "emit_error_hook"],
    "check_invalid": ["self", "request"],
}
"""The methods of HttpStream that are overridden or called, with their parameters."""

MAX_CONNECTIONS = 256  # per client connection and upstream address; what an HTTP/2 client opens in parallel is at most about 100

Commands = Generator[commands.Command, Any, Any]


@dataclass
class RequestStreamHook(commands.StartHook):
    """`request_stream(flow)`: the body will not be held; `flow.request` has no content."""

    flow: http.HTTPFlow


@dataclass
class UpstreamFailedHook(commands.StartHook):
    """`upstream_failed(flow)`: the upstream gave no answer (`flow.metadata[FAILURE]`); set `flow.response` to answer instead."""

    flow: http.HTTPFlow


class TurnpikeStream(HttpStream):
    """One request and its answer."""

    def _drain(self, event: events.Event) -> Commands:
        """The client has left, and the answer is still read, for the record: what is meant for the client goes nowhere."""
        work, answer = super()._handle_event(event), None
        while True:
            try:
                command = work.send(answer)
            except StopIteration:
                return
            answer = None
            if not (isinstance(command, SendHttp) and command.connection is self.context.client):  # none of these is replied to
                answer = yield command

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """As mitmproxy's; the flow that the first hook shows is told its form."""
        spoken_to_us = self.mode is HTTPMode.regular and (not event.request.host or event.request.is_http2)
        work, answer = super().state_wait_for_request_headers(event), None
        while True:
            try:
                command = work.send(answer)
            except StopIteration:
                return
            if spoken_to_us and isinstance(command, commands.StartHook):
                self.flow.metadata[ORIGIN_FORM] = True
            answer = yield command

    def start_request_stream(self) -> Commands:
        """Ask for the target first; a refusal, or that nobody is there, is answered as soon as the body is in."""
        yield RequestStreamHook(self.flow)
        if not self.flow.response:
            yield from super().start_request_stream()
        if self.flow.response:
            self.flow.request.stream = False
            self.client_state = self.state_discard_request_body

    def state_discard_request_body(self, event: RequestData | RequestTrailers | RequestEndOfMessage) -> Commands:
        """A body that goes nowhere is read, since clients send before they listen, but not held: it may be endless."""
        if not isinstance(event, RequestData):
            yield from self.state_consume_request_body(event)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        """Note who left; ask for an answer where the client has none yet."""
        if isinstance(event, RequestProtocolError):
            self.flow.metadata[CLIENT_LEFT] = True
            answering = self.server_state in (self.state_wait_for_response_headers, self.state_stream_response_body)
            if self.flow.metadata.get(DRAIN) and self.client_state == self.state_done and answering:
                self._handle_event = self._drain  # as mitmproxy itself does it for tunnels
                return
        elif not self.flow.live:
            return  # a second error of a connection whose first one has been answered (it waited while hooks ran)
        else:
            self.flow.metadata[FAILURE] = event.message
            if self.client_state in (self.state_wait_for_request_headers, self.state_consume_request_body):
                yield UpstreamFailedHook(self.flow)  # the body is still to come, see start_request_stream
                if self.flow.response:
                    return
            waiting = self.server_state == self.state_wait_for_response_headers
            if waiting and self.client_state == self.state_done and (yield from self._answer_instead()):
                return
        yield from super().handle_protocol_error(event)

    def check_invalid(self, request: bool) -> Commands:
        """A response that mitmproxy would refuse for its headers is an upstream's failure like any other."""
        if request or not self.context.options.validate_inbound_headers or self.flow.response is None:
            return (yield from super().check_invalid(request))
        try:
            validate_headers(self.flow.response)
        except ValueError as error:
            refused, self.flow.response = self.flow.response, None
            self.flow.metadata[FAILURE] = f"the upstream sent {error}"
            if (yield from self._answer_instead()):
                yield commands.CloseConnection(self.flow.server_conn)
                return True
            self.flow.response = refused  # no call of ours: as mitmproxy does it
            return (yield from super().check_invalid(request))
        return False

    def _answer_instead(self) -> Commands:
        yield UpstreamFailedHook(self.flow)
        if self.flow.response is None:
            return False
        if not (yield from self.check_killed(True)):
            self.flow.response.timestamp_start = time.time()
            yield HttpResponseHeadersHook(self.flow)
            yield from self.send_response()
        return True


def make_stream(self: HttpLayer, stream_id: int) -> layer.CommandGenerator[None]:
    """`HttpLayer.make_stream` with our class. A connect that failed is tried again by each new call: mitmproxy would answer it
    from memory as long as the client keeps its connection."""
    for connection in self.connections:
        if isinstance(connection, Server) and connection not in self.waiting_for_establishment:
            connection.error = None
    stream = TurnpikeStream(self.context.fork(), stream_id)
    self.streams[stream_id] = stream
    yield from self.event_to_child(stream, events.Start())


def broken_pins() -> list[str]:
    """What of mitmproxy's internals is not as this module needs it; empty when all is well."""
    wrong = [
        f"HttpStream.{name} takes {list(inspect.signature(getattr(HttpStream, name)).parameters)}"
        for name, parameters in RESTS_ON.items()
        if list(inspect.signature(getattr(HttpStream, name)).parameters) != parameters
    ]
    if list(inspect.signature(HttpLayer.make_stream).parameters) != ["self", "stream_id"]:
        wrong.append("HttpLayer.make_stream has other parameters")
    return wrong


def install() -> None:
    """Put our stream in place. Raises RuntimeError where this mitmproxy is not the one that it was written for."""
    if wrong := broken_pins():
        raise RuntimeError(f"this mitmproxy's HTTP layer is not the one of 12.2: {'; '.join(wrong)}")
    HttpLayer.make_stream = make_stream  # type: ignore[method-assign]
    ConnectionHandler.__init__ = _init_handler  # type: ignore[method-assign]


_stock_init = ConnectionHandler.__init__


def _init_handler(self: ConnectionHandler, context: Context) -> None:
    """With more than the stock 5 connections per upstream address, of which the sixth HTTP/2 stream to an HTTP/1 upstream waits."""
    _stock_init(self, context)
    self.max_conns = defaultdict(lambda: asyncio.Semaphore(MAX_CONNECTIONS))
