"""What both wires share: the pace of answers, the ways in which a connection ends, and what the log knows of both."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest
from h2.exceptions import ProtocolError

from scripts.fake_provider import http2
from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.scripts.fake_provider.raw_http2 import CHAT, raw_client

MESSAGES: Any = [{"role": "user", "content": "one two three"}]
BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeProvider]:
    with running_fake_provider(tls=True, http2=True) as provider:
        yield provider


@pytest.fixture
def fake(shared: FakeProvider) -> FakeProvider:
    shared.clear()
    return shared


@pytest.fixture
def context(fake: FakeProvider) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=fake.ca_file)  # a new one each time, since httpx sets its ALPN


@pytest.fixture(params=[False, True], ids=["HTTP/1.1", "HTTP/2"])
def client(request: pytest.FixtureRequest, fake: FakeProvider, context: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(http2=request.param, verify=context, base_url=fake.url, timeout=5) as made:
        yield made


def ask(client: httpx.Client, model: str, *, stream: bool = False) -> httpx.Response:
    return client.post(CHAT, json={"model": model, "messages": MESSAGES, "stream": stream})


def test_waits(fake: FakeProvider, client: httpx.Client) -> None:
    """`first_byte` comes before the headers, `delay` between the chunks, and the log's times span all of it."""
    start, arrivals = time.monotonic(), []
    body = {"model": "fake:first-byte=0.1,delay=0.1,chunks=3", "messages": MESSAGES, "stream": True}
    with client.stream("POST", CHAT, json=body) as answer:
        headers_s = time.monotonic() - start
        arrivals = [time.monotonic() - start for _ in answer.iter_raw()]
    [seen] = fake.requests
    assert seen.ended_s is not None
    assert headers_s >= 0.1
    assert arrivals[-1] >= seen.ended_s - seen.started_s >= 0.3
    assert arrivals[0] < arrivals[-1] - 0.1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_cut_lets_what_came_before_it_arrive(fake: FakeProvider, client: httpx.Client, stream: bool) -> None:
    """After N chunks it breaks off in the middle of the body; before it nothing is lost, however much it is."""
    got = b""
    body = {"model": "fake:cut=2,chunks=5,size=3000000", "messages": MESSAGES, "stream": stream}
    with pytest.raises(httpx.RemoteProtocolError), client.stream("POST", CHAT, json=body) as answer:
        for piece in answer.iter_raw():
            got += piece
    assert len(got) > 1_000_000
    assert b"[DONE]" not in got
    assert fake.requests[-1].ended == "cut"


def test_a_reset_comes_before_any_byte(fake: FakeProvider, client: httpx.Client) -> None:
    """The client gets no answer, and the next request is answered."""
    with pytest.raises(BROKEN):
        ask(client, "fake:reset")
    assert ask(client, "m").status_code == 200
    assert [seen.ended for seen in fake.requests] == ["reset", "answered"]


def test_a_stale_connection_dies_of_its_next_request(fake: FakeProvider, client: httpx.Client) -> None:
    """The request on it is in the log as reset, got no byte, and used up nothing of the table; another connection is well."""
    fake.knobs.set("*", {"stale": True}, times=1)
    fake.knobs.set("*", {"text": "the next"}, times=1)
    assert ask(client, "m").status_code == 200
    with pytest.raises(BROKEN):
        ask(client, "m")
    assert "the next" in ask(client, "m").text
    assert [seen.ended for seen in fake.requests] == ["answered", "reset", "answered"]
    first, second, third = (seen.connection for seen in fake.requests)
    assert first == second != third


def test_after_goaway_a_client_connects_anew(fake: FakeProvider, client: httpx.Client) -> None:
    """A real client takes the answer, and another connection for the next request."""
    told = ask(client, "fake:goaway")
    assert told.headers.get("connection") == ("close" if told.http_version == "HTTP/1.1" else None)
    assert ask(client, "m").status_code == 200
    first, second = fake.requests
    assert first.connection != second.connection


def http1_dies_after(fake: FakeProvider, context: ssl.SSLContext, models: list[str]) -> None:
    """Asks for each on one connection, and waits until that ends."""
    with closing(http.client.HTTPSConnection("127.0.0.1", fake.port, context=context, timeout=5)) as plain:
        for model in models:
            plain.request("POST", CHAT, body=f'{{"model": "{model}", "messages": []}}')
            assert plain.getresponse().read()
        assert plain.sock.recv(1) == b""


def http2_dies_after(fake: FakeProvider, _: ssl.SSLContext, models: list[str]) -> None:
    with raw_client(fake.port, fake.ca_file) as raw:
        for model in models:
            assert "END_STREAM" in raw.read_end(raw.ask(model)).flags
        raw.read_to_eof()


