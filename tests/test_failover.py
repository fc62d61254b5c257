"""Each attempt is built anew and sent, or nothing is."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from addons.config import Upstream
from addons.core.keypool import KeyPool
from addons.failover import asks_usage
from tests.conftest import MakeJourney
from tests.rooms import CHAT, CHAT_BODY, UPSTREAMS, Journey, answered, base_url_call, call, code, exchange, new_key, records

CROSSED = """
version: 1
upstreams:
  openai: {base_url: "https://api.openai.com/v1", hosts: [api.openai.com], default: true}
  hostless: {provider: openai, hosts: [llm.internal, 127.0.0.1], keys: [{env: HOSTLESS_KEY}]}
"""


def test_the_body_is_sent_byte_for_byte(journey: Journey) -> None:
    """The very bytes, in the client's own order of headers, without those that are meant for us."""
    headers = {"X-Zed": "1", "X-Turnpike-Session": "s", "x-upstream-name": "openai", "Proxy-Connection": "keep-alive", "A-first": "2"}
    flow = journey.send(call(headers=headers, body=b'{ "model":"gpt-4o" , "odd":  1.0e5}'))
    assert flow.request.raw_content == b'{ "model":"gpt-4o" , "odd":  1.0e5}'
    assert [name for name in flow.request.headers if name in headers] == ["X-Zed", "A-first"]
    (attempt,) = exchange(flow).record.attempts
    assert (attempt.n, attempt.upstream, attempt.host) == (1, "openai", "api.openai.com")


def test_a_base_url_call_gets_the_upstreams_address(journey: Journey) -> None:
    """Scheme, host, port, path and Host header."""
    request = journey.send(base_url_call(f"/proxy/openrouter{CHAT}?x=1")).request
    assert (request.scheme, request.host, request.port, request.path) == ("https", "openrouter.ai", 443, "/api/v1/chat/completions?x=1")
    assert request.host_header == "openrouter.ai"


