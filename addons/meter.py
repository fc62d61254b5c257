"""The only owner of `flow.response.stream`: takes bytes and times as they pass, parses nothing.

A stream callable that raises breaks the client's connection (DESIGN §2.2), so the tap catches everything and always
returns the bytes that it was given.
"""

from __future__ import annotations

import logging

from mitmproxy import ctx, http

from addons.core.ask_usage import UsageFilter
from addons.core.attempt import LOWER
from addons.core.call import CapturedBody
from addons.core.encodings import Decoder, UndecodableBody, decoder
from addons.core.redaction.restoring import Restorer as Filter
from addons.core.redaction.restoring import stream_restorer
from addons.exchange import Exchange, exchange_of
from addons.state import State
from addons.wireheaders import header_pairs, with_header

logger = logging.getLogger(__name__)

CALL_HEADER = "X-Turnpike-Call"
CALL_FIELD = CALL_HEADER.encode()
TAIL_BYTES = 64 * 1024  # the usage stands in the last events of a stream; they are far shorter
SWITCHING_PROTOCOLS = 101
FIRST_ERROR_STATUS = 400


class Meter:
    """Puts a tap on every answer of an API call."""

    def __init__(self, state: State) -> None:
        self.state = state

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Name the call to the client, note the first byte, and pass the body on as it comes."""
        exchange, response = exchange_of(flow), flow.response
        if exchange is None or response is None:
            return
        if exchange.kind == "side" and response.raw_content is None and response.status_code != SWITCHING_PROTOCOLS:
            response.stream = True  # passed as it comes, whatever it is
        if exchange.kind != "call":
            return
        record = exchange.record
        record.response.headers = header_pairs(response.headers)
        response.headers.fields = with_header(response.headers.fields, CALL_FIELD, record.id.encode())
        if self.state.draining_until is not None and not flow.request.is_http2:
            response.headers["Connection"] = "close"
        if response.raw_content is not None or response.status_code == SWITCHING_PROTOCOLS:
            return  # our own answer, or a WebSocket
        record.ttfb_ms = exchange.now_ms()
        response.stream = Tap(exchange, record.response, self.state.config.capture.max_body, *_filters(flow, response, exchange))

    def request_stream(self, flow: http.HTTPFlow) -> None:
        """A request body that is too long to be held is counted, and kept in part, as it passes."""
        exchange = exchange_of(flow)
        if exchange and exchange.kind == "call" and flow.response is None:
            flow.request.stream = Tap(exchange, exchange.record.request, self.state.config.capture.max_body)

    def websocket_start(self, flow: http.HTTPFlow) -> None:
        """A WebSocket is relayed by mitmproxy; its messages are taken in as they pass."""
        exchange = exchange_of(flow)
        if exchange and exchange.kind == "call":
            exchange.session = SessionTap(exchange, self.state.config.capture.max_body)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """The last message. mitmproxy keeps all of them, which only `-w` needs: a session may go on for days."""
        exchange = exchange_of(flow)
        if exchange is None or flow.websocket is None or not flow.websocket.messages:
            return
        if isinstance(exchange.session, SessionTap):
            message = flow.websocket.messages[-1]
            exchange.session.take(message.content, message.from_client)
        if ctx.options.save_stream_file is None:
            flow.websocket.messages.clear()


class SessionTap:
    """A WebSocket's messages, a line each as its JSON allows: what was sent is the request's body, what came the answer's."""

    def __init__(self, exchange: Exchange, max_body: int) -> None:
        self.sent = Tap(exchange, exchange.record.request, max_body)
        self.came = Tap(exchange, exchange.record.response, max_body)

    def take(self, content: bytes, from_client: bool) -> None:
        """One message. Line breaks between the values of JSON mean nothing, and inside of them they are escaped."""
        (self.sent if from_client else self.came)(content.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")

    def close(self) -> None:
        """Put together what was taken."""
        self.sent.close()
        self.came.close()


class Tap:
    """Copies what passes into `body`: at most `max_body` bytes from the start, and the tail of what is longer.

    What the client gets goes through `restorer` before (placeholders become what they stand for; it is copied so, and masked when it
    is stored), and through `usage_filter` after: usage that only we asked for is kept, and not passed on.
    """

    def __init__(
        self, exchange: Exchange, body: CapturedBody, max_body: int, restorer: Filter | None = None, usage_filter: Filter | None = None
    ) -> None:
        self.exchange = exchange
        self.body = body
        self.room = max_body
        self.pieces: list[bytes] = []
        self.tail = bytearray()
        self.closed = False
        self.restorer, self.usage_filter = restorer, usage_filter

    def __call__(self, data: bytes) -> bytes | list[bytes]:
        """One chunk as it came from the wire; b"" at the end. What may pass on now: a list, since an empty chunk would end the body."""
        if self.closed:  # the proxy stops, and the row is on its way: the client is given nothing that is not in it
            return []
        try:
            last, filtered = not data, self.usage_filter or self.restorer
            if self.restorer:
                data = self.restorer.flush() if last else self.restorer.feed(data)
            if data:
                self._take(data)
            if filtered is None:
                return data
            passed = data
            if self.usage_filter:
                passed = self.usage_filter.feed(data) if data else b""
                passed += self.usage_filter.flush() if last else b""
        except Exception as error:  # whatever it is, the client gets its bytes
            logger.error("a body of call %s not recorded whole: %s", self.exchange.record.id, type(error).__name__)
            return data
        return [passed] if passed else []

    def _take(self, data: bytes) -> None:
        body, size = self.body, len(data)
        body.size += size
        if size <= self.room:
            self.room -= size
            self.pieces.append(data)
            body.chunks.append((self.exchange.now_ms(), size))
            return
        if self.room:
            self.pieces.append(data[: self.room])
        if self.room or not body.chunks:
            body.chunks.append((self.exchange.now_ms(), size))
        else:  # past what is kept one entry grows, so that an endless stream takes no endless memory
            body.chunks[-1] = (self.exchange.now_ms(), body.chunks[-1][1] + size)
        self.tail += data[self.room :]
        self.room = 0
        if len(self.tail) > 2 * TAIL_BYTES:
            del self.tail[:-TAIL_BYTES]

    def close(self, *, ends: bool = False) -> None:
        """Put together what was taken. `ends`: nothing more is to pass."""
        self.closed = ends
        self.body.content = b"".join(self.pieces)
        self.body.tail = bytes(self.tail[-TAIL_BYTES:])
        self.pieces.clear()


class Unpacked:
    """For an upstream that compresses although it was asked not to: the filter behind it gets the answer plain, and so does the client."""

    def __init__(self, unpack: Decoder, inner: Filter) -> None:
        self.unpack, self.inner = unpack, inner

    def feed(self, chunk: bytes) -> bytes:
        """As the filter's own."""
        return self.inner.feed(self.unpack.feed(chunk))

    def flush(self) -> bytes:
        """As the filter's own."""
        return self.inner.feed(self.unpack.flush()) + self.inner.flush()


def _filters(flow: http.HTTPFlow, response: http.Response, exchange: Exchange) -> tuple[Filter | None, Filter | None]:
    """What restores placeholders in this answer, and what takes the usage chunk out of it; both change its length."""
    restorer: Filter | None = None
    if exchange.restore:
        pairs, mode = exchange.restore
        restorer = stream_restorer(exchange.record.api, response.headers.get("content-type"), pairs, mode)
    usage: Filter | None = UsageFilter() if exchange.asked_usage and response.status_code < FIRST_ERROR_STATUS else None
    first = restorer or usage
    if first is None:
        return None, None
    headers, present = response.headers, {LOWER[name] for name, _ in response.headers.fields}
    encoding = headers.get("content-encoding") if b"content-encoding" in present else None
    try:
        unpacked = Unpacked(decoder(encoding), first) if encoding else first
    except UndecodableBody:  # it is passed on as it came, with what the model said of the placeholders
        return None, None
    exchange.record.response.decoded = bool(encoding and restorer)  # what is kept has passed through it
    if b"content-encoding" in present:
        del headers["content-encoding"]
    if b"content-length" in present:
        del headers["content-length"]
        if not flow.request.is_http2:
            headers["transfer-encoding"] = "chunked"
    return (unpacked, usage) if restorer else (None, unpacked)
