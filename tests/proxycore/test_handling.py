"""Connections are handled as mitmproxy handles them: every test but the last ones runs against both, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest
from mitmproxy.connection import Server
from mitmproxy.http import HTTPFlow
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from addons.proxycore.dispatch import Dispatch
from addons.proxycore.handling import REPLACED, Turn
from addons.proxycore.pins import put_back, replace_all

Script = Callable[["Scripted", events.Event], Generator[commands.Command, Any, None]]
MB = 1_000_000


class Scripted:
    """Stands for a connection's layers: notes what comes, and yields what the test's `act` does."""

    def __init__(self, act: Script) -> None:
        self.act = act
        self.seen: list[str] = []
        self.bytes = 0
        self.changed = asyncio.Event()

    def handle_event(self, event: events.Event) -> Generator[commands.Command, Any, None]:
        self.seen.append(type(event).__name__)
        if isinstance(event, events.DataReceived):
            self.bytes += len(event.data)
        yield from self.act(self, event)
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


class Proxy:
    """Accepts one client, and serves it with a handler of mitmproxy's."""

    def __init__(self, context: taddons.context) -> None:
        self.addons = context.master.addons
        self._options: Options = context.options
        self._master = context.master
        self.layer = Scripted(nothing)
        self.handler: ProxyConnectionHandler | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.before: Callable[[], Any] | None = None

    async def connect(self, act: Script) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.layer = Scripted(act)
        reader, writer = await self.open()
        await self.layer.until(lambda: bool(self.layer.seen))
        return reader, writer

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        server.close()
        self.writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if task := asyncio.current_task():
            self.tasks.append(task)
        self.handler = ProxyConnectionHandler(self._master, reader, writer, self._options, ProxyMode.parse("regular"))
        self.handler.layer = self.layer  # type: ignore[assignment]
        if self.before:
            await self.before()
        await self.handler.handle_client()

    async def ended(self) -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(*self.tasks, return_exceptions=True)


