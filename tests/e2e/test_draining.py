"""Asked to stop: new calls are refused, those that run finish, and then it ends; asked twice, at once."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from scripts.fake_provider.server import FakeProvider
from tests.e2e.harness import KEY_VARIABLES, STOP_S, Turnpike, fake_upstreams, new_key, wait_for

pytestmark = pytest.mark.slow

GRACE_S = 15
STREAM, SLOW = "fake:chunks=60,delay=0.05", "fake:first_byte=3"
ENDLESS = "fake:chunks=10000,delay=0.05"


def chat(model: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "one two three"}], "stream": stream}


def proxy(fake: FakeProvider, folder: Path, grace_s: float = GRACE_S) -> Turnpike:
    config = {"version": 1, "proxy": {"shutdown_grace": grace_s}, "upstreams": fake_upstreams(fake)}
    return Turnpike(folder, config, trusted_ca=fake.ca_file, env={name: new_key() for name in KEY_VARIABLES.values()})


def ask_to_stop(turnpike: Turnpike, number: signal.Signals = signal.SIGTERM) -> None:
    """And wait until it says that it does."""
    assert turnpike.process
    turnpike.process.send_signal(number)
    wait_for(lambda: turnpike.ready()[1].get("draining"), "it drains")


def begin(pool: ThreadPoolExecutor, turnpike: Turnpike, model: str, *, stream: bool) -> Future[httpx.Response]:
    """A call that runs when this returns."""
    before = turnpike.metric("turnpike_calls_running")
    call = pool.submit(httpx.post, f"{turnpike.base_url}/v1/chat/completions", json=chat(model, stream=stream), timeout=60)
    wait_for(lambda: turnpike.metric("turnpike_calls_running") > before, "the call runs")
    return call


def listen(turnpike: Turnpike, model: str, heard: threading.Event) -> None:
    """To a stream's end; tells when it says its first."""
    body = chat(model, stream=True)
    with httpx.stream("POST", f"{turnpike.base_url}/v1/chat/completions", json=body, timeout=60) as answer:
        for _ in answer.iter_bytes():
            heard.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_calls_finish_and_new_ones_are_refused(number: signal.Signals, fake: FakeProvider, tmp_path: Path) -> None:
    """A stream and a call that waits for its answer get all of it; a new one 503 in its own dialect; it ends with the last of them."""
    with proxy(fake, tmp_path) as turnpike, ThreadPoolExecutor(2) as pool:
        stream = begin(pool, turnpike, STREAM, stream=True)
        whole = begin(pool, turnpike, SLOW, stream=False)
        ask_to_stop(turnpike, number)
        assert turnpike.ready()[0] == 503
        assert turnpike.healthy()
        client = anthropic.Anthropic(base_url=turnpike.base_url, api_key="none", max_retries=0)
        with client, pytest.raises(anthropic.APIStatusError) as refused:
            client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
        assert turnpike.process
        assert turnpike.process.wait(STOP_S) == 0
        answers = stream.result(1), whole.result(1)
    response = refused.value.response
    assert (response.status_code, response.headers["connection"]) == (503, "close")
    assert 1 <= int(response.headers["retry-after"]) <= GRACE_S
    assert response.json()["error"]["code"] == "shutting_down"
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].text.rstrip().endswith("data: [DONE]")
    assert answers[1].headers["connection"] == "close"
    ends = {(row["api"], row["outcome"], row["error_type"]) for row in turnpike.rows()}
    assert ends == {("openai.chat", "ok", None), ("anthropic.messages", "blocked", "shutting_down")}
    assert len(turnpike.rows()) == 3


def test_a_call_that_waits_for_another_try_gets_it(fake: FakeProvider, tmp_path: Path) -> None:
    """A wait of failover belongs to the call."""
    before = len(fake.requests)
    fake.knobs.set("*", {"status": 429, "retry_after": 4}, times=1)
    with proxy(fake, tmp_path) as turnpike, ThreadPoolExecutor(1) as pool:
        call = begin(pool, turnpike, "gpt-4o-mini", stream=False)
        wait_for(lambda: len(fake.requests) > before, "the first try")
        ask_to_stop(turnpike)
        assert call.result(STOP_S).status_code == 200
        assert turnpike.process
        assert turnpike.process.wait(STOP_S) == 0
    assert [(row["outcome"], row["attempts"]) for row in turnpike.rows()] == [("ok", 2)]


@pytest.mark.parametrize("grace_s", [1, 600])
def test_what_does_not_end_is_cut_and_recorded(grace_s: float, fake: FakeProvider, tmp_path: Path) -> None:
    """When the time is over, or when it is asked a second time: partial, with what was seen."""
    heard = threading.Event()
    with proxy(fake, tmp_path, grace_s) as turnpike, ThreadPoolExecutor(1) as pool:
        call = pool.submit(listen, turnpike, ENDLESS, heard)
        assert heard.wait(STOP_S)
        ask_to_stop(turnpike)
        assert turnpike.process
        if grace_s > STOP_S:
            turnpike.process.send_signal(signal.SIGTERM)
        assert turnpike.process.wait(STOP_S) == 0
        with suppress(httpx.TransportError):
            call.result(STOP_S)
    [row] = turnpike.rows()
    assert (row["outcome"], row["error_type"], row["status"]) == ("partial", "proxy_stopped", 200)
    assert row["response"].startswith("Hello")


def test_without_calls_it_ends_at_once(fake: FakeProvider, tmp_path: Path) -> None:
    """An idle connection is nothing to wait for."""
    with proxy(fake, tmp_path, 600) as turnpike, socket.create_connection(("127.0.0.1", turnpike.port)):
        assert turnpike.stop() == 0


def test_tunnels_and_connects_are_refused_too(fake: FakeProvider, tmp_path: Path) -> None:
    """A CONNECT to a host of ours, or any other, is answered with 503."""
    with proxy(fake, tmp_path) as turnpike, ThreadPoolExecutor(1) as pool:
        call = begin(pool, turnpike, STREAM, stream=True)
        ask_to_stop(turnpike)
        heads = [asyncio.run(connect(turnpike.port, host)) for host in ("api.openai.com:443", "127.0.0.1:9")]
        assert call.result(STOP_S).status_code == 200
    assert [head.split(b"\r\n")[0].split()[1] for head in heads] == [b"503", b"503"]
    assert all(b"retry-after: " in head.lower() for head in heads)


async def connect(port: int, host: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head
