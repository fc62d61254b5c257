"""One timer per connection for all its streams: waits before another try, first bytes, silences.

mitmproxy's `RequestWakeup` can't be cancelled and holds its source until it fires, so one per call would hold the bodies of
calls that have long ended. Here a `Watch` beside the streams holds one `Alarm`, whose time may be moved nearer; when it rings,
each stream whose time has come is told by an `Expired` event.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp

if TYPE_CHECKING:
    from addons.proxycore.attempts import AttemptStream

NEVER = math.inf


@dataclass
class Expired(HttpEvent):
    """To a stream: the moment has come that it had asked for. `blocked`: meanwhile a client takes nothing, so nothing is read either."""

    blocked: bool = False


class Alarm(commands.RequestWakeup):
    """A wake-up at a moment (monotonic clock, seconds) that may be moved nearer while it is waited for."""

    def __init__(self, due: float) -> None:
        super().__init__(0.0)  # what mitmproxy sleeps after `sleep`
        self.due = due
        self.blocked = False
        self._moved = asyncio.Event()

    def move(self, due: float) -> None:
        """Ring at `due`, if that is earlier."""
        if due < self.due:
            self.due = due
            self._moved.set()

    async def sleep(self) -> None:
        """Until the moment has come."""
        while (left := self.due - time.monotonic()) > 0:
            self._moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left == NEVER else left):
                    await self._moved.wait()


class Watch(layer.Layer):
    """Beside the streams of one HttpLayer, and owner of its alarm, so that the alarm holds no stream."""

    def __init__(self, context: Context, http_layer: HttpLayer) -> None:
        super().__init__(context)
        self._http_layer = http_layer
        self._alarm = Alarm(NEVER)

    def ask(self, due: float) -> None:
        """Ring at this moment at the latest."""
        self._alarm.move(due)

    def _handle_event(self, event: events.Event) -> Generator[commands.Command, Any, Any]:
        """At the start, and when the alarm has rung: tell the streams whose time has come, and set the next alarm."""
        now = time.monotonic()
        for stream in self._streams():
            if stream.due <= now:
                stream.due = NEVER
                yield ReceiveHttp(Expired(stream.stream_id, self._alarm.blocked))
        self._alarm = Alarm(min((stream.due for stream in self._streams()), default=NEVER))
        yield self._alarm

    def _streams(self) -> list[AttemptStream]:
        """Each once: one that tries again stands under its attempt's number too."""
        streams: Any = self._http_layer.streams
        return [stream for stream_id, stream in streams.items() if stream.stream_id == stream_id]
