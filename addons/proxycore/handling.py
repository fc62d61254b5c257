"""What happens on a client's connection and those to upstreams behind it, handled where it is noticed.

mitmproxy makes a task for every hook, which waits for a lock until the event that asked for it is done with, and is then woken through
the event loop; reads go through a buffer, a future and a task, and every read takes a lock for the write buffers too. That is a third of
its time for a call, and nearly no hook has anything to wait for. Here

- `server_event` handles an event at once, and what comes of it (a hook that is done, an event of a task that began meanwhile) right
  after it, in the order in which it came: the one thing that the lock was for;
- a hook gets a task only from the handler on that has to be awaited;
- bytes go from the socket into `server_event` (`Feed`); reading stops while any connection of this client takes no more.

A hook that waits for nothing may run where there is no `asyncio.current_task()`.

Read in mitmproxy 12.2 `proxy/server.py` and `proxy/mode_servers.py`; `REPLACED` pins it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

from mitmproxy import flow, hooks
from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.utils import asyncio_utils

from addons.proxycore.pins import Replacement

HIGH_WATER = 64 * 1024
"""Bytes that wait to be sent from which on a transport counts as full: what asyncio and uvloop begin with."""

TURN = "turnpike_turn"
"""The attribute of a handler with its turn: not there when none is under way."""

ENTRY = "turnpike_entry"
"""The attribute of a handler with what handles its events, once that is known for good."""

FULL = "turnpike_full"
"""The attribute of a handler with the `Feed`s of connections that take no more."""

READ_BYTES = 65535  # as mitmproxy's


class Turn:
    """What one event sets off at a connection's handler, until all of it is handled.

    `waiting`: events that came meanwhile, and whom to tell; `outbox`: what is to be sent, by connection. `current` is the one that is
    under way, if any.
    """

    __slots__ = ("outbox", "waiting")
    current: ClassVar[Turn | None] = None

    def __init__(self) -> None:
        self.waiting: deque[tuple[events.Event, asyncio.Future[None] | None]] = deque()
        self.outbox: dict[asyncio.StreamWriter, list[bytes]] = {}

    def put(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """To be sent at the end: a head and its body go in one system call. A datagram goes by itself, at once."""
        if not isinstance(writer, asyncio.StreamWriter):
            writer.write(data)
        elif (pieces := self.outbox.get(writer)) is None:
            self.outbox[writer] = [data]
        else:
            pieces.append(data)


Handle = Callable[[events.Event], layer.CommandGenerator[None]]
Rest = Coroutine[Any, Any, None]
Begin = Callable[[commands.StartHook], Rest | None]

# The events -------------------------------------------------------------------------------------------------------------


async def server_event(self: ConnectionHandler, event: events.Event) -> None:
    """As mitmproxy's: when this returns the event has been handled."""
    turn: Turn | None = vars(self).get(TURN)
    if turn is None:
        handle_now(self, event)
    else:  # a task that was begun while an event is handled
        done = asyncio.get_running_loop().create_future()
        turn.waiting.append((event, done))
        await done


def handle_now(self: ConnectionHandler, event: events.Event) -> None:
    """This event, then those that come meanwhile. Not to be called while another is handled."""
    turn = vars(self)[TURN] = Turn()
    outer, Turn.current = Turn.current, turn  # an add-on may have set off something at another connection
    try:
        self.timeout_watchdog.register_activity()
        _handle(self, event, turn)
        while turn.waiting:
            event, done = turn.waiting.popleft()
            _handle(self, event, turn)
            _tell(done)
    finally:
        Turn.current = outer
        del vars(self)[TURN]
        _send(self, turn)
        for _, done in turn.waiting:  # not handled, since something has ended the whole of it
            _tell(done)


def _handle(self: ConnectionHandler, event: events.Event, turn: Turn) -> None:
    handle: Handle = vars(self).get(ENTRY) or _entry(self)
    try:
        for command in handle(event):
            if isinstance(command, commands.StartHook):
                if _begin_hook(self, command) and command.blocking:
                    turn.waiting.append((events.HookCompleted(command), None))
            elif isinstance(command, commands.OpenConnection):
                _open(self, command)
            elif isinstance(command, commands.ConnectionCommand):
                if (transport := self.transports.get(command.connection)) is not None:  # else it has been closed already
                    _at_connection(self, command, transport, turn)
            elif isinstance(command, commands.Log):
                self.log(command.message, command.level)
            elif isinstance(command, commands.RequestWakeup):
                name = f"wakeup timer ({command.delay:.1f}s)"
                self.wakeup_timer.add(_task(self, self.wakeup(command), name))
            else:
                raise RuntimeError(f"Unexpected command: {command}")
    except Exception:
        self.log("mitmproxy has crashed!", logging.ERROR, exc_info=True)


