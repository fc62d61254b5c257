"""HTTP/2: chosen by ALPN, many streams at once, flow control, and streams that break off without their neighbours."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame

from scripts.fake_provider import http2
from scripts.fake_provider.http1 import ID_MARK, Answer
from scripts.fake_provider.http2 import response_headers
from scripts.fake_provider.server import FakeProvider, running_fake_provider
from scripts.fake_provider.speech import DEFAULT_TEXT
from tests.scripts.fake_provider.raw_http2 import CHAT, RawClient, raw_client

MESSAGES: Any = [{"role": "user", "content": "one two three"}]
GEMINI = "/v1beta/models/gemini-2.5-flash"


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
    return ssl.create_default_context(cafile=fake.ca_file)


@pytest.fixture
def client(fake: FakeProvider, context: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(http2=True, verify=context, base_url=fake.url, timeout=5) as made:
        yield made


@pytest.fixture
async def parallel(fake: FakeProvider, context: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(http2=True, verify=context, base_url=fake.url, timeout=5) as made:
        yield made


@pytest.fixture
def raw(fake: FakeProvider) -> Iterator[RawClient]:
    with raw_client(fake.port, fake.ca_file) as made:
        yield made


def chat(model: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": stream}


def test_alpn_decides(fake: FakeProvider, client: httpx.Client, context: ssl.SSLContext) -> None:
    """Who offers h2 gets it, who does not gets HTTP/1.1 from the same port; the log says which."""
    assert client.post(CHAT, json=chat("m")).http_version == "HTTP/2"
    assert httpx.post(fake.url + CHAT, json=chat("m"), verify=context).http_version == "HTTP/1.1"
    assert [seen.http_version for seen in fake.requests] == ["2", "1.1"]
    assert [seen.as_dict()["http_version"] for seen in fake.requests] == ["2", "1.1"]


async def test_it_is_offered_only_when_asked_for() -> None:
    """With TLS alone a client that offers both gets HTTP/1.1; HTTP/2 without TLS is refused."""
    provider = FakeProvider()
    with pytest.raises(ValueError, match="TLS"):
        await provider.start(http2=True)
    await provider.start(tls=True)
    try:
        async with httpx.AsyncClient(http2=True, verify=ssl.create_default_context(cafile=provider.ca_file)) as client:
            assert (await client.get(provider.url + "/v1/models")).http_version == "HTTP/1.1"
    finally:
        await provider.stop()


DIALECTS: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"model": "m", "messages": MESSAGES}),
    (CHAT, {"model": "m", "messages": MESSAGES, "stream": True}),
    ("/v1/responses", {"model": "m", "input": "one", "stream": True}),
    ("/v1/messages", {"model": "m", "messages": MESSAGES, "stream": True}),
    (f"{GEMINI}:streamGenerateContent?alt=sse", {"contents": [{"role": "user", "parts": [{"text": "one"}]}]}),
    ("/api/chat", {"model": "m", "messages": MESSAGES}),
    ("/v1/embeddings", {"model": "m", "input": "one", "dimensions": 8}),
]


@pytest.mark.parametrize(("path", "body"), DIALECTS, ids=[f"{path} {'stream' in body}" for path, body in DIALECTS])
def test_every_dialect_is_the_same_as_over_http1(
    fake: FakeProvider, client: httpx.Client, context: ssl.SSLContext, path: str, body: dict[str, Any]
) -> None:
    """Status, body and headers are those of HTTP/1.1, but for ids, which are each answer's own, and the connection's headers."""
    answers = [client.post(path, json=body), httpx.post(fake.url + path, json=body, verify=context)]
    told = [re.sub(rb"[0-9a-f]{24}", b"id", answer.content) for answer in answers]
    assert answers[0].status_code == answers[1].status_code == 200
    assert told[0] == told[1]
    assert answers[0].content.count(b"id") == answers[1].content.count(b"id")
    assert ID_MARK not in answers[0].content
    assert set(answers[0].headers) == set(answers[1].headers) - {"transfer-encoding"}


def test_the_openai_sdk_understands(fake: FakeProvider, context: ssl.SSLContext) -> None:
    """Chat whole and streamed, and a streamed response, by the real SDK."""
    wire = openai.DefaultHttpxClient(http2=True, verify=context)
    with openai.OpenAI(api_key="k", base_url=fake.url + "/v1", max_retries=0, http_client=wire) as sdk:
        assert sdk.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES).choices[0].message.content == DEFAULT_TEXT
        with sdk.chat.completions.stream(model="gpt-4o-mini", messages=MESSAGES) as chats:
            assert chats.get_final_completion().choices[0].message.content == DEFAULT_TEXT
        with sdk.responses.stream(model="gpt-5", input="one two") as events:
            assert events.get_final_response().output_text == DEFAULT_TEXT
        with pytest.raises(openai.RateLimitError, match="exceeded your current quota"):
            sdk.chat.completions.create(model="fake:status=429,error=insufficient_quota", messages=MESSAGES)
    assert {(seen.http_version, seen.connection) for seen in fake.requests} == {("2", fake.requests[0].connection)}


async def test_twenty_streams_share_a_connection(fake: FakeProvider, parallel: httpx.AsyncClient) -> None:
    """Twenty answers come interleaved on one connection, each with its own text and id."""
    await parallel.get("/v1/models")
    models = [f"fake:text=answer-{n},chunks=4,delay=0.02" for n in range(20)]
    answers = await asyncio.gather(*(parallel.post(CHAT, json=chat(model, stream=True)) for model in models))
    texts = ["".join(re.findall(r'"content":"([^"]*)"', answer.text)) for answer in answers]
    assert texts == [f"answer-{n}" for n in range(20)]
    assert len({re.findall(r"chatcmpl-\w+", answer.text)[0] for answer in answers}) == 20
    assert len({seen.connection for seen in fake.requests}) == 1
    assert fake.peak > 1


def test_twenty_hang_and_one_is_answered(fake: FakeProvider, raw: RawClient) -> None:
    """Streams that hang are in flight at once and in nobody's way; when the client resets them, each is told to have been left."""
    hanging = [raw.ask("fake:hang") for _ in range(20)]
    assert "END_STREAM" in raw.read_end(raw.ask("m")).flags
    assert (fake.in_flight, fake.peak) == (20, 21)
    for stream in hanging:
        raw.h2.reset_stream(stream, ErrorCodes.CANCEL)
    raw.send()
    fake.wait_for(lambda: fake.in_flight == 0)
    assert [seen.ended for seen in fake.requests] == ["client left"] * 20 + ["answered"]
    assert "END_STREAM" in raw.read_end(raw.ask("m")).flags


