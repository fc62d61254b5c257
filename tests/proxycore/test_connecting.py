"""The time limit for opening a connection, TLS included."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from addons.proxycore.connecting import ConnectClock
from tests.proxycore.scripted import Retrier, Upstream, running_master


class Nowhere(Upstream):
    """Accepts connections and says nothing, so that a TLS handshake hangs."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()


@pytest.fixture
async def silent() -> AsyncIterator[Nowhere]:
    made = Nowhere()
    await made.start()
    yield made
    await made.stop()


@contextlib.contextmanager
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that a further one is not answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(listener.getsockname())
            waiting.append(client)
        yield listener.getsockname()[1]
        for client in waiting:
            client.close()


async def fails_late(folder: Path, retrier: Retrier) -> None:
    """The call fails as late as the limit for connecting says, and says so."""
    retrier.tries, retrier.timeouts = 1, [0.3, 5.0, 5.0]
    async with running_master(folder, retrier) as url, httpx.AsyncClient(proxy=url, timeout=5) as client:
        begun = time.monotonic()
        answer = await client.post("http://llm.test/v1/chat/completions", content=b"{}")
        assert 0.3 <= time.monotonic() - begun < 3
    assert answer.status_code == 502
    assert [(failure.kind, failure.why) for failure in retrier.failures] == [("timeout", "no connection within 0.3 s")]


async def test_a_port_that_does_not_answer(tmp_path: Path) -> None:
    """TCP does not come about."""
    with full_port() as port:
        upstream = Upstream()
        upstream.port = port
        await fails_late(tmp_path.parent / "confdir", Retrier(upstream))


async def test_a_handshake_that_hangs(tmp_path: Path, silent: Nowhere) -> None:
    """TCP does, TLS does not."""
    retrier = Retrier(silent)
    plain = retrier.request

    def request(flow: object) -> None:
        plain(flow)  # type: ignore[arg-type]
        flow.request.scheme = "https"  # type: ignore[attr-defined]

    retrier.request = request  # type: ignore[method-assign]
    await fails_late(tmp_path.parent / "confdir", retrier)
    assert silent.connections == 1


async def test_a_connection_that_stands_is_not_ended(tmp_path: Path) -> None:
    """The clock stops when it is open."""
    upstream = Upstream()
    await upstream.start()
    gate = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    upstream.acts = [slow]
    retrier = Retrier(upstream)
    retrier.timeouts = [0.2, 5.0, 5.0]
    async with running_master(tmp_path.parent / "confdir", retrier) as url, httpx.AsyncClient(proxy=url, timeout=5) as client:
        asking = asyncio.create_task(client.post("http://llm.test/v1/chat/completions", content=b"{}"))
        await asyncio.sleep(0.4)  # twice the limit
        gate.set()
        assert (await asking).status_code == 200
    await upstream.stop()
    assert retrier.failures == []


def test_who_is_not_ours_has_no_clock() -> None:
    """A connection that nobody limited is left alone."""
    assert not ConnectClock()._timers
