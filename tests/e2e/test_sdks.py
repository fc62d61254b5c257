"""Real clients, unchanged, by both ways in: what they are told, and the row that is left of each call."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import anthropic
import httpx
import openai
import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from scripts.fake_provider.speech import DEFAULT_TEXT
from tests.e2e.harness import Turnpike, new_key

CHAT_MODEL = "gpt-4o-mini"
RESPONSES_MODEL = "gpt-5-mini"
COMPLETIONS_MODEL = "gpt-3.5-turbo-instruct"
EMBEDDINGS_MODEL = "text-embedding-3-small"
CLAUDE_MODEL = "claude-haiku-4-5"
GEMINI_MODEL = "gemini-2.5-flash"
OLLAMA_MODEL = "llama3.2"

PROMPT = "one two three"
INPUT_TOKENS, OUTPUT_TOKENS = len(PROMPT.split()), len(DEFAULT_TEXT.split())  # what the fake provider promises
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
CONTENTS = [{"role": "user", "parts": [{"text": PROMPT}]}]


@dataclass(frozen=True)
class Way:
    """How the clients are pointed at the proxy: None where they keep the provider's own address."""

    name: str
    openai: str | None = None
    anthropic: str | None = None
    gemini: str = "https://generativelanguage.googleapis.com"
    ollama: str | None = None
    key: str = "none"


