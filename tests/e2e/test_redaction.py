"""Secrets on their way out and back in, with real processes: what the provider, the database, the log and a flow file hold."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import orjson
import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.e2e.harness import Turnpike, new_key

RANDOM = random.Random(20)  # the same secrets in each run: one in some thousand has too little entropy for any rule


def text_of(alphabet: str, length: int) -> str:
    return "".join(RANDOM.choice(alphabet) for _ in range(length))


ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits


def jwt() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': text_of(ALNUM, 12), 'iat': 1_800_000_000})}.{text_of(ALNUM, 43)}"


def pem() -> str:
    lines = "\n".join(text_of(ALNUM + "+/", 64) for _ in range(6))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----"


KINDS: dict[str, Callable[[], tuple[str, str]]] = {
    name: made
    for name, made in {
        "openai": lambda: ("{}", f"sk-{text_of(ALNUM, 20)}T3BlbkFJ{text_of(ALNUM, 20)}"),
        "openai project": lambda: ("{}", f"sk-proj-{text_of(ALNUM, 74)}T3BlbkFJ{text_of(ALNUM, 74)}"),
        "anthropic": lambda: ("{}", f"sk-ant-api03-{text_of(ALNUM, 93)}AA"),
        "google": lambda: ("{}", f"AIza{text_of(ALNUM, 35)}"),
        "openrouter": lambda: ("{}", f"sk-or-v1-{text_of('0123456789abcdef', 64)}"),
        "groq": lambda: ("{}", f"gsk_{text_of(ALNUM, 52)}"),
        "xai": lambda: ("{}", f"xai-{text_of(ALNUM, 80)}"),
        "perplexity": lambda: ("{}", f"pplx-{text_of(ALNUM, 48)}"),
        "huggingface": lambda: ("{}", f"hf_{text_of(string.ascii_letters, 34)}"),
        "replicate": lambda: ("{}", f"r8_{text_of(ALNUM, 37)}"),
        "aws id": lambda: ("{}", f"AKIA{text_of('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}"),
        "aws secret": lambda: ("aws_secret_access_key = {}", text_of(ALNUM + "/+", 40)),
        "github": lambda: ("{}", f"ghp_{text_of(ALNUM, 36)}"),
        "github fine": lambda: ("{}", f"github_pat_{text_of(ALNUM, 22)}_{text_of(ALNUM, 59)}"),
        "github app": lambda: ("{}", f"ghs_{text_of(ALNUM, 36)}"),
        "gitlab": lambda: ("{}", f"glpat-{text_of(ALNUM, 20)}"),
        "stripe": lambda: ("{}", f"sk_live_{text_of(ALNUM, 24)}"),
        "stripe restricted": lambda: ("{}", f"rk_live_{text_of(ALNUM, 24)}"),
        "slack bot": lambda: ("{}", f"xoxb-{text_of(string.digits, 12)}-{text_of(string.digits, 12)}-{text_of(ALNUM, 24)}"),
        "slack app": lambda: ("{}", f"xapp-1-{text_of(UPPER, 11)}-{text_of(string.digits, 13)}-{text_of(LOWER, 64)}"),
        "npm": lambda: ("{}", f"npm_{text_of(ALNUM, 36)}"),
        "pypi": lambda: ("{}", f"pypi-AgEIcHlwaS5vcmc{text_of(ALNUM + '_-', 60)}"),
        "sendgrid": lambda: ("{}", f"SG.{text_of(ALNUM, 22)}.{text_of(ALNUM, 43)}"),
        "twilio": lambda: ("twilio api key {}", f"SK{text_of('0123456789abcdef', 32)}"),
        "digitalocean": lambda: ("{}", f"dop_v1_{text_of('0123456789abcdef', 64)}"),
        "shopify": lambda: ("{}", f"shpat_{text_of('0123456789abcdef', 32)}"),
        "databricks": lambda: ("{}", f"dapi{text_of('0123456789abcdef', 32)}"),
        "doppler": lambda: ("{}", f"dp.pt.{text_of(ALNUM, 43)}"),
        "linear": lambda: ("{}", f"lin_api_{text_of(ALNUM, 40)}"),
        "notion": lambda: ("{}", f"ntn_{text_of(string.digits, 11)}{text_of(ALNUM, 35)}"),
        "postman": lambda: ("{}", f"PMAK-{text_of('0123456789abcdef', 24)}-{text_of('0123456789abcdef', 34)}"),
        "grafana": lambda: ("{}", f"glsa_{text_of(ALNUM, 32)}_{text_of('0123456789abcdef', 8)}"),
        "new relic": lambda: ("{}", f"NRAK-{text_of(UPPER, 27)}"),
        "vault": lambda: ("{}", f"hvs.{text_of(ALNUM, 90)}"),
        "age": lambda: ("{}", f"AGE-SECRET-KEY-1{text_of('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L', 58)}"),
        "telegram": lambda: ("telegram bot token {}", f"{text_of(string.digits, 10)}:AA{text_of(ALNUM, 33)}"),
        "url password": lambda: ("postgres://admin:{}@db.internal:5432/main", text_of(ALNUM, 20)),
        "jwt": lambda: ("{}", jwt()),
        "pem": lambda: ("{}", pem()),
        "password": lambda: ('password = "{}"', f"{text_of(ALNUM, 10)}-{text_of(ALNUM, 8)}9x"),
        "authorization": lambda: ("Authorization: Bearer {}", text_of(ALNUM, 40)),
        "env": lambda: ('export SERVICE_API_TOKEN="{}"', f"{text_of(ALNUM, 30)}4x97kQ"),
    }.items()
}


def planted(count: int) -> tuple[str, list[str]]:
    """A prompt that holds so many secrets of all kinds, and the secrets."""
    names = [name for _ in range(count // len(KINDS) + 1) for name in KINDS][:count]
    made = [KINDS[name]() for name in names]
    lines = [f"- line {n}: {form.format(secret)} and so on" for n, (form, secret) in enumerate(made)]
    return "Please read this:\n" + "\n".join(lines), [secret for _, secret in made]


def bits(secret: str) -> str:
    """What would tell it: a PEM block's second line, else all of it."""
    return secret.split("\n")[2] if "\n" in secret else secret


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    with running_fake_provider(knobs={"*": {"echo": True, "chunks": 40}}) as provider:
        yield provider