def _tell(done: asyncio.Future[None] | None) -> None:
    if done is not None and not done.done():
        done.set_result(None)


def _send(self: ConnectionHandler, turn: Turn) -> None:
    """What was put. Joined, since asyncio's `writelines` may not tell when too much waits to be sent (CVE-2024-12254)."""
    for writer, pieces in turn.outbox.items():
        try:
            if not writer.is_closing():
                writer.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        except Exception:
            self.log("mitmproxy has crashed!", logging.ERROR, exc_info=True)
    turn.outbox.clear()


def _entry(self: ConnectionHandler) -> Handle:
    """Where an event does not only pass through: past the two layers that have nothing more to do once HTTP has been seen."""
    outer: Any = self.layer
    inner = getattr(vars(outer).get("_handle_event"), "__self__", None)
    if type(outer) is not modes.HttpProxy or type(inner) is not layer.NextLayer or inner._handle is None:
        return cast("Handle", outer.handle_event)
    if outer._paused or inner._paused or outer.debug is not None:
        return cast("Handle", outer.handle_event)
    vars(self)[ENTRY] = inner._handle
    return inner._handle


def _at_connection(self: ConnectionHandler, command: commands.ConnectionCommand, transport: ConnectionIO, turn: Turn) -> None:
    if isinstance(command, commands.SendData):
        turn.put(cast("asyncio.StreamWriter", transport.writer), command.data)
        return
    _send(self, turn)
    if isinstance(command, commands.CloseTcpConnection):
        self.close_connection(command.connection, command.half_close)
    elif isinstance(command, commands.CloseConnection):
        self.close_connection(command.connection, False)
    else:
        raise RuntimeError(f"Unexpected command: {command}")


def _open(self: ConnectionHandler, command: commands.OpenConnection) -> None:
    task = _task(self, self.open_connection(command), f"server connection handler {command.connection.address}")
    self.transports[command.connection] = ConnectionIO(handler=task)


def _task(self: ConnectionHandler, work: Coroutine[Any, Any, None], name: str, *, keep: bool = False) -> asyncio.Task[None]:
    return asyncio_utils.create_task(work, name=name, keep_ref=keep, client=self.client.peername)


# The hooks --------------------------------------------------------------------------------------------------------------


def _begin_hook(self: ConnectionHandler, hook: commands.StartHook) -> bool:
    """Is it done? If not, the rest of it is a task, which completes it as mitmproxy's does."""
    begin: Begin | None = getattr(self.master.addons, "turnpike_begin", None) if isinstance(self, ProxyConnectionHandler) else None
    if begin is None:  # mitmproxy's own dispatch, or a handler that has no add-ons
        _task(self, self.hook_task(hook), f"handle_hook({hook.name})", keep=True)
        return False
    rest = begin(hook)
    if rest is None and (paused := _paused_flow(hook)) is not None:
        rest = paused.wait_for_resume()
    if rest is None:
        return True
    _task(self, _finish_hook(self, hook, rest), f"handle_hook({hook.name})", keep=True)
    return False


async def _finish_hook(self: ConnectionHandler, hook: commands.StartHook, rest: Rest) -> None:
    with self.timeout_watchdog.disarm():
        await rest
        if (paused := _paused_flow(hook)) is not None:
            await paused.wait_for_resume()
    if hook.blocking:
        await self.server_event(events.HookCompleted(hook))


_fields: WeakKeyDictionary[type, tuple[str, ...]] = WeakKeyDictionary()


def arguments_of(event: hooks.Hook) -> tuple[Any, ...]:
    """As `Hook.args`, which asks `dataclasses.fields` for each event."""
    kind = type(event)
    names = _fields.get(kind)
    if names is None:
        names = _fields[kind] = tuple(field.name for field in dataclasses.fields(event))  # type: ignore[arg-type]
    return tuple([getattr(event, name) for name in names])


def _paused_flow(hook: commands.StartHook) -> flow.Flow | None:
    """The flow that an add-on has intercepted."""
    subject = arguments_of(hook)[0]
    return subject if isinstance(subject, flow.Flow) and subject.intercepted else None


# The bytes --------------------------------------------------------------------------------------------------------------


