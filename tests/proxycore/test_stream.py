"""Our HTTP stream, in a real mitmproxy in this process, in front of a real provider."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from scripts.fake_provider.server import FakeProvider
from tests.rooms import CHAT, CHAT_BODY, Proxy, running_proxy


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def proxy(tmp_path: Path, fake: FakeProvider) -> AsyncIterator[Proxy]:
    """Holds request bodies of at most 1000 bytes; `gone` is an upstream where nobody listens."""
    async with running_proxy(tmp_path, config(fake.url, closed_port()), listen_host="127.0.0.1") as running:
        yield running


def config(url: str, closed_port: int) -> str:
    return f"""
version: 1
proxy: {{max_held_body: 1000}}
upstreams:
  openai: {{base_url: {url}/v1, hosts: [llm.test], default: true}}
  gone: {{provider: openai, base_url: "http://127.0.0.1:{closed_port}/v1"}}
"""


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=5) as made:
        yield made


def long_call(size: int = 5000) -> bytes:
    return orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * size}]})


async def test_the_form_of_a_request_is_told(proxy: Proxy, fake: FakeProvider) -> None:
    """Origin form with a provider's host as Host is refused as DNS rebinding is; absolute form to the same host is forwarded."""
    head = "Host: llm.test\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "
    rest = f"{head}{len(CHAT_BODY)}\r\n\r\n".encode() + CHAT_BODY
    rebound = await proxy.exchange(f"POST {CHAT} HTTP/1.1\r\n".encode() + rest)
    forwarded = await proxy.exchange(f"POST http://llm.test{CHAT} HTTP/1.1\r\n".encode() + rest)
    assert rebound.startswith(b"HTTP/1.1 403 ")
    assert forwarded.startswith(b"HTTP/1.1 200 ")
    assert len(fake.requests) == 1


async def test_a_long_body_is_routed_before_it_is_sent_on(proxy: Proxy, fake: FakeProvider, client: httpx.AsyncClient) -> None:
    """A body longer than `max_held_body` arrives whole at the routed upstream, as one attempt, and the row knows its length."""
    body = long_call()
    answer = await client.post(f"{proxy.url}/proxy{CHAT}", content=body)
    (record,) = await proxy.records.wait_for(1)
    assert answer.status_code == 200
    assert [seen.body for seen in fake.requests] == [body]
    assert (record.outcome, record.request.size, len(record.attempts)) == ("ok", len(body), 1)
    assert proxy.hooks[:2] == ["requestheaders", "request_stream"]


