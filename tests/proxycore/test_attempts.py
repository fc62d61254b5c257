"""Several attempts for one client stream, in a real mitmproxy in this process, in front of an upstream that does as it is told."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy.proxy.layers.http import HttpLayer

from addons.proxycore import attempts
from addons.proxycore.attempts import wake
from addons.proxycore.held import MAX_ASIDE_BYTES
from tests.proxycore.scripted import END, ERROR, LIMITED, OK, ROLE, STREAM, WORD, Act, Retrier, Upstream, chunk, running_master

BROKEN_429 = b"HTTP/1.1 429 Too Many\r\nContent-Length: 400\r\n\r\nslo"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def retrier(upstream: Upstream) -> Retrier:
    return Retrier(upstream)


@pytest.fixture
async def client(tmp_path: Path, retrier: Retrier) -> AsyncIterator[httpx.AsyncClient]:
    async with running_master(tmp_path.parent / "confdir", retrier) as url, httpx.AsyncClient(proxy=url, timeout=5) as made:
        yield made


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("http://llm.test/v1/chat/completions", content=b'{"n": 1}')


def hanging(start: bytes) -> Act:
    """Sends this, and then nothing more."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await asyncio.Event().wait()

    return act


def breaking(start: bytes) -> Act:
    """Sends this, and hangs up."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        writer.close()

    return act


@pytest.mark.parametrize(
    ("act", "kind", "status"),
    [
        (LIMITED, "status", 429),
        (b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunk(b"%d" % n) for n in range(10)) + END, "status", 503),
        (breaking(BROKEN_429), "status", 429),
        (hanging(BROKEN_429), "status", 429),
        ("close", "connect", None),
        (breaking(b"HTTP/1.1 200"), "connect", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "connect", None),
        ("hang", "timeout", None),
        (STREAM + chunk(ROLE) + chunk(ERROR) + END, "error_event", 200),
        (hanging(STREAM + chunk(ERROR)), "error_event", 200),
        (hanging(STREAM + chunk(ROLE)), "timeout", None),
        (breaking(STREAM + chunk(ROLE)), "connect", None),
    ],
    ids=[
        "status",
        "status in ten pieces",
        "status that breaks off",
        "status that stalls",
        "reset",
        "reset in the headers",
        "unreadable headers",
        "no first byte",
        "error event",
        "error event, not ended",
        "silence before content",
        "broken before content",
    ],
)
async def test_a_failure_is_not_seen_by_the_client(
    act: Act, kind: str, status: int | None, client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream
) -> None:
    """Another attempt answers, and its request is the same to the byte; hooks see one flow with one answer."""
    upstream.acts = [act]
    answer = await ask(client)
    assert (answer.status_code, answer.content) == (200, b"hi")
    assert [(failure.kind, failure.status) for failure in retrier.failures] == [(kind, status)]
    assert upstream.requests[0] == upstream.requests[1]
    await retrier.ended.wait()
    assert retrier.seen == [200]


async def test_the_failure_is_told_with_its_body(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """Whole, as it came."""
    upstream.acts = [LIMITED]
    await ask(client)
    (failure,) = retrier.failures
    assert failure.response
    assert (failure.response.status_code, failure.response.raw_content) == (429, b"slow")


@pytest.mark.parametrize("is_call", [True, False])
async def test_without_another_attempt_the_client_gets_the_failure(
    is_call: bool, client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream
) -> None:
    """As it came; what is no call is not even held."""
    retrier.tries, retrier.is_call = 1, is_call
    upstream.acts = [LIMITED, STREAM + chunk(ROLE) + chunk(ERROR) + END]
    first, second = await ask(client), await ask(client)
    assert (first.status_code, first.content) == (429, b"slow")
    assert (second.status_code, second.content) == (200, ROLE + ERROR)
    assert len(retrier.failures) == is_call


async def test_a_broken_error_is_given_as_far_as_it_came(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """With a length that fits."""
    retrier.tries = 1
    upstream.acts = [breaking(BROKEN_429)]
    answer = await ask(client)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (429, b"slo", "3")


async def test_an_error_of_no_end_is_passed_on(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """What is longer than an error should be is not held, and no attempt follows."""
    page = b"x" * (MAX_ASIDE_BYTES + 100_000)
    upstream.acts = [b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n" % len(page) + page]
    answer = await ask(client)
    assert (answer.status_code, len(answer.content), retrier.failures) == (500, len(page), [])


async def test_chunks_that_were_held_keep_their_cuts(client: httpx.AsyncClient, upstream: Upstream) -> None:
    """A stream is released at its first content, piece by piece, and then passes as it comes."""
    go_on = asyncio.Event()

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + chunk(ROLE) + chunk(WORD))
        await go_on.wait()
        writer.write(chunk(WORD) + END)

    upstream.acts = [act]
    async with client.stream("POST", "http://llm.test/v1/chat/completions", content=b"{}") as answer:
        pieces = answer.aiter_raw()
        got = await anext(pieces)
        while len(got) < len(ROLE + WORD):
            got += await anext(pieces)
        assert got == ROLE + WORD
        go_on.set()
        assert b"".join([piece async for piece in pieces]) == WORD


async def test_a_long_beginning_is_let_through(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """After 64 kB without content; an error after that is the client's to see."""
    comment = b": " + b"x" * 70_000 + b"\n\n"
    upstream.acts = [STREAM + chunk(comment) + chunk(ERROR) + END]
    answer = await ask(client)
    assert answer.content == comment + ERROR
    assert retrier.failures == []