class Feed(asyncio.Protocol):
    """Stands between a transport and the `StreamReaderProtocol` that it had, which hears of all but the bytes.

    `closed` is done when the peer has ended its side, or the connection is lost; `lost` when nothing can be sent either.
    """

    def __init__(self, handler: ConnectionHandler, connection: Connection, writer: asyncio.StreamWriter) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._handler, self._connection = handler, connection
        self._transport = cast("asyncio.Transport", writer.transport)  # it reads too
        self._full: set[Feed] = vars(handler).setdefault(FULL, set())
        self._before = cast("asyncio.StreamReaderProtocol", self._transport.get_protocol())
        self._waits: asyncio.Task[None] | None = None
        if getattr(self._before, "_paused", False) or self._transport.get_write_buffer_size() > HIGH_WATER:
            self._full.add(self)
        self._transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Straight into the layers, and no further while a connection of this client takes no more."""
        handle_now(self._handler, events.DataReceived(self._connection, data))
        if self._full and self._waits is None:
            self._transport.pause_reading()
            self._waits = _task(self._handler, self._wait(), "waiting for write buffers")

    async def _wait(self) -> None:
        await asyncio.sleep(0)  # begun eagerly, it could end before it is noted
        try:
            await self._handler.drain_writers()
        finally:
            self._waits = None
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The peer sends no more; it may still read."""
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """By either side."""
        self._full.discard(self)
        self._before.connection_lost(exc)
        self._end()
        _tell(self.lost)

    def pause_writing(self) -> None:
        """More waits to be sent than should."""
        self._full.add(self)
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """It has been sent."""
        self._full.discard(self)
        self._before.resume_writing()

    def _end(self) -> None:
        _tell(self.closed)


async def handle_connection(self: ConnectionHandler, connection: Connection) -> None:
    """As mitmproxy's, for the connection's entire life: read until EOF, then maybe wait until our own side is closed too."""
    transport = self.transports[connection]
    cancelled: asyncio.CancelledError | None = None
    feed: Feed | None = None
    try:
        if not isinstance(transport.reader, asyncio.StreamReader):  # UDP and WireGuard
            await _read(self, connection, lambda: False)
        elif await _read(self, connection, partial(_is_empty, transport.reader)):
            feed = Feed(self, connection, cast("asyncio.StreamWriter", transport.writer))
            await feed.closed
    except asyncio.CancelledError as error:
        cancelled = error
    await _end(self, connection, cancelled, feed)


async def _read(self: ConnectionHandler, connection: Connection, is_enough: Callable[[], bool]) -> bool:
    """Through the reader. True when it was enough; False at the connection's end."""
    reader: Any = self.transports[connection].reader
    while not is_enough():
        try:
            data = await reader.read(READ_BYTES)
        except OSError:
            return False
        if not data:
            return False
        await self.server_event(events.DataReceived(connection, data))
        await self.drain_writers()
    return True


def _is_empty(reader: asyncio.StreamReader) -> bool:
    """Has all that has come so far been read, with more to come?"""
    return not reader._buffer and not reader.at_eof() and reader.exception() is None  # type: ignore[attr-defined]


async def _end(self: ConnectionHandler, connection: Connection, cancelled: asyncio.CancelledError | None, feed: Feed | None) -> None:
    if cancelled is None and connection.transport_protocol == "tcp":  # it may be half-closed
        connection.state &= ~ConnectionState.CAN_READ
    else:
        connection.state = ConnectionState.CLOSED
    await self.server_event(events.ConnectionClosed(connection))
    if connection.state is ConnectionState.CAN_WRITE:  # we may still send: until we are told to close, or can't
        try:
            await (feed.lost if feed else asyncio.Event().wait())
        except asyncio.CancelledError as error:
            cancelled = error
    with suppress(OSError):
        self.transports[connection].writer.close()  # type: ignore[union-attr]
    self.transports.pop(connection)
    if cancelled:
        raise cancelled


REPLACED = (
    Replacement(ConnectionHandler, "server_event", "a2b42657ebe8bf6d", server_event),
    Replacement(ConnectionHandler, "handle_connection", "95c3f93e9824e527", handle_connection),
    Replacement(ConnectionHandler, "hook_task", "9ac7970160526268"),  # what these do is done here too, or passed by
    Replacement(modes.HttpProxy, "_handle_event", "8147a0c98455987c"),
    Replacement(layer.NextLayer, "handle_event", "4e9724eb64588ac2"),
    Replacement(layer.NextLayer, "_ask", "4d8ace76d8488336"),
    Replacement(ProxyConnectionHandler, "handle_hook", "9f8b52fd798203c9"),
)
