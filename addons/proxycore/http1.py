"""Bodies over HTTP/1: what came in one read is handed on in one piece, and that of a streamed answer straight to the client's connection.

mitmproxy hands on each chunk of a chunked body by itself, through four layers and a generator for each; a stream of tokens has a chunk
for each token, and many of them are there by the time that they are read. Nothing waits for bytes that have not come. Here

- the chunks of one read become one piece of the body (how a body is cut into chunks means nothing, RFC 9112 §7.1), read without h11's
  steps where they are whole and plain; everything else (chunk extensions, trailers, faults, a cut in between) is left to h11 as before;
- a piece of an answer that is being streamed to an HTTP/1 client goes through the stream's `relay`, not through events.

Read in mitmproxy 12.2 `proxy/layers/http/_http1.py` and h11 0.16 `_readers.py`; `REPLACED` pins it.
"""

from __future__ import annotations

import re
from typing import Any

import h11
from h11._readers import ChunkedReader, ContentLengthReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ResponseData
from mitmproxy.proxy.layers.http._http1 import Http1Connection, Http1Server

from addons.proxycore.attempts import AttemptStream
from addons.proxycore.pins import Replacement
from addons.proxycore.stream import Commands

CRLF = b"\r\n"
ENDED = h11.EndOfMessage()
_PLAIN_SIZE = re.compile(rb"([0-9a-fA-F]{1,20})\r\n")
"""A chunk's first line, of those that h11 takes the ones without extension; an extension is no fault, but nobody sends one."""


def read_body(self: Http1Connection, event: events.Event) -> Commands:
    """`Http1Connection.read_body`."""
    pieces: list[bytes | bytearray] = []
    fault: h11.ProtocolError | None = None
    ended: h11.EndOfMessage | None = None
    try:
        if isinstance(event, events.DataReceived):
            ended = _take(self.body_reader, self.buf, pieces)
        elif isinstance(event, events.ConnectionClosed):
            ended = self.body_reader.read_eof()
        else:
            raise AssertionError(f"Unexpected event: {event}")
    except h11.ProtocolError as error:
        fault = error
    if pieces:
        yield from _deliver(self, b"".join(pieces))
    if fault is not None:
        yield commands.CloseConnection(self.conn)
        why = f"HTTP/1 protocol error: {fault}"
        yield ReceiveHttp(self.ReceiveProtocolError(_number(self), why, code=self.ReceiveProtocolError.code))
    elif ended is not None:
        if ended.headers:
            raise NotImplementedError("HTTP trailers are not implemented yet.")
        if self.request.data.method.upper() != b"CONNECT":  # type: ignore[union-attr]
            yield ReceiveHttp(self.ReceiveEndOfMessage(_number(self)))
        is_request = isinstance(self, Http1Server)
        yield from self.mark_done(request=is_request, response=not is_request)


def _take(reader: Any, buffer: ReceiveBuffer, pieces: list[bytes | bytearray]) -> h11.EndOfMessage | None:
    """Put into `pieces` what there is of the body. Gives its end, when that has come. Raises h11.ProtocolError."""
    if type(reader) is ContentLengthReader:
        return _take_counted(reader, buffer, pieces)
    chunked = type(reader) is ChunkedReader
    while True:
        if chunked and take_chunks(reader, buffer, pieces) and not buffer:
            return None
        found = reader(buffer)
        if not isinstance(found, h11.Data):
            return found  # type: ignore[no-any-return]
        pieces.append(found.data)


def _take_counted(reader: ContentLengthReader, buffer: ReceiveBuffer, pieces: list[bytes | bytearray]) -> h11.EndOfMessage | None:
    """The same where the length is known: without an event of h11's for the data, and another for its end."""
    if reader._remaining and buffer:
        data = buffer._extract(reader._remaining)
        reader._remaining -= len(data)
        pieces.append(data)
    return None if reader._remaining else ENDED


def take_chunks(reader: ChunkedReader, buffer: ReceiveBuffer, pieces: list[bytes | bytearray]) -> bool:
    """Take out of the buffer what `reader` would read first, as far as it is whole chunks with a plain size. Was there any?"""
    due = reader._bytes_to_discard
    data, at = buffer._data, len(due)
    if reader._bytes_in_chunk or reader._reading_trailer or not data.startswith(due):
        return False
    begun = at
    while size := _PLAIN_SIZE.match(data, at):
        start = size.end()
        end = start + int(size[1], 16)
        if end == start or not data.startswith(CRLF, end):  # the last one, or not all of it is there
            break
        pieces.append(data[start:end])
        at = end + 2
    if at == begun:
        return False
    buffer._extract(at)
    reader._bytes_to_discard = b""
    return True


def _deliver(self: Http1Connection, data: bytes) -> Commands:
    """A piece of the body to its stream."""
    number = _number(self)
    if self.ReceiveData is ResponseData and self.debug is None:
        layer = _layer_of(self)
        stream, client = layer.streams.get(number), layer.connections.get(layer.context.client)
        if isinstance(client, Http1Server) and isinstance(stream, AttemptStream) and (passed := stream.relay(number, data)) is not None:
            for piece in passed:
                yield from client.send(ResponseData(stream.stream_id, piece))
            return
    yield ReceiveHttp(self.ReceiveData(number, data))


def _layer_of(self: Http1Connection) -> HttpLayer:
    """The innermost: an HTTP proxy in between has layers of its own above this one."""
    for above in reversed(self.context.layers):
        if isinstance(above, HttpLayer):
            return above
    raise AssertionError("a connection of no HTTP layer")


def _number(self: Http1Connection) -> int:
    if self.stream_id is None:
        raise AssertionError("a body that belongs to no message")
    return self.stream_id


REPLACED = (
    Replacement(Http1Connection, "read_body", "aece271029af36e4", read_body),
    Replacement(ChunkedReader, "__init__", "232ef6fe23fd20ab"),
    Replacement(ChunkedReader, "__call__", "2618d847a89a1505"),
    Replacement(ContentLengthReader, "__init__", "9cfa291bec9f62f4"),
    Replacement(ContentLengthReader, "__call__", "83205782bcb1dcf6"),
    Replacement(ReceiveBuffer, "maybe_extract_at_most", "a283b372f1fb7393"),
    Replacement(ReceiveBuffer, "__init__", "e12e530df7b8d32a"),
    Replacement(ReceiveBuffer, "_extract", "9f46b67fb9e57164"),
    Replacement(HttpStream, "_handle_event", "e3cbfef7310ae81f"),
    Replacement(HttpStream, "state_stream_response_body", "3fb6320300d3ddd5"),  # what `relay` does instead
    Replacement(Http1Connection, "_handle_event", "2ac8db3e43ae743f"),
)
