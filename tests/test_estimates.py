"""token-count and cost-estimate, as a client sees them."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from addons.state import State
from tests.conftest import MakeJourney
from tests.rooms import UPSTREAMS, Journey, answered, base_url_call, exchange, running_proxy

COUNT, COST = "/proxy/v1/token-count", "/proxy/v1/cost-estimate"
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


async def ask(journey: Journey, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Through Scope, Gate and Endpoints; `body` is sent as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    flow = base_url_call(path, headers)
    flow.request.raw_content = content
    for room in (journey.scope, journey.gate):
        room.requestheaders(flow)
    awaited = journey.endpoints.request(flow)
    assert inspect.isawaitable(awaited)
    await awaited
    return answered(flow)


async def test_messages_are_counted(journey: Journey) -> None:
    """With their overhead, by the model's encoding."""
    assert await ask(journey, COUNT, HELLO) == (
        200,
        {"model": "gpt-4o", "encoding": "o200k_base", "input_tokens": 8, "source": "estimated"},
    )


async def test_text_is_counted_bare(journey: Journey) -> None:
    """Without a model by the newest encoding; a query changes nothing."""
    status, body = await ask(journey, f"{COUNT}?x=1", {"text": "hello world"})
    assert (status, body) == (200, {"model": None, "encoding": "o200k_base", "input_tokens": 2, "source": "estimated"})


async def test_a_compressed_body_is_read(journey: Journey) -> None:
    """Clients may send zstd or gzip."""
    status, body = await ask(journey, COUNT, gzip.compress(json.dumps(HELLO).encode()), {"Content-Encoding": "gzip"})
    assert (status, body["input_tokens"]) == (200, 8)
    status, body = await ask(journey, COUNT, b"no gzip", {"Content-Encoding": "gzip"})
    assert (status, body["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", [COUNT, COST])
@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b"", None, "not JSON"),
        (b"nothing", None, "not JSON"),
        ([], None, "JSON object"),
        ({"model": 5, "text": "x"}, "model", "model: should be a string, not 5"),
        ({"model": "gpt-4o", "messages": [{"content": "x"}]}, "messages[0].role", "messages[0].role: should be a string"),
    ],
)
async def test_malformed_input_is_refused_and_named(path: str, body: Any, param: str | None, said: str, journey: Journey) -> None:
    """400 in our error shape, with the field."""
    status, found = await ask(journey, path, body)
    assert (status, found["error"]["code"], found["error"]["param"]) == (400, "invalid_request", param)
    assert said in found["error"]["message"]


async def test_given_tokens_are_priced(journey: Journey) -> None:
    """2.50 and 10 USD per million: gpt-4o."""
    status, body = await ask(journey, COST, {"model": "gpt-4o", "provider": "openai", "input_tokens": 1000, "output_tokens": 100})
    assert status == 200
    assert body.pop("cost_usd") == pytest.approx(0.0035)
    assert body == {
        "model": "gpt-4o",
        "provider": "openai",
        "input_tokens": 1000,
        "output_tokens": 100,
        "tokens_source": "given",
        "cost_source": "priced",
    }


async def test_a_request_is_priced_by_what_it_may_cost(journey: Journey) -> None:
    """Its messages counted, its limit for the output."""
    status, body = await ask(journey, COST, HELLO | {"max_tokens": 100})
    assert (status, body["input_tokens"], body["output_tokens"], body["tokens_source"]) == (200, 8, 100, "estimated")
    assert body["cost_usd"] == pytest.approx((8 * 2.5 + 100 * 10) / 1e6)


async def test_an_unknown_price_is_null(journey: Journey) -> None:
    """Never 0."""
    status, body = await ask(journey, COST, {"model": "no-such-model-1", "input_tokens": 5, "output_tokens": 5})
    assert (status, body["cost_usd"], body["cost_source"], body["provider"]) == (200, None, None, None)


async def test_prices_of_the_configuration_count(make_journey: MakeJourney) -> None:
    """Before the built-in ones; an upstream's name says its provider."""
    journey = make_journey(f"{UPSTREAMS}prices: {{my-*: {{input: 1, output: 2, cache_read: 0.1}}}}\n")
    body = {"model": "my-model", "provider": "openrouter", "input_tokens": 1_000_000, "output_tokens": 0, "cache_read_tokens": 500_000}
    assert (await ask(journey, COST, body))[1]["cost_usd"] == pytest.approx(0.55)


async def test_work_is_done_off_the_event_loop(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and counting run in another thread, and the loop goes on meanwhile."""
    threads, loaded, go_on = [], asyncio.Event(), threading.Event()
    loop, tokenizer = asyncio.get_running_loop(), journey.state.tokenizer

    def load(name: str) -> Any:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(loaded.set)
        assert go_on.wait(5)
        return tokenizer(name)

    monkeypatch.setattr(journey.state, "tokenizer", load)
    task = asyncio.create_task(ask(journey, COUNT, HELLO))
    async with asyncio.timeout(5):
        await loaded.wait()
        go_on.set()
        assert (await task)[0] == 200
    assert threads and threads[0] is not threading.current_thread()


async def test_faults_of_our_own_are_answered(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that raises would send the request on: 503 without the ranks, 500 for what nobody expected."""
    for error, expected in ((LookupError("no ranks"), (503, "estimate_unavailable")), (RuntimeError("x"), (500, "internal_error"))):

        def load(name: str, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(journey.state, "tokenizer", load)
        status, body = await ask(journey, COUNT, HELLO)
        assert (status, body["error"]["code"]) == expected


@pytest.mark.parametrize("path", [COUNT, COST])
def test_a_body_too_long_to_be_held_is_refused(path: str, journey: Journey) -> None:
    """413, without reading it."""
    flow = base_url_call(path)
    journey.hook("requestheaders", flow)
    journey.hook("request_stream", flow)
    status, body = answered(flow)
    assert (status, body["error"]["code"]) == (413, "body_too_large")


def local(state: State, flow: http.HTTPFlow) -> bool:
    Journey(state).scope.requestheaders(flow)
    return exchange(flow).kind == "local"


def test_they_win_over_upstreams_unless_one_is_named(journey: Journey) -> None:
    """With X-Upstream-Name the same path is that upstream's own."""
    assert local(journey.state, base_url_call(COUNT)) and local(journey.state, base_url_call(COST))
    assert not local(journey.state, base_url_call(COUNT, {"X-Upstream-Name": "openai"}))
    assert not local(journey.state, base_url_call(COUNT, method="GET"))


async def test_mitmproxy_waits_for_the_answer(tmp_path: Path) -> None:
    """Through a real proxy: the answer is there, a body over proxy.max_held_body is refused, nothing is recorded."""
    text = UPSTREAMS.replace("version: 1", "version: 1\nproxy: {max_held_body: 2 KiB}")
    async with running_proxy(tmp_path, text) as proxy:
        for body, expected in ((json.dumps(HELLO), b'"input_tokens":8'), (json.dumps({"text": "x" * 5000}), b"body_too_large")):
            head = (
                f"POST {COUNT} HTTP/1.1\r\nHost: 127.0.0.1:{proxy.address[1]}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            assert expected in await proxy.exchange(head.encode() + body.encode())
        assert proxy.records.records == []