@pytest.mark.parametrize("dies_after", [http1_dies_after, http2_dies_after])
def test_an_idle_connection_is_dropped(
    fake: FakeProvider, context: ssl.SSLContext, dies_after: Callable[[FakeProvider, ssl.SSLContext, list[str]], None]
) -> None:
    """So long after the answer it ends without a word; a request that comes before, and is still being answered then, prevents it."""
    dies_after(fake, context, ["fake:drop-after=0.05", "fake:first-byte=0.15", "fake:drop-after=0.1"])
    last = fake.requests[-1]
    assert [seen.ended for seen in fake.requests] == ["answered"] * 3
    assert len({seen.connection for seen in fake.requests}) == 1
    assert last.ended_s is not None
    assert time.time() - last.ended_s >= 0.1


def test_a_drop_waits_for_the_last_stream(fake: FakeProvider) -> None:
    """With HTTP/2 a connection is idle when its last stream has been answered."""
    with raw_client(fake.port, fake.ca_file) as raw:
        slow = raw.ask("fake:first-byte=0.1")
        raw.ask("fake:drop-after=0")
        assert "END_STREAM" in raw.read_end(slow).flags
        raw.read_to_eof()
    assert [seen.ended for seen in fake.requests] == ["answered", "answered"]


@pytest.mark.parametrize("knobs", ["cut=2,chunks=5", "reset"])
def test_all_streams_may_fall(fake: FakeProvider, knobs: str) -> None:
    """With `all_streams` a cut or reset takes an HTTP/2 connection, and its neighbours in the log are cut too."""
    with raw_client(fake.port, fake.ca_file) as raw:
        raw.ask("fake:hang")
        raw.ask(f"fake:{knobs},all-streams")
        with pytest.raises((EOFError, ConnectionResetError, ssl.SSLEOFError)):
            raw.read_until(lambda _: False)
    fake.wait_for(lambda: fake.in_flight == 0)
    assert [seen.ended for seen in fake.requests] == ["cut", knobs.partition("=")[0]]


def test_all_streams_fall_behind_what_was_sent(fake: FakeProvider) -> None:
    """A cut that takes the connection loses nothing of the chunks before it, even when they fill the socket's buffer."""
    with raw_client(fake.port, fake.ca_file, window=50_000_000) as raw:
        raw.h2.increment_flow_control_window(50_000_000)
        stream = raw.ask("fake:cut=1,chunks=2,size=20000000,all-streams")
        with pytest.raises((EOFError, ConnectionResetError, ssl.SSLEOFError)):
            raw.read_until(lambda _: False)
    assert sum(map(len, raw.data(stream))) > 10_000_000


def test_the_load_is_counted_by_key(fake: FakeProvider) -> None:
    """How many are being answered at once, now and at the highest, in all and by key; `clear` forgets the highest."""
    with raw_client(fake.port, fake.ca_file) as raw:
        for key in ("a", "a", "b"):
            raw.ask("fake:hang", headers={"authorization": f"Bearer {key}"})
        fake.wait_for(lambda: fake.in_flight == 3)
        raw.read_end(raw.ask("m", headers={"authorization": "Bearer b"}))
        assert (fake.in_flight, fake.peak, fake.peak_by_key) == (3, 4, {"a": 2, "b": 2})
        fake.clear()
        assert (fake.peak, fake.peak_by_key) == (3, {"a": 2, "b": 1})
    fake.wait_for(lambda: fake.in_flight == 0)


def test_stopping_cuts_what_is_under_way() -> None:
    """A provider that stops drops its connections at once; the log has their answers as cut."""
    with ExitStack() as after:
        with running_fake_provider(tls=True, http2=True) as provider:
            after.enter_context(raw_client(provider.port, provider.ca_file)).ask("fake:hang")
            provider.wait_for(lambda: provider.in_flight == 1)
        assert provider.requests[0].ended == "cut"


async def test_a_mistake_of_ours_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that cannot be sent leaves nobody waiting: it is reported, the connection is dropped, and the log closed."""
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    provider = FakeProvider()
    await provider.start(tls=True, http2=True)
    monkeypatch.setattr(http2, "response_headers", lambda *_: [(b"no", b"status")])
    try:
        async with httpx.AsyncClient(http2=True, verify=ssl.create_default_context(cafile=provider.ca_file)) as client:
            with pytest.raises((*BROKEN, httpx.WriteError)):
                await client.get(provider.url + "/v1/models")
    finally:
        await provider.stop()
    assert [seen.ended for seen in provider.requests] == ["cut"]
    assert provider.in_flight == 0
    assert [type(report["exception"]) for report in reports] == [ProtocolError]
