"""Every call leaves one row, whatever its end: answer, refusal, cut, client gone, proxy stopped or killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from scripts.fake_provider.server import FakeProvider
from scripts.fake_provider.speech import DEFAULT_TEXT
from tests.e2e.harness import Turnpike, fake_upstreams, refusing_port, wait_for

MODEL = "gpt-4o-mini"
MESSAGES: Any = [{"role": "user", "content": "one two three"}]
ENDLESS = "fake:chunks=1000,delay=0.05"
STREAMS = 50
LOST_S = 0.2
COMMIT_S = 0.3
"""What a commit itself may take on a busy machine, on top of the 200 ms that rows are gathered for."""
CALLS, CONCURRENCY, MAX_MEMORY_KB = 1000, 50, 170 * 1000


@pytest.fixture(scope="module")
def dead_port() -> Iterator[int]:
    """Nothing listens there."""
    with refusing_port() as port:
        yield port


@pytest.fixture(scope="module")
def proxy(fake: FakeProvider, dead_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnpike]:
    """Upstreams without keys, two of them dead."""
    with own_proxy(fake, tmp_path_factory.mktemp("lifecycle"), dead_port) as turnpike:
        yield turnpike


def own_proxy(fake: FakeProvider, folder: Path, dead_port: int | None = None) -> Turnpike:
    upstreams = {name: {**upstream, "keys": []} for name, upstream in fake_upstreams(fake).items()}
    if dead_port:
        upstreams["dead"] = {"provider": "openai", "base_url": f"http://127.0.0.1:{dead_port}/v1"}
        upstreams["dead-claude"] = {"provider": "anthropic", "base_url": f"http://127.0.0.1:{dead_port}"}
    config = {"version": 1, "proxy": {"shutdown_grace": 0}, "upstreams": upstreams}  # test_draining.py has those that wait
    return Turnpike(folder, config, trusted_ca=fake.ca_file)


def chat(model: str = MODEL, *, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": stream}


def chat_url(turnpike: Turnpike) -> str:
    return f"{turnpike.base_url}/v1/chat/completions"


def first_piece(pieces: Iterator[bytes]) -> bytes:
    """What came until the first content was in it."""
    seen = b""
    for piece in pieces:
        seen += piece
        if b'"content":"Hello' in seen:
            return seen
    raise AssertionError(f"no content came: {seen!r}")


def test_a_client_that_leaves_is_cancelled(proxy: Turnpike, fake: FakeProvider) -> None:
    """A client that leaves in the middle of a stream ends it upstream too; the row says so and keeps what was seen."""
    with httpx.Client() as client, client.stream("POST", chat_url(proxy), json=chat(ENDLESS, stream=True)) as answer:
        call_id, seen = answer.headers["x-turnpike-call"], first_piece(answer.iter_raw())
    row = proxy.wait_row(call_id)
    assert (row["outcome"], row["status"], row["response"].split()[0]) == ("cancelled", 200, "Hello")
    assert proxy.body(call_id, "response").content.startswith(seen)
    wait_for(lambda: fake.requests[-1].ended == "client left", "the upstream's stream is ended")


@pytest.mark.parametrize("whole", [False, True])
def test_an_answer_is_drained_where_the_upstream_says_so(whole: bool, fake: FakeProvider, tmp_path: Path) -> None:
    """`on_disconnect: drain`: the client is gone, the answer is read to its end, and the row tells what it cost."""
    upstreams = {"openai": {"base_url": f"{fake.url}/v1", "default": True, "on_disconnect": "drain"}}
    knobs = "gpt-4o-mini@fake:first_byte=0.5" if whole else "gpt-4o-mini@fake:chunks=11,delay=0.05"
    with Turnpike(tmp_path, {"version": 1, "upstreams": upstreams}, trusted_ca=fake.ca_file) as proxy:
        if whole:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(chat_url(proxy), json=chat(knobs), timeout=0.2)
        else:
            with httpx.Client() as client, client.stream("POST", chat_url(proxy), json=chat(knobs, stream=True)) as answer:
                first_piece(answer.iter_raw())
        [row] = proxy.wait_rows(1)
        assert fake.requests[-1].ended == "answered"
    assert (row["outcome"], row["status"], row["finish_reason"]) == ("cancelled", 200, "stop")
    assert (row["tokens_source"], row["response"]) == ("reported", DEFAULT_TEXT)


def test_a_client_that_leaves_before_the_answer(proxy: Turnpike, fake: FakeProvider) -> None:
    """A client that gives up before any answer is cancelled, without a status."""
    tag = "gives-up"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(chat_url(proxy), json=chat("fake:hang"), headers={"X-Turnpike-Tag": tag}, timeout=0.3)
    [row] = wait_for(lambda: proxy.query("select * from calls where tag = ?", tag), "the row")
    assert (row["outcome"], row["status"], row["attempts"]) == ("cancelled", None, 1)
    wait_for(lambda: fake.requests[-1].ended == "client left", "the upstream's call is ended")


def test_a_stream_that_is_cut_is_partial(proxy: Turnpike) -> None:
    """A stream that the upstream breaks off reaches the client as far as it came, and is recorded as partial, sent once."""
    seen = b""
    with httpx.Client() as client, client.stream("POST", chat_url(proxy), json=chat("fake:chunks=9,cut=3", stream=True)) as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            for piece in answer.iter_raw():
                seen += piece
        call_id = answer.headers["x-turnpike-call"]
    row = proxy.wait_row(call_id)
    assert (row["outcome"], row["status"], row["response"], row["attempts"]) == ("partial", 200, "Hello from the", 1)
    assert proxy.body(call_id, "response").content == seen
    [attempt] = proxy.query("select * from attempts where call_id = ?", call_id)
    assert (attempt["failure"], attempt["status"]) == ("stream", 200)


def test_a_whole_answer_that_is_cut_is_partial(proxy: Turnpike) -> None:
    """So is an answer that is no stream: the client learns that it is not whole, and what came is kept."""
    tag = "cut-whole"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(chat_url(proxy), json=chat("fake:chunks=5,cut=2"), headers={"X-Turnpike-Tag": tag})
    [row] = wait_for(lambda: proxy.query("select * from calls where tag = ?", tag), "the row")
    assert (row["outcome"], row["status"], row["attempts"]) == ("partial", 200, 1)
    assert proxy.body(row["id"], "response").size == row["response_bytes"] > 0


def test_a_reset_before_any_byte_is_unreachable(proxy: Turnpike, fake: FakeProvider) -> None:
    """An upstream that resets the connection before its answer is 502 to the client, which may ask again on the same connection."""
    with proxy.client() as client:
        url = "https://api.openai.com/v1/chat/completions"
        answer = client.post(url, json=chat("fake:reset"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert client.post(url, json=chat()).status_code == 200
    assert [request.ended for request in fake.requests[-2:]] == ["reset", "answered"]
    row = proxy.wait_row(answer.headers["x-turnpike-call"])
    assert (row["outcome"], row["status"], row["error_type"], row["attempts"]) == ("error", 502, "upstream_unreachable", 1)


def openai_call(url: str) -> None:
    with openai.OpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0) as client:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)


def anthropic_call(url: str) -> None:
    with anthropic.Anthropic(api_key="none", base_url=url, max_retries=0) as client:
        client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=MESSAGES)


@pytest.mark.parametrize(("upstream", "call"), [("dead", openai_call), ("dead-claude", anthropic_call)])
def test_an_unreachable_upstream_is_an_error_in_the_clients_words(upstream: str, call: Callable[[str], None], proxy: Turnpike) -> None:
    """A refused connection is a 502 that the SDK raises as its own error, and a row that says `connect`."""
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)) as caught:
        call(f"{proxy.base_url}/{upstream}")
    error: Any = caught.value
    assert error.status_code == 502
    assert "upstream_unreachable" in error.response.text
    assert upstream in error.response.json()["error"]["message"]
    row = proxy.wait_row(error.response.headers["x-turnpike-call"])
    assert (row["outcome"], row["status"], row["error_type"], row["upstream"]) == ("error", 502, "upstream_unreachable", upstream)
    assert [attempt["failure"] for attempt in proxy.query("select * from attempts where call_id = ?", row["id"])] == ["connect"]


@pytest.fixture(scope="module")
def keyless(fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnpike]:
    """Without keys of its own, as it is shipped."""
    upstreams = {"openai": {"hosts": ["api.openai.com"], "base_url": f"{fake.url}/v1", "default": True}}
    folder = tmp_path_factory.mktemp("keyless")
    with Turnpike(folder, {"version": 1, "upstreams": upstreams}, trusted_ca=fake.ca_file) as turnpike:
        yield turnpike


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (429, 1), (500, 3)])
@pytest.mark.parametrize("way", ["proxy", "base"])
def test_an_upstreams_error_passes_as_it_is(status: int, tries: int, way: str, keyless: Turnpike, fake: FakeProvider) -> None:
    """The upstream's own error reaches the client byte for byte, with its headers; only one of the server is asked for again before."""
    proxy = keyless
    headers = {"X-Fake-Status": str(status), "X-Fake-Message": 'odd  "spacing" \\u00e9', "X-Fake-Header": "X-Own: of the upstream"}
    with httpx.Client(verify=False) as direct:
        expected = direct.post(f"{fake.url}/v1/chat/completions", json=chat(), headers=headers)
    before = len(fake.requests)
    with proxy.client() if way == "proxy" else httpx.Client() as client:
        url = "https://api.openai.com/v1/chat/completions" if way == "proxy" else chat_url(proxy)
        answer = client.post(url, json=chat(), headers=headers)
    assert (answer.status_code, answer.content) == (status, expected.content)
    assert answer.headers["x-own"] == "of the upstream"
    assert len(fake.requests) == before + tries
    row = proxy.wait_row(answer.headers["x-turnpike-call"])
    assert (row["outcome"], row["status"], row["attempts"]) == ("error", status, tries)
    assert row["ttfb_ms"] is not None
    assert 'odd  "spacing"' in row["error"]


