"""An upstream that does what a test tells it, request by request, and a mitmproxy with our stream and one add-on that retries."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from addons.proxycore.connecting import ConnectClock
from addons.proxycore.hooks import AGAIN, CLIENT_LEFT, RETRIES, TIMEOUTS, WAIT, UpstreamFailure
from addons.proxycore.install import install
from tests.rooms import close_listeners

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
LIMITED = b"HTTP/1.1 429 Too Many\r\nContent-Length: 4\r\n\r\nslow"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ROLE = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\n'
WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
ERROR = b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'
END = b"0\r\n\r\n"

Act = bytes | str | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What is done with one request: bytes are sent; "close", "hang"; or a function of the writer."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream:
    """`acts` are used up request by request; then it is OK. `requests` are the heads that came, `connections` counts."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.left = asyncio.Event()  # a client has hung up on an answer that hung
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                self.requests.append(head + await reader.readexactly(length))
                act = self.acts.pop(0) if self.acts else OK
                if act == "close":
                    break
                if act == "hang":
                    await reader.read()
                    self.left.set()
                elif isinstance(act, bytes):
                    writer.write(act)
                elif callable(act):
                    await act(writer)
        writer.close()


class Retrier:
    """Sends every request to the upstream, up to `tries` times, after `wait` seconds (None: at once). Notes what it sees."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.tries = 3
        self.wait: float | None = None
        self.timeouts = [2.0, 0.3, 0.3]
        self.is_call = True
        self.failures: list[UpstreamFailure] = []
        self.seen: list[Any] = []
        self.ended = asyncio.Event()
        self.waiting = asyncio.Event()
        self.flow: http.HTTPFlow | None = None

    def request(self, flow: http.HTTPFlow) -> None:
        self.flow = flow
        self.failures, self.seen = [], []
        self.ended.clear()
        flow.request.host, flow.request.port, flow.request.scheme = "127.0.0.1", self.upstream.port, "http"
        if self.is_call:
            flow.metadata[RETRIES], flow.metadata[TIMEOUTS] = "openai.chat", self.timeouts

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        self.failures.append(failure)
        if len(self.failures) < self.tries:
            failure.flow.metadata[AGAIN] = True
            if self.wait is not None:
                failure.flow.metadata[WAIT] = self.wait
                self.waiting.set()

    def attempt_due(self, flow: http.HTTPFlow) -> None:
        self.seen.append("due")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        if flow.response.raw_content is None:
            flow.response.stream = True

    def response(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        self.seen.append(flow.response.status_code)
        self.ended.set()

    def error(self, flow: http.HTTPFlow) -> None:
        self.seen.append("left" if flow.metadata.get(CLIENT_LEFT) else "error")
        self.ended.set()


class _Started:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    def running(self) -> None:
        self.event.set()


@contextlib.asynccontextmanager
async def running_master(confdir: Path, *addons: object) -> AsyncIterator[str]:
    """A mitmproxy with these add-ons and our stream; gives its URL."""
    install()
    master = DumpMaster(Options(confdir=str(confdir), listen_host="127.0.0.1", listen_port=0), with_termlog=False, with_dumper=False)
    master.options.update(connection_strategy="lazy")
    started = _Started()
    master.addons.add(ConnectClock(), *addons, started)
    task = asyncio.create_task(master.run())
    try:
        async with asyncio.timeout(10):
            await started.event.wait()
        yield f"http://127.0.0.1:{master.addons.get('proxyserver').listen_addrs()[0][1]}"
    finally:
        master.shutdown()
        await task
        await close_listeners(master)
