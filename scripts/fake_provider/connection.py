"""What both wires share: the life of a connection, and the pace of an answer on it with its waits, cuts and resets."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from scripts.fake_provider.answers import Reply, Responder
from scripts.fake_provider.http1 import Request, serial_id
from scripts.fake_provider.knobs import DEFAULT, Knobs
from scripts.fake_provider.log import End

# With on=1 and seconds=0 a close sends RST at once (socket(7), SO_LINGER).
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client connection. `deliveries` holds the answers on their way, by stream."""

    transport: asyncio.Transport

    def __init__(self, responder: Responder, number: int, connections: set[Connection]) -> None:
        self.deliveries: dict[int, Delivery[Any]] = {}
        self.writable = asyncio.Event()
        self.writable.set()
        self._responder = responder
        self._number = number
        self._connections = connections
        self._lost = False
        self._dropped_by_us = False
        self._stale = False
        self._drop_after: float | None = None
        self._drop: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._connections.discard(self)
        self.wake()
        self.give_up()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    @property
    def is_open(self) -> bool:
        return not (self._lost or self.transport.is_closing())

    def abort(self) -> None:
        """Drops the connection, and with it what is being answered."""
        self._dropped_by_us = True
        self.transport.abort()

    def reset(self) -> None:
        """The same, with a TCP RST."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.abort()

    async def flush(self) -> None:
        """Waits until all that was written has left, for `abort` throws the rest away. Nothing is to be written after it."""
        # With high=0 asyncio's TLS transport pauses also when nothing is left to be sent, and then never goes on.
        self.transport.set_write_buffer_limits(high=1, low=0)
        await self.writable.wait()

    def wake(self) -> None:
        """The connection is not idle any more."""
        self._drop_after = None
        if self._drop is not None:
            self._drop.cancel()
            self._drop = None

    def receive(self, request: Request) -> Reply:
        return self._responder.respond(request, self._number, stale=self._stale)

    def deliver(self, stream: int, delivery: Delivery[Any]) -> None:
        """Sends an answer at its pace."""
        self.deliveries[stream] = delivery
        delivery.task = asyncio.get_running_loop().create_task(delivery.run())
        delivery.task.add_done_callback(partial(self._delivered, stream, delivery))

    def _delivered(self, stream: int, delivery: Delivery[Any], task: asyncio.Task[None]) -> None:
        del self.deliveries[stream]
        if task.cancelled():
            self.note(delivery.reply, "cut" if self._dropped_by_us else "client left")
        elif (problem := task.exception()) is not None:
            self.note(delivery.reply, "cut")
            self.abort()
            raise problem
        if self.is_open:
            self.advance()

    def note(self, reply: Reply, end: End) -> None:
        """How it ended, for the log; to be told before the client can see it."""
        if reply.seen is not None and reply.seen.ended is None:
            self._responder.log.end(reply.seen, end, time.time())
        if end == "answered" and reply.knobs is not DEFAULT:
            self._stale = self._stale or reply.knobs.stale
            if reply.knobs.drop_after is not None:
                self._drop_after = reply.knobs.drop_after

    def advance(self) -> None:
        """An answer was delivered: what is next? Here: nothing, so that an idle connection may be closed in time."""
        if self._drop_after is not None and not self.deliveries:
            self._drop = asyncio.get_running_loop().call_later(self._drop_after, self.transport.close)

    def give_up(self) -> None:
        """The client has left: nothing more is sent."""
        for delivery in self.deliveries.values():
            delivery.task.cancel()


class Delivery[Wire: Connection](ABC):
    """One answer on its way at the pace that its knobs ask for; each wire says how the steps are written."""

    task: asyncio.Task[None]

    def __init__(self, connection: Wire, reply: Reply, parts: Sequence[bytes]) -> None:
        self.connection = connection
        self.reply = reply
        self.knobs: Knobs = reply.knobs
        self.serial = serial_id(reply.serial)
        self._parts = parts

    async def run(self) -> None:
        knobs = self.knobs
        if knobs.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(knobs.first_byte)
        if knobs.reset:
            self.ended("reset")
            self.reset()
            return
        await self.start()
        for n, part in enumerate(self._parts[: knobs.cut]):
            if n and knobs.delay:
                await asyncio.sleep(knobs.delay)
            await self.send(part)
        await (self.finish() if knobs.cut is None else self.cut())

    def ended(self, end: End) -> None:
        self.connection.note(self.reply, end)

    @abstractmethod
    async def start(self) -> None:
        """Headers, and what comes with the first byte."""

    @abstractmethod
    async def send(self, part: bytes) -> None:
        """One part, as soon as there is room for it."""

    @abstractmethod
    async def finish(self) -> None:
        """The closing; `ended` before its last byte."""

    @abstractmethod
    async def cut(self) -> None:
        """Break off behind what was sent; `ended` before it."""

    @abstractmethod
    def reset(self) -> None:
        """Break off before the first byte."""