async def test_a_long_body_without_a_length_too(proxy: Proxy, fake: FakeProvider, client: httpx.AsyncClient) -> None:
    """The same where the length shows only while the body comes (chunked)."""
    body = long_call()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 700):
            yield body[start : start + 700]

    answer = await client.post(f"{proxy.url}/proxy{CHAT}", content=pieces())
    (record,) = await proxy.records.wait_for(1)
    assert answer.status_code == 200
    assert [seen.body for seen in fake.requests] == [body]
    assert len(record.attempts) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_refused_long_body_is_read_and_answered(chunked: bool, proxy: Proxy, fake: FakeProvider, client: httpx.AsyncClient) -> None:
    """A refusal reaches the client although its body was too long to be held; nothing of it goes upstream."""
    body = long_call(100_000)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 700):
            yield body[start : start + 700]

    answer = await client.post(f"{proxy.url}/proxy{CHAT}", content=pieces() if chunked else body, headers={"X-Upstream-Name": "nobody"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "upstream_not_found")
    assert not fake.requests
    (record,) = await proxy.records.wait_for(1)
    assert (record.outcome, record.status, record.attempts) == ("blocked", 400, [])


async def test_no_answer_is_answered_by_us(proxy: Proxy, client: httpx.AsyncClient) -> None:
    """A refused connection becomes a 502 in the client's dialect, with the call's id, and one row."""
    answer = await client.post(f"{proxy.url}/proxy/gone{CHAT}", content=CHAT_BODY)
    (record,) = await proxy.records.wait_for(1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert answer.headers["x-turnpike-call"] == record.id
    assert (record.outcome, record.status) == ("error", 502)
    assert [(attempt.failure, attempt.status) for attempt in record.attempts] == [("connect", None)]


async def test_a_long_body_for_nobody_is_answered_by_us(proxy: Proxy, client: httpx.AsyncClient) -> None:
    """The same for a body that is not held: it is read to its end, then the client has its answer."""
    answer = await client.post(f"{proxy.url}/proxy/gone{CHAT}", content=long_call(100_000))
    (record,) = await proxy.records.wait_for(1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert [(attempt.failure, attempt.status) for attempt in record.attempts] == [("connect", None)]


async def test_an_upstream_that_recovers_is_tried_again(proxy: Proxy, client: httpx.AsyncClient) -> None:
    """A failed connect is not remembered for the life of the client's connection."""
    base_url = proxy.journey.state.config.upstreams["gone"].base_url or ""
    first = await client.post(f"{proxy.url}/proxy/gone{CHAT}", content=CHAT_BODY)
    provider = FakeProvider()
    await provider.start(port=int(base_url.rpartition(":")[2].partition("/")[0]))
    try:
        second = await client.post(f"{proxy.url}/proxy/gone{CHAT}", content=CHAT_BODY)
    finally:
        await provider.stop()
    assert (first.status_code, second.status_code) == (502, 200)
    assert len(proxy.master.addons.get("proxyserver").connections) == 1  # the client had kept its connection


async def test_a_reset_before_the_headers_is_no_answer(proxy: Proxy, client: httpx.AsyncClient) -> None:
    """An upstream that hangs up before any byte: 502 and class `connect`."""
    answer = await client.post(f"{proxy.url}/proxy{CHAT}", content=CHAT_BODY, headers={"X-Fake-Reset": "1"})
    (record,) = await proxy.records.wait_for(1)
    assert (answer.status_code, record.outcome, record.attempts[0].failure) == (502, "error", "connect")


async def test_a_cut_answer_is_partial(proxy: Proxy, client: httpx.AsyncClient) -> None:
    """What was passed on before the upstream broke off stays; no second answer is tried."""
    body = orjson.dumps({**orjson.loads(CHAT_BODY), "stream": True})
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(f"{proxy.url}/proxy{CHAT}", content=body, headers={"X-Fake-Chunks": "9", "X-Fake-Cut": "3"})
    (record,) = await proxy.records.wait_for(1)
    assert (record.outcome, record.status, record.error_type) == ("partial", 200, "stream")
    assert record.attempts[0].failure == "stream"
    assert record.response.content.startswith(b"data: ")


async def test_a_client_that_leaves_is_told_from_an_upstream_that_breaks(proxy: Proxy, client: httpx.AsyncClient) -> None:
    """The client's going is noted as such: cancelled, with what was seen."""
    body = orjson.dumps({**orjson.loads(CHAT_BODY), "stream": True})
    knobs = {"X-Fake-Chunks": "1000", "X-Fake-Delay": "0.05"}
    async with client.stream("POST", f"{proxy.url}/proxy{CHAT}", content=body, headers=knobs) as answer:
        await anext(answer.aiter_raw())
    await client.aclose()
    (record,) = await proxy.records.wait_for(1)
    assert (record.outcome, record.status) == ("cancelled", 200)
    assert record.response.content


async def test_another_host_is_tunnelled_unopened(proxy: Proxy) -> None:
    """Bytes through a CONNECT to a host that is not ours arrive as they are, and no hook shows them."""
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.readexactly(5))
        writer.write(b"\x00back")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        async with asyncio.timeout(5):
            established = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\x16\x03\xffhi")
            answer = await reader.read()
        writer.close()
    assert established.startswith(b"HTTP/1.1 200 ")
    assert (await got, answer) == (b"\x16\x03\xffhi", b"\x00back")
    assert proxy.hooks == []
    assert proxy.journey.state.counts["tunnels"] == 1


async def test_plain_http_to_another_host_is_seen_by_nobody(proxy: Proxy, client: httpx.AsyncClient, fake: FakeProvider) -> None:
    """It passes, streamed, and no later add-on (mitmproxy's own `-w` among them) is shown it."""
    async with httpx.AsyncClient(proxy=proxy.url, timeout=5) as through:
        answer = await through.get(f"{fake.url}/v1/models")
    assert answer.status_code == 200
    assert proxy.hooks == []
    assert not proxy.records.records
