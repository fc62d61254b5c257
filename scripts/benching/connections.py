"""The client's side of one connection: opened directly or through a proxy's CONNECT, asked for one answer after the other."""

from __future__ import annotations

import asyncio
import ssl
from array import array
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter

from scripts.benching.http1 import HEAD_END, AnswerError, AnswerReader
from scripts.benching.shapes import Door

MAX_CONNECT_ANSWER = 64 * 1024


class Broken(Exception):
    """No whole answer came; its text names the kind of failure, of which there are few, since they are counted by it."""


@dataclass(slots=True)
class Reply:
    """What came of one call; times are those of `perf_counter`, `first`: of the first event of a stream, None where there was none."""

    status: int
    end: float
    first: float | None
    events: int


@dataclass(slots=True)
class Gaps:
    """Seconds between the events of streams, as they came: those that came in one piece have none between them."""

    seconds: array[float] = field(default_factory=lambda: array("d"))

    def note(self, seconds: float, together: int) -> None:
        self.seconds.append(seconds)
        if together > 1:
            self.seconds.extend([0.0] * (together - 1))


class Connection(asyncio.Protocol):
    """One at a time: `ask` again only when the answer has come. `started`: of the call that runs, for who looks after time limits."""

    def __init__(self, gaps: Gaps) -> None:
        self.gaps = gaps
        self.transport: asyncio.Transport | None = None
        self.started: float | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Reply] | None = None
        self._reader = AnswerReader()
        self._first: float | None = None
        self._last: float | None = None
        self.reason = "closed before the end of the answer"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream's transport is needed")
        self.transport = transport

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """The future raises Broken."""
        self._reader = AnswerReader()
        self._first = self._last = None
        waiter = self._waiter = self._loop.create_future()
        self.started = perf_counter()
        if self.transport is None or self.transport.is_closing():
            self._fail("closed before the call")
        else:
            self.transport.write(request)
        return waiter

    def data_received(self, data: bytes) -> None:
        now, reader = perf_counter(), self._reader
        if self._waiter is None:
            self.close()  # bytes that nobody asked for; the next call sees that it is closed
            return
        before = reader.events
        try:
            reader.feed(data)
        except AnswerError as error:
            self._fail(f"no HTTP: {error}")
            return
        if fresh := reader.events - before:
            if self._last is None:
                self._first = now
                if fresh > 1:
                    self.gaps.note(0.0, fresh - 1)
            else:
                self.gaps.note(now - self._last, fresh)
            self._last = now
        if reader.ended:
            self._end(now)

    def _end(self, now: float) -> None:
        waiter, reader = self._waiter, self._reader
        if waiter is None or waiter.done():
            return
        if not reader.finished:
            self._fail("a stream that ended without [DONE]")
            return
        self._waiter = self.started = None
        if reader.closes:
            self.close()
        waiter.set_result(Reply(reader.status, now, self._first, reader.events))

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader.close()
        if self._reader.ended and self._reader.finished:
            self._end(perf_counter())
        else:
            self._fail(self.reason)

    def _fail(self, reason: str) -> None:
        waiter, self._waiter, self.started = self._waiter, None, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(Broken(reason))
        self.close()

    def give_up(self, reason: str) -> None:
        """End the call that runs."""
        self._fail(reason)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Tunnel(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.opened.done() or (HEAD_END not in self._buffer and len(self._buffer) < MAX_CONNECT_ANSWER):
            return
        if self._buffer.startswith(b"HTTP/1.") and self._buffer[9:12] == b"200":
            self.opened.set_result(None)
        else:
            self.opened.set_exception(Broken(f"CONNECT answered {self._buffer[9:12].decode('latin-1') or 'nothing'}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(Broken("closed before CONNECT was answered"))


@cache
def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def open_connection(door: Door, gaps: Gaps, timeout_s: float) -> Connection:
    """A new one, with CONNECT and TLS done where the door wants them. Raises Broken."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _open(door, gaps)
    except TimeoutError:
        raise Broken(f"not connected within {timeout_s:g} s") from None
    except ssl.SSLError as error:
        raise Broken(f"TLS: {error.reason}") from error
    except OSError as error:
        raise Broken(f"cannot connect: {error.strerror or error}") from error


async def _open(door: Door, gaps: Gaps) -> Connection:
    loop = asyncio.get_running_loop()
    context = _context(door.ca_file) if door.server_name else None
    if door.tunnel is None:
        name = door.server_name if context else None
        _, direct = await loop.create_connection(lambda: Connection(gaps), door.host, door.port, ssl=context, server_hostname=name)
        return direct
    transport, tunnel = await loop.create_connection(_Tunnel, door.host, door.port)
    try:
        transport.write(f"CONNECT {door.tunnel} HTTP/1.1\r\nHost: {door.tunnel}\r\n\r\n".encode())
        await tunnel.opened
        connection = Connection(gaps)
        if context is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        secured = await loop.start_tls(transport, connection, context, server_hostname=door.server_name)
        if secured is None:
            raise Broken("closed in the TLS handshake")
        connection.connection_made(secured)
        return connection
    except BaseException:
        transport.abort()
        raise