@pytest.fixture(scope="module")
def turnpike(fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnpike]:
    folder = tmp_path_factory.mktemp("redaction")
    config = {
        "version": 1,
        "upstreams": {
            "openai": {"base_url": f"{fake.url}/v1", "default": True},
            "anthropic": {"base_url": fake.url},
            "gemini": {"base_url": fake.url},
            "ollama": {"base_url": fake.url},
            "blocked": {"provider": "openai", "base_url": f"{fake.url}/v1", "redaction": {"mode": "block"}},
            "open": {"provider": "openai", "base_url": f"{fake.url}/v1", "redaction": {"mode": "off"}},
        },
        "redaction": {"outgoing": {"mode": "placeholder"}},
    }
    with Turnpike(folder, config, arguments=("-w", str(folder / "flows.mitm"))) as proxy:
        yield proxy


def openai_chat(base: str, prompt: str, stream: bool) -> str:
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="client", max_retries=0)
    messages: Any = [{"role": "user", "content": prompt}]
    if not stream:
        return client.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message.content or ""
    chunks = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def openai_responses(base: str, prompt: str, stream: bool) -> str:
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="client", max_retries=0)
    if not stream:
        return client.responses.create(model="gpt-5-mini", input=prompt).output_text
    deltas, final = "", ""
    for event in client.responses.create(model="gpt-5-mini", input=prompt, stream=True):
        if event.type == "response.output_text.delta":
            deltas += event.delta
        elif event.type == "response.completed":
            final = event.response.output_text
    assert deltas == final
    return final


def anthropic_messages(base: str, prompt: str, stream: bool) -> str:
    import anthropic  # noqa: PLC0415 - beside the others

    client = anthropic.Anthropic(base_url=base, api_key="client", max_retries=0)
    asked: Any = {"model": "claude-haiku-4-5", "max_tokens": 4000, "messages": [{"role": "user", "content": prompt}]}
    if stream:
        with client.messages.stream(**asked) as messages:
            return messages.get_final_text()
    return "".join(block.text for block in client.messages.create(**asked).content if block.type == "text")


def gemini(base: str, prompt: str, stream: bool) -> str:
    method = "streamGenerateContent" if stream else "generateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    answer = httpx.post(f"{base}/v1beta/models/gemini-2.5-flash:{method}", json=body, headers={"x-goog-api-key": "client"}, timeout=30)
    values = answer.json() if stream else [answer.json()]
    return "".join(part.get("text", "") for value in values for c in value["candidates"] for part in c.get("content", {}).get("parts", []))


