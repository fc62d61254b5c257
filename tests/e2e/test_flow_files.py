"""What `mitmdump -w` saves beside us holds no secret: prompts, headers, queries, answers, streams, WebSockets, unfinished calls."""

from __future__ import annotations

import gzip
import json
import random
import socket
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from scripts.fake_provider.server import FakeProvider
from tests.e2e.harness import Turnpike, fake_upstreams, new_key, wait_for
from tests.e2e.test_websocket import Peer

URL = "https://api.openai.com/v1/chat/completions"
KEYS = "FLOW_FILE_KEY"
LETTERS = string.ascii_letters + string.digits


def token(prefix: str, count: int) -> str:
    return prefix + "".join(random.SystemRandom().choices(LETTERS, k=count - 2)) + "4b"


def planted() -> dict[str, str]:
    """A secret of each shape, made when the test runs."""
    return {
        "github": token("ghp_", 36),
        "aws": "AKIA" + "".join(random.SystemRandom().choices(string.ascii_uppercase + "234567", k=16)),
        "stripe": token("sk_" + "live_", 24),
        "slack": "xoxb-" + "".join(random.SystemRandom().choices(string.digits, k=12)) + "-" + token("", 24),
        "exact": token("q\"'", 20),  # escaped in JSON
        "password": token("", 18),
    }


def prompt_of(secrets: dict[str, str]) -> str:
    tool_arguments = json.dumps({"password": secrets["password"], "note": f"line\n{secrets['exact']}"})
    return f"keys: {secrets['github']} {secrets['aws']}\n{secrets['stripe']} {secrets['slack']} {secrets['exact']}\n{tool_arguments}"


def chat(secrets: dict[str, str], model: str, **more: Any) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"password": secrets["password"]})}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": prompt_of(secrets)},
    ]
    return {"model": model, "messages": messages, **more}


def flows_in(file: Path) -> list[http.HTTPFlow]:
    with file.open("rb") as opened:
        return [flow for flow in FlowReader(opened).stream() if isinstance(flow, http.HTTPFlow)]


def everything(file: Path) -> bytes:
    """The file's bytes, and whatever its flows hold that is compressed there."""
    contents = [message.content or b"" for flow in flows_in(file) for message in (flow.request, flow.response) if message]
    return b"\n".join([file.read_bytes(), *contents])


def pieces_of(secrets: dict[str, str]) -> list[bytes]:
    """The secrets, and how JSON writes them."""
    return [
        text.encode()
        for secret in secrets.values()
        for text in {secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1]}
    ]


def config(fake: FakeProvider) -> dict[str, Any]:
    openai = fake_upstreams(fake)["openai"] | {"keys": [{"env": KEYS}]}
    return {"version": 1, "upstreams": {"openai": openai}, "redaction": {"strings": [{"env": "EXACT_STRING"}]}}


@contextmanager
def started(fake: FakeProvider, folder: Path, secrets: dict[str, str]) -> Iterator[tuple[Turnpike, Path]]:
    file = folder / "flows.mitm"
    env = {KEYS: new_key(), "EXACT_STRING": secrets["exact"]}
    with Turnpike(folder, config(fake), trusted_ca=fake.ca_file, env=env, arguments=("-w", str(file))) as turnpike:
        yield turnpike, file


@pytest.mark.parametrize("answer", ["whole", "stream", "gzip"])
def test_no_secret_is_in_a_flow_file(answer: str, fake: FakeProvider, tmp_path: Path) -> None:
    """In prompt, tool arguments, headers, query and the echoed answer, which the client still gets as it was."""
    secrets = planted()
    body = chat(secrets, "gpt-4o-mini@fake:echo" + (",chunks=40" if answer == "stream" else ""), stream=answer == "stream")
    headers = {"X-Note": secrets["github"], "Cookie": f"session={secrets['slack']}", "X-Api-Key": secrets["stripe"]}
    headers |= {"X-Fake-Gzip": "true"} if answer == "gzip" else {}
    with started(fake, tmp_path, secrets) as (turnpike, file), turnpike.client() as client:
        got = client.post(URL, params={"key": secrets["password"], "q": secrets["aws"]}, json=body, headers=headers)
        assert got.status_code == 200
        if answer != "stream":
            assert got.json()["choices"][0]["message"]["content"] == prompt_of(secrets)
        turnpike.wait_rows(1)
        printed = turnpike.everything()
    assert secrets["github"].encode() in fake.requests[-1].body
    kept = everything(file)
    for piece in pieces_of(secrets):
        assert piece not in kept
        assert piece not in printed
    [flow] = [flow for flow in flows_in(file) if flow.request.method == "POST"]
    assert flow.request.json()["messages"][0]["tool_calls"][0]["id"] == "call_1"
    assert json.loads(flow.request.json()["messages"][0]["tool_calls"][0]["function"]["arguments"])["password"].startswith("***")
    assert flow.response and flow.response.content
    if answer == "stream":
        said = "".join(
            choice["delta"].get("content") or ""
            for line in flow.response.content.split(b"\n")
            if line.startswith(b"data: {")
            for choice in json.loads(line[6:])["choices"]
        )
        assert said.startswith("keys: ***") and not any(secret[4:14] in said for secret in secrets.values())
    else:
        assert flow.response.json()["choices"][0]["message"]["content"].startswith("keys: ***")


