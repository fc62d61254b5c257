"""One row per call, whatever its end: answer, upstream error, refused connection, client gone, proxy stopped."""

from __future__ import annotations

import asyncio
import contextlib

from mitmproxy import connection, http

from addons.core.call import CapturedBody, Outcome
from addons.core.failures import failure_of
from addons.exchange import Exchange, exchange_of
from addons.meter import FIRST_ERROR_STATUS, SWITCHING_PROTOCOLS, Tap
from addons.metrics import count_call
from addons.proxycore.hooks import CLIENT_LEFT, DRAIN, FAILURE
from addons.state import State
from addons.wireheaders import make_headers

DRAIN_SECONDS = 600.0  # the longest that an answer is read for nobody


class Recorder:
    """Hands each finished call to the writer once. `live` holds those that run, so that a stop loses none."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.live = state.live

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """From here on the call will have a row. The client's own headers are kept before any room changes them."""
        exchange = exchange_of(flow)
        if exchange and exchange.kind == "call":
            exchange.record.request.headers = exchange.read_headers(flow.request).pairs
            self.live[exchange.record.id] = flow

    def response(self, flow: http.HTTPFlow) -> None:
        """The answer has ended; a WebSocket has only begun."""
        if flow.metadata.get(CLIENT_LEFT):  # an answer that was read to its end for the record
            self._finish(flow, "cancelled")
        elif flow.response and flow.websocket is None:
            self._finish(flow, "ok" if flow.response.status_code < FIRST_ERROR_STATUS else "error")

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """A relayed WebSocket has closed."""
        self._finish(flow, "ok")

    def error(self, flow: http.HTTPFlow) -> None:
        """The call broke off: on the client's side, or on the upstream's before or after the answer began."""
        if flow.metadata.get(CLIENT_LEFT):
            self._finish(flow, "cancelled")
        else:
            self._finish(flow, "partial" if answer_began(flow) else "error", "stream" if answer_began(flow) else "connect")

    async def client_disconnected(self, client: connection.Client) -> None:
        """Whatever still runs on a connection that is gone has ended with it, but for answers that are drained.

        mitmproxy closes the connections to upstreams when this hook returns (DESIGN §2.13).
        """
        left = [flow for flow in self.live.values() if flow.client_conn is client]
        drained = [exchange.end_event().wait() for flow in left if flow.metadata.get(DRAIN) and (exchange := exchange_of(flow))]
        if drained:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*drained), DRAIN_SECONDS)
        for flow in left:
            self._finish(flow, "cancelled")

    def done(self) -> None:
        """The proxy stops: everything taken in is written."""
        for flow in list(self.live.values()):
            left = flow.metadata.get(CLIENT_LEFT)
            self._finish(flow, "cancelled" if left else "partial" if answer_began(flow) else "error", "proxy_stopped")
        self.state.writer.stop()
        if self.state.statefile:
            self.state.save_health()
            self.state.statefile.stop()

    def _finish(self, flow: http.HTTPFlow, outcome: Outcome, error_type: str | None = None) -> None:
        exchange = exchange_of(flow)
        if exchange is None or self.live.pop(exchange.record.id, None) is None:
            return  # not a call, a second end of the same one, or a handshake that became none
        if exchange.ended:
            exchange.ended.set()
        _take_key_out(flow, exchange)
        exchange.close_tries()
        if exchange.kind != "call":
            return
        record = exchange.record
        if record.outcome == "ok":  # else the room that refused it has said why
            record.outcome = outcome
            record.error_type = record.error_type or error_type
            record.error = record.error or flow.metadata.get(FAILURE) or (flow.error.msg if flow.error else None)
        self._add_facts(flow, exchange)
        exchange.tries = None  # it holds the flow, which holds the exchange: a circle, that would be found only now and then
        count_call(self.state, record)
        self.state.writer.put(record)

    def _add_facts(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        record, response = exchange.record, flow.response
        record.duration_ms = exchange.now_ms()
        if exchange.decision and exchange.tries and exchange.tries.passed:  # else it stands there already
            record.decision = exchange.decision.as_json(exchange.tries.passed)
        record.connect_ms = connect_ms(flow, record.started_ms)
        _close_request(flow, exchange)
        if response is not None:
            record.status = response.status_code
            _close_response(response, record.response)
        if exchange.session:
            exchange.session.close()
        if attempt := exchange.attempt:
            if attempt.duration_ms is None:
                attempt.duration_ms = record.duration_ms - (exchange.attempt_started or 0.0)
            if attempt.failure is None and response is not None:
                attempt.status, attempt.failure = response.status_code, failure_of(response.status_code)
            elif attempt.failure is None and record.error_type == "connect":
                attempt.failure = "connect"  # broken while a long body was being sent: nobody was asked for an answer
            if record.outcome == "partial":
                attempt.failure = "stream"


def _close_request(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """The client's own body, not what an attempt made of it."""
    if isinstance(flow.request.stream, Tap):
        flow.request.stream.close()
        return
    body = (exchange.original.body if exchange.original else None) or flow.request.raw_content or b""
    exchange.record.request.content, exchange.record.request.size = body, len(body)


def _close_response(response: http.Response, body: CapturedBody) -> None:
    if isinstance(response.stream, Tap):
        response.stream.close(ends=True)
    elif response.raw_content is not None and response.status_code != SWITCHING_PROTOCOLS:
        body.content, body.size = response.raw_content, len(response.raw_content)


def _take_key_out(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """What mitmproxy keeps of the flow (`-w`, which comes after us) shows no key of the pool: as in a row, its last characters at most."""
    if exchange.key_sent and exchange.attempt:
        value, shown = exchange.key_sent.encode(), b"..." + (exchange.attempt.key_hint or "").encode()
        flow.request.headers = make_headers(tuple([(name, text.replace(value, shown)) for name, text in flow.request.headers.fields]))


def answer_began(flow: http.HTTPFlow) -> bool:
    """Has the client been given a part of the upstream's answer?"""
    return flow.response is not None and isinstance(flow.response.stream, Tap)


def connect_ms(flow: http.HTTPFlow, started_ms: int) -> float | None:
    """Milliseconds that opening the upstream connection took (TCP and TLS); None where an open one was used again."""
    server = flow.server_conn
    begun, ready = server.timestamp_start, server.timestamp_tls_setup or server.timestamp_tcp_setup
    if begun is None or ready is None or begun * 1000 < started_ms - 1:
        return None
    return (ready - begun) * 1000
