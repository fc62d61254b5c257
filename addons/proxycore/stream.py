"""Our HTTP stream, the part that tells what no stock hook tells: mitmproxy's stream, and

- whether a request came in origin form (`GET /path`: spoken to the proxy itself) or absolute form (to be forwarded):
  mitmproxy fills in the host from the Host header before any hook runs, and only origin form is open to DNS rebinding;
- `request_stream`: a body too long to be held is about to be sent on, so the target must be known now;
- answers that are read to their end when the client has left.

Attempts are in `attempts.py`. Read in mitmproxy 12.2 `proxy/layers/http/__init__.py`; `install.py` pins what both rest on.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HTTPMode, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import RequestData, RequestEndOfMessage, RequestHeaders, RequestProtocolError, RequestTrailers

from addons.proxycore.hooks import CLIENT_LEFT, DRAIN, ORIGIN_FORM, RequestStreamHook

Commands = Generator[commands.Command, Any, Any]


class TurnpikeStream(HttpStream):
    """One request and its answer."""

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

    def start_response_stream(self) -> Commands:
        """As mitmproxy's, without the line that it logs for each."""
        for command in super().start_response_stream():
            if not isinstance(command, commands.Log):
                yield command

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

    def client_left(self, event: RequestProtocolError) -> bool:
        """Note it. Is the answer read on all the same?"""
        self.flow.metadata[CLIENT_LEFT] = True
        if self.flow.metadata.get(DRAIN) and self.client_state == self.state_done and self.answering:
            self._handle_event = self._drain  # as mitmproxy itself does it for tunnels
            return True
        return False

    @property
    def answering(self) -> bool:
        """Is there an upstream that will answer, or does so?"""
        return self.server_state in (self.state_wait_for_response_headers, self.state_stream_response_body)

    def _drain(self, event: events.Event) -> Commands:
        """The answer is still read, for the record: what is meant for the client goes nowhere."""
        work, answer = type(self)._handle_event(self, event), None
        while True:
            try:
                command = work.send(answer)
            except StopIteration:
                return
            answer = None
            if not (isinstance(command, SendHttp) and command.connection is self.context.client):  # none of these is replied to
                answer = yield command