def nothing(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
    yield from ()


def echo_in_two(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
    if isinstance(event, events.DataReceived):
        middle = len(event.data) // 2
        yield commands.SendData(event.connection, event.data[:middle])
        yield commands.SendData(event.connection, event.data[middle:])


def echo(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
    if isinstance(event, events.DataReceived):
        yield commands.SendData(event.connection, event.data)
    elif isinstance(event, events.ConnectionClosed):
        yield commands.CloseConnection(event.connection)


@pytest.fixture(params=["mitmproxy's", "ours"])
async def proxy(request: pytest.FixtureRequest) -> AsyncIterator[Proxy]:
    before = asyncio.get_running_loop().get_task_factory()
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # as mitmproxy runs
    with taddons.context(loadcore=False) as context:
        context.options.add_option("tcp_timeout", int, 600, "")
        ours = request.param == "ours"
        if ours:
            Dispatch(context.master.addons).install()
            assert replace_all([REPLACED]) == []
        else:
            put_back([REPLACED])
        proxy = Proxy(context)
        try:
            yield proxy
        finally:
            await proxy.close()
            put_back([REPLACED])
            asyncio.get_running_loop().set_task_factory(before)


async def test_bytes_go_in_and_out_until_the_client_has_ended(proxy: Proxy) -> None:
    """All that was sent, in order; then the close is told, and the connection closed."""
    reader, writer = await proxy.connect(echo)
    sent = b"".join(b"%06d " % number for number in range(200_000))
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(20):
        assert await reader.read() == sent
    await proxy.ended()
    assert proxy.layer.seen[0] == "Start"
    assert proxy.layer.seen[-1] == "ConnectionClosed"


async def test_a_half_closed_connection_can_be_written_to(proxy: Proxy) -> None:
    """The client has sent its last byte; the answer comes after that."""

    def answer_at_the_end(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.ConnectionClosed):
            yield commands.SendData(event.connection, b"late")
            yield commands.CloseConnection(event.connection)

    reader, writer = await proxy.connect(answer_at_the_end)
    writer.write(b"x")
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b"late"
    await proxy.ended()


async def test_what_came_before_is_read_first(proxy: Proxy) -> None:
    """Bytes that the client sent while the handler still had something else to do (a hook, a slow add-on)."""
    go = asyncio.Event()
    proxy.before = go.wait
    proxy.layer = Scripted(echo)
    reader, writer = await proxy.open()
    writer.write(b"first")
    await writer.drain()
    await asyncio.sleep(0.05)  # nothing tells that the kernel has passed it on
    go.set()
    await proxy.layer.until(lambda: proxy.layer.bytes == 5)
    writer.write(b"second")
    async with asyncio.timeout(10):
        assert await reader.readexactly(11) == b"firstsecond"


@pytest.mark.parametrize("answer", [echo, echo_in_two])
async def test_nothing_is_read_while_the_other_side_takes_nothing(proxy: Proxy, answer: Script) -> None:
    """What waits in memory stays bounded, whether sent in one piece or in several; when the client reads, all of it comes."""
    reader, writer = await proxy.connect(answer)
    chunk, count = b"x" * MB, 64

    async def send() -> None:
        for _ in range(count):
            writer.write(chunk)
            await writer.drain()

    sending = asyncio.create_task(send())
    before = -1
    while before != proxy.layer.bytes:  # until it stands still
        before = proxy.layer.bytes
        await asyncio.sleep(0.3)
    assert proxy.layer.bytes < count * MB / 2
    got = 0
    async with asyncio.timeout(30):
        while got < count * MB:
            got += len(await reader.read(MB))
    await sending
    assert proxy.layer.bytes == count * MB


async def test_closing_by_command(proxy: Proxy) -> None:
    """The client reads what was sent before, and the end; nothing more is taken in."""

    def close(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.DataReceived):
            yield commands.SendData(event.connection, b"bye")
            yield commands.CloseConnection(event.connection)
            yield commands.SendData(event.connection, b"too late")

    reader, writer = await proxy.connect(close)
    writer.write(b"x")
    async with asyncio.timeout(10):
        assert (await reader.read())[:3] == b"bye"
    await proxy.ended()
    assert proxy.layer.seen == ["Start", "DataReceived", "ConnectionClosed"]


async def test_a_lost_connection(proxy: Proxy) -> None:
    """Reset by the client."""
    _, writer = await proxy.connect(nothing)
    writer.transport.abort()
    await proxy.layer.until(lambda: "ConnectionClosed" in proxy.layer.seen)


async def test_a_crash_of_a_layer_is_logged_and_the_next_event_comes(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """As mitmproxy words it."""

    def crash_once(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.DataReceived):
            if layer.seen.count("DataReceived") == 1:
                raise ValueError("broken")
            yield commands.SendData(event.connection, event.data)

    reader, writer = await proxy.connect(crash_once)
    writer.write(b"one")
    async with asyncio.timeout(10):
        while not any(record.getMessage() == "mitmproxy has crashed!" for record in caplog.records):
            await asyncio.sleep(0.01)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"


async def test_what_cannot_be_sent_is_logged_and_the_next_goes(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """A script's stream callable that gives text rather than bytes, say."""

    def answer(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.DataReceived):
            data: Any = "text" if event.data == b"one" else event.data
            yield commands.SendData(event.connection, data)

    reader, writer = await proxy.connect(answer)
    writer.write(b"one")
    async with asyncio.timeout(10):
        while not any(record.getMessage() == "mitmproxy has crashed!" for record in caplog.records):
            await asyncio.sleep(0.01)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"


async def test_a_hook_without_a_wait_is_done_before_the_next_event(proxy: Proxy) -> None:
    """Its completion follows the event that asked for it."""

    class Addon:
        def request(self, flow: HTTPFlow) -> None:
            flow.marked = "seen"

    flow = tflow.tflow()
    proxy.addons.add(Addon())
    _, writer = await proxy.connect(asking(flow))
    seen = proxy.layer
    writer.write(b"x")
    await seen.until(lambda: "HookCompleted" in seen.seen)
    assert flow.marked == "seen"
    assert seen.seen == ["Start", "DataReceived", "HookCompleted"]


async def test_a_hook_that_waits_holds_up_nothing_else(proxy: Proxy) -> None:
    """Bytes come in meanwhile; the completion when the add-on is done, an error of the add-on's logged."""
    go = asyncio.Event()

    class Addon:
        async def request(self, flow: HTTPFlow) -> None:
            await go.wait()
            flow.marked = "seen"
            raise ValueError("after all")

    flow = tflow.tflow()
    proxy.addons.add(Addon())
    _, writer = await proxy.connect(asking(flow))
    writer.write(b"x")
    await proxy.layer.until(lambda: "DataReceived" in proxy.layer.seen)
    writer.write(b"y")
    await proxy.layer.until(lambda: proxy.layer.bytes == 2)
    assert "HookCompleted" not in proxy.layer.seen
    go.set()
    await proxy.layer.until(lambda: "HookCompleted" in proxy.layer.seen)
    assert flow.marked == "seen"


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_intercepted_flow_waits_until_it_is_resumed(proxy: Proxy, is_async: bool) -> None:
    """By an add-on whose hook waits for nothing, or does."""

    class Sync:
        def request(self, flow: HTTPFlow) -> None:
            flow.intercept()

    class Async:
        async def request(self, flow: HTTPFlow) -> None:
            await asyncio.sleep(0)
            flow.intercept()

    flow = tflow.tflow()
    proxy.addons.add(Async() if is_async else Sync())
    _, writer = await proxy.connect(asking(flow))
    writer.write(b"x")
    await proxy.layer.until(lambda: "DataReceived" in proxy.layer.seen)
    async with asyncio.timeout(10):
        while not flow.intercepted:
            await asyncio.sleep(0.01)
    assert "HookCompleted" not in proxy.layer.seen
    flow.resume()
    await proxy.layer.until(lambda: "HookCompleted" in proxy.layer.seen)


async def test_an_event_of_a_task_that_began_meanwhile_comes_after_the_one_at_hand(proxy: Proxy) -> None:
    """A connection that is refused at once completes within the event that asked for it (tasks begin eagerly)."""

    def open_one(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.DataReceived):
            yield commands.OpenConnection(Server(address=None))
            layer.seen.append("still DataReceived")

    _, writer = await proxy.connect(open_one)
    writer.write(b"x")
    await proxy.layer.until(lambda: "OpenConnectionCompleted" in proxy.layer.seen)
    assert proxy.layer.seen == ["Start", "DataReceived", "still DataReceived", "OpenConnectionCompleted"]


async def test_a_hook_that_blocks_nothing_completes_nothing(proxy: Proxy) -> None:
    """Some are only told."""

    def tell(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.DataReceived):
            hook = HttpResponseHook(tflow.tflow(resp=True))
            hook.blocking = False
            yield hook
            yield commands.SendData(event.connection, b"done")

    reader, writer = await proxy.connect(tell)
    writer.write(b"x")
    async with asyncio.timeout(10):
        assert await reader.readexactly(4) == b"done"
    assert proxy.layer.seen == ["Start", "DataReceived"]


def asking(flow: HTTPFlow) -> Script:
    """The first bytes set off a `request` hook."""

    def act(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.DataReceived) and layer.seen.count("DataReceived") == 1:
            yield HttpRequestHook(flow)

    return act


# Ours alone -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ours() -> AsyncIterator[Proxy]:
    with taddons.context(loadcore=False) as context:
        context.options.add_option("tcp_timeout", int, 600, "")
        replace_all([REPLACED])
        proxy = Proxy(context)
        try:
            yield proxy
        finally:
            await proxy.close()
            put_back([REPLACED])


async def test_a_turn_ends_with_what_it_set_off(ours: Proxy) -> None:
    """Outside there is none; each event of the socket has its own."""
    turns: list[Turn | None] = []

    def note(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        turns.append(Turn.current)
        yield from ()

    _, writer = await ours.connect(note)
    writer.write(b"x")
    await ours.layer.until(lambda: len(turns) == 2)
    assert Turn.current is None
    assert None not in turns
    assert turns[0] is not turns[1]


async def test_a_connection_that_can_neither_read_nor_send_is_over(ours: Proxy) -> None:
    """Else what is behind it would be read on for nobody: mitmproxy notices when it sends the next time."""
    _, writer = await ours.connect(nothing)
    client: socket.socket = writer.get_extra_info("socket")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    writer.transport.abort()
    await ours.ended()
    assert ours.layer.seen == ["Start", "ConnectionClosed"]


async def test_so_is_one_that_is_sent_to_after_the_client_has_left(ours: Proxy) -> None:
    """It said that it sends no more, which it may, and reads no more either."""

    def send(layer: Scripted, event: events.Event) -> Generator[commands.Command, Any, None]:
        if isinstance(event, events.DataReceived):
            yield commands.SendData(event.connection, event.data)

    _, writer = await ours.connect(send)
    writer.transport.abort()
    await ours.layer.until(lambda: "ConnectionClosed" in ours.layer.seen)
    assert ours.handler
    async with asyncio.timeout(10):
        while not ours.tasks[0].done():  # what comes from behind it
            await ours.handler.server_event(events.DataReceived(ours.handler.client, b"x" * MB))
            await asyncio.sleep(0.01)


async def test_datagrams_are_not_joined() -> None:
    """What is no stream of asyncio's (UDP, WireGuard) takes each piece by itself, at once."""

    class Datagrams:
        def __init__(self) -> None:
            self.sent: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.sent.append(data)

    turn, writer = Turn(), Datagrams()
    turn.put(writer, b"one")  # type: ignore[arg-type]
    turn.put(writer, b"two")  # type: ignore[arg-type]
    assert (writer.sent, turn.outbox) == ([b"one", b"two"], {})