async def test_a_silent_beginning_is_let_through(
    client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time for which a stream is held, whatever the idle limit is."""
    monkeypatch.setattr("addons.proxycore.attempts.HOLD_S", 0.1)
    retrier.timeouts = [1.0, 1.0, 5.0]
    upstream.acts = [hanging(STREAM + chunk(ROLE))]
    async with client.stream("POST", "http://llm.test/v1/chat/completions", content=b"{}") as answer:
        assert await anext(answer.aiter_raw()) == ROLE
    assert retrier.failures == []


async def test_silence_in_an_answer_ends_it(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """After the idle limit, as any broken stream; the upstream is told."""
    upstream.acts = [hanging(STREAM + chunk(WORD))]
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(client)
    assert (retrier.failures, retrier.seen) == ([], ["error"])


async def test_an_answer_that_goes_on_is_not_ended(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """However long it takes, as long as something comes."""
    ticks = asyncio.Semaphore(0)

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + chunk(WORD))
        for _ in range(4):
            await ticks.acquire()
            writer.write(chunk(WORD))
        writer.write(END)

    async def clock() -> None:
        for _ in range(4):
            await asyncio.sleep(0.15)  # the limit is 0.3
            ticks.release()

    upstream.acts = [act]
    ticking = asyncio.create_task(clock())
    assert (await ask(client)).content == WORD * 5
    await ticking


async def test_a_wait_is_kept(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """Nothing is sent before it is over, then the add-ons are asked once more."""
    retrier.wait = 0.2
    upstream.acts = [LIMITED]
    begun = time.monotonic()
    assert (await ask(client)).status_code == 200
    assert time.monotonic() - begun >= 0.2
    assert retrier.seen[0] == "due"


async def test_a_wait_can_be_ended(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """`wake`, when what was waited for has come earlier."""
    retrier.wait = 60.0
    upstream.acts = [LIMITED]
    asking = asyncio.create_task(ask(client))
    await retrier.waiting.wait()
    assert retrier.flow
    wake(retrier.flow)
    async with asyncio.timeout(3):
        assert (await asking).status_code == 200


async def test_a_client_that_leaves_ends_the_wait(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """At once, and nothing more is sent."""
    retrier.wait = 60.0
    upstream.acts = [LIMITED]
    asking = asyncio.create_task(ask(client))
    await retrier.waiting.wait()
    asking.cancel()
    async with asyncio.timeout(3):
        await retrier.ended.wait()
    assert retrier.seen == ["left"]
    assert len(upstream.requests) == 1


async def test_an_attempt_out_of_time_is_ended_upstream(client: httpx.AsyncClient, upstream: Upstream) -> None:
    """The upstream is not left working for nobody."""
    upstream.acts = ["hang"]
    await ask(client)
    async with asyncio.timeout(3):
        await upstream.left.wait()


async def test_a_kept_connection_that_died_is_no_failure(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """Once more on a fresh one; but a fresh one that dies is."""
    await ask(client)
    upstream.acts = ["close"]
    assert (await ask(client)).status_code == 200
    assert (retrier.failures, upstream.connections) == ([], 2)
    upstream.acts = ["close", "close"]
    assert (await ask(client)).status_code == 200
    assert [failure.kind for failure in retrier.failures] == ["connect"]


async def test_a_good_connection_is_kept_over_a_refusal(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """An error's body is read to its end, so that the next attempt needs no new connection."""
    upstream.acts = [LIMITED, LIMITED]
    await ask(client)
    assert (len(upstream.requests), upstream.connections) == (3, 1)


async def test_an_upstream_that_comes_back_is_reached(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """Refused, then up again: also within one call, and on the client's kept connection."""
    port = upstream.port
    await upstream.stop()
    retrier.wait = 0.1
    asking = asyncio.create_task(ask(client))
    await retrier.waiting.wait()
    await upstream.start(port)
    assert (await asking).status_code == 200
    assert [failure.kind for failure in retrier.failures][:1] == ["connect"]
    assert (await ask(client)).status_code == 200


async def test_a_hook_that_fails_is_no_endless_loop(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """Without a word from the add-ons the client gets the failure as it came."""

    def fail(_: Any) -> None:
        raise RuntimeError("a fault in an add-on")

    retrier.upstream_failed = fail  # type: ignore[method-assign, assignment]
    upstream.acts = [LIMITED]
    assert (await ask(client)).status_code == 429
    assert len(upstream.requests) == 1


async def test_nothing_is_kept_of_calls_that_have_ended(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """Neither a stream nor an attempt's number stays in the HTTP layer."""
    upstream.acts = [LIMITED, LIMITED, OK]
    await ask(client)
    await ask(client)
    assert retrier.flow
    assert not attempts._paused
    layers = [found for found in gc.get_objects() if isinstance(found, HttpLayer) and found.context.client is retrier.flow.client_conn]
    assert [layer.streams for layer in layers] == [{}]


async def test_a_slow_reader_is_no_silence(client: httpx.AsyncClient, retrier: Retrier, upstream: Upstream) -> None:
    """While the client takes nothing, nothing is read from the upstream either: that is not the upstream's fault."""
    body = b"x" * 30_000_000
    upstream.acts = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body]
    size = 0
    async with client.stream("POST", "http://llm.test/v1/chat/completions", content=b"{}") as answer:
        async for piece in answer.aiter_raw(65536):
            if not size:
                await asyncio.sleep(1.0)  # the limit is 0.3
            size += len(piece)
    assert size == len(body)
    assert retrier.seen == [200]