@pytest.mark.parametrize("room", ["router.decide", "redactor.clean", "keys.credential"])
@pytest.mark.parametrize("hook", ["request", "request_stream"])
def test_whatever_goes_wrong_sends_nothing(
    room: str, hook: str, make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hook that raises would let the request pass: 502 instead, the key given back, and no word of the error's text told or logged."""
    key = new_key()
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": key})

    def fail(*_: Any) -> None:
        raise RuntimeError(f"with {key}")

    name, method = room.split(".")
    monkeypatch.setattr(getattr(journey.failover, name), method, fail)
    flow = call()
    with caplog.at_level(logging.DEBUG):
        journey.hook("requestheaders", flow)
        journey.hook(hook, flow)
    assert code(flow) == (502, "internal_error")
    assert (flow.request.host, "authorization" in flow.request.headers) == ("api.openai.com", False)
    assert in_flight(journey.state.pools["openai"]) == 0
    assert key not in caplog.text + (flow.response.text or "" if flow.response else "")
    journey.hook("responseheaders", flow)
    journey.hook("response", flow)
    (record,) = records(journey.state)
    assert (record.outcome, record.status, record.attempts) == ("error", 502, [])


def in_flight(pool: KeyPool) -> int:
    return sum(key.in_flight for key in pool.keys)


@pytest.mark.parametrize(
    "flow",
    [call(headers={"X-Upstream-Name": "hostless"}), base_url_call(f"/proxy/hostless{CHAT}"), call("https://api.openai.com/v1/embeddings")],
    ids=["named by header", "named by path", "routed"],
)
def test_a_key_never_goes_to_another_upstreams_host(flow: Any, make_journey: MakeJourney) -> None:
    """An upstream without base_url lives where the client asked; where that is another's host, or our own, nothing is sent."""
    key = new_key()
    journey = make_journey(
        f'{CROSSED}routes: [{{match: {{path: "/v1/embeddings"}}, to: [{{upstream: hostless}}]}}]\n', {"HOSTLESS_KEY": key}
    )
    journey.send(flow)
    assert code(flow) == (503, "no_upstream_available")
    assert "base_url" in answered(flow)[1]["error"]["message"]
    assert key not in str(flow.request.headers.fields)
    assert in_flight(journey.state.pools["hostless"]) == 0


def test_an_upstream_without_base_url_is_called_where_the_client_asked(make_journey: MakeJourney) -> None:
    """With its own key, since the host is its own."""
    key = new_key()
    flow = make_journey(CROSSED, {"HOSTLESS_KEY": key}).send(call(f"https://llm.internal:8443{CHAT}"))
    assert (flow.request.host, flow.request.port, flow.request.headers["authorization"]) == ("llm.internal", 8443, f"Bearer {key}")


def test_the_clients_own_credential_goes_only_where_the_client_meant(make_journey: MakeJourney) -> None:
    """To the upstream that it named; another candidate without keys is called without any."""
    journey = make_journey(f'{UPSTREAMS}routes: [{{match: {{model: "gpt-4o"}}, to: [{{upstream: openrouter}}]}}]\n')
    own = {"Authorization": f"Bearer {new_key()}", "Cookie": "session=1", "OpenAI-Organization": "org"}
    routed, meant = journey.send(call(headers=own)), journey.send(call(headers=own, body=b'{"model": "o3"}'))
    assert not {"authorization", "cookie", "openai-organization"} & {name.lower() for name in routed.request.headers}
    assert meant.request.headers["authorization"] == own["Authorization"]


def test_a_body_that_has_ended_is_not_sent_again(make_journey: MakeJourney) -> None:
    """After `request_stream` mitmproxy calls `request` too: still one attempt, on the same key."""
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": new_key(), "OPENAI_KEY_1": new_key()})
    flow = call()
    flow.request.stream = True
    journey.hook("requestheaders", flow)
    journey.hook("request_stream", flow)
    sent = flow.request.headers["authorization"]
    journey.hook("request", flow)
    assert (len(exchange(flow).record.attempts), flow.request.headers["authorization"]) == (1, sent)
    assert in_flight(journey.state.pools["openai"]) == 1


@pytest.mark.parametrize(
    ("why", "status", "reason", "failure"),
    [
        ("[Errno 111] Connect call failed ('127.0.0.1', 9)", 502, "upstream_unreachable", "connect"),
        ("[Errno -2] Name or service not known", 502, "upstream_unreachable", "connect"),
        ("Certificate verify failed: self-signed certificate", 502, "upstream_unreachable", "connect"),
        ("server closed connection", 502, "upstream_unreachable", "connect"),
        ("[Errno 110] Connect call failed ('10.0.0.1', 443)", 504, "upstream_timeout", "timeout"),
        ("connection timed out", 504, "upstream_timeout", "timeout"),
    ],
)
def test_no_answer_is_502_or_504(why: str, status: int, reason: str, failure: str, journey: Journey) -> None:
    """In the client's dialect; the attempt has its class and no status, the call the status that the client got."""
    flow = journey.send(call())
    journey.fail(flow, why)
    assert code(flow) == (status, reason)
    (record,) = records(journey.state)
    assert (record.outcome, record.status, record.error_type) == ("error", status, reason)
    assert [(attempt.failure, attempt.status) for attempt in record.attempts] == [(failure, None)]


def test_what_is_no_call_fails_as_mitmproxy_has_it(journey: Journey) -> None:
    """A side call gets no answer in a dialect of ours."""
    flow = journey.send(call("https://api.openai.com/v1/traces/ingest"))
    journey.fail(flow, "refused")
    assert flow.response is None


def test_the_record_has_what_was_sent(make_journey: MakeJourney) -> None:
    """Upstream, provider and the key's hint; the client's own request is kept, not the one with the key."""
    key = new_key()
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": key})
    flow = journey.send(call())
    journey.answer(flow)
    (record,) = records(journey.state)
    assert (record.upstream, record.provider, record.key_hint, record.attempts[0].key_hint) == ("openai", "openai", key[-4:], key[-4:])
    assert record.request.content == CHAT_BODY
    assert key not in repr(record) + repr(exchange(flow))


@pytest.mark.parametrize(
    ("settings", "host", "asks"),
    [
        ({"provider": "openai", "base_url": "https://api.openai.com/v1"}, "x.test", True),
        ({"provider": "openai"}, "api.openai.com", True),
        ({"provider": "openai", "base_url": "http://127.0.0.1:8000/v1"}, "x.test", True),
        ({"provider": "openai", "base_url": "https://llm.example.com/v1"}, "x.test", False),
        ({"provider": "openai", "base_url": "https://llm.example.com/v1", "ask_usage": True}, "x.test", True),
        ({"provider": "openai", "base_url": "https://api.openai.com/v1", "ask_usage": False}, "x.test", False),
    ],
)
def test_who_is_asked_for_usage(settings: dict[str, Any], host: str, asks: bool) -> None:
    """Where it is known to be taken, and wherever the file says so."""
    assert asks_usage(Upstream(**settings), host) is asks
