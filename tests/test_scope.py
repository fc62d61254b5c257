"""What is ours and what is not, and what later add-ons are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import exceptions, http
from mitmproxy.proxy import context, layer, layers
from mitmproxy.proxy.layers.http import HTTPMode, HttpStream
from mitmproxy.test.taddons import context as options

from addons.config import Config, load
from addons.core.addressing import BaseUrlCall, UnknownUpstream, resolve_base_url
from addons.exchange import Kind, exchange_of
from addons.scope import Addresses, Meant, is_local
from tests.conftest import MakeJourney
from tests.rooms import (
    CHAT,
    OWN_PORT,
    REMOTE_PEER,
    REMOTE_SOCKET,
    UPSTREAMS,
    Journey,
    answered,
    base_url_call,
    call,
    code,
    exchange,
    make_flow,
)

BLOCKING = f"{UPSTREAMS}proxy: {{other_hosts: block}}\n"


@pytest.mark.parametrize(
    ("method", "url", "kind"),
    [
        ("POST", f"https://api.openai.com{CHAT}", "call"),
        ("POST", "https://api.anthropic.com/v1/messages?beta=true", "call"),
        ("GET", "https://api.openai.com/v1/models", "call"),
        ("POST", "https://api.openai.com/v1/traces/ingest", "side"),
        ("POST", "https://api.anthropic.com/api/event_logging/v2/batch", "side"),
        ("POST", f"http://example.com{CHAT}", "other"),
    ],
)
def test_method_host_and_path_decide(method: str, url: str, kind: Kind, journey: Journey) -> None:
    """An upstream's host with an API path is a call, with another path a side call; another host is none of ours, whatever the path."""
    flow = make_flow(method, url)
    journey.hook("requestheaders", flow)
    assert exchange(flow).kind == kind
    assert journey.state.counts["side_calls"] == (kind == "side")


@pytest.mark.parametrize(
    ("path", "headers", "upstream", "rest"),
    [
        (f"/proxy{CHAT}", {}, "openai", CHAT),
        ("/proxy/v1/messages", {}, "anthropic", "/v1/messages"),  # the default does not speak it: the first that does
        (f"/proxy/openrouter{CHAT}", {}, "openrouter", CHAT),
        (f"/proxy{CHAT}?a=1", {"X-Upstream-Name": "openrouter"}, "openrouter", f"{CHAT}?a=1"),
        (f"/proxy/openrouter{CHAT}", {"X-Upstream-Name": "openai"}, "openrouter", CHAT),
    ],
)
def test_base_url_calls_name_an_upstream(path: str, headers: dict[str, str], upstream: str, rest: str, journey: Journey) -> None:
    """By path segment, by header, by default, or by the dialect of the path; prefix and segment are taken off."""
    flow = base_url_call(path, headers)
    journey.hook("requestheaders", flow)
    found = exchange(flow)
    assert (found.kind, found.upstream, found.path, found.base_url_call) == ("call", upstream, rest, True)
    assert (found.record.upstream, found.record.path) == (upstream, path)


def test_a_forwarded_call_may_name_an_upstream(journey: Journey) -> None:
    """X-Upstream-Name holds for calls to a provider's own host too."""
    flow = call(headers={"X-Upstream-Name": "openrouter"})
    journey.hook("requestheaders", flow)
    assert exchange(flow).upstream == "openrouter"


@pytest.mark.parametrize(
    "flow",
    [base_url_call(f"/proxy{CHAT}", {"X-Upstream-Name": "nobody"}), call(headers={"X-Upstream-Name": "nobody"})],
    ids=["base URL", "forwarded"],
)
def test_an_unknown_upstream_is_refused(flow: http.HTTPFlow, journey: Journey) -> None:
    """400 that lists the known ones; nothing is sent, and the call has a row."""
    journey.send(flow)
    status, body = answered(flow)
    assert (status, body["error"]["code"]) == (400, "upstream_not_found")
    assert all(name in body["error"]["message"] for name in ("openai", "anthropic", "openrouter"))
    assert exchange(flow).record.outcome == "blocked"


