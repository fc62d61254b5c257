"""What clients have not taken yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

from addons.proxycore.unsent import broken_pins, unsent_bytes
from tests.rooms import running_proxy


def test_mitmproxy_is_as_we_know_it() -> None:
    """Fails when an upgrade has changed what this rests on."""
    assert broken_pins() == []


async def test_bytes_that_a_client_does_not_take_are_counted(tmp_path: Path) -> None:
    """Those of its own connection's buffer, while it has one."""
    async with running_proxy(tmp_path, "version: 1") as proxy:
        assert unsent_bytes(proxy.master) == 0
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readuntil(b"}")
        [handler] = proxy.master.addons.get("proxyserver").connections.values()
        own = handler.transports[handler.client].writer
        own.write(b"x" * 8_000_000)  # more than the kernel takes
        assert 0 < unsent_bytes(proxy.master) <= 8_000_000
        writer.transport.abort()
        async with asyncio.timeout(5):
            while unsent_bytes(proxy.master):
                await asyncio.sleep(0.01)
