"""Commands go where mitmproxy's own `event_to_child` sends them; that whole calls come out the same, `test_http1.py` compares."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnection, HttpLayer, HTTPMode, RegisterHttpConnection, SendHttp
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestHeaders, ResponseData
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.test import taddons, tflow, tutils

from addons.proxycore import httplayer
from addons.proxycore.pins import put_back, replace_all


class Child:
    """Says what it is given, to whatever it is told; notes that."""

    def __init__(self, *says: commands.Command) -> None:
        self.says = says
        self.told: list[events.Event] = []

    def handle_event(self, event: events.Event) -> Iterator[commands.Command]:
        self.told.append(event)
        yield from self.says


class Layer(HttpLayer):
    """Notes what it is asked for."""

    asked: list[str]

    def make_stream(self, stream_id: int) -> Generator[commands.Command, Any, None]:
        self.asked.append(f"stream {stream_id}")
        self.streams[stream_id] = Child()  # type: ignore[assignment]
        yield from ()

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Generator[commands.Command, Any, None]:
        self.asked.append("connection")
        yield from ()

    def register_connection(self, command: RegisterHttpConnection) -> Generator[commands.Command, Any, None]:
        self.asked.append("register")
        yield from ()


def silent_hook() -> commands.StartHook:
    hook = HttpRequestHook(tflow.tflow())
    hook.blocking = False
    return hook


@pytest.fixture(params=["mitmproxy's", "ours"])
def layer(request: pytest.FixtureRequest) -> Iterator[Layer]:
    if request.param == "ours":
        assert replace_all([httplayer.REPLACED]) == []
    with taddons.context(loadcore=False) as context:
        made = Layer(Context(tflow.tclient_conn(), context.options), HTTPMode.regular)
        made.asked = []
        yield made
    put_back([httplayer.REPLACED])


def test_each_kind_of_command(layer: Layer) -> None:
    """Those for the outside come out, in order; those that are replied to are noted with whom they came from."""
    client, server = layer.context.client, Server(address=("a.example", 80))
    connection, stream = Child(), Child()
    layer.connections[client] = connection  # type: ignore[assignment]
    layer.streams |= {1: stream, 3: Child()}  # type: ignore[dict-item]
    request = tutils.treq()
    get = GetHttpConnection(("a.example", 80), False, None)
    hook, silent, wakeup, opening = (
        HttpRequestHook(tflow.tflow()),
        silent_hook(),
        commands.RequestWakeup(1),
        commands.OpenConnection(server),
    )
    data, log, close = commands.SendData(client, b"x"), commands.Log("text"), commands.CloseConnection(client)
    to_stream, to_connection = ResponseData(1, b"a"), ResponseData(1, b"b")
    child = Child(
        data,
        ReceiveHttp(to_stream),
        ReceiveHttp(ResponseData(99, b"for nobody")),
        SendHttp(to_connection, client),
        ReceiveHttp(RequestHeaders(5, request, True)),
        DropStream(3),
        DropStream(98),
        hook,
        silent,
        log,
        wakeup,
        get,
        RegisterHttpConnection(server, None),
        opening,
        close,
    )
    said = list(layer.event_to_child(child, events.Start()))  # type: ignore[arg-type]
    assert said == [data, hook, silent, log, wakeup, opening, close]
    assert (stream.told, connection.told) == ([to_stream], [to_connection])
    assert layer.asked == ["stream 5", "connection", "register"]
    assert sorted(layer.streams) == [1, 5]
    assert len(layer.streams[5].told) == 1  # type: ignore[attr-defined]
    assert layer.command_sources == {hook: child, wakeup: child, get: child, opening: child}  # type: ignore[comparison-overlap]
    assert layer.connections[server] is child  # type: ignore[comparison-overlap]


def test_what_is_said_in_turn_comes_out_too(layer: Layer) -> None:
    """A stream's bytes for the client, through the client's connection."""
    client = layer.context.client
    data = commands.SendData(client, b"x")
    hook = HttpRequestHook(tflow.tflow())
    connection = Child(data)
    stream = Child(SendHttp(ResponseData(1, b"x"), client), hook)
    layer.connections[client], layer.streams[1] = connection, stream  # type: ignore[assignment]
    assert list(layer.event_to_child(Child(ReceiveHttp(ResponseData(1, b"y"))), events.Start())) == [data, hook]  # type: ignore[arg-type]
    assert layer.command_sources == {hook: stream}  # type: ignore[comparison-overlap]