def test_an_unknown_upstream_is_refused_in_the_clients_dialect(journey: Journey) -> None:
    """An Anthropic client gets Anthropic's shape of an error."""
    flow = journey.send(base_url_call("/proxy/v1/messages", {"X-Upstream-Name": "nobody"}))
    assert answered(flow)[1]["type"] == "error"


@pytest.mark.parametrize("path", ["/healthz", "/ready", "/metrics", "/proxy/v1/upstreams", "/nothing", "/proxy", "/proxyv1/models"])
def test_what_is_spoken_to_us_and_no_call_is_local(path: str, journey: Journey) -> None:
    """Local endpoints win over upstreams, and what is outside the prefix goes nowhere."""
    flow = base_url_call(path, method="GET")
    journey.hook("requestheaders", flow)
    assert exchange(flow).kind == "local"


def test_an_upstream_named_with_a_local_path_is_meant() -> None:
    """With X-Upstream-Name, {prefix}/v1/upstreams is the upstream's; /healthz never is."""
    assert is_local("GET", "/proxy/v1/upstreams", "/proxy", names_upstream=False)
    assert not is_local("GET", "/proxy/v1/upstreams", "/proxy", names_upstream=True)
    assert not is_local("POST", "/proxy/v1/upstreams", "/proxy", names_upstream=False)
    assert is_local("GET", "/healthz?verbose", "/proxy", names_upstream=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_our_own_address_in_absolute_form_is_us(host: str, journey: Journey) -> None:
    """A client with HTTP_PROXY set asks for `http://localhost:8080/healthz`: that is spoken to us."""
    flow = make_flow("GET", f"http://{host}:{OWN_PORT}/healthz")
    journey.hook("requestheaders", flow)
    assert exchange(flow).kind == "local"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9999/healthz", f"http://example.com:{OWN_PORT}/healthz"])
def test_another_port_or_name_in_absolute_form_is_not_us(url: str, journey: Journey) -> None:
    """Only this very socket is."""
    flow = make_flow("GET", url)
    journey.hook("requestheaders", flow)
    assert exchange(flow).kind == "other"


def test_a_client_inside_tls_is_never_at_our_own_address(journey: Journey) -> None:
    """Inside a CONNECT to one of our hosts the path goes to that host, though its port be ours."""
    flow = make_flow("GET", f"http://localhost:{OWN_PORT}/healthz")
    flow.client_conn.sni = "localhost"
    journey.hook("requestheaders", flow)
    assert exchange(flow).kind == "other"


def connect(host: str, peer: tuple[str, int] = ("127.0.0.1", 50_000)) -> http.HTTPFlow:
    return make_flow("CONNECT", f"https://{host}:443/", peer=peer)


def test_connect_to_ours_is_opened(journey: Journey) -> None:
    """Later add-ons see it, and no tunnel is counted."""
    journey.scope.http_connect(connect("api.openai.com"))
    assert journey.state.counts["tunnels"] == 0


def test_connect_to_another_host_is_counted_and_hidden(journey: Journey) -> None:
    """A tunnel: no later add-on is told of it, no answer is put in its way."""
    flow = connect("example.com")
    with pytest.raises(exceptions.AddonHalt):
        journey.scope.http_connect(flow)
    assert (flow.response, exchange_of(flow), journey.state.counts["tunnels"]) == (None, None, 1)


@pytest.mark.parametrize("flow", [connect("example.com"), make_flow("GET", "http://example.com/")], ids=["CONNECT", "plain"])
def test_other_hosts_may_be_blocked(flow: http.HTTPFlow, make_journey: MakeJourney) -> None:
    """`other_hosts: block`: 403 that names the setting, counted as blocked, not as a tunnel."""
    journey = make_journey(BLOCKING)
    with pytest.raises(exceptions.AddonHalt):
        (journey.scope.http_connect if flow.request.method == "CONNECT" else journey.scope.requestheaders)(flow)
    assert code(flow) == (403, "not_allowed")
    assert "other_hosts" in answered(flow)[1]["error"]["message"]
    assert (journey.state.counts["blocked_hosts"], journey.state.counts["tunnels"]) == (1, 0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1"]
)
def test_a_remote_peer_reaches_none_of_this_machines_own_services(host: str, journey: Journey) -> None:
    """Neither by CONNECT nor in absolute form; a local peer may."""
    for flow in (connect(host, REMOTE_PEER), make_flow("GET", f"http://{host}:11434/", peer=REMOTE_PEER, socket=REMOTE_SOCKET)):
        with pytest.raises(exceptions.AddonHalt):
            (journey.scope.http_connect if flow.request.method == "CONNECT" else journey.scope.requestheaders)(flow)
        assert code(flow) == (403, "not_allowed")
    local = connect(host)
    with pytest.raises(exceptions.AddonHalt):
        journey.scope.http_connect(local)
    assert local.response is None


def test_plain_http_to_another_host_is_shown_to_nobody(journey: Journey) -> None:
    """Streamed both ways, and each hook ends at the Scope."""
    flow = make_flow("POST", "http://example.com/")
    assert journey.hook("requestheaders", flow) == ["Scope"]
    assert flow.request.stream is True
    assert journey.hook("request", flow) == ["Scope"]
    flow.response = http.Response.make(200)
    flow.response.raw_content = None
    assert journey.hook("responseheaders", flow) == ["Scope"]
    assert flow.response.stream is True
    assert [journey.hook(name, flow) for name in ("response", "error", "request_stream")] == [["Scope"]] * 3


def test_mitm_it_stays_mitmproxys(journey: Journey) -> None:
    """The page that hands out the CA is left to mitmproxy's own add-on."""
    flow = make_flow("GET", "http://mitm.it/")
    assert len(journey.hook("requestheaders", flow)) > 1
    assert exchange_of(flow) is None


def test_side_calls_are_counted_and_have_no_row(journey: Journey) -> None:
    """They pass untouched: no tap on the answer, no record."""
    flow = make_flow("POST", "https://api.anthropic.com/api/event_logging/v2/batch", {"x-api-key": "own"})
    before = flow.request.headers.copy()
    journey.send(flow)
    journey.begin_answer(flow)
    journey.hook("response", flow)
    assert (flow.request.headers, flow.response and flow.response.stream) == (before, True)
    assert journey.state.counts["side_calls"] == 1
    assert not journey.recorder.live


@pytest.mark.parametrize(("host", "opened"), [("api.openai.com", True), ("example.com", False)])
def test_what_follows_a_connect_is_opened_for_our_hosts_only(host: str, opened: bool, journey: Journey) -> None:
    """For others the next layer passes bytes on, and makes no flow of them."""
    with options() as mitmproxy:
        within = context.Context(make_flow("GET", "http://x/").client_conn, mitmproxy.options)
        within.server.address = (host, 443)
        outer = layers.HttpLayer(within, HTTPMode.regular)
        HttpStream(within, 1)
        following = layer.NextLayer(within)
        journey.scope.next_layer(following)
    assert outer in within.layers
    assert (following.layer is None) is opened
    assert opened or (isinstance(following.layer, layers.TCPLayer) and following.layer.flow is None)


def test_a_connection_that_is_no_tunnel_is_left_to_mitmproxy(journey: Journey) -> None:
    """Without a CONNECT there is no host yet to decide by."""
    with options() as mitmproxy:
        following = layer.NextLayer(context.Context(make_flow("GET", "http://x/").client_conn, mitmproxy.options))
        journey.scope.next_layer(following)
    assert following.layer is None


def test_what_the_client_says_of_itself_is_kept(journey: Journey) -> None:
    """User-Agent and its product, session, tag, and the model that the path names."""
    replayed = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    headers = {
        "User-Agent": "claude-cli/2.1 (external)",
        "X-Turnpike-Session": "s1",
        "X-Turnpike-Tag": "nightly",
        "X-Turnpike-Replay": replayed,
    }
    flow = call(headers=headers)
    journey.hook("requestheaders", flow)
    record = exchange(flow).record
    assert (record.client, record.user_agent) == ("claude-cli", "claude-cli/2.1 (external)")
    assert (record.session, record.tag, record.replay_of, record.api) == ("s1", "nightly", replayed, "openai.chat")


def test_a_replay_is_a_conversation_of_its_own(journey: Journey) -> None:
    """Although it has the session headers of the original; one of ours names another."""
    replayed = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for own, session in (({}, None), ({"X-Turnpike-Session": "s1"}, "s1")):
        flow = call(headers={"session-id": "codex", "X-Turnpike-Replay": replayed, **own})
        journey.hook("requestheaders", flow)
        record = exchange(flow).record
        assert record.session == (session or record.id)


def test_only_a_call_id_is_a_replay(journey: Journey) -> None:
    """Anything else in X-Turnpike-Replay is not kept."""
    flow = call(headers={"X-Turnpike-Replay": "not an id"})
    journey.hook("requestheaders", flow)
    assert exchange(flow).record.replay_of is None


def test_an_http2_body_gets_its_length(journey: Journey) -> None:
    """HTTP/2 needs none, but the upstream may speak HTTP/1, and would take a body without one for the next request."""
    for url in (f"https://api.openai.com{CHAT}", "https://api.openai.com/side/call"):
        flow = make_flow("POST", url, {})
        flow.request.http_version, flow.request.raw_content = "HTTP/2.0", b"{}"
        flow.request.headers.pop("content-length", None)
        journey.send(flow)
        assert flow.request.headers["content-length"] == "2"
    long = make_flow("POST", f"https://api.openai.com{CHAT}", {})
    long.request.http_version, long.request.stream = "HTTP/2.0", True
    long.request.headers.pop("content-length", None)
    journey.hook("requestheaders", long)
    journey.hook("request_stream", long)
    assert code(long) == (413, "body_too_large")


PREFIXED = Config.model_validate(
    {
        "upstreams": {
            "openai": {"base_url": "https://api.openai.com/v1", "default": True},
            "claude": {"provider": "anthropic", "base_url": "https://api.anthropic.com"},
            "local": {"provider": "ollama"},
        }
    }
)
PIECES = st.sampled_from(
    [
        "/proxy",
        "/v1",
        "/chat/completions",
        "/messages",
        "/models",
        "/upstreams",
        "/openai",
        "/local",
        "/api/chat",
        "/ready",
        "/",
        "",
        "//",
        "é",
        "x",
    ]
)
PATHS = st.builds(
    lambda prefix, pieces, query: prefix + "".join(pieces) + query,
    st.sampled_from(["/proxy", "/proxy", ""]),
    st.lists(PIECES, max_size=4),
    st.sampled_from(["", "?", "?key=a/b", "?a?b"]),
)


def looked_at(method: str, path: str, named: str | None) -> tuple[Meant, str]:
    """As it is without a memory, of the whole path; with the path that the exchange has."""
    config, prefix = PREFIXED, PREFIXED.proxy.prefix
    below = path.startswith((f"{prefix}/", f"{prefix}?"))
    if not below or is_local(method, path, prefix, named is not None):
        return Meant(), path
    rest = path[len(prefix) :]
    try:
        call = resolve_base_url(method, rest, named, config.providers, "openai")
    except UnknownUpstream as error:
        return Meant(unknown=str(error)), rest
    return Meant(call), call.path


@given(st.sampled_from(["POST", "GET", "HEAD", "PUT"]), PATHS, st.sampled_from([None, None, "claude", "local", "nobody", ""]))
def test_what_is_remembered_is_what_would_be_found(method: str, path: str, named: str | None) -> None:
    """Whatever the path: its query decides nothing, and goes on as it came."""
    expected, rest = looked_at(method, path, named)
    addresses = Addresses(PREFIXED)
    bare, mark, query = path.partition("?")
    for _ in range(2):
        found = addresses[method, bare, bool(mark), named]
        if found.call and expected.call:
            assert (found.call.path + mark + query, expected.call.path) == (rest, rest)
            found = Meant(BaseUrlCall(found.call.upstream, rest, found.call.api))
        assert found == expected


def test_another_configuration_is_looked_at_anew(make_journey: MakeJourney, tmp_path: Path) -> None:
    """From the next call on, and back again."""
    journey = make_journey(UPSTREAMS)
    first, file = journey.state.config, tmp_path / "other.yml"
    file.write_text(UPSTREAMS.replace("default: true, ", "").replace("openrouter: {base_url", "openrouter: {default: true, base_url"))
    for config, upstream in ((first, "openai"), (load(file, {}), "openrouter"), (first, "openai")):
        journey.state.adopt(config)
        flow = base_url_call(f"/proxy{CHAT}")
        journey.hook("requestheaders", flow)
        assert exchange(flow).upstream == upstream
