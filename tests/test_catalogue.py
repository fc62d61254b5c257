"""The list of models, as clients of the proxy see it, in front of a real provider."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import http

from addons import catalogue
from addons.catalogue import Ask
from addons.config import load
from addons.core.attempt import Request
from addons.outbound import Answer
from scripts.fake_provider.ollama import MODELS as OLLAMA_MODELS
from scripts.fake_provider.server import FakeProvider
from tests.conftest import MakeJourney
from tests.rooms import REMOTE_PEER, Journey, answered, base_url_call, exchange, new_key, running_proxy

MODELS, REFRESH = "/proxy/v1/models", "/proxy/v1/models/refresh"
KEY, OTHER_KEY = new_key(), new_key()
OWN = {"Authorization": f"Bearer {new_key()}"}

UPSTREAMS = """
version: 1
upstreams:
  openai: {{base_url: "{url}/v1", default: true, keys: [{{env: OPENAI_KEY*}}]}}
  claude: {{provider: anthropic, base_url: "{url}", keys: [{{env: ANTHROPIC_KEY*}}]}}
  local: {{provider: ollama, base_url: "{url}", kind: local}}
  hostless: {{provider: openai, hosts: [llm.test], keys: [{{env: OPENAI_KEY*}}]}}
  azure: {{provider: azure, base_url: "{url}/openai", keys: [{{env: OPENAI_KEY*}}]}}
"""
KEYS = {"OPENAI_KEY": KEY, "ANTHROPIC_KEY": OTHER_KEY}


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider()
    await provider.start()
    yield provider
    await provider.stop()


Make = Callable[..., Journey]


@pytest.fixture
async def make(make_journey: MakeJourney, fake: FakeProvider) -> AsyncIterator[Make]:
    """The rooms, with both keys unless others are given; all upstreams are the one provider."""
    made: list[Journey] = []

    def making(environ: dict[str, str] | None = None, text: str = UPSTREAMS, more: str = "") -> Journey:
        made.append(make_journey(f"{text.format(url=fake.url)}{more}", KEYS if environ is None else environ))
        return made[-1]

    yield making
    for journey in made:
        journey.catalogue.done()
        if closing := journey.outbound.done():
            await closing


async def ask(journey: Journey, path: str = MODELS, headers: dict[str, str] | None = None, **more: Any) -> tuple[int, Any]:
    """Through Scope, Gate and Endpoints."""
    return answered(await sent(journey, path, headers, **more))


async def sent(journey: Journey, path: str = MODELS, headers: dict[str, str] | None = None, **more: Any) -> http.HTTPFlow:
    flow = base_url_call(path, headers, method="POST" if path == REFRESH else "GET", **more)
    for room in (journey.scope, journey.gate):
        room.requestheaders(flow)
    assert exchange(flow).kind == "local"
    awaited = journey.endpoints.request(flow)
    assert inspect.isawaitable(awaited)
    await awaited
    return flow


def ids(body: Any) -> list[str]:
    return [model["id"] for model in body["data"]]


def asked(fake: FakeProvider) -> list[tuple[str, str]]:
    """Path and key of each request that the provider has seen."""
    return sorted((seen.path, seen.key) for seen in fake.requests)


async def test_all_upstreams_models_are_one_list(make: Make, fake: FakeProvider) -> None:
    """In OpenAI's shape, sorted, each with its upstreams; keyed ones are asked with their key, local ones without, others not at all."""
    status, body = await ask(make())
    assert (status, body["object"], body["errors"], body["stale"]) == (200, "list", {}, [])
    assert ids(body) == sorted(ids(body))
    assert {"gpt-4o", "llama3.2:latest"} < set(ids(body))
    assert [model["upstreams"] for model in body["data"] if model["id"] in ("gpt-4o", "llama3.2:latest")] == [["openai"], ["local"]]
    assert {tuple(model["upstreams"]) for model in body["data"] if model["id"].startswith("claude")} == {("claude",)}
    assert asked(fake) == [("/api/tags", ""), ("/v1/models", KEY), ("/v1/models?limit=1000", OTHER_KEY)]


async def test_those_that_speak_anthropics_dialect_get_its_shape(make: Make) -> None:
    """The same models."""
    journey = make()
    _, openai = await ask(journey)
    status, body = await ask(journey, headers={"anthropic-version": "2023-06-01"})
    assert (status, body["has_more"], body["first_id"]) == (200, False, ids(openai)[0])
    assert ids(body) == ids(openai)
    assert {model["type"] for model in body["data"]} == {"model"}


