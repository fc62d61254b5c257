"""A client's connection to mitmproxy's HTTP layer and those behind it, without any I/O: what it says of bytes that are put in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, Connection, ConnectionState
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from addons.proxycore.hooks import DRAIN, RETRIES, TIMEOUTS
from addons.proxycore.pins import Replacement, put_back, replace_all
from tests.proxycore.scripted import END, ERROR, ROLE, STREAM, WORD, chunk

Streaming = bool | Callable[[bytes], Iterable[bytes] | bytes]
Said = tuple[str, bytes | str]
"""To whom, or what it is; and the bytes, or a name."""


ASK = b"POST http://llm.test/v1 HTTP/1.1\r\nHost: llm.test\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED_HEAD = b"POST http://llm.test/v1 HTTP/1.1\r\nHost: llm.test\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"
OLD_HEAD = b"HTTP/1.0 200 OK\r\n\r\n"

CHUNKS = [chunk(data) for data in (b"a", b"Hello", b"x" * 300, b"0\r\n\r\n", ROLE, WORD, ERROR)]
ODD = [
    END,
    b"0\r\n",
    b"0\r\nX-Trailer: 1\r\n\r\n",
    b"0" * 19 + b"5\r\nHello\r\n",
    b"0" * 20 + b"5\r\nHello\r\n",
    b"0000\r\n\r\n",
    b"000a\r\n0123456789\r\n",
    b"A\r\n0123456789\r\n",
    b"5;name=value\r\nHello\r\n",
    b"5 \r\nHello\r\n",
    b"5\nHello\r\n",
    b"0x5\r\nHello\r\n",
    b"+5\r\nHello\r\n",
    b"1_0\r\n0123456789abcdef\r\n",
    b"-1\r\n",
    b"\r\n",
    b"what is that?\r\n",
    b"5\r\nHelloXX",
    b"5\r\nHello\rX",
    b"5\r\nHel",
    b"f" * 20 + b"\r\nHello",
    b"f" * 21 + b"\r\nHello",
    STREAM,
    LENGTH_HEAD,
    OLD_HEAD,
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\n\r\n",
]
"""What else an upstream may send, or the body of a request may have in it."""

EXPECTING = [b"", b"Expect: 100-continue\r\n"]

STREAMING: list[Streaming] = [
    True,
    False,
    bytes.upper,
    lambda data: [piece for piece in (data[:3], data[3:]) if piece],
    lambda data: [],
]


class Wire:
    """`said` is what came of it, in order.

    `stream`: of answers (and, with `request_stream`, of request bodies); `is_call`: they may be tried again, so their beginning is held;
    `drain`: they are read to their end when the client leaves; `lag`: so many more events come before a hook is done.
    """

    def __init__(
        self,
        options: Any,
        stream: Streaming = True,
        *,
        request_stream: bool = False,
        is_call: bool = False,
        drain: bool = False,
        lag: int = 0,
    ) -> None:
        self.said: list[Said] = []
        self._stream, self._request_stream, self._lag = stream, request_stream, lag
        self._metadata: dict[str, Any] = {DRAIN: True} if drain else {}
        if is_call:
            self._metadata |= {RETRIES: "openai.chat", TIMEOUTS: [1.0, 1.0, 1.0]}
        self._late: deque[tuple[int, events.Event]] = deque()
        self._pending: deque[events.Event] = deque()
        self.client = Client(
            peername=("127.0.0.1", 1),
            sockname=("127.0.0.1", 2),
            timestamp_start=0.0,
            state=ConnectionState.OPEN,
            proxy_mode=ProxyMode.parse("regular"),
        )
        self.servers: list[Connection] = []
        self.layer = HttpLayer(Context(self.client, options), HTTPMode.regular)
        self._feed(events.Start())

    def from_client(self, data: bytes) -> None:
        self._receive(self.client, data)

    def from_server(self, data: bytes) -> None:
        """On the connection that was opened last."""
        if self.servers:
            self._receive(self.servers[-1], data)

    def leave(self, connection: Connection) -> None:
        """The peer closes it."""
        if connection.state is not ConnectionState.CLOSED:
            connection.state &= ~ConnectionState.CAN_READ
            self._feed(events.ConnectionClosed(connection))

    def server_leaves(self) -> None:
        if self.servers:
            self.leave(self.servers[-1])

    def finish(self) -> list[Said]:
        """All hooks are done."""
        while self._late:
            self._pending.append(self._late.popleft()[1])
            self._run()
        return [*self.said, ("streams", repr(sorted(self.layer.streams))), ("sources", repr(len(self.layer.command_sources)))]

    def _receive(self, connection: Connection, data: bytes) -> None:
        if data and connection.state & ConnectionState.CAN_READ:
            self._feed(events.DataReceived(connection, data))

    def _feed(self, event: events.Event) -> None:
        self._pending.append(event)
        self._run()
        self._late = deque((left - 1, late) for left, late in self._late)
        while self._late and self._late[0][0] < 0:
            self._pending.append(self._late.popleft()[1])
            self._run()

    def _run(self) -> None:
        while self._pending:
            event = self._pending.popleft()
            try:
                for command in self.layer.handle_event(event):
                    self._do(command)
            except Exception as error:  # as the server, which logs it and goes on
                self.said.append(("crash", f"{type(error).__name__}: {error}"))

    def _do(self, command: commands.Command) -> None:
        if isinstance(command, commands.OpenConnection):
            command.connection.state = ConnectionState.OPEN
            self.servers.append(command.connection)
            self._pending.append(events.OpenConnectionCompleted(command, None))
        elif isinstance(command, commands.StartHook):
            self.said.append(("hook", command.name))
            self._act(command)
            if command.blocking and self._lag:
                self._late.append((self._lag, events.HookCompleted(command)))
            elif command.blocking:
                self._pending.append(events.HookCompleted(command))
        elif isinstance(command, commands.Log):
            self.said.append(("log", command.message))
        elif not isinstance(command, commands.ConnectionCommand):
            self.said.append(("command", type(command).__name__))
        elif command.connection.state is not ConnectionState.CLOSED:
            self._at_connection(command)

    def _at_connection(self, command: commands.ConnectionCommand) -> None:
        connection = command.connection
        name = "client" if connection is self.client else f"server {self.servers.index(connection)}"
        if isinstance(command, commands.SendData):
            self.said.append((name, command.data))
        elif isinstance(command, commands.CloseTcpConnection) and command.half_close:
            self.said.append((name, "half-closed"))
            connection.state &= ~ConnectionState.CAN_WRITE
        elif isinstance(command, commands.CloseConnection):
            self.said.append((name, "closed"))
            connection.state = ConnectionState.CLOSED
            self._pending.append(events.ConnectionClosed(connection))

    def _act(self, hook: Any) -> None:
        if hook.name == "requestheaders":
            hook.flow.request.stream = self._request_stream and self._stream
        elif hook.name == "request":
            hook.flow.metadata |= self._metadata
        elif hook.name == "responseheaders":
            hook.flow.response.stream = self._stream
        elif hook.name == "response":
            self.said.append(("kept", repr((hook.flow.request.raw_content, hook.flow.response.raw_content))))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(min(place, len(data)) for place in places), len(data)])]


@dataclass(frozen=True)
class Answer:
    """Two requests, and what an upstream sends then, in these cuts; `end`: then it closes the connection. `left`: so many reads after
    which the client leaves."""

    head: bytes
    pieces: list[bytes]
    places: list[int]
    end: bool
    left: int | None
    way: dict[str, Any]

    def said(self, options: Any) -> list[Said]:
        wire = Wire(options, **self.way)
        wire.from_client(ASK + ASK)
        for number, data in enumerate(cut(self.head + b"".join(self.pieces), self.places)):
            if number == self.left:
                wire.leave(wire.client)
            wire.from_server(data)
        if self.end:
            wire.server_leaves()
        return wire.finish()


@dataclass(frozen=True)
class Asking:
    """A request whose body has these pieces, and another, in these cuts; an answer; `end`: then the client leaves."""

    expect: bytes
    pieces: list[bytes]
    places: list[int]
    end: bool
    way: dict[str, Any]

    def said(self, options: Any) -> list[Said]:
        wire = Wire(options, **self.way)
        head = CHUNKED_HEAD[:-2] + self.expect + b"\r\n"
        for data in cut(head + b"".join(self.pieces) + END + ASK, self.places):
            wire.from_client(data)
        wire.from_server(LENGTH_HEAD + b"Hello, world")
        if self.end:
            wire.leave(wire.client)
        return wire.finish()


pieces = st.lists(st.sampled_from(CHUNKS * 6 + ODD), max_size=6)
cuts = st.lists(st.integers(0, 600), max_size=8)
way = {"stream": st.sampled_from(STREAMING), "is_call": st.booleans(), "drain": st.booleans(), "lag": st.integers(0, 3)}
heads = st.sampled_from([STREAM, STREAM, LENGTH_HEAD, OLD_HEAD])
answers = st.builds(Answer, heads, pieces, cuts, st.booleans(), st.none() | st.integers(0, 6), st.fixed_dictionaries(way))
askings = st.builds(
    Asking, st.sampled_from(EXPECTING), pieces, cuts, st.booleans(), st.fixed_dictionaries(way | {"request_stream": st.booleans()})
)


@contextmanager
def proxy_options() -> Any:
    """Mitmproxy's, as a proxy has them."""
    with taddons.context(Proxyserver()) as context:
        yield context.options