def test_a_compressed_prompt_is_written_plain(fake: FakeProvider, tmp_path: Path) -> None:
    """What the file holds has been looked at: gzip is taken off, and the lengths are right."""
    secrets = planted()
    sent = gzip.compress(json.dumps(chat(secrets, "gpt-4o-mini")).encode())
    with started(fake, tmp_path, secrets) as (turnpike, file), turnpike.client() as client:
        client.post(URL, content=sent, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
        turnpike.wait_rows(1)
    assert not any(piece in everything(file) for piece in pieces_of(secrets))
    [request] = [flow.request for flow in flows_in(file) if flow.request.method == "POST"]
    assert request.raw_content and request.json()["model"] == "gpt-4o-mini"
    assert request.headers["content-length"] == str(len(request.raw_content)) and "content-encoding" not in request.headers


def test_no_secret_is_in_a_flow_that_is_cut_short(fake: FakeProvider, tmp_path: Path) -> None:
    """Stopped in the middle of a stream: the unfinished flow is written, masked."""
    secrets = planted()
    body = chat(secrets, "gpt-4o-mini@fake:echo,chunks=60,delay=0.05", stream=True)
    with started(fake, tmp_path, secrets) as (turnpike, file), turnpike.client() as client:
        with client.stream("POST", URL, json=body, headers={"X-Note": secrets["github"]}) as answer:
            seen, chunks = b"", answer.iter_raw()
            while seen.count(b"data:") < 15:
                seen += next(chunks)
            turnpike.stop()
        printed = turnpike.everything()
    flows = [flow for flow in flows_in(file) if flow.request.method == "POST"]
    assert len(flows) == 1 and flows[0].request.json()["messages"][1]["content"].startswith("keys: ***")
    for piece in pieces_of(secrets):
        assert piece not in everything(file)
        assert piece not in printed


@contextmanager
def websocket_server(text: str) -> Iterator[int]:
    """Says `text` once, cut in two messages, and closes when the client does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            peer = Peer(connection, ConnectionType.SERVER)
            assert isinstance(peer.receive(), Request)
            peer.send(AcceptConnection())
            assert isinstance(peer.receive(), TextMessage)
            for part in (text[:20], text[20:]):
                peer.send(TextMessage(json.dumps({"type": "response.text.delta", "item_id": "i", "delta": part})))
            if isinstance(event := peer.receive(), CloseConnection):
                peer.send(event.response())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()
        thread.join(20)


def test_no_secret_is_in_websocket_messages(tmp_path: Path) -> None:
    """Neither in what the client said nor in an answer that came in pieces."""
    secrets, file = planted(), tmp_path / "flows.mitm"
    with websocket_server(f"your key: {secrets['github']}") as port:
        upstream = {"base_url": f"http://127.0.0.1:{port}/v1", "default": True, "keys": [{"env": KEYS}]}
        turnpike = Turnpike(tmp_path, {"version": 1, "upstreams": {"openai": upstream}}, env={KEYS: new_key()}, arguments=("-w", str(file)))
        with turnpike:
            client = Peer(socket.create_connection(("127.0.0.1", turnpike.port)), ConnectionType.CLIENT)
            client.send(Request(host=f"127.0.0.1:{turnpike.port}", target="/proxy/v1/realtime?model=gpt-realtime"))
            assert isinstance(client.receive(), AcceptConnection)
            client.send(TextMessage(json.dumps({"type": "x", "text": f"is it {secrets['stripe']}?"})))
            answers = [client.receive(), client.receive()]
            assert "".join(json.loads(answer.data)["delta"] for answer in answers if isinstance(answer, TextMessage)).endswith("4b")
            client.send(CloseConnection(1000))
            assert isinstance(client.receive(), CloseConnection)
            client.socket.close()
            wait_for(turnpike.rows, "the row")
    [flow] = [flow for flow in flows_in(file) if flow.websocket]
    assert flow.websocket
    said = b"".join(message.content for message in flow.websocket.messages)
    assert len(flow.websocket.messages) == 3 and said.count(b"***") == 2
    assert secrets["github"][6:20].encode() not in said and secrets["stripe"].encode() not in said
