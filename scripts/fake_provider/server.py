"""The fake provider on sockets: timing, cuts and resets, and ways to start it in tests.

async:  provider = FakeProvider(); await provider.start(tls=True); …; await provider.stop()
sync:   with running_fake_provider(tls=True) as provider: …provider.url, provider.ca_file, provider.requests…
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import cast

from scripts.fake_provider.answers import Reply, Responder, control_answer
from scripts.fake_provider.http1 import ID_MARK, BadRequest, RequestReader, frame, serial_id
from scripts.fake_provider.knobs import KnobTable, Settings
from scripts.fake_provider.log import End, SeenRequest
from scripts.fake_provider.tls import make_context

# With on=1 and seconds=0 a close sends RST at once (socket(7), SO_LINGER).
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client connection: one request at a time, in order; an answer without waits is written in the same turn of the loop."""

    def __init__(self, responder: Responder, number: int, connections: set[Connection]) -> None:
        self._responder = responder
        self._number = number
        self._connections = connections
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._sending: asyncio.Task[None] | None = None
        self._keep_alive = True
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        if self._sending is not None:
            self._sending.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._advance()

    def _advance(self) -> None:
        while self._sending is None and self._transport is not None and not self._transport.is_closing():
            try:
                request = self._reader.next()
            except BadRequest as problem:
                self._transport.write(frame(control_answer(400, {"error": str(problem)})).all)
                self._transport.close()
                return
            if request is None:
                if self._reader.wants_continue:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._keep_alive = request.keep_alive
            self._send(self._transport, self._responder.respond(request, self._number))

    def _send(self, transport: asyncio.Transport, reply: Reply) -> None:
        knobs = reply.knobs
        if knobs.first_byte or knobs.delay or knobs.hang or knobs.reset or knobs.cut is not None:
            self._sending = asyncio.get_running_loop().create_task(self._send_slowly(transport, reply))
            self._sending.add_done_callback(self._sent)
            return
        transport.write(frame(reply.answer).all.replace(ID_MARK, serial_id(reply.serial)))
        self._end(reply.seen, "answered")

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending = None
        if not task.cancelled():
            task.result()
            self._advance()

    def _end(self, seen: SeenRequest | None, end: End) -> None:
        if seen is not None:
            seen.ended = end
        if end == "answered" and not self._keep_alive and self._transport is not None:
            self._transport.close()

    async def _send_slowly(self, transport: asyncio.Transport, reply: Reply) -> None:
        knobs = reply.knobs
        try:
            if knobs.hang:
                await asyncio.Event().wait()
            await asyncio.sleep(knobs.first_byte)
            if knobs.reset:
                reset(transport)
                self._end(reply.seen, "reset")
                return
            await self._send_frames(transport, reply)
        except asyncio.CancelledError:
            self._end(reply.seen, "client left")
            raise

    async def _send_frames(self, transport: asyncio.Transport, reply: Reply) -> None:
        framed, knobs, serial = frame(reply.answer), reply.knobs, serial_id(reply.serial)
        transport.write(framed.start.replace(ID_MARK, serial))
        for n, part in enumerate(framed.parts[: knobs.cut]):
            if n and knobs.delay:
                await asyncio.sleep(knobs.delay)
            await self._writable.wait()
            transport.write(part.replace(ID_MARK, serial))
        if knobs.cut is not None:
            # abort() throws away what is not sent yet, and the chunks before the cut are to arrive. With high=0 asyncio's TLS
            # transport pauses also when nothing is left to be sent, and then never goes on.
            transport.set_write_buffer_limits(high=1, low=0)
            await self._writable.wait()
            transport.abort()
            self._end(reply.seen, "cut")
            return
        transport.write(framed.end.replace(ID_MARK, serial))
        self._end(reply.seen, "answered")


def reset(transport: asyncio.Transport) -> None:
    """Closes with a TCP RST."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()


class FakeProvider:
    """One provider with its knobs and its log; `start` may be called again for a further listener (HTTP and TLS side by side).

    `folder` is where the CA is written (else a temporary one, removed by `stop`), `names` are further names for the certificate.
    """

    def __init__(self, knobs: Mapping[str, Settings] | None = None, *, names: Iterable[str] = (), folder: Path | None = None) -> None:
        self._responder = Responder(knobs)
        self._names = tuple(names)
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._numbers = count(1)
        self.urls: list[str] = []
        self.ca_file: Path | None = None

    @property
    def url(self) -> str:
        """Of the first listener, without a path."""
        return self.urls[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def requests(self) -> list[SeenRequest]:
        """Oldest first."""
        return self._responder.log.items()

    @property
    def knobs(self) -> KnobTable:
        return self._responder.knobs

    def clear(self) -> None:
        """Forgets the requests seen and the table of knobs."""
        self._responder.log.clear()
        self.knobs.clear()

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: bool | ssl.SSLContext = False) -> None:
        """Listens; with `tls=True` under a CA of its own. Raises OSError when the port is taken."""
        context = self._own_context() if tls is True else tls or None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._connect, host, port, ssl=context, backlog=1024)
        self._servers.append(server)
        bound = server.sockets[0].getsockname()[1]
        self.urls.append(f"{'https' if context else 'http'}://{f'[{host}]' if ':' in host else host}:{bound}")

    async def stop(self) -> None:
        """Closes the listeners, aborts what is still running and waits for both."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.abort()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _connect(self) -> Connection:
        return Connection(self._responder, next(self._numbers), self._connections)

    def _own_context(self) -> ssl.SSLContext:
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="fake-provider-")
            self._folder = Path(self._temporary.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        context, self.ca_file = make_context(self._folder, self._names)
        return context


@contextmanager
def running_fake_provider(
    *, tls: bool | ssl.SSLContext = False, knobs: Mapping[str, Settings] | None = None, names: Iterable[str] = ()
) -> Iterator[FakeProvider]:
    """A fake provider in a thread with a loop of its own, for tests that are not async."""
    provider = FakeProvider(knobs, names=names)
    with _loop_in_thread() as run:
        run(lambda: provider.start(tls=tls))
        try:
            yield provider
        finally:
            run(provider.stop)


@contextmanager
def _loop_in_thread() -> Iterator[Callable[[Callable[[], Coroutine[None, None, None]]], None]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-provider", daemon=True)
    thread.start()
    try:
        yield lambda start: asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