def test_a_stop_loses_no_running_stream(fake: FakeProvider, tmp_path: Path) -> None:
    """SIGTERM during 50 running streams: 50 rows, partial, each with at least what its client had seen; a clean exit."""
    begun = threading.Semaphore(0)
    with own_proxy(fake, tmp_path) as turnpike, ThreadPoolExecutor(1) as pool:
        streams = pool.submit(lambda: asyncio.run(read_streams(chat_url(turnpike), begun.release)))
        for _ in range(STREAMS):
            assert begun.acquire(timeout=20)
        assert turnpike.stop() == 0
        seen = streams.result(20)
    rows = turnpike.rows()
    assert len(rows) == STREAMS
    assert {(row["outcome"], row["status"], row["response"].split()[0]) for row in rows} == {("partial", 200, "Hello")}
    assert {row["id"] for row in rows} == seen.keys()
    for call_id, content in seen.items():
        assert turnpike.body(call_id, "response").content.startswith(content)


def test_a_stop_loses_no_waiting_call(fake: FakeProvider, tmp_path: Path) -> None:
    """SIGTERM while a call waits for its first byte: its row says that the proxy was stopped, and what was asked."""
    before = len(fake.requests)
    with own_proxy(fake, tmp_path) as turnpike, ThreadPoolExecutor(1) as pool:
        call = pool.submit(httpx.post, chat_url(turnpike), json=chat("fake:hang"), timeout=30)
        wait_for(lambda: len(fake.requests) > before, "the call is at the upstream")
        assert turnpike.stop() == 0
        assert isinstance(call.exception(10), httpx.TransportError)
    [row] = turnpike.rows()
    assert (row["outcome"], row["status"], row["error_type"], row["prompt"]) == ("error", None, "proxy_stopped", "one two three")