def ollama(base: str, prompt: str, stream: bool) -> str:
    body = {"model": "llama3.2", "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    answer = httpx.post(f"{base}/ollama/api/chat", json=body, timeout=30)
    return "".join(orjson.loads(line)["message"]["content"] for line in answer.content.splitlines() if line)


DIALECTS = {
    "openai.chat": openai_chat,
    "openai.responses": openai_responses,
    "anthropic": anthropic_messages,
    "gemini": gemini,
    "ollama": ollama,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_model_that_echoes_gives_the_client_its_own_secrets(dialect: str, stream: bool, turnpike: Turnpike, fake: FakeProvider) -> None:
    """100 secrets of 40 kinds: the client has its prompt back to the letter, the provider saw none of them."""
    prompt, hidden = planted(100)
    fake.clear()
    fake.knobs.set("*", {"echo": True, "chunks": 40})
    assert DIALECTS[dialect](turnpike.base_url, prompt, stream) == prompt
    (seen,) = fake.requests
    shown = seen.body.decode()
    assert not [secret for secret in hidden if bits(secret) in shown]
    assert "and so on" in shown


def test_nothing_of_it_is_kept_in_clear(turnpike: Turnpike, fake: FakeProvider) -> None:
    """Neither in the database, nor in the output, nor in the flow file."""
    prompt, hidden = planted(100)
    fake.knobs.set("*", {"echo": True, "chunks": 40})
    before = len(turnpike.rows())
    assert openai_chat(turnpike.base_url, prompt, True) == prompt
    row = turnpike.wait_rows(before + 1)[-1]
    assert row["redactions"]
    notes = turnpike.query("select * from redactions where call_id = ? and action = 'placeholder'", row["id"])
    assert len(notes) >= 30
    assert {note["where"].partition("[")[0] for note in notes} == {"request.body.messages"}
    turnpike.stop()
    kept = turnpike.everything() + (turnpike.folder / "flows.mitm").read_bytes()
    turnpike.start()
    found = [secret for secret in hidden if bits(secret).encode() in kept]
    assert found == []


def test_policies_of_upstreams(turnpike: Turnpike, fake: FakeProvider) -> None:
    """One that is sent no secret at all, and one that is sent everything, byte for byte."""
    key = new_key("sk-proj-")
    body = b'{"model": "gpt-4o-mini",  "messages": [{"role": "user", "content": "key ' + key.encode() + b'"}]}'
    fake.clear()
    headers = {"Content-Type": "application/json"}
    refused = httpx.post(f"{turnpike.base_url}/blocked/v1/chat/completions", content=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "secret_blocked")
    assert fake.requests == []
    assert httpx.post(f"{turnpike.base_url}/open/v1/chat/completions", content=body, headers=headers).status_code == 200
    assert [seen.body for seen in fake.requests] == [body]


def test_without_a_secret_the_body_is_the_clients(turnpike: Turnpike, fake: FakeProvider) -> None:
    """To the byte, under protection too."""
    body = b'{ "model":"gpt-4o-mini" ,"messages": [{"role":"user","content":"caf\\u00e9 \\/ ok"}] }'
    fake.clear()
    httpx.post(f"{turnpike.base_url}/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert [seen.body for seen in fake.requests] == [body]


def test_another_clients_placeholder_means_nothing(turnpike: Turnpike, fake: FakeProvider, tmp_path: Path) -> None:
    """Who has seen one, in a log or a repository, can't have it turned into the secret."""
    key = new_key("sk-proj-")
    fake.clear()
    fake.knobs.set("*", {"echo": True})
    openai_chat(turnpike.base_url, f"key {key}", False)
    placeholder = orjson.loads(fake.requests[0].body)["messages"][0]["content"].removeprefix("key ")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"key {placeholder}"}]}
    answer = httpx.post(f"{turnpike.base_url}/v1/chat/completions", json=body, headers={"User-Agent": "somebody-else/1"})
    assert answer.json()["choices"][0]["message"]["content"] == f"key {placeholder}"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_what_comes_back_is_not_stored(packed: bool, turnpike: Turnpike, fake: FakeProvider) -> None:
    """A model that quotes the bare value: the client has it, and neither database nor flow file, though no rule knows it there."""
    secret = f"correct-Horse{new_key('')[:12]}"
    fake.clear()
    fake.knobs.set("*", {"echo": True})
    before = len(turnpike.rows())
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f'password = "{secret}"'}, {"role": "user", "content": f"say {secret}"}],
    }
    headers = {"X-Fake-Gzip": "1"} if packed else {}
    answer = httpx.post(f"{turnpike.base_url}/v1/chat/completions", json=body, headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == f"say {secret}"
    assert secret.encode() not in fake.requests[0].body
    row = turnpike.wait_rows(before + 1)[-1]
    assert (row["input_tokens"] or 0) > 0
    assert row["tokens_source"] == "reported"
    turnpike.stop()
    kept = turnpike.everything() + (turnpike.folder / "flows.mitm").read_bytes()
    turnpike.start()
    assert secret.encode() not in kept
