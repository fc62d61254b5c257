"""Another attempt for the same client stream: a failure is taken aside before anything of it reaches the client, the add-ons are
asked (`upstream_failed`), and what `flow.request` is then is sent, at once or after a wait.

The first attempt bears the client's stream id towards the upstream, each further one an id of its own (registered in the HttpLayer's
`streams`): what an abandoned attempt still says is known by its id and dropped, and HTTP/2 sees a new stream.

    request ──► [paused] ──► connect ──► wait for headers ──► pass on
                   ▲                          ├─ status ≥ 400: taken aside, to its end ─┐
                   │                          └─ stream: held until its first content ──┤ error in its place
                   └───────────────────────── upstream_failed ◄──────── refused, broken, late
"""

from __future__ import annotations

import itertools
import time
from weakref import WeakSet

from mitmproxy import flow, http
from mitmproxy.connection import Connection
from mitmproxy.net.http import validate
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnection, SendHttp
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpRequestHook, HttpResponseHeadersHook

from addons.core.opening import opening_of
from addons.proxycore.connecting import limit_connect
from addons.proxycore.held import HOLD_S, Held
from addons.proxycore.hooks import (
    AGAIN,
    CLIENT_LEFT,
    FAILURE,
    RETRIES,
    TIMEOUTS,
    WAIT,
    AttemptDueHook,
    FailureKind,
    UpstreamFailedHook,
    UpstreamFailure,
)
from addons.proxycore.stream import Commands, TurnpikeStream
from addons.proxycore.watch import NEVER, Expired, Watch

FIRST_ERROR_STATUS = 400
NO_LIMITS = (0.0, 0.0, 0.0)

_attempt_ids = itertools.count(1_000_001, 2)
_used: WeakSet[Connection] = WeakSet()
_paused: dict[http.HTTPFlow, AttemptStream] = {}  # whoever ends a pause takes its call out

FROM_CLIENT = frozenset({RequestHeaders, RequestData, RequestTrailers, RequestEndOfMessage})
FROM_UPSTREAM = frozenset({ResponseHeaders, ResponseData, ResponseTrailers, ResponseEndOfMessage, ResponseProtocolError})


class GetFreshConnection(GetHttpConnection):
    """A connection that no other call has used: the one that was reused had died."""


def wake(waiting: http.HTTPFlow) -> None:
    """What a call waits for has come, whether it is paused already or about to be. On the event loop only."""
    if stream := _paused.get(waiting):
        stream.set_due(0.0)
    elif WAIT in waiting.metadata:
        waiting.metadata[WAIT] = 0.0


