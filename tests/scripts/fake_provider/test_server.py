"""On sockets: real SDKs understand every answer, and the knobs about time and connections do what they say."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import openai
import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from scripts.fake_provider.speech import DEFAULT_TEXT

MESSAGES: Any = [{"role": "user", "content": "one two three"}]
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeProvider]:
    with running_fake_provider() as provider:
        yield provider


@pytest.fixture
def fake(shared: FakeProvider) -> FakeProvider:
    shared.clear()
    return shared


def post(fake: FakeProvider, model: str, **more: Any) -> httpx.Response:
    return httpx.post(fake.url + PATH, json={"model": model, "messages": MESSAGES, **more})


def test_the_openai_sdk_understands(fake: FakeProvider) -> None:
    """Chat, responses, completions and embeddings, whole and streamed, by the real SDK."""
    with openai.OpenAI(api_key="k", base_url=fake.url + "/v1", max_retries=0) as client:
        chat = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert (chat.choices[0].message.content, chat.model) == (DEFAULT_TEXT, "gpt-4o-mini-2024-07-18")
        with client.chat.completions.stream(model="gpt-4o-mini", messages=MESSAGES) as chats:
            assert chats.get_final_completion().choices[0].message.content == DEFAULT_TEXT
        with client.responses.stream(model="gpt-5@fake:reasoning=2", input="one two") as events:
            final = events.get_final_response()
        assert (final.output_text, final.usage and final.usage.input_tokens) == (DEFAULT_TEXT, 2)
        assert client.completions.create(model="m", prompt="one").choices[0].text == DEFAULT_TEXT
        assert len(client.embeddings.create(model="m", input="one").data[0].embedding) == 1536


def test_the_anthropic_sdk_understands(fake: FakeProvider) -> None:
    """Messages whole and streamed, tools, and count_tokens, by the real SDK."""
    tool: Any = {"name": "look", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    with anthropic.Anthropic(api_key="k", base_url=fake.url, max_retries=0) as client:
        with client.messages.stream(model="claude-haiku-4-5", max_tokens=9, messages=MESSAGES) as stream:
            assert "".join(stream.text_stream) == DEFAULT_TEXT
            assert stream.get_final_message().usage.output_tokens == len(DEFAULT_TEXT.split())
        with client.messages.stream(
            model="claude-haiku-4-5", max_tokens=9, messages=MESSAGES, tools=[tool], tool_choice={"type": "any"}
        ) as stream:
            block = stream.get_final_message().content[0]
        assert block.type == "tool_use"
        assert block.input == {"city": "text"}
        assert client.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES).input_tokens == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_breaks_off(fake: FakeProvider, stream: bool) -> None:
    """After N chunks the connection closes in the middle of the body; what came before arrives."""
    got = b""
    body = {"model": "fake:cut=2,chunks=5", "messages": MESSAGES, "stream": stream}
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream("POST", fake.url + PATH, json=body) as response:
        for piece in response.iter_bytes():
            got += piece
    assert got
    assert b"[DONE]" not in got
    assert fake.requests[-1].ended == "cut"


def test_a_large_answer_arrives_before_the_cut(fake: FakeProvider) -> None:
    """A cut loses nothing of the chunks before it, even when they fill the socket's buffer."""
    got = 0
    body = {"model": "fake:cut=1,chunks=2,size=40000000", "messages": MESSAGES, "stream": True}
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream("POST", fake.url + PATH, json=body) as response:
        for piece in response.iter_raw():
            got += len(piece)
    assert got > 20_000_000


def test_a_reset_comes_before_any_byte(fake: FakeProvider) -> None:
    """The client sees its connection reset (RST, not a plain end) without an answer."""
    with pytest.raises(httpx.ReadError):
        post(fake, "fake:reset")
    assert fake.requests[-1].ended == "reset"


