"""What is kept: conversations, bodies, flow files; never a key. And where the keys come from while the proxy runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import zstandard
from mitmproxy import http
from mitmproxy.io import FlowReader

from scripts.fake_provider.server import FakeProvider
from scripts.fake_provider.speech import DEFAULT_TEXT
from tests.e2e.harness import KEY_VARIABLES, Turnpike, fake_upstreams, new_key, wait_for

MODEL = "gpt-4o-mini"
OPENAI = "https://api.openai.com/v1"
KEYS = "E2E_ROTATED"


def chat(text: str = "one two three", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


def post(turnpike: Turnpike, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{turnpike.base_url}/v1/chat/completions", json=body or chat(), headers=headers)


def test_three_turns_are_one_conversation(turnpike: Turnpike) -> None:
    """Calls that send the history again belong to the conversation of the first; another one that begins alike does not."""
    messages: list[Any] = []
    ids = []
    with openai.OpenAI(api_key="none", base_url=f"{turnpike.base_url}/v1", max_retries=0) as client:
        for question in ("first question", "second question", "third question"):
            messages.append({"role": "user", "content": question})
            answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages)
            ids.append(answer.headers["x-turnpike-call"])
            messages.append({"role": "assistant", "content": answer.parse().choices[0].message.content})
            turnpike.wait_row(ids[-1])
        other = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages[:1]).headers["x-turnpike-call"]
    assert [turnpike.wait_row(call_id)["conversation_id"] for call_id in [*ids, other]] == [ids[0]] * 3 + [other]
    assert [turnpike.wait_row(call_id)["n_messages"] for call_id in ids] == [1, 3, 5]


def test_bodies_give_back_the_very_bytes(turnpike: Turnpike) -> None:
    """Request and answer, streamed too, are stored so that joining their pieces gives the bytes that crossed the wire."""
    history = [{"role": "user", "content": f"turn {n} " + "words " * 500} for n in range(20)]
    for turns in (5, 12, 20):
        options = {"stream": True, "stream_options": {"include_usage": True}} if turns != 12 else {}  # else the proxy asks for it
        sent = json.dumps({"model": MODEL, "messages": history[:turns], **options}, indent=turns % 3).encode()
        answer = httpx.post(f"{turnpike.base_url}/v1/chat/completions", content=sent, headers={"Content-Type": "application/json"})
        call_id = answer.headers["x-turnpike-call"]
        turnpike.wait_row(call_id)
        request, response = (turnpike.body(call_id, kind) for kind in ("request", "response"))
        assert (request.content, request.redacted, request.truncated) == (sent, False, False)
        assert (response.content, response.redacted, response.truncated) == (answer.content, False, False)


def test_a_flow_file_beside_us(fake: FakeProvider, tmp_path: Path) -> None:
    """`-w` beside the add-ons gives a file that mitmproxy reads back: streamed answers whole, and no key, also of a call cut short."""
    file, key = tmp_path / "flows.mitm", new_key()
    config = config_with(fake, [{"env": KEYS}])
    url = f"{OPENAI}/chat/completions"
    proxy = Turnpike(tmp_path, config, trusted_ca=fake.ca_file, env={KEYS: key}, arguments=("-w", str(file)))
    with proxy as turnpike, turnpike.client() as client:
        answer = client.post(url, json=chat(stream=True))
        with client.stream("POST", url, json=chat(model="fake:chunks=1000,delay=0.05", stream=True)) as unfinished:
            next(unfinished.iter_raw())
            turnpike.stop()
    assert [request.key for request in fake.requests[-2:]] == [key, key]
    assert key.encode() not in file.read_bytes()
    assert len(turnpike.rows()) == 2
    with file.open("rb") as opened:
        flows = [flow for flow in FlowReader(opened).stream() if isinstance(flow, http.HTTPFlow) and flow.request.method == "POST"]
    flow = next(flow for flow in flows if flow.request.json()["messages"] == chat()["messages"])
    assert flow.response is not None
    assert flow.response.content == answer.content
    assert b'"usage":{' not in answer.content
    assert answer.content.endswith(b"data: [DONE]\n\n")
    assert flow.request.headers["Authorization"] == f"Bearer ...{key[-4:]}"


def used_keys(turnpike: Turnpike, fake: FakeProvider, calls: int) -> list[str]:
    """The keys that arrive with so many calls."""
    before = len(fake.requests)
    for _ in range(calls):
        post(turnpike).raise_for_status()
    return [request.key for request in fake.requests[before:]]


def config_with(fake: FakeProvider, keys: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    openai_upstream = fake_upstreams(fake)["openai"] | {"keys": keys, "rotation": "round_robin"}
    return {"version": 1, "upstreams": {"openai": openai_upstream}, **more}


@pytest.mark.slow
def test_keys_come_from_variables_and_files_and_change(fake: FakeProvider, tmp_path: Path) -> None:
    """Numbered variables and files are rotated; a changed file or configuration holds at once; a broken one leaves the old."""
    numbered, in_file, newer = [new_key() for _ in range(3)], new_key(), new_key()
    env = {f"{KEYS}{suffix}": key for suffix, key in zip(("", "_1", "_2"), numbered, strict=True)}
    key_file = tmp_path / "key"
    key_file.write_text(f"{in_file}\n")
    both = [{"env": f"{KEYS}*"}, {"file": str(key_file)}]
    with Turnpike(tmp_path, config_with(fake, both), trusted_ca=fake.ca_file, env=env) as turnpike:
        assert used_keys(turnpike, fake, 8) == [*numbered, in_file] * 2

        key_file.write_text(f"{newer}\n")
        wait_for(lambda: newer in used_keys(turnpike, fake, 4), "the key file's new key is used")

        turnpike.write_config(config_with(fake, both[:1]))
        wait_for(lambda: newer not in used_keys(turnpike, fake, 4), "the changed configuration is used")

        turnpike.write_config({"version": 1, "upstreams": {"openai": {"keyz": []}}})
        broken = wait_for(lambda: not_ready(turnpike), "/ready says that the configuration is broken")
        assert "upstreams.openai.keyz" in broken["config"]
        assert sorted(used_keys(turnpike, fake, 3)) == sorted(numbered)
        assert "upstreams.openai.keyz" in turnpike.output()

        turnpike.write_config(config_with(fake, both[1:]))
        wait_for(lambda: not_ready(turnpike) is None, "/ready is well again")
        assert used_keys(turnpike, fake, 2) == [newer] * 2
        kept = turnpike.everything()
    assert not [key for key in (*numbered, in_file, newer) if key.encode() in kept]


def not_ready(turnpike: Turnpike) -> dict[str, Any] | None:
    answer = httpx.get(f"{turnpike.proxy_url}/ready")
    return answer.json() if answer.status_code == 503 else None


def test_no_secret_is_kept_wherever_it_stands(fake: FakeProvider, tmp_path: Path) -> None:
    """Keys planted in prompts, names, queries, headers, errors and answers, cut by a stream or compressed, are in nothing that is kept."""
    known, odd = new_key(), new_key("zz.+/")  # the second has no shape that a rule knows
    env = {f"{KEYS}_1": known, f"{KEYS}_2": odd}
    config = config_with(fake, [{"env": f"{KEYS}*"}], redaction={"strings": [{"env": KEY_VARIABLES["gemini"]}]})
    config["upstreams"]["gemini"] = fake_upstreams(fake)["gemini"] | {"keys": []}
    own, cookie, string, shaped = new_key("own-"), new_key("c00kie"), new_key("my string-"), new_key("sk-proj-")
    with Turnpike(tmp_path, config, trusted_ca=fake.ca_file, env=env | {KEY_VARIABLES["gemini"]: string}) as turnpike:
        everywhere = f"{known} {odd} {string} {shaped}"
        fake.knobs.set("*", {"headers": {"Set-Cookie": f"session={cookie}; Path=/"}})
        ids = [answer.headers["x-turnpike-call"] for answer in planted_calls(turnpike, everywhere, known, own, cookie)]
        rows = [turnpike.wait_row(call_id) for call_id in ids]
        streamed = [said_in(turnpike.body(row["id"], "response").content) for row in rows if row["stream"]]
        fake.clear()
        turnpike.stop()
        kept = turnpike.everything()
    secrets = {"known": known, "odd": odd, "own": own, "cookie": cookie, "string": string, "shaped": shaped}
    assert [name for name, secret in secrets.items() if secret.encode() in kept] == []
    assert [name for name, secret in secrets.items() if any(secret in said for said in streamed)] == []
    assert len(streamed) == 2 and all("plain words" in said for said in streamed)
    assert sum(row["redactions"] for row in rows) >= len(rows)


def planted_calls(turnpike: Turnpike, everywhere: str, key: str, own: str, cookie: str) -> list[httpx.Response]:
    """Calls that have secrets in every place that a client or an upstream can put them."""
    prompt = f"plain words {everywhere} more plain words"
    base, echo = turnpike.base_url, f"{MODEL}@fake:echo"
    gemini = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    packed = zstandard.compress(json.dumps(chat(prompt)).encode())
    return [
        post(turnpike, chat(prompt)),
        post(turnpike, chat(prompt, model=echo)),
        post(turnpike, chat(prompt, model=echo, stream=True)),
        post(turnpike, chat(prompt, model=f"{MODEL}@fake:echo,chunks=40", stream=True)),
        post(turnpike, chat(model=f"model-{key}")),
        post(turnpike, headers={"Authorization": f"Bearer {own}", "Cookie": f"session={cookie}"}),
        post(turnpike, headers={"X-Fake-Status": "401", "X-Fake-Message": f"Incorrect API key provided: {everywhere}"}),
        post(turnpike, headers={"X-Turnpike-Tag": key, "X-Turnpike-Session": key, "User-Agent": f"{key}/1.0", "X-Any": everywhere}),
        post(turnpike, headers={"X-Upstream-Name": key}),
        httpx.post(f"{base}/v1/chat/completions", content=packed, headers={"Content-Encoding": "zstd"}),
        httpx.post(f"{base}/v1/chat/completions?key={own}&x={key}", json=chat()),
        httpx.post(f"{base}/v1/files/{key}", json=chat()),
        httpx.post(f"{base}/gemini/v1beta/models/gemini-2.5-flash:generateContent?key={own}", json=gemini),
    ]


def said_in(events: bytes) -> str:
    """The text that a stream's deltas say together."""
    lines = [line.removeprefix(b"data: ") for line in events.splitlines() if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content") or "" for line in lines for choice in json.loads(line)["choices"])


@pytest.mark.parametrize("client", ["openai", "curl"])
def test_an_answer_is_found_by_its_words(client: str, turnpike: Turnpike) -> None:
    """Prompt and answer are searchable as text; the row names the client by its User-Agent."""
    answer = post(turnpike, chat(f"word-of-{client}"), {"User-Agent": f"{client}/1.0 (test)"})
    row = turnpike.wait_row(answer.headers["x-turnpike-call"])
    assert (row["client"], row["response"]) == (client, DEFAULT_TEXT)
    sql = "select text from parts where id in (select rowid from parts_fts where parts_fts match ?)"
    assert [found["text"] for found in turnpike.query(sql, f'"word-of-{client}"')] == [f"word-of-{client}"]