class AttemptStream(TurnpikeStream):
    """One request, and as many attempts as the add-ons ask for. `due`: the moment (monotonic clock) at which `Expired` is wanted."""

    watch: Watch

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self.due = NEVER
        self.attempt_id = stream_id
        self._held: Held | None = None
        self._heard = 0.0  # when the upstream last said something
        self._running = False  # has the attempt been sent, and its answer not ended?
        self._reused = False
        self._fresh = False

    def set_due(self, seconds: float) -> None:
        """Be told by `Expired` after so long."""
        self.due = time.monotonic() + seconds
        self.watch.ask(self.due)

    def _handle_event(self, event: events.Event) -> Commands:
        """No generator of its own around that of the state, which most events are for."""
        kind, state = type(event), None
        if kind in FROM_CLIENT:
            state = self.client_state
        if kind in FROM_UPSTREAM:
            if event.stream_id != self.attempt_id:  # type: ignore[attr-defined]
                return self._ignore()  # of an attempt that was abandoned
            event.stream_id = self.stream_id  # type: ignore[attr-defined]
            self._heard = time.monotonic()
            self._running = kind is not ResponseEndOfMessage and kind is not ResponseProtocolError
            state = None if kind is ResponseProtocolError else self.server_state
        elif isinstance(event, Expired):
            if event.blocked:
                self._heard = time.monotonic()  # it is the client that is slow: nothing more is read from the upstream meanwhile
            return self._on_expired()
        work: Commands = super()._handle_event(event) if state is None else state(event)
        return work

    def _ignore(self) -> Commands:
        yield from ()

    def relay(self, attempt_id: int, data: bytes) -> list[bytes] | None:
        """A piece of an answer that is being streamed, without an event for it: what of it goes to the client. None where it needs one."""
        response = self.flow.response
        if (
            response is None
            or self._paused is not None
            or attempt_id != self.attempt_id
            or self.server_state != self.state_stream_response_body
            or "_handle_event" in vars(self)  # nobody is left whom it could be sent to
            or self.context.options.store_streamed_bodies
        ):
            return None
        self._heard = time.monotonic()
        passed = response.stream(data) if callable(response.stream) else data
        return [passed] if isinstance(passed, bytes) else list(passed)

    # The request ------------------------------------------------------------------------------------------------------

    def state_consume_request_body(self, event: events.Event) -> Commands:
        """As mitmproxy's, but that there may be something to wait for before the first attempt."""
        if not isinstance(event, RequestEndOfMessage):
            yield from super().state_consume_request_body(event)
            return
        self.flow.request.timestamp_end = time.time()
        self.flow.request.data.content = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        self.client_state = self.state_done
        yield HttpRequestHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from self._next_step()

    def state_stream_request_body(self, event: RequestData | RequestEndOfMessage) -> Commands:
        """As mitmproxy's; the wait for the first byte begins when the body has gone."""
        yield from super().state_stream_request_body(event)
        if isinstance(event, RequestEndOfMessage) and self.server_state == self.state_wait_for_response_headers:
            self._limit(self._timeouts[1])

    def _next_step(self) -> Commands:
        """What the add-ons have decided: an answer of their own, a wait, or an attempt."""
        wait = self.flow.metadata.pop(WAIT, None)
        if self.flow.response:
            yield from self._answer()
        elif wait is not None:
            self.server_state = self.state_paused
            _paused[self.flow] = self
            self.set_due(wait)
        else:
            yield from self._send_attempt()

    def state_paused(self, _: HttpEvent) -> Commands:
        """No attempt is under way, so nobody has anything to say."""
        yield from ()

    def _send_attempt(self) -> Commands:
        self.server_state = self.state_wait_for_response_headers
        if not (yield from self.make_server_connection()) or (yield from self.check_killed(True)):
            return
        request = self.flow.request
        content = request.raw_content
        server = self.context.server
        self._running = True
        yield SendHttp(RequestHeaders(self.attempt_id, request, not (content or request.trailers)), server)
        if content:
            yield SendHttp(RequestData(self.attempt_id, content), server)
        if request.trailers:
            yield SendHttp(RequestTrailers(self.attempt_id, request.trailers), server)
        yield SendHttp(RequestEndOfMessage(self.attempt_id), server)
        self._limit(self._timeouts[1])

    def make_server_connection(self) -> Commands:
        """As mitmproxy's, within the time that there is, and a failure is one like any other."""
        request, via = self.flow.request, self.flow.server_conn
        seconds = self._timeouts[0]
        if seconds:
            limit_connect(self.context.client, (request.host, request.port), seconds)
        begun = time.monotonic()
        kind = GetFreshConnection if self._fresh else GetHttpConnection
        connection, error = yield kind((request.host, request.port), request.scheme == "https", via.via, via.transport_protocol)
        if error:
            late = bool(seconds) and time.monotonic() - begun >= seconds
            why = f"no connection within {seconds:g} s" if late else error
            yield from self._no_answer("timeout" if late else "connect", why, ErrorCode.CONNECT_FAILED)
            return False
        self.context.server = self.flow.server_conn = connection
        self._reused = connection in _used
        _used.add(connection)
        return True

    # The answer -------------------------------------------------------------------------------------------------------

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> Commands:
        """Pass the answer on, unless it may be a failure that another attempt mends."""
        if (why := self._refusal(event.response)) and self._api is not None:
            yield commands.CloseConnection(self.flow.server_conn)
            self._running = False
            yield from self._failed("connect", why, ErrorCode.RESPONSE_VALIDATION_FAILED)
            return
        failed = event.response.status_code >= FIRST_ERROR_STATUS
        headers = tuple((str(name), str(value)) for name, value in event.response.headers.items(multi=True))
        opening = opening_of(self._api, event.response.status_code, headers) if self._may_retry and self._api and not failed else None
        if self._may_retry and (failed or opening):
            self._held = Held(event, opening, self._heard)
            self.server_state = self.state_hold
            self._limit(min(HOLD_S, self._timeouts[2]) if opening else self._timeouts[2])
        else:
            yield from self._pass_on(event)

    def _pass_on(self, event: ResponseHeaders) -> Commands:
        self._limit(self._timeouts[2])
        yield from super().state_wait_for_response_headers(event)

    def state_hold(self, event: HttpEvent) -> Commands:
        """An error's body to its end, so that its connection stays usable; a stream to its first content."""
        held = self._held
        if held is None:
            return
        state = held.take(event)
        if state == "release":
            yield from self._release()
        elif state == "failed" and held.opening is None:
            yield from self._failed_with_status()
        elif state == "failed":
            why = held.error[1] or held.error[0] or "error event"
            yield from self._failed("error_event", why, ErrorCode.GENERIC_SERVER_ERROR, error=held.error)

    def _failed_with_status(self) -> Commands:
        held = self._held
        if held is not None:
            response = held.whole()
            yield from self._failed("status", f"status {response.status_code}", ErrorCode.GENERIC_SERVER_ERROR, response)

    def _release(self) -> Commands:
        """The client gets what was held."""
        held, self._held = self._held, None
        if held is None:
            return
        self.server_state = self.state_wait_for_response_headers
        yield from self._pass_on(held.begin)
        for event in held.replay():
            yield from self.server_state(event)

    def _answer(self) -> Commands:
        """What stands in `flow.response`, whole."""
        response = self.flow.response
        if response is None:
            return
        response.timestamp_start = response.timestamp_start or time.time()
        yield HttpResponseHeadersHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from self.send_response()

    # Failures ---------------------------------------------------------------------------------------------------------

    def _failed(
        self,
        kind: FailureKind,
        why: str,
        code: ErrorCode,
        response: http.Response | None = None,
        error: tuple[str | None, str | None] = (None, None),
    ) -> Commands:
        """Ask what is to be done; without a word the client gets the failure as it came."""
        self.due = NEVER
        if kind in ("connect", "timeout"):  # else the answer says it itself
            self.flow.metadata[FAILURE] = why
        self._note_if_left()
        status = self._held.begin.response.status_code if self._held else None
        yield UpstreamFailedHook(UpstreamFailure(self.flow, kind, why, status, response, error))
        again = self.flow.metadata.pop(AGAIN, False)
        if (yield from self.check_killed(True)):
            yield from self._abandon()
            return
        if not again and self.flow.response is None:
            self.flow.response = response
        if again or self.flow.response:
            if again:
                self.flow.metadata.pop(FAILURE, None)
            yield from self._begin_anew()
            yield from self._next_step()
        elif self._held is not None:
            yield from self._release()
        else:
            yield from self._abandon()
            yield from super().handle_protocol_error(ResponseProtocolError(self.stream_id, why, code))

    def _broke_off(self, kind: FailureKind, why: str, code: ErrorCode) -> Commands:
        """A stream of which nothing has reached the client, and that will not go on: there is nothing to be released."""
        self._held = None
        yield from self._failed(kind, why, code)

    def _no_answer(self, kind: FailureKind, why: str, code: ErrorCode) -> Commands:
        """No connection, or it broke. Where the body is still to come, the answer to that waits for its end (`start_request_stream`)."""
        if self.client_state == self.state_done:
            yield from self._failed(kind, why, code)
            return
        self.flow.metadata[FAILURE] = why
        yield UpstreamFailedHook(UpstreamFailure(self.flow, kind, why))
        self.flow.metadata.pop(AGAIN, None)
        if not self.flow.response:
            yield from super().handle_protocol_error(ResponseProtocolError(self.stream_id, why, code))

    def _abandon(self) -> Commands:
        """What this attempt may still say is for nobody."""
        if self._running:
            self._running = False
            yield SendHttp(RequestProtocolError(self.attempt_id, "abandoned by the proxy", ErrorCode.CANCEL), self.context.server)
        self._held = None
        self._forget_attempt()

    def _begin_anew(self) -> Commands:
        """From here on another attempt is meant, which has a number of its own."""
        yield from self._abandon()
        self.attempt_id = next(_attempt_ids)
        self._layer_streams[self.attempt_id] = self

    def _forget_attempt(self) -> None:
        if self.attempt_id != self.stream_id:
            self._layer_streams.pop(self.attempt_id, None)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        """The client's end, or the upstream's, is gone."""
        if isinstance(event, RequestProtocolError):
            yield from self._client_gone(event)
        elif self.flow.live:  # else a second error of a connection whose first one has been answered (it waited while hooks ran)
            yield from self._upstream_gone(event)

    def _client_gone(self, event: RequestProtocolError) -> Commands:
        if self.client_left(event):
            return
        self.due = NEVER
        if self.server_state == self.state_paused:  # there is no attempt that could be told
            _paused.pop(self.flow, None)
            self.client_state = self.server_state = self.state_errored
            self.flow.error = flow.Error(event.message)
            yield HttpErrorHook(self.flow)
            self.flow.live = False
            self._forget_attempt()
            yield DropStream(self.stream_id)
            return
        event.stream_id = self.attempt_id
        yield from super().handle_protocol_error(event)
        self._forget_attempt()

    def _upstream_gone(self, event: ResponseProtocolError) -> Commands:
        waiting = self.server_state == self.state_wait_for_response_headers
        if waiting and self._connection_had_died:
            self._fresh = True
            yield from self._begin_anew()
            yield from self._send_attempt()
        elif waiting and self.client_state == self.state_done:
            yield from self._failed("connect", event.message, event.code)
        elif self.server_state == self.state_hold and self._held and self._held.opening is None:
            yield from self._failed_with_status()
        elif self.server_state == self.state_hold:
            yield from self._broke_off("connect", event.message, event.code)
        else:
            self.flow.metadata[FAILURE] = event.message
            yield from super().handle_protocol_error(event)
            self._forget_attempt()

    def check_killed(self, emit_error_hook: bool) -> Commands:
        """As mitmproxy's, which looks whether the client has left while a hook ran; that it did is noted before the error is told."""
        self._note_if_left()
        return (yield from super().check_killed(emit_error_hook))

    def _note_if_left(self) -> None:
        if any(isinstance(event, RequestProtocolError) for event in self._paused_event_queue):
            self.flow.metadata[CLIENT_LEFT] = True

    def flow_done(self) -> Commands:
        """As mitmproxy's."""
        self.due = NEVER
        self._forget_attempt()
        yield from super().flow_done()

    # Time -------------------------------------------------------------------------------------------------------------

    def _limit(self, seconds: float) -> None:
        """So long may it take; 0: as long as it takes."""
        self.due = NEVER
        if seconds:
            self.set_due(seconds)

    def _on_expired(self) -> Commands:
        if self.server_state == self.state_paused:
            _paused.pop(self.flow, None)
            yield AttemptDueHook(self.flow)
            if not (yield from self.check_killed(True)):
                yield from self._next_step()
        elif self.server_state == self.state_wait_for_response_headers:
            yield from self._failed("timeout", f"no first byte within {self._timeouts[1]:g} s", ErrorCode.GENERIC_SERVER_ERROR)
        elif self.server_state not in (self.state_done, self.state_errored, self.state_uninitialized):
            yield from self._on_silence(self._timeouts[2])

    def _on_silence(self, idle: float) -> Commands:
        """A time is over within an answer: of the hold, or since the last byte."""
        now, held = time.monotonic(), self._held
        if idle and now >= self._heard + idle:
            yield from self._on_idle(f"nothing came for {idle:g} s")
        elif held and held.opening and now >= held.since + HOLD_S:
            yield from self._release()
        else:
            hold_left = held.since + HOLD_S - now if held and held.opening else NEVER
            self._limit(max(0.01, min(self._heard + idle - now if idle else NEVER, hold_left)))

    def _on_idle(self, why: str) -> Commands:
        if self._held and self._held.opening is None:
            yield from self._failed_with_status()
        elif self._held:
            yield from self._broke_off("timeout", why, ErrorCode.GENERIC_SERVER_ERROR)
        else:
            if self._running:
                self._running = False
                yield SendHttp(RequestProtocolError(self.attempt_id, why, ErrorCode.CANCEL), self.context.server)
            self.flow.metadata[FAILURE] = why
            yield from super().handle_protocol_error(ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR))
            self._forget_attempt()

    # What the add-ons have said ---------------------------------------------------------------------------------------

    @property
    def _api(self) -> str | None:
        """The API's name, for a call that is ours."""
        api: str | None = self.flow.metadata.get(RETRIES)
        return api

    @property
    def _may_retry(self) -> bool:
        return self._api is not None and self.client_state == self.state_done and not self.flow.request.stream

    @property
    def _connection_had_died(self) -> bool:
        """A reused connection that is gone before any byte had died before: no failure, once more on a fresh one (DESIGN §2.8)."""
        return self._reused and not self._fresh and self._may_retry and not self.context.server.connected

    @property
    def _timeouts(self) -> tuple[float, float, float]:
        connect, first_byte, idle = self.flow.metadata.get(TIMEOUTS, NO_LIMITS)
        return connect, first_byte, idle

    @property
    def answering(self) -> bool:
        """A held answer is one too."""
        return super().answering or self.server_state == self.state_hold

    def _refusal(self, response: http.Response) -> str | None:
        """Why mitmproxy would refuse this response, which for us is an upstream's failure like any other."""
        if not self.context.options.validate_inbound_headers:
            return None
        try:
            validate.validate_headers(response)
        except ValueError as error:
            return f"the upstream sent {error}"
        return None

    @property
    def _layer_streams(self) -> dict[int, AttemptStream]:
        streams: dict[int, AttemptStream] = self.context.layers[self.context.layers.index(self) - 1].streams  # type: ignore[attr-defined]
        return streams
