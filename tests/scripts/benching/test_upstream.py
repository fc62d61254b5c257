"""The upstream, over real connections."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import httpx
import pytest

from scripts.benching.answers import stream_events
from scripts.benching.shapes import Door
from tests.scripts.benching.serving import upstream


def url(door: Door, path: str) -> str:
    scheme = "https" if door.server_name else "http"
    return f"{scheme}://{door.server_name or door.host}:{door.port}{door.path}{path}"


async def test_it_answers_by_path_and_body() -> None:
    """Whole, streamed, streamed with usage, a vector, 404: one after the other on one connection."""
    async with upstream() as door, httpx.AsyncClient(trust_env=False) as client:
        chat = url(door, "/chat/completions")
        assert (await client.post(chat, json={"model": "m"})).json()["choices"][0]["message"]["content"]
        stream = await client.post(chat, content=b'{"model":"m","stream":true}')
        assert stream.content == b"".join(stream_events(5, usage=False))
        options = b'{"stream_options":{"include_usage":true},"model":"m","stream":true}'
        assert (await client.post(chat, content=options)).content == b"".join(stream_events(5, usage=True))
        assert (await client.post(url(door, "/embeddings"), json={"input": "a"})).json()["object"] == "list"
        assert (await client.get(url(door, "/models"))).status_code == 404


async def test_long_bodies_are_read_whole() -> None:
    """A megabyte, which comes in many pieces; what follows on the connection is understood."""
    async with upstream() as door, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(2):
            answer = await client.post(url(door, "/chat/completions"), content=b'{"stream":true,"x":"' + b"y" * 10**6 + b'"}')
            assert answer.headers["content-type"] == "text/event-stream"


async def test_requests_may_come_together() -> None:
    """Two in one segment have two answers, in their order."""
    async with upstream() as door:
        reader, writer = await asyncio.open_connection(door.host, door.port)
        body = json.dumps({"model": "m"}).encode()
        writer.write(2 * (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)))
        async with asyncio.timeout(10):
            for _ in range(2):
                await reader.readuntil(b"\r\n\r\n")
                assert len(await reader.readexactly(400)) == 400
        writer.close()


@pytest.mark.parametrize("gap_ms", [0.0, 1.0])
async def test_a_stream_comes_in_pieces(tmp_path: Path, gap_ms: float) -> None:
    """After the delay, over TLS too."""
    async with upstream(tmp_path, chunks=30, delay_ms=1.0, gap_ms=gap_ms) as door:
        context = ssl.create_default_context(cafile=door.ca_file)
        client = httpx.AsyncClient(trust_env=False, verify=context)
        async with client, client.stream("POST", url(door, "/chat/completions"), content=b'{"stream":true}') as answer:
            pieces = [piece async for piece in answer.aiter_raw()]
    assert len(pieces) > 5
    assert b"".join(pieces) == b"".join(stream_events(30, usage=False))
