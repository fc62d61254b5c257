"""Who is meant by what a stream or a connection of one client says: told by the kind of the command, not by asking for each kind in turn.

A call has some forty of them, which mitmproxy's `HttpLayer.event_to_child` looks at with up to nine `isinstance` each. Read in mitmproxy
12.2 `proxy/layers/http/__init__.py`; `REPLACED` pins it.
"""

from __future__ import annotations

from typing import Any

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnection, HttpLayer, RegisterHttpConnection, SendHttp
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestHeaders

from addons.proxycore.pins import Replacement
from addons.proxycore.stream import Commands


def event_to_child(self: HttpLayer, child: layer.Layer, event: events.Event) -> Commands:
    """`HttpLayer.event_to_child`."""
    for command in child.handle_event(event):
        kind = type(command)
        if kind is SendHttp:
            yield from event_to_child(self, self.connections[command.connection], command.event)  # type: ignore[attr-defined]
        elif kind is ReceiveHttp:
            told: Any = command.event  # type: ignore[attr-defined]
            if type(told) is RequestHeaders:
                yield from self.make_stream(told.stream_id)
            if (stream := self.streams.get(told.stream_id)) is not None:  # else it is done with
                yield from event_to_child(self, stream, told)
        elif kind is commands.SendData:
            yield command
        elif kind is DropStream:
            self.streams.pop(command.stream_id, None)  # type: ignore[attr-defined]
        else:
            yield from _rarer(self, child, command)


def _rarer(self: HttpLayer, child: layer.Layer, command: commands.Command) -> Commands:
    if command.blocking or isinstance(command, commands.RequestWakeup):
        self.command_sources[command] = child
    if isinstance(command, GetHttpConnection):
        yield from self.get_connection(command)
    elif isinstance(command, RegisterHttpConnection):
        yield from self.register_connection(command)
    else:
        if isinstance(command, commands.OpenConnection):
            self.connections[command.connection] = child
        yield command


REPLACED = (Replacement(HttpLayer, "event_to_child", "1095f6e1581d1780", event_to_child),)
