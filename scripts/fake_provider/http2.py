"""HTTP/2 on a socket: many streams at once on one connection, each with its own knobs (RFC 9113)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame

from scripts.fake_provider.answers import Reply, Responder
from scripts.fake_provider.connection import Connection, Delivery
from scripts.fake_provider.http1 import ID_MARK, MAX_BODY_BYTES, Answer, Headers, Request

HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"})
"""Not to be sent in HTTP/2 (RFC 9113, 8.2.2)."""


@dataclass(slots=True)
class Arriving:
    """A request whose end has not been read yet; `left` when the client reset its stream."""

    pseudo: dict[str, str]
    headers: Headers
    body: bytearray = field(default_factory=bytearray)
    left: bool = False


class Http2Connection(Connection):
    """`h2` holds the protocol's state; what it has to say is put on the wire by `write`."""

    def __init__(self, responder: Responder, number: int, connections: set[Connection]) -> None:
        super().__init__(responder, number, connections)
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self.window = asyncio.Event()
        """Set when a window of the client's has grown."""
        self._arriving: dict[int, Arriving] = {}
        self._complete: list[int] = []
        self._last_stream: int | None = None
        self._client_left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.h2.initiate_connection()
        self.write()

    def write(self, more: bytes = b"") -> None:
        if data := self.h2.data_to_send() + more:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except ProtocolError:
            # h2 has a GOAWAY ready that tells the client what was wrong.
            self._close()
            return
        for event in events:
            self._take(event)
        complete, self._complete = self._complete, []
        for stream in complete:
            self._answer(stream)
        self.write()
        if self._client_left:
            self._close()
        elif self._last_stream is not None:
            self.advance()  # the last request that was arriving may have been taken back

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                self._add(event)
            case StreamEnded() if event.stream_id in self._arriving:
                self._complete.append(event.stream_id)
            case StreamReset():
                self._leave(event.stream_id)
            case WindowUpdated() | RemoteSettingsChanged():
                self.window.set()
            case ConnectionTerminated():
                self._client_left = True

    def _begin(self, event: RequestReceived) -> None:
        if self._last_stream is not None and event.stream_id > self._last_stream:
            return  # the client had not read our GOAWAY, and will know that nobody answers
        self.wake()
        fields = cast(list[tuple[str, str]], event.headers)  # text, by header_encoding
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        plain = tuple((name, value) for name, value in fields if not name.startswith(":"))
        host = (("host", pseudo[":authority"]),) if ":authority" in pseudo else ()
        self._arriving[event.stream_id] = Arriving(pseudo, host + plain)
        if ("expect", "100-continue") in plain and event.stream_ended is None:
            self.h2.send_headers(event.stream_id, [(":status", "100")])

    def _add(self, event: DataReceived) -> None:
        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        arriving = self._arriving.get(event.stream_id)
        if arriving is None:
            return
        arriving.body += event.data
        if len(arriving.body) > MAX_BODY_BYTES:
            del self._arriving[event.stream_id]
            self.h2.reset_stream(event.stream_id, ErrorCodes.ENHANCE_YOUR_CALM)

    def _leave(self, stream: int) -> None:
        if stream in self._complete:
            self._arriving[stream].left = True
        elif stream in self.deliveries:
            self.deliveries[stream].task.cancel()
        else:
            self._arriving.pop(stream, None)

    def _answer(self, stream: int) -> None:
        arriving = self._arriving.pop(stream)
        pseudo = arriving.pseudo
        request = Request(pseudo[":method"], pseudo.get(":path", ""), arriving.headers, bytes(arriving.body), http_version="2")
        reply = self.receive(request)
        if arriving.left:
            self.note(reply, "client left")
        else:
            self.deliver(stream, Http2Delivery(self, stream, reply))

    def go_away(self) -> bytes:
        """The frame that says so: streams up to here are answered, later ones not, then the connection closes (RFC 9113, 6.8).

        Not h2's own, which takes a connection for closed as soon as it has sent GOAWAY (https://github.com/python-hyper/h2/issues/1181).
        """
        self._last_stream = self._last_stream or self.h2.highest_inbound_stream_id
        return GoAwayFrame(last_stream_id=self._last_stream).serialize()

    def advance(self) -> None:
        if self._last_stream is None:
            super().advance()
        elif not self.deliveries and not self._arriving:
            self.transport.close()

    def _close(self) -> None:
        self.write()
        self.give_up()
        self.transport.close()


class Http2Delivery(Delivery[Http2Connection]):
    """One stream's answer: a DATA frame for each part, as far as the client's windows and frame size allow."""

    def __init__(self, connection: Http2Connection, stream: int, reply: Reply) -> None:
        super().__init__(connection, reply, reply.answer.deltas)
        self._h2 = connection.h2
        self._stream = stream

    async def start(self) -> None:
        self._h2.send_headers(self._stream, response_headers(self.reply.answer, self.serial))
        self.connection.write()
        await self.send(self.reply.answer.opening)

    async def send(self, part: bytes) -> None:
        data, sent = part.replace(ID_MARK, self.serial), 0
        while sent < len(data):
            await self.connection.writable.wait()
            room = min(self._h2.local_flow_control_window(self._stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                self.connection.window.clear()
                await self.connection.window.wait()
                continue
            self._h2.send_data(self._stream, data[sent : sent + room])
            self.connection.write()
            sent += room

    async def finish(self) -> None:
        await self.send(self.reply.answer.closing)
        self.ended("answered")
        self._h2.end_stream(self._stream)
        # In one write, so that a client that reads the end of its answer cannot miss the GOAWAY behind it.
        self.connection.write(self.connection.go_away() if self.knobs.goaway else b"")

    async def cut(self) -> None:
        if self.knobs.all_streams:
            await self.connection.flush()
            self.ended("cut")
            self.connection.abort()
        else:
            self.ended("cut")
            self._break_off()

    def reset(self) -> None:
        if self.knobs.all_streams:
            self.connection.reset()
        else:
            self._break_off()

    def _break_off(self) -> None:
        self._h2.reset_stream(self._stream, ErrorCodes.INTERNAL_ERROR)
        self.connection.write()


def response_headers(answer: Answer, serial: bytes) -> list[tuple[bytes, bytes]]:
    """Status and headers as HTTP/2 wants them, a length where the body is whole."""
    length = sum(map(len, (answer.opening, *answer.deltas, answer.closing)))
    pairs = (*answer.headers, ("content-length", str(length))) if answer.whole else answer.headers
    lowered = ((name.lower(), value.encode("latin-1").replace(ID_MARK, serial)) for name, value in pairs)
    return [(b":status", b"%d" % answer.status), *((name.encode(), value) for name, value in lowered if name not in HOP_BY_HOP)]