async def test_a_list_is_kept_for_the_ttl(make: Make, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked again before."""
    journey, now = make(more="catalogue: {ttl: 60}\n"), [1000.0]
    monkeypatch.setattr(catalogue.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    for seconds, requests in ((0, 3), (59.9, 3), (60, 6)):
        now[0] = 1000.0 + seconds
        await ask(journey)
        assert len(fake.requests) == requests


async def test_a_refresh_asks_anew_and_tells_what_came_of_it(make: Make, fake: FakeProvider) -> None:
    """How many models each has; why others were not asked."""
    journey = make()
    await ask(journey)
    status, body = await ask(journey, REFRESH)
    assert status == 200
    assert len(fake.requests) == 6
    assert list(body["upstreams"]) == ["openai", "claude", "local"]
    assert body["upstreams"]["local"] == len(OLLAMA_MODELS)
    assert body["models"] == len(ids((await ask(journey))[1]))
    assert (body["errors"], body["stale"]) == ({}, [])
    assert body["skipped"] == {"hostless": "has no base_url", "azure": "Azure lists base models, not your deployments"}


async def test_what_fails_keeps_its_old_list_and_is_named(make: Make, fake: FakeProvider) -> None:
    """The others are not touched by it; routing still knows the old list."""
    journey = make()
    before = ids((await ask(journey))[1])
    fake.knobs.set(KEY, {"status": 500})
    status, report = await ask(journey, REFRESH)
    assert (status, report["errors"], report["stale"]) == (200, {"openai": "answered 500"}, ["openai"])
    _, body = await ask(journey)
    assert (ids(body), body["errors"], body["stale"]) == (before, {"openai": "answered 500"}, ["openai"])
    assert "gpt-4o" in journey.catalogue.listed()["openai"]
    fake.knobs.clear()
    assert (await ask(journey, REFRESH))[1]["errors"] == {}


@pytest.mark.parametrize(
    ("knobs", "said"),
    [({"reset": "1"}, "connection"), ({"hang": "1"}, "no answer within 0.05 s"), ({"status": "204"}, "answered 204")],
)
async def test_each_way_to_fail_is_told(
    knobs: dict[str, str], said: str, make: Make, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is not asked again at once."""
    journey = make()
    await ask(journey)
    monkeypatch.setattr(catalogue, "LIST_S", 0.05 if "hang" in knobs else 5)
    fake.knobs.set(KEY, knobs)
    for path in (REFRESH, MODELS):
        _, body = await ask(journey, path)
        assert said in body["errors"]["openai"]
    assert "llama3.2:latest" in ids(body)
    assert len(fake.requests) == 6


async def test_an_answer_that_is_no_list_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong base_url, say, behind which something else answers."""
    journey = make(text='upstreams: {{odd: {{provider: ollama, kind: local, base_url: "{url}"}}}}')
    monkeypatch.setattr(journey.outbound, "get", lambda *_: answer(b"<html>"))
    status, body = await ask(journey)
    assert (status, body["error"]["code"]) == (502, "upstream_unreachable")
    assert body["error"]["errors"] == {"odd": "the answer is no list of models"}


async def answer(body: bytes) -> Answer:
    return Answer(200, body, whole=True)


async def test_a_locked_key_is_not_used(make: Make, fake: FakeProvider) -> None:
    """Another one is; where all are locked out nobody is asked, and that is told."""
    journey = make({"OPENAI_KEY": KEY, "OPENAI_KEY_1": OTHER_KEY})
    pool = journey.state.pools["openai"]
    now = catalogue.time.time()  # type: ignore[attr-defined]
    for key in pool.keys:
        lease = pool.lease(now, "m")
        assert lease
        pool.lock_out(lease, now)
        pool.release(lease, now)
        _, body = await ask(journey, REFRESH)
        left = [other.value for other in pool.keys if other is not key and other.cooldowns == {}]
        assert [seen.key for seen in fake.requests if seen.path == "/v1/models"] == left
        fake.clear()
    assert body["errors"] == {"openai": "every key is locked out"}


async def test_a_client_with_a_key_of_its_own_sees_what_it_may_use(make: Make, fake: FakeProvider) -> None:
    """The default upstream without keys is asked with the client's; that list is nobody else's, and none for routing."""
    journey = make({})
    _, body = await ask(journey, headers={**OWN, "OpenAI-Organization": "org", "Cookie": "a=b", "X-Team": "t"})
    assert "gpt-4o" in ids(body)
    (seen,) = [seen for seen in fake.requests if seen.path == "/v1/models"]
    assert (seen.header("authorization"), seen.header("openai-organization")) == (OWN["Authorization"], "org")
    assert (seen.header("cookie"), seen.header("x-team")) == (None, None)
    assert "openai" not in journey.catalogue.listed()
    for headers in ({}, {"Authorization": f"Bearer {new_key()}"}):
        fake.knobs.set("*", {"status": 401})
        _, body = await ask(journey, headers=headers)
        assert "gpt-4o" not in ids(body)


async def test_the_clients_key_is_sent_only_where_its_calls_would_go(make: Make, fake: FakeProvider) -> None:
    """By the dialect that it speaks, to the default upstream or to the first that speaks it; nowhere with a key of ours in its place."""
    journey = make({})
    await ask(journey, headers={"x-api-key": KEY, "anthropic-version": "2023-06-01"})
    assert asked(fake) == [("/api/tags", ""), ("/v1/models?limit=1000", KEY)]
    fake.clear()
    await ask(make(), headers=OWN)
    assert OWN["Authorization"].removeprefix("Bearer ") not in [seen.key for seen in fake.requests]
    fake.clear()
    text = 'upstreams: {{first: {{base_url: "{url}/api/v1"}}, second: {{base_url: "{url}/v1", default: true}}}}'
    await ask(make(text=text), headers=OWN)
    assert [seen.path for seen in fake.requests] == ["/v1/models"]


@pytest.mark.parametrize(("inject", "own"), [("placeholder", True), ("never", True), ("always", False)])
async def test_whose_key_goes_is_the_configurations_choice(inject: str, own: bool, make: Make, fake: FakeProvider) -> None:
    """As for calls: with `placeholder` a client that has a key of its own keeps it, with `never` always."""
    text = UPSTREAMS.replace("default: true", f"default: true, inject: {inject}")
    await ask(make(text=text), headers=OWN)
    expected = OWN["Authorization"].removeprefix("Bearer ") if own else KEY
    assert [seen.key for seen in fake.requests if seen.path == "/v1/models"] == [expected]


async def test_a_caller_that_may_not_use_keys_is_shown_nothing_that_took_one(make: Make, fake: FakeProvider) -> None:
    """A peer from elsewhere: local models only, also where the others are known by now."""
    journey = make(more="proxy: {allow_remote: true}\n")
    await ask(journey)
    fake.clear()
    _, body = await ask(journey, peer=REMOTE_PEER)
    assert ids(body) == sorted(OLLAMA_MODELS)
    assert asked(fake) == []


async def test_where_all_fail_it_is_an_error(make: Make, fake: FakeProvider) -> None:
    """With the upstream's own status where the caller's credential was refused, in the caller's dialect; else 502."""
    fake.knobs.set("*", {"status": 401})
    fake.knobs.set("", {"status": 403})
    journey = make({})
    status, body = await ask(journey, headers=OWN)
    assert (status, body["error"]["code"]) == (401, "upstream_refused")
    assert body["error"]["errors"] == {"openai": "answered 401", "local": "answered 403"}
    status, body = await ask(journey, headers={"anthropic-version": "2023-06-01"})
    assert (status, body["type"], body["error"]["code"]) == (502, "error", "upstream_unreachable")


async def test_nobody_to_ask_is_an_empty_list(make: Make, fake: FakeProvider) -> None:
    """Upstreams without keys, a base URL, or a credential of the caller's are left alone; their aliases are listed."""
    text = 'upstreams: {{openai: {{base_url: "{url}/v1", default: true, aliases: {{fast: gpt-4o}}}}, anthropic: {{hosts: [a.test]}}}}'
    status, body = await ask(make(text=text))
    assert (status, ids(body), fake.requests) == (200, ["fast"], [])


async def test_a_reload_forgets_what_another_upstream_said(make: Make, fake: FakeProvider, tmp_path: Path) -> None:
    """The name stands for another address now, and its list is asked for anew; what comes late of the old address counts no more."""
    journey = make()
    (tmp_path / "new.yml").write_text(UPSTREAMS.format(url=fake.url).replace(f"{fake.url}/v1", f"{fake.url}/api/v1"))
    fake.knobs.set(KEY, {"first_byte": 0.1})
    asking = asyncio.create_task(ask(journey))
    while len(fake.requests) < 3:
        await asyncio.sleep(0)
    old = journey.state.config
    journey.state.adopt(load(tmp_path / "new.yml", KEYS))
    await asking
    assert "openai" not in journey.catalogue.listed()
    await ask(journey, REFRESH)
    assert "openai" in journey.catalogue.listed()
    journey.state.adopt(old)
    fake.clear()
    fake.knobs.set(KEY, {"status": 500})
    _, body = await ask(journey)
    assert (asked(fake), body["stale"]) == ([("/v1/models", KEY)], [])
    assert "openai" not in journey.catalogue.listed()


async def test_a_fault_of_ours_is_an_answer(make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A hook that raises would send the request on; its text, which may hold anything, is neither told nor logged."""

    def fail(*_: object) -> None:
        raise RuntimeError(KEY)

    monkeypatch.setattr(catalogue, "asks_of", fail)
    status, body = await ask(make())
    assert (status, body["error"]["code"]) == (500, "internal_error")
    monkeypatch.undo()
    monkeypatch.setattr(catalogue, "read_list", fail)
    _, body = await ask(make())
    assert body["error"]["errors"]["openai"] == "failed (RuntimeError)"
    assert KEY not in caplog.text + str(body)


async def test_one_request_is_under_way_however_many_ask(make: Make, fake: FakeProvider) -> None:
    """A refresh that comes meanwhile waits for the same; with a ttl of 0 too."""
    journey = make(more="catalogue: {ttl: 0}\n")
    fake.knobs.set("*", {"first_byte": 0.1})
    answers = await asyncio.gather(*(ask(journey, path) for path in [MODELS, REFRESH] * 20))
    assert {status for status, _ in answers} == {200}
    assert len(fake.requests) == 3


async def test_a_client_that_leaves_takes_the_answer_from_nobody(make: Make, fake: FakeProvider) -> None:
    """The first to ask is cancelled; the second gets what the first has asked for."""
    journey = make()
    fake.knobs.set("*", {"first_byte": 0.1})
    first = asyncio.create_task(ask(journey))
    while len(fake.requests) < 3:
        await asyncio.sleep(0)
    second = asyncio.create_task(ask(journey))
    await asyncio.sleep(0)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    status, body = await second
    assert (status, body["errors"], len(fake.requests)) == (200, {}, 3)


async def test_a_stop_ends_what_is_under_way(make: Make, fake: FakeProvider) -> None:
    """Nobody waits for a slow upstream then."""
    journey = make()
    fake.knobs.set("*", {"hang": True})
    asking = asyncio.create_task(ask(journey))
    while len(fake.requests) < 3:
        await asyncio.sleep(0)
    journey.catalogue.done()
    async with asyncio.timeout(5):
        await asking


class Gate:
    """Lets no request of ours go out before so many callers wait for the list."""

    def __init__(self, journey: Journey, count: int) -> None:
        self.count, self.open = count, asyncio.Event()
        self._bring, self._get = journey.catalogue._bring, journey.outbound.get
        journey.catalogue._bring = self.bring  # type: ignore[method-assign]
        journey.outbound.get = self.get  # type: ignore[method-assign]

    async def bring(self, asks: list[Ask], ttl_s: float, anew: bool) -> None:
        self.count -= 1
        if self.count == 0:
            self.open.set()
        await self._bring(asks, ttl_s, anew)

    async def get(self, request: Request, timeout_s: float, limit_bytes: int) -> Answer:
        await self.open.wait()
        return await self._get(request, timeout_s, limit_bytes)


async def test_a_thousand_at_once_cause_one_request_per_upstream(make: Make, fake: FakeProvider) -> None:
    """All thousand have asked before any upstream is reached, and each gets the whole list."""
    journey = make()
    Gate(journey, 1000)
    answers = await asyncio.gather(*(sent(journey) for _ in range(1000)))
    assert len({flow.response.content for flow in answers if flow.response}) == 1
    assert "gpt-4o" in ids(answered(answers[0])[1])
    assert asked(fake) == [("/api/tags", ""), ("/v1/models", KEY), ("/v1/models?limit=1000", OTHER_KEY)]


async def test_so_do_many_through_a_real_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeProvider) -> None:
    """A hundred connections at once (a thousand are tried end to end)."""
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    async with running_proxy(tmp_path, UPSTREAMS.format(url=fake.url), listen_host="127.0.0.1") as proxy:
        Gate(proxy.journey, 100)
        request = f"GET {MODELS} HTTP/1.1\r\nHost: {proxy.address[0]}:{proxy.address[1]}\r\nConnection: close\r\n\r\n".encode()
        answers = await asyncio.gather(*(exchange_raw(proxy.address, request) for _ in range(100)))
    assert len(set(answers)) == 1
    assert b"gpt-4o" in answers[0]
    assert asked(fake) == [("/api/tags", ""), ("/v1/models", KEY), ("/v1/models?limit=1000", OTHER_KEY)]


async def exchange_raw(address: tuple[str, int], request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return body


async def test_a_plain_client_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeProvider) -> None:
    """Over HTTP, GET and HEAD; there is no row of it, and nothing is left running."""
    monkeypatch.setenv("OPENAI_KEY", KEY)
    async with (
        running_proxy(tmp_path, UPSTREAMS.format(url=fake.url), listen_host="127.0.0.1") as proxy,
        httpx.AsyncClient(timeout=5) as client,
    ):
        answer = await client.get(f"{proxy.url}{MODELS}")
        head = await client.head(f"{proxy.url}{MODELS}")
        assert (answer.status_code, head.status_code) == (200, 200)
        assert head.headers["content-length"] == str(len(answer.content))
        named = await client.get(f"{proxy.url}{MODELS}", headers={"X-Upstream-Name": "openai"})
        (record,) = await proxy.records.wait_for(1)
    assert "upstreams" not in named.text
    assert record.path == MODELS