@pytest.fixture(params=["proxy", "base"])
def way(request: pytest.FixtureRequest, turnpike: Turnpike, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Through HTTPS_PROXY with the original hosts, as any client is set up; and through the base URL."""
    key = new_key("client-")
    if request.param == "base":
        base = turnpike.base_url
        return Way("base", f"{base}/v1", base, base, f"{base}/ollama", key)
    monkeypatch.setenv("HTTPS_PROXY", turnpike.proxy_url)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(turnpike.ca_file))
    return Way("proxy", key=key)


def run[T](make: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        return await make()

    return asyncio.run(main())


def openai_client(way: Way) -> openai.OpenAI:
    return openai.OpenAI(api_key=way.key, base_url=way.openai, max_retries=0)


def chat(way: Way) -> str:
    with openai_client(way) as client:
        return client.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES).choices[0].message.content or ""


def chat_stream(way: Way) -> str:
    """Not asked for usage, the client is told none, whether or not the proxy asks for it itself."""
    with openai_client(way) as client:
        chunks = list(client.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def chat_stream_with_usage(way: Way) -> str:
    """Asked for usage, the client is told it."""
    options: Any = {"include_usage": True}
    with openai_client(way) as client:
        chunks = list(client.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES, stream=True, stream_options=options))
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == INPUT_TOKENS + OUTPUT_TOKENS
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])


def responses(way: Way) -> str:
    with openai_client(way) as client:
        return client.responses.create(model=RESPONSES_MODEL, input=PROMPT).output_text


def responses_stream(way: Way) -> str:
    with openai_client(way) as client, client.responses.stream(model=RESPONSES_MODEL, input=PROMPT) as events:
        return events.get_final_response().output_text


def completions(way: Way) -> str:
    with openai_client(way) as client:
        return client.completions.create(model=COMPLETIONS_MODEL, prompt=PROMPT).choices[0].text


def completions_stream(way: Way) -> str:
    with openai_client(way) as client:
        chunks = list(client.completions.create(model=COMPLETIONS_MODEL, prompt=PROMPT, stream=True))
    return "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)


def embeddings(way: Way) -> str:
    with openai_client(way) as client:
        assert len(client.embeddings.create(model=EMBEDDINGS_MODEL, input=PROMPT).data[0].embedding) == 1536
    return DEFAULT_TEXT  # there is no text; the vector is the answer


async def async_chat(way: Way) -> str:
    async with openai.AsyncOpenAI(api_key=way.key, base_url=way.openai, max_retries=0) as client:
        answer = await client.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES)
    return answer.choices[0].message.content or ""


async def async_chat_stream(way: Way) -> str:
    async with openai.AsyncOpenAI(api_key=way.key, base_url=way.openai, max_retries=0) as client:
        stream = await client.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def async_responses(way: Way) -> str:
    async with openai.AsyncOpenAI(api_key=way.key, base_url=way.openai, max_retries=0) as client:
        return (await client.responses.create(model=RESPONSES_MODEL, input=PROMPT)).output_text


async def async_responses_stream(way: Way) -> str:
    client = openai.AsyncOpenAI(api_key=way.key, base_url=way.openai, max_retries=0)
    async with client, client.responses.stream(model=RESPONSES_MODEL, input=PROMPT) as events:
        return (await events.get_final_response()).output_text


def said(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def claude(way: Way) -> str:
    with anthropic.Anthropic(api_key=way.key, base_url=way.anthropic, max_retries=0) as client:
        return said(client.messages.create(model=CLAUDE_MODEL, max_tokens=100, messages=MESSAGES))


def claude_stream(way: Way) -> str:
    client = anthropic.Anthropic(api_key=way.key, base_url=way.anthropic, max_retries=0)
    with client, client.messages.stream(model=CLAUDE_MODEL, max_tokens=100, messages=MESSAGES) as stream:
        return "".join(stream.text_stream)


async def async_claude(way: Way) -> str:
    async with anthropic.AsyncAnthropic(api_key=way.key, base_url=way.anthropic, max_retries=0) as client:
        return said(await client.messages.create(model=CLAUDE_MODEL, max_tokens=100, messages=MESSAGES))


async def async_claude_stream(way: Way) -> str:
    client = anthropic.AsyncAnthropic(api_key=way.key, base_url=way.anthropic, max_retries=0)
    async with client, client.messages.stream(model=CLAUDE_MODEL, max_tokens=100, messages=MESSAGES) as stream:
        return said(await stream.get_final_message())


def gemini_text(part: Any) -> str:
    return str(part["candidates"][0]["content"]["parts"][0]["text"])


def gemini_post(way: Way, version: str, method: str) -> httpx.Response:
    url = f"{way.gemini}/{version}/models/{GEMINI_MODEL}:{method}"
    return httpx.post(url, headers={"x-goog-api-key": way.key}, json={"contents": CONTENTS}).raise_for_status()


def gemini(way: Way) -> str:
    return gemini_text(gemini_post(way, "v1beta", "generateContent").json())


def gemini_sse(way: Way) -> str:
    lines = gemini_post(way, "v1beta", "streamGenerateContent?alt=sse").text.splitlines()
    return "".join(gemini_text(json.loads(line.removeprefix("data: "))) for line in lines if line)


def gemini_array(way: Way) -> str:
    return "".join(gemini_text(part) for part in gemini_post(way, "v1", "streamGenerateContent").json())


@dataclass(frozen=True)
class Case:
    """A call, and the row that it leaves."""

    call: Callable[[Way], str]
    api: str
    model: str
    response_model: str
    stream: bool = False
    output_tokens: int | None = OUTPUT_TOKENS
    priced: bool = True


GPT_4O_MINI = "gpt-4o-mini-2024-07-18"
GPT_5_MINI = "gpt-5-mini-2025-08-07"
INSTRUCT = "gpt-3.5-turbo-instruct:20230824-v2"
HAIKU = "claude-haiku-4-5-20251001"

CASES = {
    "chat": Case(chat, "openai.chat", CHAT_MODEL, GPT_4O_MINI),
    "chat stream": Case(chat_stream, "openai.chat", CHAT_MODEL, GPT_4O_MINI, stream=True),
    "chat stream with usage": Case(chat_stream_with_usage, "openai.chat", CHAT_MODEL, GPT_4O_MINI, stream=True),
    "chat async": Case(lambda way: run(lambda: async_chat(way)), "openai.chat", CHAT_MODEL, GPT_4O_MINI),
    "chat async stream": Case(lambda way: run(lambda: async_chat_stream(way)), "openai.chat", CHAT_MODEL, GPT_4O_MINI, stream=True),
    "responses": Case(responses, "openai.responses", RESPONSES_MODEL, GPT_5_MINI),
    "responses stream": Case(responses_stream, "openai.responses", RESPONSES_MODEL, GPT_5_MINI, stream=True),
    "responses async": Case(lambda way: run(lambda: async_responses(way)), "openai.responses", RESPONSES_MODEL, GPT_5_MINI),
    "responses async stream": Case(
        lambda way: run(lambda: async_responses_stream(way)), "openai.responses", RESPONSES_MODEL, GPT_5_MINI, stream=True
    ),
    "completions": Case(completions, "openai.completions", COMPLETIONS_MODEL, INSTRUCT),
    "completions stream": Case(completions_stream, "openai.completions", COMPLETIONS_MODEL, INSTRUCT, stream=True),
    "embeddings": Case(embeddings, "openai.embeddings", EMBEDDINGS_MODEL, EMBEDDINGS_MODEL, output_tokens=None),
    "claude": Case(claude, "anthropic.messages", CLAUDE_MODEL, HAIKU),
    "claude stream": Case(claude_stream, "anthropic.messages", CLAUDE_MODEL, HAIKU, stream=True),
    "claude async": Case(lambda way: run(lambda: async_claude(way)), "anthropic.messages", CLAUDE_MODEL, HAIKU),
    "claude async stream": Case(lambda way: run(lambda: async_claude_stream(way)), "anthropic.messages", CLAUDE_MODEL, HAIKU, stream=True),
    "gemini": Case(gemini, "gemini.generate", GEMINI_MODEL, GEMINI_MODEL),
    "gemini stream": Case(gemini_sse, "gemini.generate", GEMINI_MODEL, GEMINI_MODEL, stream=True),
    "gemini array": Case(gemini_array, "gemini.generate", GEMINI_MODEL, GEMINI_MODEL, stream=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_call_is_answered_and_recorded(case: Case, way: Way, turnpike: Turnpike, fake: FakeProvider, pool_keys: dict[str, str]) -> None:
    """The client gets the provider's answer; the provider gets the pool's key; one row tells api, models, tokens, times and cost."""
    before = len(turnpike.rows())
    assert case.call(way) == DEFAULT_TEXT
    rows = turnpike.wait_rows(before + 1)
    assert len(rows) == before + 1
    check_row(rows[-1], case)
    assert fake.requests[-1].key == pool_keys[rows[-1]["upstream"]]
    assert rows[-1]["key_hint"] == fake.requests[-1].key[-4:]
    assert not any(way.key in value for _, value in fake.requests[-1].headers)


def check_row(row: dict[str, Any], case: Case) -> None:
    provider = case.api.partition(".")[0]
    expected = {
        "api": case.api,
        "provider": provider,
        "upstream": provider,
        "model": case.model,
        "response_model": case.response_model,
        "stream": int(case.stream),
        "status": 200,
        "outcome": "ok",
        "input_tokens": INPUT_TOKENS,
        "output_tokens": case.output_tokens,
        "tokens_source": "reported",
        "attempts": 1,
        "error": None,
    }
    assert {name: row[name] for name in expected} == expected
    assert (row["cost_usd"] is not None and row["cost_usd"] > 0) is case.priced
    assert row["ttfb_ms"] > 0
    assert row["duration_ms"] >= row["ttfb_ms"]
    if case.stream:
        assert row["ttfb_ms"] <= row["ttft_ms"] <= row["duration_ms"]
    if case.output_tokens is not None:
        assert (row["prompt"], row["response"]) == (PROMPT, DEFAULT_TEXT)


def chunks_of(base_url: str, ca_file: str) -> list[dict[str, Any]]:
    """The objects of a streamed answer, without what differs from one answer to the next."""
    verify = ssl.create_default_context(cafile=ca_file)
    with openai.OpenAI(api_key="k", base_url=base_url, max_retries=0, http_client=openai.DefaultHttpxClient(verify=verify)) as client:
        stream = client.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES, stream=True)
        return [chunk.model_dump() | {"id": "", "created": 0} for chunk in stream]


def test_usage_that_only_the_proxy_asked_for_is_not_shown(turnpike: Turnpike, fake: FakeProvider) -> None:
    """The SDK sees the very objects that it would see without the proxy (`usage: null` aside), and the row has the usage."""
    before = len(turnpike.rows())
    ca_file = str(fake.ca_file)
    assert chunks_of(f"{turnpike.base_url}/v1", ca_file) == chunks_of(f"{fake.url}/v1", ca_file)
    row = turnpike.wait_rows(before + 1)[-1]
    assert (row["output_tokens"], row["tokens_source"]) == (OUTPUT_TOKENS, "reported")


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_by_base_url(stream: bool, turnpike: Turnpike) -> None:
    """Ollama's lines come through as they are; its models have no price."""
    before = len(turnpike.rows())
    body = {"model": OLLAMA_MODEL, "messages": MESSAGES, "stream": stream}
    lines = httpx.post(f"{turnpike.base_url}/ollama/api/chat", json=body).raise_for_status().text.splitlines()
    assert "".join(json.loads(line)["message"]["content"] for line in lines) == DEFAULT_TEXT
    case = Case(chat, "ollama.chat", OLLAMA_MODEL, OLLAMA_MODEL, stream=stream, priced=False)
    check_row(turnpike.wait_rows(before + 1)[-1], case)


def test_chunks_arrive_as_they_are_sent(way: Way, turnpike: Turnpike) -> None:
    """A stream with 200 ms between its chunks reaches the client chunk by chunk, and the row knows when the first content came."""
    before, start, arrivals = len(turnpike.rows()), time.monotonic(), []
    with openai_client(way) as client:
        model = f"{CHAT_MODEL}@fake:chunks=5,delay=0.2"
        for chunk in client.chat.completions.create(model=model, messages=MESSAGES, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                arrivals.append(time.monotonic() - start)
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert len(arrivals) == 5
    assert all(0.1 < gap < 0.4 for gap in gaps), gaps
    row = turnpike.wait_rows(before + 1)[-1]
    assert row["ttft_ms"] < 600
    assert row["duration_ms"] > 800


def test_two_clients_at_once(way: Way, turnpike: Turnpike) -> None:
    """Two clients of different providers on one port neither wait for each other nor mix."""
    before, slow = len(turnpike.rows()), {"X-Fake-First-Byte": "0.5"}

    def ask_openai() -> str:
        with openai_client(way) as client:
            answer = client.chat.completions.create(model=f"{CHAT_MODEL}@fake:echo", messages=MESSAGES, extra_headers=slow)
        return answer.choices[0].message.content or ""

    def ask_claude() -> str:
        with anthropic.Anthropic(api_key=way.key, base_url=way.anthropic, max_retries=0) as client:
            return said(client.messages.create(model=CLAUDE_MODEL, max_tokens=9, messages=MESSAGES, extra_headers=slow))

    with ThreadPoolExecutor(2) as pool:
        answers = [future.result() for future in (pool.submit(ask_openai), pool.submit(ask_claude))]
    assert answers == [PROMPT, DEFAULT_TEXT]
    rows = turnpike.wait_rows(before + 2)[-2:]
    assert {row["api"] for row in rows} == {"openai.chat", "anthropic.messages"}
    assert max(row["ts_ms"] for row in rows) < min(row["ts_ms"] + row["duration_ms"] for row in rows)  # they ran at the same time


def test_other_hosts_are_tunnelled(turnpike: Turnpike) -> None:
    """A host that is no upstream's shows its own certificate, and leaves neither row nor line in the output."""
    with running_fake_provider(tls=True) as other:
        context = ssl.create_default_context(cafile=other.ca_file)
        before, url = len(turnpike.rows()), other.url.replace("127.0.0.1", "localhost")
        with httpx.Client(proxy=turnpike.proxy_url, verify=context) as client:
            assert client.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": MESSAGES}).status_code == 200
        assert len(other.requests) == 1
        assert str(other.port) not in turnpike.output()
    with openai_client(Way("base", f"{turnpike.base_url}/v1")) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert len(turnpike.wait_rows(before + 1)) == before + 1


def test_no_key_is_left_anywhere(turnpike: Turnpike, pool_keys: dict[str, str]) -> None:
    """After all these calls no key of the pool stands in the database's files or in the output."""
    turnpike.wait_rows(1)
    contents = [path.read_bytes() for path in turnpike.folder.glob("turnpike.db*")] + [turnpike.output().encode()]
    assert contents
    assert not [name for name, key in pool_keys.items() for content in contents if key.encode() in content]
