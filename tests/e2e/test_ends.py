"""How calls end that fail, wait or are left, in a real proxy in this process: nothing is kept of them, and nobody pays for another."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from mitmproxy import connection, http
from mitmproxy.proxy.layers.http import HttpLayer

from scripts.fake_provider.server import FakeProvider
from tests.proxycore.test_connecting import full_port
from tests.rooms import CHAT, CHAT_BODY, Proxy, new_key, running_proxy

STREAM = orjson.dumps({**orjson.loads(CHAT_BODY), "stream": True})
NAMES = ("K0", "K1", "K2")


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    made = [new_key() for _ in NAMES]
    for name, key in zip(NAMES, made, strict=True):
        monkeypatch.setenv(name, key)
    yield made


@contextlib.asynccontextmanager
async def proxy_of(folder: Path, upstreams: str, more: str = "") -> AsyncIterator[tuple[Proxy, httpx.AsyncClient]]:
    text = f"version: 1\nupstreams:\n{upstreams}\n{more}"
    async with running_proxy(folder, text, listen_host="127.0.0.1") as proxy, httpx.AsyncClient(timeout=20) as client:
        yield proxy, client


def one(fake: FakeProvider, more: str = "", keys: str = "{env: K0}") -> str:
    return f"  one: {{provider: openai, base_url: {fake.url}/v1, hosts: [llm.test], rotation: sequential, keys: [{keys}]{more}}}"


def in_flight(proxy: Proxy) -> int:
    return sum(key.in_flight for pool in proxy.journey.state.pools.values() for key in pool.keys)


@pytest.mark.slow
async def test_calls_are_let_go_of(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """Neither flows nor what they hold stay when calls have ended, well or not, and their clients have gone."""
    fake.knobs.set(keys[0], {"status": 500}, 3)
    fake.knobs.set(keys[0], {"reset": True}, 3)
    async with proxy_of(tmp_path, one(fake, keys="{env: K0}, {env: K1}")) as (proxy, _):
        for _ in range(3):
            async with httpx.AsyncClient(timeout=20) as client:
                for _ in range(5):
                    await client.post(f"{proxy.url}/proxy/one{CHAT}", content=CHAT_BODY)
        records = await proxy.records.wait_for(15)
        assert len(records) == 15
        async with asyncio.timeout(5):
            while proxy.master.addons.get("proxyserver").connections:
                await asyncio.sleep(0)
        gc.collect()
        flows = [found for found in gc.get_objects() if isinstance(found, http.HTTPFlow)]
        left = [flow for flow in flows if (flow.client_conn.sockname or (None, None))[1] == proxy.address[1]]
        assert len(left) <= 1  # the last one may still stand in a frame
        assert in_flight(proxy) == 0


async def test_connections_that_closed_are_let_go_of(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """A client that keeps its connection for days does not keep those of all its failed attempts."""
    text = f"{one(fake)}\n  two: {{provider: openai, base_url: {fake.url}/v1, keys: [{{env: K1}}]}}"
    route = "routes: [{match: {upstream: one}, to: [{upstream: one}, {upstream: two}]}]"
    fake.knobs.set(keys[0], {"reset": True})
    async with proxy_of(tmp_path, text, route) as (proxy, client):
        for _ in range(12):
            proxy.journey.state.breakers["one"].succeeded(0.0)
            assert (await client.post(f"{proxy.url}/proxy/one{CHAT}", content=CHAT_BODY)).status_code == 200
        gc.collect()
        (layer,) = [found for found in gc.get_objects() if isinstance(found, HttpLayer) and found.context.client.connected]
        servers = [known for known in layer.connections if isinstance(known, connection.Server)]
        assert len(servers) <= 4


async def test_a_client_that_leaves_while_we_connect(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """Nobody is asked on its behalf, nothing is counted against the upstream, and no key stays in use."""
    with full_port() as port:
        text = (
            f"  one: {{provider: openai, base_url: 'http://127.0.0.1:{port}/v1', keys: [{{env: K0}}]}}\n"
            f"  two: {{provider: openai, base_url: {fake.url}/v1, keys: [{{env: K1, max_concurrent: 1}}]}}"
        )
        async with proxy_of(tmp_path, text, "routes: [{match: {upstream: one}, to: [{upstream: one}, {upstream: two}]}]") as (proxy, _):
            for _ in range(3):
                async with httpx.AsyncClient(timeout=0.3) as client:
                    with pytest.raises(httpx.TimeoutException):
                        await client.post(f"{proxy.url}/proxy/one{CHAT}", content=CHAT_BODY)
            records = await proxy.records.wait_for(3)
            async with asyncio.timeout(5):
                while proxy.master.addons.get("proxyserver").connections:
                    await asyncio.sleep(0)
            assert [(record.outcome, [attempt.upstream for attempt in record.attempts]) for record in records] == [
                ("cancelled", ["one"])
            ] * 3
            assert in_flight(proxy) == 0
            assert proxy.journey.state.breakers["one"].failures == 0
            assert fake.requests == []


async def test_who_waits_is_told_when_the_key_cools(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """Two calls for one key at a time: the first is refused for good, and the second does not sleep to its deadline."""
    fake.knobs.set(keys[0], {"status": 401, "first_byte": 0.3})
    async with proxy_of(tmp_path, one(fake, keys="{env: K0, max_concurrent: 1}")) as (proxy, client):
        url = f"{proxy.url}/proxy/one{CHAT}"
        async with asyncio.timeout(5):  # the deadline is 30 s
            answers = await asyncio.gather(*(client.post(url, content=CHAT_BODY) for _ in range(3)))
        assert [answer.status_code for answer in answers] == [503] * 3
        assert len(fake.requests) == 1


async def test_a_drained_call_has_its_limits_too(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """The client has left, and the upstream never answers: the first-byte limit ends it, and frees the key."""
    fake.knobs.set(keys[0], {"hang": True})
    text = one(fake, ", on_disconnect: drain, timeout: {first_byte: 1, first_byte_whole: 1}")
    async with proxy_of(tmp_path, text) as (proxy, _):
        async with httpx.AsyncClient(timeout=0.3) as client:
            with pytest.raises(httpx.TimeoutException):
                await client.post(f"{proxy.url}/proxy/one{CHAT}", content=CHAT_BODY)
        (record,) = await proxy.records.wait_for(1)
        assert record.outcome == "cancelled"
        assert in_flight(proxy) == 0


async def test_a_final_error_event_is_no_sign_of_health(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """A stream that says only an error counts against the upstream, although its status is 200."""
    fake.knobs.set(keys[0], {"fail_after": 0})
    async with proxy_of(tmp_path, one(fake), "routes: [{to: [{upstream: one}], fallback: {max_attempts: 1}}]") as (proxy, client):
        for failures in (1, 2, 3):
            answer = await client.post(f"{proxy.url}/proxy/one{CHAT}", content=STREAM)
            assert (answer.status_code, b"error" in answer.content) == (200, True)
            assert proxy.journey.state.breakers["one"].failures == failures


async def test_a_long_body_teaches_too(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """What can't be sent again goes to the client as it came, and its key is locked out all the same."""
    fake.knobs.set(keys[0], {"status": 401})
    async with proxy_of(tmp_path, one(fake, keys="{env: K0}, {env: K1}"), "proxy: {max_held_body: 1000}") as (proxy, client):
        body = orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 5000}]})
        statuses = [(await client.post(f"{proxy.url}/proxy/one{CHAT}", content=body)).status_code for _ in range(2)]
        records = await proxy.records.wait_for(2)
    assert statuses == [401, 200]
    assert [seen.key for seen in fake.requests] == keys[:2]
    assert [record.attempts[0].failure for record in records] == ["auth", None]


async def test_a_call_that_makes_something_is_made_once(fake: FakeProvider, keys: list[str], tmp_path: Path) -> None:
    """A batch that failed at the upstream may be there all the same; a refused key is no such matter."""
    fake.knobs.set(keys[0], {"status": 500})
    async with proxy_of(tmp_path, one(fake, keys="{env: K0}, {env: K1}")) as (proxy, client):
        url = f"{proxy.url}/proxy/one/v1/batches"
        assert (await client.post(url, content=b"{}")).status_code == 500
        assert len(fake.requests) == 1
        fake.knobs.set(keys[0], {"status": 401})
        await client.post(url, content=b"{}")
        assert [seen.key for seen in fake.requests[1:]] == keys[:2]
