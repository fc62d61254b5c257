"""What passes, passes byte for byte, whatever its encoding, length or protocol, and is read all the same."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import zstandard

from scripts.fake_provider.server import FakeProvider
from scripts.fake_provider.speech import DEFAULT_TEXT
from tests.e2e.harness import KEY_VARIABLES, ScriptedServer, Turnpike, fake_upstreams, scripted_server

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}
OPENAI = "https://api.openai.com/v1"
HELD = 64 * 1024
"""`max_held_body` in these tests."""

ODD_REQUEST = (
    b'{ "model" :\t"gpt-4o-mini",\r\n "messages":[{"role":"user","content":"caf\\u00e9 \\ud83d\\ude00 \xc3\xa9 \\/ 1"}] ,\n'
    b' "seed": 1.50e+2, "unknown":{"a":1,"a":2} }\n\n'
)
ODD_ANSWER = (
    b'{"id":"x" , "object":"chat.completion","model":"gpt-4o-mini-2024-07-18","choices":[ {"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"\\u0041\xc3\xa9\\n"}}],\r\n'
    b'"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}\n \n'
)
ODD_HEAD = (
    b"HTTP/1.1 200 Fine\r\nContent-Type: application/json\r\nx-Odd-CASE:  spaced \r\nX-Twice: 1\r\nX-Twice: 2\r\nConnection: close\r\n"
)


@pytest.fixture(scope="module")
def odd() -> Iterator[ScriptedServer]:
    """An upstream that answers in its own way, and shows what came to the byte."""
    with scripted_server(ODD_HEAD + f"Content-Length: {len(ODD_ANSWER)}\r\n\r\n".encode() + ODD_ANSWER) as server:
        yield server


@pytest.fixture(scope="module")
def small(
    fake: FakeProvider, odd: ScriptedServer, pool_keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Turnpike]:
    """A proxy that holds short bodies only, with an odd upstream more."""
    upstreams = fake_upstreams(fake) | {"odd": {"provider": "openai", "base_url": f"http://127.0.0.1:{odd.port}/v1"}}
    config = {"version": 1, "proxy": {"max_held_body": "64 KiB"}, "upstreams": upstreams}
    env = {KEY_VARIABLES[name]: key for name, key in pool_keys.items()}
    with Turnpike(tmp_path_factory.mktemp("bytes"), config, trusted_ca=fake.ca_file, env=env) as turnpike:
        yield turnpike


def test_bytes_arrive_as_they_were_sent(small: Turnpike, odd: ScriptedServer) -> None:
    """Request and answer cross byte for byte, are stored as they were, and the answer names its call."""
    answer = httpx.post(f"{small.base_url}/odd/chat/completions", content=ODD_REQUEST, headers={"X-oDD-Case": "kept"})
    head, _, body = odd.requests[-1].partition(b"\r\n\r\n")
    assert body == ODD_REQUEST
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nX-oDD-Case: kept\r\n" in head + b"\r\n"
    assert f"\r\nhost: 127.0.0.1:{odd.port}\r\n" in f"{head.decode().lower()}\r\n"
    assert (answer.status_code, answer.reason_phrase, answer.content) == (200, "Fine", ODD_ANSWER)
    assert (b"x-Odd-CASE", b"spaced") in answer.headers.raw
    assert answer.headers.get_list("x-twice") == ["1", "2"]
    row = small.wait_row(answer.headers["x-turnpike-call"])
    assert (row["input_tokens"], row["output_tokens"], row["response"]) == (7, 2, "Aé\n")
    assert (row["request_bytes"], row["response_bytes"]) == (len(ODD_REQUEST), len(ODD_ANSWER))
    assert small.body(row["id"], "request").content == ODD_REQUEST
    assert small.body(row["id"], "response").content == ODD_ANSWER


@pytest.mark.parametrize("stream", [True, False])
def test_a_gzipped_answer(stream: bool, small: Turnpike) -> None:
    """An answer that the upstream has compressed reaches the client compressed, and is metered."""
    headers = {"X-Fake-Gzip": "1", "Accept-Encoding": "gzip"}
    body = CHAT | {"stream": stream, "stream_options": {"include_usage": True}} if stream else CHAT
    with small.client() as client, client.stream("POST", f"{OPENAI}/chat/completions", json=body, headers=headers) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    plain = zlib.decompress(packed, wbits=31)
    row = small.wait_row(answer.headers["x-turnpike-call"])
    assert (row["response"], row["output_tokens"], row["outcome"]) == (DEFAULT_TEXT, len(DEFAULT_TEXT.split()), "ok")
    assert row["response_bytes"] == len(packed)
    stored = small.body(row["id"], "response")
    assert (stored.content, stored.encoding) == (plain, "gzip")


def test_a_zstd_request(small: Turnpike, fake: FakeProvider) -> None:
    """A request compressed as Codex does it arrives as it was sent, and is read."""
    plain = json.dumps({"model": "gpt-5-mini", "input": "one two three"}).encode()
    packed = zstandard.compress(plain)
    headers = {"Content-Encoding": "zstd", "Content-Type": "application/json"}
    with small.client() as client:
        answer = client.post(f"{OPENAI}/responses", content=packed, headers=headers)
    assert answer.status_code == 200
    assert (fake.requests[-1].body, fake.requests[-1].header("content-encoding")) == (packed, "zstd")
    row = small.wait_row(answer.headers["x-turnpike-call"])
    assert (row["api"], row["model"], row["prompt"], row["request_bytes"]) == (
        "openai.responses",
        "gpt-5-mini",
        "one two three",
        len(packed),
    )
    assert small.body(row["id"], "request").content == plain


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("way", ["proxy", "base"])
def test_a_long_request_is_passed_on(way: str, chunked: bool, small: Turnpike, fake: FakeProvider, pool_keys: dict[str, str]) -> None:
    """A body longer than `max_held_body` is streamed: it arrives whole, gets its key, and leaves a row with the answer's facts."""
    long = json.dumps(CHAT | {"padding": "x" * 4 * HELD}).encode()
    pieces = (long[at : at + 10_000] for at in range(0, len(long), 10_000))
    url = f"{OPENAI}/chat/completions" if way == "proxy" else f"{small.base_url}/v1/chat/completions"
    with small.client() if way == "proxy" else httpx.Client() as client:
        answer = client.post(url, content=pieces if chunked else long, headers={"Authorization": "Bearer own"})
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, DEFAULT_TEXT)
    assert fake.requests[-1].body == long
    assert fake.requests[-1].key == pool_keys["openai"]
    row = small.wait_row(answer.headers["x-turnpike-call"])
    assert (row["outcome"], row["status"], row["attempts"], row["response"]) == ("ok", 200, 1, DEFAULT_TEXT)
    assert (row["input_tokens"], row["key_hint"]) == (3, pool_keys["openai"][-4:])


