"""The fake provider as something that listens, and ways to start it in tests.

async:  provider = FakeProvider(); await provider.start(tls=True); …; await provider.stop()
sync:   with running_fake_provider(tls=True, http2=True) as provider: …provider.url, provider.ca_file, provider.requests…
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import cast

from scripts.fake_provider.answers import Responder
from scripts.fake_provider.connection import Connection
from scripts.fake_provider.http1_connection import Http1Connection
from scripts.fake_provider.http2 import Http2Connection
from scripts.fake_provider.knobs import KnobTable, Settings
from scripts.fake_provider.log import Load, SeenRequest
from scripts.fake_provider.tls import load_context, make_context


class Negotiation(asyncio.Protocol):
    """A TLS connection until the handshake has chosen between HTTP/2 and HTTP/1.1 (RFC 7301)."""

    def __init__(self, http1: Callable[[], Connection], http2: Callable[[], Connection]) -> None:
        self._http1 = http1
        self._http2 = http2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        connection = self._http2() if chosen == "h2" else self._http1()
        cast(asyncio.Transport, transport).set_protocol(connection)
        connection.connection_made(transport)


class FakeProvider:
    """One provider with its knobs and its log; `start` may be called again for a further listener (HTTP and TLS side by side),
    and after `stop` (an upstream that comes back: give the old port; the certificate stays the same).

    `folder` is where the CA is written (else a temporary one, removed by `stop`), `names` are further names for the certificate.
    """

    def __init__(self, knobs: Mapping[str, Settings] | None = None, *, names: Iterable[str] = (), folder: Path | None = None) -> None:
        self._responder = Responder(knobs)
        self._names = tuple(names)
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._contexts: dict[bool, ssl.SSLContext] = {}  # by whether they offer HTTP/2
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

    @property
    def load(self) -> Load:
        return self._responder.log.load

    @property
    def in_flight(self) -> int:
        """How many requests are being answered now."""
        return self.load.total.now

    @property
    def peak(self) -> int:
        """How many were being answered at once at the highest, since the start or `clear`."""
        return self.load.total.peak

    @property
    def peak_by_key(self) -> dict[str, int]:
        """The same for each API key."""
        return self.load.peak_by_key()

    def wait_for[Found](self, look: Callable[[], Found], timeout_s: float = 5.0) -> Found:
        """The first truthy thing that `look()` gives, for example `lambda: provider.requests[-1].ended`: asked now and whenever a
        request begins or ends. Blocks: in async code `await asyncio.to_thread(provider.wait_for, …)`. Raises TimeoutError."""
        return self._responder.log.wait_for(look, timeout_s)

    def clear(self) -> None:
        """Forgets the requests seen, the highest load, and the table of knobs."""
        self._responder.log.clear()
        self.knobs.clear()

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: bool | ssl.SSLContext = False, *, http2: bool = False) -> None:
        """Listens; with `tls=True` under a CA of its own; with `http2` it offers HTTP/2 beside HTTP/1.1 (a context that is given
        must do so itself: `set_alpn_protocols`). Raises OSError when the port is taken, ValueError for HTTP/2 without TLS."""
        if http2 and not tls:
            raise ValueError("HTTP/2 is chosen by ALPN, which needs TLS")
        context = self._own_context(http2) if tls is True else tls or None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._negotiate if http2 else self._http1, host, port, ssl=context, backlog=1024)
        if not self._servers:
            self.urls.clear()
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

    def _http1(self) -> Http1Connection:
        return Http1Connection(self._responder, next(self._numbers), self._connections)

    def _http2(self) -> Http2Connection:
        return Http2Connection(self._responder, next(self._numbers), self._connections)

    def _negotiate(self) -> Negotiation:
        return Negotiation(self._http1, self._http2)

    def _own_context(self, http2: bool) -> ssl.SSLContext:
        if not self._contexts:
            if self._folder is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="fake-provider-")
                self._folder = Path(self._temporary.name)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._contexts[False], self.ca_file = make_context(self._folder, self._names)
            self._contexts[True] = load_context(self._folder, http2=True)
        return self._contexts[http2]


@contextmanager
def running_fake_provider(
    *,
    tls: bool | ssl.SSLContext = False,
    http2: bool = False,
    knobs: Mapping[str, Settings] | None = None,
    names: Iterable[str] = (),
) -> Iterator[FakeProvider]:
    """A fake provider in a thread with a loop of its own, for tests that are not async."""
    provider = FakeProvider(knobs, names=names)
    with _loop_in_thread() as run:
        run(lambda: provider.start(tls=tls, http2=http2))
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
