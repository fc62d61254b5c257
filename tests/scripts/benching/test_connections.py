"""The client's side, against servers that do right and wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benching.answers import framed, stream_events, whole_chat
from scripts.benching.connections import Broken, Connection, Gaps, open_connection
from scripts.benching.shapes import Door
from tests.e2e.harness import refusing_port
from tests.scripts.benching.serving import HOST, scripted, upstream

ASK = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 15\r\n\r\n" + b'{"stream":true}'
STREAM = b"".join(framed(stream_events(5, usage=False)))


async def opened(door: Door, timeout_s: float = 5.0) -> Connection:
    return await open_connection(door, Gaps(), timeout_s)


async def test_one_connection_serves_many_calls() -> None:
    """Each reply has its events, the time of the first, and its end."""
    async with upstream() as door:
        connection = await opened(door)
        for _ in range(3):
            reply = await connection.ask(ASK)
            assert (reply.status, reply.events) == (200, 6)
            assert reply.first is not None and reply.first <= reply.end
        assert len(connection.gaps.seconds) == 3 * 5
        connection.close()


@asynccontextmanager
async def tunnels(answer: bytes, to: Door) -> AsyncIterator[Door]:
    """A proxy that answers CONNECT so, and passes on where it was 200."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % to.port)
        writer.write(answer)
        if b" 200 " in answer:
            other, out = await asyncio.open_connection(to.host, to.port)
            await asyncio.gather(pump(reader, out), pump(other, writer))
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        yield replace(to, port=int(server.sockets[0].getsockname()[1]), tunnel=f"localhost:{to.port}")


async def test_tls_goes_through_a_tunnel(tmp_path: Path) -> None:
    """CONNECT, the handshake, then calls as on any connection."""
    async with upstream(tmp_path) as door, tunnels(b"HTTP/1.1 200 Connection established\r\n\r\n", door) as through:
        connection = await opened(through)
        assert (await connection.ask(ASK)).events == 6
        connection.close()
        await asyncio.sleep(0)


async def test_a_refused_tunnel_is_named(tmp_path: Path) -> None:
    """By its status."""
    async with upstream(tmp_path) as door, tunnels(b"HTTP/1.1 403 Forbidden\r\n\r\n", door) as through:
        with pytest.raises(Broken, match="CONNECT answered 403"):
            await opened(through)


async def test_a_certificate_of_a_stranger_is_refused(tmp_path: Path) -> None:
    """Only the CA that was named is trusted."""
    (tmp_path / "other").mkdir()
    async with upstream(tmp_path) as door, upstream(tmp_path / "other") as other:
        with pytest.raises(Broken, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            await opened(replace(door, ca_file=other.ca_file))


async def test_nobody_there() -> None:
    """Refused, and silent, are failures of the call."""
    with refusing_port() as port, pytest.raises(Broken, match="cannot connect"):
        await opened(Door(HOST, port))
    async with scripted(b"", close=False) as door:
        with pytest.raises(Broken, match=r"not connected within 0\.05 s"):
            await opened(replace(door, tunnel="localhost:1"), timeout_s=0.05)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (STREAM[:300], "closed before the end of the answer"),
        (b"", "closed before the end of the answer"),
        (b"".join(framed(stream_events(5, usage=False)[:-1])), r"without \[DONE\]"),
        (b"garbage\r\n\r\n", "no HTTP"),
        (whole_chat(400) + b"x", "no HTTP: the body is longer"),
    ],
    ids=["cut off", "nothing", "without DONE", "garbage", "too long"],
)
async def test_what_breaks_is_no_reply(answer: bytes, reason: str) -> None:
    """Each kind under a name of its own."""
    async with scripted(answer) as door:
        connection = await opened(door)
        with pytest.raises(Broken, match=reason):
            await connection.ask(ASK)


async def test_an_answer_may_end_with_the_connection() -> None:
    """Where no length is told; then there is no second call on it."""
    async with scripted(b"HTTP/1.1 200 OK\r\n\r\nall of it") as door:
        connection = await opened(door)
        assert (await connection.ask(ASK)).status == 200
        assert not connection.usable
        with pytest.raises(Broken, match="closed before the call"):
            await connection.ask(ASK)


async def test_a_call_can_be_given_up() -> None:
    """With the reason that is given."""
    async with scripted(STREAM[:300], close=False) as door:
        connection = await opened(door)
        waiting = connection.ask(ASK)
        connection.give_up("too slow")
        with pytest.raises(Broken, match="too slow"):
            await waiting
        assert not connection.usable


def test_events_that_come_together_have_no_gap() -> None:
    """Only the first of them has waited."""
    gaps = Gaps()
    gaps.note(0.5, 3)
    assert list(gaps.seconds) == [0.5, 0.0, 0.0]