def test_http2(small: Turnpike, fake: FakeProvider, pool_keys: dict[str, str]) -> None:
    """A client that speaks HTTP/2 inside the tunnel gets its answers, several at once on one connection, streamed too."""
    with small.client(http2=True) as client:
        answers = [client.post(f"{OPENAI}/chat/completions", json=CHAT) for _ in range(3)]
        with client.stream("POST", f"{OPENAI}/chat/completions", json=CHAT | {"stream": True}) as streamed:
            lines = [line for line in streamed.iter_lines() if line]
    assert {answer.http_version for answer in [*answers, streamed]} == {"HTTP/2"}
    assert all(answer.json()["choices"][0]["message"]["content"] == DEFAULT_TEXT for answer in answers)
    assert lines[-1] == "data: [DONE]"
    for answer in [*answers, streamed]:
        assert small.wait_row(answer.headers["x-turnpike-call"])["response"] == DEFAULT_TEXT
    assert {request.key for request in fake.requests[-4:]} == {pool_keys["openai"]}


@pytest.mark.parametrize("way", ["proxy", "base"])
def test_a_websocket_on_responses_is_told_to_post(way: str, small: Turnpike, fake: FakeProvider) -> None:
    """The handshake that Codex tries first gets 426 at once, so that it falls back to a POST; it is no call."""
    before, counted = len(fake.requests), small.count("websockets_refused")
    upgrade = {
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
    }
    url = OPENAI if way == "proxy" else f"{small.base_url}/v1"
    with small.client() if way == "proxy" else httpx.Client() as client:
        assert client.get(f"{url}/responses", headers=upgrade).status_code == 426
        answer = client.post(f"{url}/responses", json={"model": "gpt-5-mini", "input": "one"})
    assert answer.status_code == 200
    assert small.count("websockets_refused") == counted + 1
    assert len(fake.requests) == before + 1
    small.wait_row(answer.headers["x-turnpike-call"])
    assert not small.query("select * from calls where method = 'GET'")