def test_a_client_that_leaves_is_seen(fake: FakeProvider, context: ssl.SSLContext) -> None:
    """A client that gives up and closes its connection has left every stream on it."""
    with httpx.Client(http2=True, verify=context, timeout=0.2) as impatient, pytest.raises(httpx.ReadTimeout):
        impatient.post(fake.url + CHAT, json=chat("fake:hang"))
    assert fake.wait_for(lambda: fake.requests[-1].ended) == "client left"


def test_a_request_taken_back_at_once(fake: FakeProvider, raw: RawClient) -> None:
    """A request whose reset comes in the same breath, or before its body, leaves the connection whole, and nobody waits for it;
    one that came in full is in the log."""
    raw.h2.reset_stream(raw.ask("m", send=False), ErrorCodes.CANCEL)
    raw.h2.reset_stream(raw.begin({}), ErrorCodes.CANCEL)
    begun = raw.begin({})
    assert "END_STREAM" in raw.read_end(raw.ask("fake:goaway")).flags
    raw.h2.reset_stream(begun, ErrorCodes.CANCEL)
    raw.send()
    raw.read_to_eof()
    assert [seen.ended for seen in fake.requests] == ["client left", "answered"]


def test_a_cut_resets_the_stream_alone(fake: FakeProvider, raw: RawClient) -> None:
    """After so many DATA frames beyond the opening's the stream is reset; one beside it is answered to its end."""
    other = raw.ask("fake:chunks=3,delay=0.05")
    raw.read_head(other)
    stream = raw.ask("fake:cut=2,chunks=5")
    end = raw.read_end(stream)
    assert isinstance(end, RstStreamFrame)
    assert end.error_code == ErrorCodes.INTERNAL_ERROR
    assert len(raw.data(stream)) == 1 + 2
    assert b"[DONE]" not in b"".join(raw.data(stream))
    raw.read_end(other)
    assert raw.data(other)[-2].endswith(b"[DONE]\n\n")
    assert [seen.ended for seen in fake.requests] == ["answered", "cut"]


def test_a_reset_comes_before_any_header(fake: FakeProvider, client: httpx.Client) -> None:
    """The stream is reset without an answer, and the connection goes on."""
    with pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
        client.post(CHAT, json=chat("fake:reset"))
    assert client.post(CHAT, json=chat("m")).status_code == 200
    assert [seen.ended for seen in fake.requests] == ["reset", "answered"]
    assert len({seen.connection for seen in fake.requests}) == 1


def test_goaway_lets_the_others_end(fake: FakeProvider, raw: RawClient) -> None:
    """After the answer comes GOAWAY with the last stream; that one is still answered, a later one is not, then the connection ends."""
    slow = raw.ask("fake:first-byte=0.1,chunks=2")
    told = raw.ask("fake:goaway")
    away = raw.read_until(lambda frame: isinstance(frame, GoAwayFrame))
    assert isinstance(away, GoAwayFrame)
    assert (away.last_stream_id, away.error_code) == (told, ErrorCodes.NO_ERROR)
    assert b"[DONE]" in b"".join(raw.data(told))
    late = raw.ask("m")
    raw.read_end(slow)
    raw.read_to_eof()
    assert not [frame for frame in raw.frames if frame.stream_id == late]
    assert len(fake.requests) == 2