def test_hang_never_answers_and_sees_the_client_leave(fake: FakeProvider) -> None:
    """Nothing comes; when the client gives up, the log says so."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(fake.url + PATH, json={"model": "fake:hang", "messages": MESSAGES}, timeout=0.2)
    wait_for_end(fake)
    assert fake.requests[-1].ended == "client left"


def wait_for_end(fake: FakeProvider) -> None:
    deadline = time.monotonic() + 5
    while fake.requests[-1].ended is None and time.monotonic() < deadline:
        time.sleep(0.005)


def test_delays(fake: FakeProvider) -> None:
    """The first byte waits for `first_byte`, and each later chunk for `delay`."""
    start, arrivals = time.monotonic(), []
    body = {"model": "fake:first-byte=0.15,delay=0.1,chunks=3", "messages": MESSAGES, "stream": True}
    with httpx.stream("POST", fake.url + PATH, json=body) as response:
        headers_s = time.monotonic() - start
        for _ in response.iter_raw():
            arrivals.append(time.monotonic() - start)
    assert headers_s >= 0.15
    assert arrivals[-1] >= 0.35
    assert arrivals[0] < arrivals[-1] - 0.15


def test_connections_are_kept_and_errors_close_them(fake: FakeProvider) -> None:
    """Several requests share one connection; ids differ; bytes that are no HTTP get a 400 and a close."""
    with httpx.Client() as client:
        ids = [client.post(fake.url + PATH, json={"model": "m", "messages": MESSAGES}).json()["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert len({seen.connection for seen in fake.requests}) == 1
    with socket.create_connection(("127.0.0.1", fake.port), timeout=5) as plain:
        plain.sendall(b"nonsense\r\n\r\n")
        assert plain.recv(100).startswith(b"HTTP/1.1 400 ")


def test_expect_continue_and_chunked_requests(fake: FakeProvider) -> None:
    """A client that waits is told to go on, and a chunked body is read."""
    body = b'{"model":"m","messages":[]}'
    head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", fake.port), timeout=5) as plain:
        plain.sendall(head.encode())
        assert plain.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        plain.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        answer = b"".join(iter(lambda: plain.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_goaway_closes_the_connection(fake: FakeProvider) -> None:
    """With HTTP/1.1 the answer says `Connection: close`, and so it happens."""
    body = b'{"model":"fake:goaway","messages":[]}'
    with socket.create_connection(("127.0.0.1", fake.port), timeout=5) as plain:
        plain.sendall(f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b"".join(iter(lambda: plain.recv(65536), b""))
    assert b"\r\nConnection: close\r\n" in answer


async def status_under(name: str, port: int | None, context: ssl.SSLContext) -> int:
    # A client of its own each time: a kept connection would be used again, whatever the name.
    async with httpx.AsyncClient(verify=context) as client:
        return (await client.get(f"https://127.0.0.1:{port}/v1/models", extensions={"sni_hostname": name})).status_code


async def test_tls_bears_the_providers_names() -> None:
    """Under its own CA the certificate holds for the providers' hosts and the names given; HTTP may be served beside it."""
    provider = FakeProvider(names=["llm.example"])
    await provider.start()
    await provider.start(tls=True)
    try:
        assert [urlsplit(url).scheme for url in provider.urls] == ["http", "https"]
        context = ssl.create_default_context(cafile=provider.ca_file)
        port = urlsplit(provider.urls[1]).port
        for name in ("api.openai.com", "generativelanguage.googleapis.com", "llm.example"):
            assert await status_under(name, port, context) == 200
        with pytest.raises(httpx.ConnectError):
            await status_under("other.example", port, context)
    finally:
        await provider.stop()
    assert provider.ca_file is not None
    assert not provider.ca_file.exists()


async def test_it_may_come_back() -> None:
    """After `stop` its port refuses; started again there, it has the same certificate, and its log."""
    provider = FakeProvider()
    await provider.start(tls=True)
    url, port, context = provider.url, provider.port, ssl.create_default_context(cafile=provider.ca_file)
    async with httpx.AsyncClient(verify=context) as client:
        assert (await client.get(f"{url}/v1/models")).status_code == 200
        await provider.stop()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/v1/models")
        await provider.start(port=port, tls=True, http2=True)
        try:
            assert (await client.get(f"{url}/v1/models")).status_code == 200
        finally:
            await provider.stop()
    assert provider.urls == [url]
    assert [seen.ended for seen in provider.requests] == ["answered", "answered"]


async def test_listeners_share_a_certificate() -> None:
    """With and without HTTP/2 side by side, one CA is good for both."""
    provider = FakeProvider()
    await provider.start(tls=True)
    await provider.start(tls=True, http2=True)
    try:
        context = ssl.create_default_context(cafile=provider.ca_file)
        async with httpx.AsyncClient(verify=context, http2=True) as client:
            versions = [(await client.get(f"{url}/v1/models")).http_version for url in provider.urls]
    finally:
        await provider.stop()
    assert versions == ["HTTP/1.1", "HTTP/2"]
