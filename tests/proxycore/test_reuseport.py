"""Several processes on one port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from mitmproxy.proxy import mode_servers

from addons.proxycore import reuseport
from addons.proxycore.reuseport import broken_pins, open_port, share_port


@pytest.fixture(autouse=True)
def stock() -> Iterator[None]:
    """As mitmproxy has it, afterwards."""
    yield
    mode_servers.__dict__["asyncio"] = asyncio
    reuseport._closed = None


async def nobody(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def test_mitmproxy_opens_its_listeners_as_we_need_it() -> None:
    """The pin: an upgrade fails here."""
    assert broken_pins() == []


async def test_a_shared_port_is_closed_until_all_rooms_are_there() -> None:
    """Then two listeners have it, and what is opened later listens at once; asyncio itself is as it was."""
    share_port()
    start = mode_servers.asyncio.start_server  # type: ignore[attr-defined]
    first = await start(nobody, "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0
    await open_port()
    second = await start(nobody, "127.0.0.1", port)
    try:
        for _ in range(4):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
        with pytest.raises(OSError):
            await asyncio.start_server(nobody, "127.0.0.1", port)
    finally:
        first.close()
        second.close()


async def test_without_it_a_port_stays_exclusive() -> None:
    """`open_port` does nothing then."""
    await open_port()
    assert mode_servers.asyncio is asyncio  # type: ignore[attr-defined]


async def test_another_mitmproxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to listen on a port alone that others should share."""
    monkeypatch.setattr(reuseport, "broken_pins", lambda: ["it has changed"])
    with pytest.raises(RuntimeError, match="can't share a port: it has changed"):
        share_port()
