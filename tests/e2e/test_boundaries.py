"""Who is let in, what is let out: peers, names and pages; other hosts and side calls; headers that are ours alone."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from scripts.fake_provider.server import FakeProvider
from scripts.fake_provider.tls import make_context
from tests.e2e.harness import KEY_VARIABLES, ScriptedServer, Turnpike, fake_upstreams, new_key, scripted_server

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}
OTHER_HOST = "127.0.0.77"
"""An address of this machine that nothing else here uses, so that any trace of it is of these tests."""

SECRET_PATH = "/a-path-that-nobody-is-to-learn"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def own_address() -> str | None:
    """This machine's first address that is not loopback."""
    named = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return next((address for address in named if "." in address and not address.startswith("127.")), None)


@pytest.fixture(scope="module")
def elsewhere() -> str:
    """An address by which this machine is reached, and reaches itself, as if from outside."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    return address


@pytest.fixture
def other() -> Iterator[ScriptedServer]:
    """Plain HTTP at a host that is no upstream's."""
    with scripted_server(HELLO, host=OTHER_HOST) as server:
        yield server


def chat_url(turnpike: Turnpike, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{turnpike.port}/proxy/v1/chat/completions"


def started(fake: FakeProvider, folder: Path, pool_keys: dict[str, str], listen: tuple[str, ...] = (), **proxy: Any) -> Turnpike:
    """A proxy with keys, and with these settings in the section `proxy`."""
    env = {KEY_VARIABLES[name]: key for name, key in pool_keys.items()}
    config = {"version": 1, "proxy": proxy, "upstreams": fake_upstreams(fake)}
    return Turnpike(folder, config, trusted_ca=fake.ca_file, env=env, listen=listen)


def test_a_peer_from_elsewhere_is_refused(elsewhere: str, fake: FakeProvider, tmp_path: Path, pool_keys: dict[str, str]) -> None:
    """With the listener on all addresses but `allow_remote` false a peer from elsewhere gets no byte, and is counted."""
    with started(fake, tmp_path, pool_keys, ("--listen-host", "0.0.0.0")) as turnpike:
        before = len(fake.requests)
        for url in (chat_url(turnpike, elsewhere), f"http://{elsewhere}:{turnpike.port}/healthz"):
            with pytest.raises(httpx.TransportError):
                httpx.post(url, json=CHAT)
        assert turnpike.count("refused_peers") == 2
        assert len(fake.requests) == before
        assert httpx.post(chat_url(turnpike), json=CHAT).status_code == 200


@pytest.fixture(scope="module")
def remote(fake: FakeProvider, pool_keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnpike]:
    """A proxy that lets peers from elsewhere in."""
    folder = tmp_path_factory.mktemp("remote")
    with started(fake, folder, pool_keys, ("--listen-host", "0.0.0.0"), allow_remote=True) as turnpike:
        yield turnpike


@pytest.mark.parametrize("way", ["proxy", "base"])
def test_a_remote_peer_keeps_its_own_credential(way: str, elsewhere: str, remote: Turnpike, fake: FakeProvider) -> None:
    """With `allow_remote` a peer from elsewhere is served, by both ways in, but is never given a pool key."""
    own, before = new_key("client-"), len(fake.requests)
    context = ssl.create_default_context(cafile=remote.ca_file)
    proxy = f"http://{elsewhere}:{remote.port}" if way == "proxy" else None
    url = "https://api.openai.com/v1/chat/completions" if way == "proxy" else chat_url(remote, elsewhere)
    with httpx.Client(proxy=proxy, verify=context) as client:
        answers = [client.post(url, json=CHAT, headers=headers) for headers in ({"Authorization": f"Bearer {own}"}, {})]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [request.key for request in fake.requests[before:]] == [own, ""]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST.", "0.0.0.0", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("tunnel", [True, False])
def test_a_remote_peer_reaches_no_service_of_this_machine(name: str, tunnel: bool, elsewhere: str, remote: Turnpike) -> None:
    """However loopback is written, neither a tunnel nor a plain request of a peer from elsewhere is passed on to it."""
    with scripted_server(HELLO) as local:
        there = f"{name}:{local.port}"
        request = f"CONNECT {there}" if tunnel else f"GET http://{there}/secret"
        answer = raw(elsewhere, remote.port, f"{request} HTTP/1.1\r\nHost: {there}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 "), answer
        assert local.requests == []


def test_a_remote_peer_reaches_no_service_by_the_proxy_itself(elsewhere: str, remote: Turnpike, fake: FakeProvider) -> None:
    """Nor does it become a local peer by asking the proxy for the proxy."""
    before = len(fake.requests)
    body = json.dumps(CHAT)
    for there in (f"127.0.0.1:{remote.port}", f"{elsewhere}:{remote.port}"):
        head = (
            f"POST http://{there}/proxy/v1/chat/completions HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\nContent-Length: {len(body)}"
        )
        raw(elsewhere, remote.port, f"{head}\r\n\r\n{body}".encode())
        raw(elsewhere, remote.port, f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n".encode(), f"{head}\r\n\r\n{body}".encode())
    assert {request.key for request in fake.requests[before:]} <= {""}


def raw(host: str, port: int, *requests: bytes) -> bytes:
    """What is answered to the last of these requests, up to the end of its headers; b"" where the connection is closed."""
    answer = b""
    with socket.create_connection((host, port), timeout=5) as connection:
        for request in requests:
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer and (data := connection.recv(65536)):
                answer += data
    return answer


FOREIGN_REQUESTS = {
    "rebound name": {"Host": "evil.example"},
    "rebound name with the port": {"Host": "evil.example:80"},
    "page of another origin": {"Origin": "https://evil.example"},
    "sandboxed page": {"Origin": "null"},
    "cross-site fetch": {"Sec-Fetch-Site": "cross-site"},
}


@pytest.mark.parametrize("headers", FOREIGN_REQUESTS.values(), ids=FOREIGN_REQUESTS.keys())
def test_web_pages_are_refused(headers: dict[str, str], turnpike: Turnpike, fake: FakeProvider) -> None:
    """A page in the user's browser, by POST or by DNS rebinding, gets 403; nothing goes upstream, no endpoint answers it."""
    before = len(fake.requests)
    answer = httpx.post(chat_url(turnpike), json=CHAT, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    for path in ("/ready", "/metrics", "/proxy/v1/upstreams", "/proxy/v1/unknown"):
        assert httpx.get(f"{turnpike.proxy_url}{path}", headers=headers).status_code == 403
    assert len(fake.requests) == before
    row = turnpike.wait_row(answer.headers["x-turnpike-call"])
    assert (row["outcome"], row["status"], row["attempts"], row["key_hint"]) == ("blocked", 403, 0, None)


def test_a_page_behind_the_proxy_gets_no_key(turnpike: Turnpike, fake: FakeProvider) -> None:
    """A browser that uses us as its proxy may call a provider, but the page's call goes on its own credential."""
    with turnpike.client() as client:
        answer = client.post("https://api.openai.com/v1/chat/completions", json=CHAT, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert fake.requests[-1].key == ""


OWN_HEADERS = {
    "X-Upstream-Name": "openai",
    "X-Turnpike-Session": "a session",
    "X-Turnpike-Tag": "a tag",
    "X-Turnpike-Replay": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "X-Turnpike-Call": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "x-turnpike-anything": "else",
    "Proxy-Authorization": "Basic bm9ib2R5",
    "Proxy-Connection": "keep-alive",
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/dashboard/side"])
@pytest.mark.parametrize("way", ["proxy", "base"])
def test_our_headers_stay_here(way: str, path: str, turnpike: Turnpike, fake: FakeProvider) -> None:
    """What is meant for the proxy never arrives upstream, in calls and in side calls, by both ways in."""
    before = len(fake.requests)
    with turnpike.client() if way == "proxy" else httpx.Client() as client:
        url = "https://api.openai.com" if way == "proxy" else turnpike.base_url
        client.post(url + path, json=CHAT, headers={**OWN_HEADERS, "X-Other": "stays"})
    if way == "proxy" and path == "/v1/dashboard/side":
        assert len(fake.requests) == before  # goes where the client asked, which resolves to nothing here
        return
    [arrived] = fake.requests[before:]
    assert arrived.header("x-other") == "stays"
    assert not [name for name, _ in arrived.headers if name.startswith(("x-turnpike", "x-upstream", "proxy-"))]


def test_a_side_call_passes_with_its_own_credential(turnpike: Turnpike, fake: FakeProvider) -> None:
    """Another path on our host gets no key and no row: it passes with what the client sent, and is counted."""
    own, counted = new_key("client-"), turnpike.count("side_calls")
    answer = httpx.post(f"{turnpike.base_url}/anthropic/api/event_logging/v2/batch", content=b"{ }", headers={"x-api-key": own})
    assert answer.status_code == 404  # the provider's own
    assert (fake.requests[-1].path, fake.requests[-1].key, fake.requests[-1].body) == ("/api/event_logging/v2/batch", own, b"{ }")
    assert "x-turnpike-call" not in answer.headers
    assert turnpike.count("side_calls") == counted + 1
    turnpike.wait_row(httpx.post(chat_url(turnpike), json=CHAT).headers["x-turnpike-call"])  # written after what came before it
    assert not turnpike.query("select * from calls where path like '%event_logging%'")
    assert own not in turnpike.everything().decode(errors="replace")


def test_a_side_call_through_the_proxy(fake: FakeProvider, tmp_path: Path, pool_keys: dict[str, str]) -> None:
    """By HTTPS_PROXY a side call goes to the very host that was asked for, opened but with the client's own credential."""
    config: dict[str, Any] = {"version": 1, "upstreams": fake_upstreams(fake)}
    config["upstreams"]["openai"]["hosts"] = ["127.0.0.1"]
    env = {KEY_VARIABLES[name]: key for name, key in pool_keys.items()}
    with Turnpike(tmp_path, config, trusted_ca=fake.ca_file, env=env) as turnpike, turnpike.client() as client:
        own = new_key("client-")
        client.post(f"{fake.url}/side", json={}, headers={"Authorization": f"Bearer {own}"})
        assert (fake.requests[-1].path, fake.requests[-1].key) == ("/side", own)
        client.post(f"{fake.url}/v1/chat/completions", json=CHAT, headers={"Authorization": f"Bearer {own}"})
        assert fake.requests[-1].key == pool_keys["openai"]
        assert turnpike.count("side_calls") == 1
        assert len(turnpike.wait_rows(1)) == 1


def test_another_host_leaves_no_trace(fake: FakeProvider, other: ScriptedServer, tmp_path: Path) -> None:
    """A host that is not ours: tunnelled under its own certificate or passed plain; neither its name nor its path is anywhere."""
    flows = tmp_path / "flows.mitm"
    context, ca = make_context(tmp_path, [OTHER_HOST])
    turnpike = Turnpike(tmp_path, {"version": 1, "upstreams": fake_upstreams(fake)}, trusted_ca=fake.ca_file, arguments=("-w", str(flows)))
    turnpike.env |= {name: new_key() for name in KEY_VARIABLES.values()}
    with turnpike, scripted_server(HELLO, host=OTHER_HOST, context=context) as tls:
        with httpx.Client(proxy=turnpike.proxy_url, verify=ssl.create_default_context(cafile=ca)) as client:
            assert client.get(f"https://{OTHER_HOST}:{tls.port}{SECRET_PATH}").text == "hello"
            assert client.get(f"http://{OTHER_HOST}:{other.port}{SECRET_PATH}").text == "hello"
            gone = client.get(f"http://{OTHER_HOST}:1{SECRET_PATH}")  # nothing listens there
            with pytest.raises(httpx.TransportError):
                client.get(f"https://{OTHER_HOST}:1{SECRET_PATH}")
        assert gone.status_code == 502
        assert SECRET_PATH.encode() in tls.requests[0] and SECRET_PATH.encode() in other.requests[0]
        assert turnpike.count("tunnels") == 4
        with turnpike.client() as client:
            client.post("https://api.openai.com/v1/chat/completions", json=CHAT).raise_for_status()
        turnpike.wait_rows(1)
    with flows.open("rb") as file:
        kept_flows = [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    assert {flow.request.path for flow in kept_flows} == {"/healthz", "/metrics", "/v1/chat/completions"}
    kept = turnpike.everything() + flows.read_bytes()
    assert OTHER_HOST.encode() not in kept
    assert SECRET_PATH.encode() not in kept
    assert len(turnpike.rows()) == 1


def test_other_hosts_can_be_blocked(fake: FakeProvider, other: ScriptedServer, tmp_path: Path, pool_keys: dict[str, str]) -> None:
    """With `other_hosts: block` both ways to another host are 403, nothing reaches it, and our own hosts work on."""
    with started(fake, tmp_path, pool_keys, other_hosts="block") as turnpike, turnpike.client() as client:
        answer = client.get(f"http://{OTHER_HOST}:{other.port}{SECRET_PATH}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
        with pytest.raises(httpx.ProxyError, match="403"):
            client.get(f"https://{OTHER_HOST}:{other.port}{SECRET_PATH}")
        assert other.requests == []
        assert turnpike.count("blocked_hosts") == 2
        assert client.post("https://api.openai.com/v1/chat/completions", json=CHAT).status_code == 200