async def read_streams(url: str, begun: Callable[[], object]) -> dict[str, bytes]:
    """Call id → what came of each stream until it broke; `begun` is called once per stream, when the first content is there."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:

        async def read() -> tuple[str, bytes]:
            seen, told = b"", False
            async with client.stream("POST", url, json=chat(ENDLESS, stream=True)) as answer:
                try:
                    async for piece in answer.aiter_raw():
                        seen += piece
                        if not told and b'"content":"Hello' in seen:
                            told = True
                            begun()
                except httpx.TransportError:
                    pass  # the proxy has stopped
                return answer.headers["x-turnpike-call"], seen

        return dict(await asyncio.gather(*(read() for _ in range(STREAMS))))


def test_a_kill_costs_no_more_than_the_last_moment(fake: FakeProvider, tmp_path: Path) -> None:
    """After SIGKILL the database opens, is sound, and has all calls but those that ended in the last 200 ms."""
    ended: dict[str, float] = {}
    stopping = threading.Event()

    def work(turnpike: Turnpike) -> None:
        with httpx.Client() as client:
            while not stopping.is_set():
                try:
                    answer = client.post(chat_url(turnpike), json=chat())
                except httpx.TransportError:
                    return  # killed
                ended[answer.headers["x-turnpike-call"]] = time.monotonic()

    with own_proxy(fake, tmp_path) as turnpike, ThreadPoolExecutor(4) as pool:
        httpx.post(chat_url(turnpike), json=chat())
        turnpike.wait_rows(1)  # the first call loads the table of prices, which takes longer than a commit
        workers = [pool.submit(work, turnpike) for _ in range(4)]
        try:
            begun = time.monotonic()
            wait_for(lambda: len(ended) > 100 and time.monotonic() > begun + 1, "a second of calls", 20)
            os.kill(turnpike.pid, signal.SIGKILL)
            killed = time.monotonic()
        finally:
            stopping.set()
        for worker in workers:
            worker.result(20)
        turnpike.kill()
    with closing(sqlite3.connect(turnpike.database)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        stored = {call_id for (call_id,) in connection.execute("select id from calls")}
        assert not connection.execute("pragma foreign_key_check").fetchall()
    lost = {call_id: killed - at for call_id, at in ended.items() if call_id not in stored}
    assert all(age < LOST_S + COMMIT_S for age in lost.values()), max(lost.values())
    assert stored
    with turnpike:  # and it goes on with the same file
        httpx.post(chat_url(turnpike), json=chat()).raise_for_status()
        turnpike.wait_rows(len(stored) + 1)


@pytest.mark.slow
def test_a_thousand_calls(fake: FakeProvider, tmp_path: Path) -> None:
    """1 000 calls at concurrency 50, both ways in, streamed and not: 1 000 rows, none lost or double, in bounded memory."""
    with own_proxy(fake, tmp_path) as turnpike:
        ids = asyncio.run(many_calls(turnpike))
        peak_kb = peak_memory_kb(turnpike.pid)
        rows = turnpike.wait_rows(CALLS, timeout_s=20)
    print(f"VmHWM after {CALLS} calls: {peak_kb} kB")
    assert len(ids) == len(set(ids)) == CALLS
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert {(row["outcome"], row["status"]) for row in rows} == {("ok", 200)}
    assert {row["prompt"] for row in rows} == {f"call {n}" for n in range(CALLS)}
    assert len(turnpike.query("select distinct conversation_id from calls")) == CALLS
    assert peak_kb < MAX_MEMORY_KB


async def many_calls(turnpike: Turnpike) -> list[str]:
    """The ids that the calls were given."""
    numbers, ids = iter(range(CALLS)), []
    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    context = ssl.create_default_context(cafile=turnpike.ca_file)

    async def work(client: httpx.AsyncClient, url: str) -> None:
        for n in numbers:
            body = chat(stream=n % 2 == 0) | {"messages": [{"role": "user", "content": f"call {n}"}]}
            answer = await client.post(url, content=json.dumps(body))
            assert answer.status_code == 200
            ids.append(answer.headers["x-turnpike-call"])

    async with (
        httpx.AsyncClient(limits=limits, timeout=30) as base,
        httpx.AsyncClient(limits=limits, timeout=30, proxy=turnpike.proxy_url, verify=context) as proxied,
    ):
        ways = [(base, chat_url(turnpike)), (proxied, "https://api.openai.com/v1/chat/completions")]
        await asyncio.gather(*(work(*ways[worker % 2]) for worker in range(CONCURRENCY)))
    return ids


def peak_memory_kb(pid: int) -> int:
    """The most resident memory that a process ever had (proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