def test_big_bodies_both_ways(fake: FakeProvider, client: httpx.Client) -> None:
    """Megabytes go both ways, beyond every window and frame, and arrive whole."""
    text = "word " * 1_000_000
    answer = client.post(CHAT, json={"model": "fake:size=3000000", "messages": [{"role": "user", "content": text}]})
    assert len(answer.json()["choices"][0]["message"]["content"]) == 3_000_000
    assert fake.requests[-1].sha256 == hashlib.sha256(answer.request.content).hexdigest()
    assert fake.requests[-1].ended == "answered"


def test_windows_are_honoured(fake: FakeProvider) -> None:
    """No byte beyond the client's window comes before the client widens it, and other streams do not wait for that."""
    with raw_client(fake.port, fake.ca_file, window=1000) as raw:
        stream = raw.ask("fake:size=5000", stream=False)
        raw.read_until(lambda frame: frame.stream_id == stream and isinstance(frame, DataFrame))
        raw.read_end(raw.ask("fake:text=short", stream=False))
        assert sum(map(len, raw.data(stream))) == 1000
        assert fake.requests[0].ended is None
        raw.h2.increment_flow_control_window(10_000, stream)
        raw.send()
        raw.read_end(stream)
        assert sum(map(len, raw.data(stream))) > 5000


def test_gzip(fake: FakeProvider, client: httpx.Client) -> None:
    """A compressed stream is readable, with its ids in place."""
    answer = client.post(CHAT, json=chat("fake:gzip", stream=True))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.endswith("data: [DONE]\n\n")
    assert ID_MARK.decode() not in answer.text


def test_headers_are_as_http2_wants_them() -> None:
    """Names are lower case, what belongs to a connection is left out, ids are put in, a whole body has its length."""
    given = Answer(201, (("X-Id", f"r-{ID_MARK.decode()}"), ("Keep-Alive", "5"), ("Connection", "close")), (b"he", b"llo"))
    assert response_headers(given, b"0" * 24) == [(b":status", b"201"), (b"x-id", b"r-" + b"0" * 24), (b"content-length", b"5")]
    given.whole = False
    assert len(response_headers(given, b"")) == 2


def test_a_request_as_the_log_has_it(fake: FakeProvider, raw: RawClient) -> None:
    """The authority is told as Host, pseudo-headers are no headers, the key is found; one who waits to send the body is told to."""
    stream = raw.begin({"expect": "100-continue", "x-api-key": "k"})
    raw.send()
    assert "END_STREAM" not in raw.read_head(stream).flags
    raw.h2.send_data(stream, b"{", end_stream=True)
    raw.send()
    raw.read_end(stream)
    [seen] = fake.requests
    assert seen.headers == (("host", "llm.test"), ("expect", "100-continue"), ("x-api-key", "k"))
    assert (seen.method, seen.path, seen.body, seen.key) == ("POST", CHAT, b"{", "k")
    assert len([frame for frame in raw.frames if isinstance(frame, HeadersFrame)]) == 2


def test_too_long_a_body(fake: FakeProvider, raw: RawClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body beyond the bound resets its stream."""
    monkeypatch.setattr(http2, "MAX_BODY_BYTES", 10)
    end = raw.read_end(raw.ask("m"))
    assert isinstance(end, RstStreamFrame)
    assert end.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert fake.requests == []


def test_what_is_no_http2_ends_the_connection(fake: FakeProvider, raw: RawClient) -> None:
    """A breach of the protocol is told by GOAWAY, what was being answered has been left, and the connection ends."""
    raw.ask("fake:hang")
    fake.wait_for(lambda: fake.in_flight)
    raw.send(b"\0\0\1\0\0\0\0\0\0x")  # DATA on stream 0 (RFC 9113, 6.1)
    away = raw.read_until(lambda frame: isinstance(frame, GoAwayFrame))
    assert isinstance(away, GoAwayFrame)
    assert away.error_code == ErrorCodes.PROTOCOL_ERROR
    raw.read_to_eof()
    assert fake.wait_for(lambda: fake.requests[-1].ended) == "client left"


def test_a_client_may_say_goodbye(fake: FakeProvider, raw: RawClient) -> None:
    """A GOAWAY of the client's ends the connection, even right behind a request."""
    raw.ask("m", send=False)
    raw.h2.close_connection()
    raw.send()
    raw.read_to_eof()
    assert fake.wait_for(lambda: fake.requests[-1].ended) == "client left"
