"""Who may speak to the proxy, under which name, and with whose credential."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test.tflow import tclient_conn, tserver_conn

from addons.gate import Gate
from tests.conftest import MakeJourney
from tests.rooms import (
    CHAT,
    LOCAL_PEER,
    OWN_HOST,
    OWN_PORT,
    REMOTE_PEER,
    REMOTE_SOCKET,
    UPSTREAMS,
    Journey,
    base_url_call,
    call,
    code,
    exchange,
)

REMOTE = f"{UPSTREAMS}proxy: {{allow_remote: true, names: [llm.internal]}}\n"


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.3.2.1"])
def test_loopback_peers_may_connect(peer: str, journey: Journey) -> None:
    """All of this machine's own addresses of that kind."""
    client = tclient_conn()
    client.peername = (peer, 1)
    journey.gate.client_connected(client)
    assert client.error is None


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "10.0.0.1"])
def test_other_peers_are_refused_and_counted(peer: str, journey: Journey, make_journey: MakeJourney) -> None:
    """Unless `allow_remote` says otherwise."""
    client = tclient_conn()
    client.peername = (peer, 1)
    journey.gate.client_connected(client)
    assert client.error
    assert journey.state.counts["refused_peers"] == 1
    client.error = None
    make_journey(REMOTE).gate.client_connected(client)
    assert client.error is None


@pytest.mark.parametrize("host", [OWN_HOST, "localhost:8080", "[::1]:8080", "127.0.0.1"])
def test_loopback_names_are_ours(host: str, journey: Journey) -> None:
    """Base-URL calls under them pass, and may be given a key."""
    flow = base_url_call(f"/proxy{CHAT}", host=host)
    journey.hook("requestheaders", flow)
    assert flow.response is None
    assert exchange(flow).may_use_keys


@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1.evil.example", "llm.internal", "0.0.0.0:8080", "localhost.evil.example"])
@pytest.mark.parametrize("path", [f"/proxy{CHAT}", "/proxy/v1/upstreams", "/metrics", "/proxy/openai/anything"])
def test_dns_rebinding_is_refused(host: str, path: str, journey: Journey) -> None:
    """A name that somebody else made resolve to us is refused, for calls, side calls and local endpoints."""
    flow = journey.send(base_url_call(path, host=host))
    assert code(flow) == (403, "not_allowed")
    assert exchange(flow).attempt is None


def test_configured_names_and_the_sockets_own_address_are_ours(make_journey: MakeJourney) -> None:
    """`proxy.names`, and the address that the connection came in on."""
    journey = make_journey(REMOTE)
    for host in ("llm.internal:8080", "LLM.internal", "192.0.2.1:8080"):
        flow = base_url_call(f"/proxy{CHAT}", host=host, peer=REMOTE_PEER, socket=REMOTE_SOCKET)
        journey.hook("requestheaders", flow)
        assert flow.response is None


def test_healthz_answers_under_any_name(journey: Journey) -> None:
    """Health checks of containers name hosts as they like."""
    flow = journey.send(base_url_call("/healthz", method="GET", host="10.1.2.3:8080"))
    assert flow.response
    assert flow.response.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": f"http://{OWN_HOST}", "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", [f"/proxy{CHAT}", "/proxy/v1/upstreams"])
def test_pages_of_other_origins_are_refused(headers: dict[str, str], path: str, journey: Journey) -> None:
    """A web page in the user's browser can't spend the keys."""
    assert code(journey.send(base_url_call(path, headers))) == (403, "not_allowed")


@pytest.mark.parametrize("headers", [{"Origin": f"http://{OWN_HOST}", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}])
def test_our_own_pages_and_programs_pass(headers: dict[str, str], journey: Journey) -> None:
    """The same origin, an address typed in, and what is no browser."""
    flow = base_url_call(f"/proxy{CHAT}", headers)
    journey.hook("requestheaders", flow)
    assert flow.response is None
    assert exchange(flow).may_use_keys


def test_a_page_in_a_browser_behind_us_is_forwarded_without_our_keys(journey: Journey) -> None:
    """A browser that uses us as its proxy: its pages' calls pass on their own credential."""
    flow = call(headers={"Origin": "https://chat.example"})
    journey.hook("requestheaders", flow)
    assert flow.response is None
    assert not exchange(flow).may_use_keys


def test_remote_peers_never_use_our_keys(make_journey: MakeJourney) -> None:
    """Also with `allow_remote`; nor may they say that a call is a replay."""
    journey = make_journey(REMOTE)
    for peer, may in ((REMOTE_PEER, False), (LOCAL_PEER, True)):
        flow = call(headers={"X-Turnpike-Replay": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, peer=peer)
        journey.hook("requestheaders", flow)
        assert exchange(flow).may_use_keys is may
        assert (exchange(flow).record.replay_of is not None) is may


def test_no_key_before_the_gate_has_spoken(journey: Journey) -> None:
    """A hook that raises is only logged by mitmproxy: what the Gate did not see must not be given a key."""
    flow = call()
    journey.scope.requestheaders(flow)
    assert not exchange(flow).may_use_keys


@pytest.mark.parametrize("make", [call, lambda peer: base_url_call(f"/proxy{CHAT}", peer=peer)], ids=["forwarded", "base URL"])
def test_a_call_that_comes_back_to_us_is_refused(make: type, journey: Journey) -> None:
    """Our own connection is no new caller, as long as it is open; another one from the same port is."""
    ours, server = ("127.0.0.1", 43_210), tserver_conn()
    server.sockname, server.peername = ours, ("127.0.0.1", OWN_PORT)
    data = ServerConnectionHookData(server=server, client=tclient_conn())
    journey.gate.server_connected(data)
    assert code(journey.send(make(peer=ours))) == (403, "not_allowed")
    journey.gate.server_disconnected(data)
    server.peername = ("192.0.2.99", 443)
    journey.gate.server_connected(data)
    flow = make(peer=ours)
    journey.hook("requestheaders", flow)
    assert flow.response is None


def test_a_foreign_page_is_not_told_which_upstreams_there_are(journey: Journey) -> None:
    """The Gate's refusal goes before the Scope's, which lists them."""
    flow = journey.send(base_url_call(f"/proxy{CHAT}", {"X-Upstream-Name": "nobody", "Origin": "https://evil.example"}))
    assert code(flow) == (403, "not_allowed")
    assert b"openrouter" not in ((flow.response and flow.response.content) or b"")


class _Server:
    """As much of a connection as the hook looks at."""

    def __init__(self, host: str) -> None:
        self.client = SimpleNamespace(peername=("10.0.0.9", 5))
        self.server = SimpleNamespace(address=(host, 443), error=None)


@pytest.mark.parametrize(("resolved", "refused"), [("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("93.184.216.34", False)])
async def test_a_name_that_resolves_to_this_machine(
    journey: Journey, monkeypatch: pytest.MonkeyPatch, resolved: str, refused: bool
) -> None:
    """A peer from elsewhere is not passed on to it; else what was resolved is what is connected to."""

    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        return [(0, 0, 0, "", (resolved, 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    data = _Server("inside.test")
    await Gate(journey.state).server_connect(data)  # type: ignore[arg-type]
    assert bool(data.server.error) is refused
    assert refused or data.server.address == (resolved, 443)
    ours = _Server("api.openai.com")
    await Gate(journey.state).server_connect(ours)  # type: ignore[arg-type]
    assert (ours.server.error, ours.server.address) == (None, ("api.openai.com", 443))