def with_both(groups: list[Sequence[Replacement]], converse: Callable[[], list[Said]]) -> tuple[list[Said], list[Said]]:
    """What is said with mitmproxy's own, and with ours."""
    put_back(groups)
    try:
        stock = converse()
        assert replace_all(groups) == []
        return stock, converse()
    finally:
        put_back(groups)


def gist(said: list[Said]) -> list[Any]:
    """The same however bodies are cut into chunks: what is sent in a row is one, and what each connection got comes last, as messages."""
    order: list[Any] = []
    sent: dict[str, bytes] = {}
    for whom, what in said:
        if isinstance(what, bytes):
            sent[whom] = sent.get(whom, b"") + what
        if not isinstance(what, bytes) or order[-1:] != [(whom, "bytes")]:
            order.append((whom, "bytes" if isinstance(what, bytes) else what))
    return [*order, *((whom, messages(data)) for whom, data in sorted(sent.items()))]


def messages(data: bytes) -> list[bytes]:
    """Heads and bodies by turns; chunked ones without their framing, and what stands behind them, if they have an end, after that."""
    found = []
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        found.append(head + mark)
        if b"chunked" in head.lower():
            body, data = _unchunked(data)
            found.append(body)
        elif b"content-length: " in head.lower():
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found.append(data[:length])
            data = data[length:]
    return found


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    pieces: list[bytes] = []
    while data:
        line, _, rest = data.partition(b"\r\n")
        try:
            size = int(line, 16)
        except ValueError:  # a body that only looks like a head
            return b"".join([*pieces, b" ODD ", data]), b""
        pieces.append(rest[:size])
        data = rest[size + 2 :]
        if not size:
            return b"".join([*pieces, b" END"]), data
    return b"".join(pieces), b""
