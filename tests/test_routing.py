"""Which upstream a call goes to, as the room decides it (the rules themselves: core/test_routing.py)."""

from __future__ import annotations

import gzip

import orjson
import pytest
from mitmproxy import http

from addons.core.attempt import Request
from addons.routing import model_of
from tests.conftest import MakeJourney
from tests.rooms import CHAT, CHAT_BODY, UPSTREAMS, Journey, base_url_call, call, code, exchange, make_flow, records

ROUTED = f"""{UPSTREAMS}
routes:
  - name: cheap
    match: {{model: "gpt-4o*"}}
    to: [{{upstream: openrouter, model: openai/gpt-4o-mini}}]
  - {{match: {{header: {{X-Team: research}}}}, name: team, to: [{{upstream: openrouter}}]}}
"""


def sent_to(flow: http.HTTPFlow) -> str:
    return f"{flow.request.host}{flow.request.path}"


def test_the_first_matching_route_wins(make_journey: MakeJourney) -> None:
    """Host, path prefix, Host header and model name are rewritten, the rest of the body stays, and the record says why."""
    journey = make_journey(ROUTED)
    flow = journey.send(call(headers={"X-Team": "research"}))
    assert sent_to(flow) == "openrouter.ai/api/v1/chat/completions"
    assert (flow.request.scheme, flow.request.port, flow.request.host_header) == ("https", 443, "openrouter.ai")
    assert flow.request.content == CHAT_BODY.replace(b'"gpt-4o"', b'"openai/gpt-4o-mini"')
    assert flow.request.headers["content-length"] == str(len(flow.request.content))
    record = exchange(flow).record
    assert (record.route, record.upstream, record.served_model, record.host) == (
        "cheap",
        "openrouter",
        "openai/gpt-4o-mini",
        "api.openai.com",
    )
    assert orjson.loads(record.decision or "")[0]["upstream"] == "openrouter"


def test_a_route_may_match_a_header(make_journey: MakeJourney) -> None:
    """Another model, another route."""
    flow = make_journey(ROUTED).send(call(headers={"x-team": "research"}, body=b'{"model": "o3"}'))
    assert (sent_to(flow), exchange(flow).record.route) == ("openrouter.ai/api/v1/chat/completions", "team")
    assert flow.request.content == b'{"model": "o3"}'


def test_without_a_match_a_call_goes_where_it_was_going(make_journey: MakeJourney) -> None:
    """Byte for byte."""
    flow = make_journey(ROUTED).send(call(body=b'{"model":  "o3"}'))
    assert (sent_to(flow), exchange(flow).record.route) == (f"api.openai.com{CHAT}", None)
    assert flow.request.content == b'{"model":  "o3"}'


def test_a_candidate_of_another_dialect_is_passed_over(make_journey: MakeJourney) -> None:
    """An Anthropic call can't go to an upstream that does not speak it; with none left, nothing is sent: 503."""
    text = f"{UPSTREAMS}\nroutes: [{{to: [{{upstream: openai}}]}}]\n"
    flow = make_journey(text).send(call("https://api.anthropic.com/v1/messages"))
    assert code(flow) == (503, "no_upstream_available")
    assert "no anthropic API" in (exchange(flow).record.decision or "")
    assert exchange(flow).record.attempts == []


def test_a_body_that_is_not_held_matches_no_model(make_journey: MakeJourney) -> None:
    """Routes that name a model do not match it; it goes where it was going."""
    journey, flow = make_journey(ROUTED), call()
    flow.request.stream = True
    journey.hook("requestheaders", flow)
    journey.hook("request_stream", flow)
    assert sent_to(flow) == f"api.openai.com{CHAT}"
    assert len(exchange(flow).record.attempts) == 1


@pytest.mark.parametrize(
    ("headers", "body", "model"),
    [
        ((), CHAT_BODY, "gpt-4o"),
        (((b"Content-Encoding", b"gzip"),), gzip.compress(CHAT_BODY), "gpt-4o"),
        (((b"content-encoding", b"gzip"),), b"no gzip", None),
        ((), b"no json", None),
        ((), b"", None),
        ((), None, None),
    ],
)
def test_the_model_is_read_from_the_body(headers: tuple[tuple[bytes, bytes], ...], body: bytes | None, model: str | None) -> None:
    """Also from a compressed one; what can't be read has no model."""
    assert model_of(Request("POST", "https", "h", 443, "/", headers, body)) == model


def handshake(path: str = "/v1/responses") -> http.HTTPFlow:
    return make_flow("GET", f"https://api.openai.com{path}", {"Upgrade": "WebSocket", "Connection": "Upgrade"})


def test_a_websocket_for_responses_is_refused(journey: Journey) -> None:
    """426, on which Codex falls back to POST at once; it is counted, and no call was made."""
    flow = journey.send(handshake())
    assert code(flow) == (426, "not_allowed")
    assert journey.state.counts["websockets_refused"] == 1
    assert not journey.recorder.live
    assert not records(journey.state)


def test_other_websockets_are_relayed(journey: Journey) -> None:
    """Realtime has no HTTP form to fall back to."""
    assert journey.send(handshake("/v1/realtime?model=gpt-4o-realtime")).response is None


@pytest.mark.parametrize(("policy", "path", "refused"), [("pass", "/v1/responses", False), ("refuse", "/v1/realtime", True)])
def test_the_policy_may_be_set(policy: str, path: str, refused: bool, make_journey: MakeJourney) -> None:
    """`proxy.websocket`."""
    flow = make_journey(f"{UPSTREAMS}proxy: {{websocket: {policy}}}\n").send(handshake(path))
    assert (flow.response is not None) is refused


def test_a_side_call_by_base_url_is_readdressed(make_journey: MakeJourney) -> None:
    """To the host that the upstream has, with the client's own credential and none of our own or hop headers; with no key of ours."""
    journey = make_journey(UPSTREAMS, {"ANTHROPIC_KEY": "k" * 20})
    headers = {"x-api-key": "own", "X-Upstream-Name": "anthropic", "X-Turnpike-Tag": "t", "Proxy-Authorization": "Basic x"}
    flow = journey.send(base_url_call("/proxy/anthropic/api/event_logging/v2/batch?a=1", headers))
    assert flow.response is None
    assert sent_to(flow) == "api.anthropic.com/api/event_logging/v2/batch?a=1"
    assert (flow.request.scheme, flow.request.port, flow.request.host_header) == ("https", 443, "api.anthropic.com")
    assert flow.request.headers["x-api-key"] == "own"
    assert not {"x-upstream-name", "x-turnpike-tag", "proxy-authorization"} & {name.lower() for name in flow.request.headers}


def test_a_side_call_without_an_address_goes_nowhere(make_journey: MakeJourney) -> None:
    """An upstream without base_url has no host for it: 404, rather than our own address again."""
    journey = make_journey("version: 1\nupstreams: {chatgpt: {provider: openai, hosts: [chatgpt.com]}}\n")
    assert code(journey.send(base_url_call("/proxy/chatgpt/backend-api/me"))) == (404, "not_found")
