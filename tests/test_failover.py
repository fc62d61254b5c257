"""Each attempt is built anew and sent, or nothing is."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from mitmproxy import http

from addons.core.keypool import KeyPool
from addons.failover import classified
from addons.proxycore.hooks import AGAIN, CLIENT_LEFT, TIMEOUTS, WAIT, UpstreamFailure
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


TWO_KEYS = {"OPENAI_KEY": new_key(), "OPENAI_KEY_1": new_key()}
FIRST, SECOND = TWO_KEYS.values()


def keys_of(flow: http.HTTPFlow) -> str:
    return str(flow.request.headers["authorization"]).removeprefix("Bearer ")


def test_the_next_key_is_put_in_and_the_first_taken_out(make_journey: MakeJourney) -> None:
    """A limit for long: the same request with another key; what was tried is told as it was."""
    journey = make_journey(UPSTREAMS, TWO_KEYS)
    flow = journey.send(call())
    first = keys_of(flow)
    assert journey.refuse(flow, 429, headers={"Retry-After": "60"}) is None
    assert {first, keys_of(flow)} == {FIRST, SECOND}
    assert first not in str(flow.request.headers.fields)
    assert flow.request.raw_content == CHAT_BODY
    journey.answer(flow)
    (record,) = records(journey.state)
    assert (record.outcome, record.status, record.error, record.error_type) == ("ok", 200, None, None)
    tried = [(attempt.key_hint, attempt.status, attempt.failure) for attempt in record.attempts]
    assert tried == [(first[-4:], 429, "rate_limit"), (record.key_hint, 200, None)]
    assert in_flight(journey.state.pools["openai"]) == 0


async def test_a_wait_is_asked_for_and_noted(make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named wait of 2 s: the HTTP layer is told to wait, and the attempt after it says how long that was."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    journey = make_journey(UPSTREAMS, TWO_KEYS)
    flow = journey.send(call())
    first = keys_of(flow)
    wait = journey.refuse(flow, 429, headers={"Retry-After": "2"})
    assert wait
    assert wait >= 2
    now += 2
    for pool in journey.state.pools.values():
        pool.serve(now)
    journey.hook("attempt_due", flow)
    assert keys_of(flow) == first
    assert [round(attempt.wait_ms) for attempt in exchange(flow).record.attempts] == [0, 2000]


def test_the_last_answer_is_given_as_it_came(journey: Journey) -> None:
    """On the client's own credential a limit is the client's to see: status, headers and body."""
    flow = journey.send(call(headers={"Authorization": f"Bearer {new_key()}"}))
    assert journey.refuse(flow, 429, b'{"error": {"message": "slow down"}}', {"Retry-After": "2", "X-Odd": "1"}) is None
    assert flow.response
    assert (flow.response.status_code, flow.response.raw_content) == (429, b'{"error": {"message": "slow down"}}')
    assert (flow.response.headers["retry-after"], flow.response.headers["x-odd"]) == ("2", "1")
    (record,) = records(journey.state)
    assert (record.outcome, record.status) == ("error", 429)
    assert record.response.content == b'{"error": {"message": "slow down"}}'


def test_with_all_keys_cooling_the_client_is_told(make_journey: MakeJourney) -> None:
    """503 with the attempts, their keys by the last four characters; the next call is refused at once, in Anthropic's words to Claude."""
    journey = make_journey(UPSTREAMS, {**TWO_KEYS, "ANTHROPIC_KEY": new_key()})
    flow = journey.send(call())
    for _ in range(2):
        journey.refuse(flow, 429, headers={"Retry-After": "300"})
    status, body = answered(flow)
    assert (status, body["error"]["code"]) == (503, "all_keys_exhausted")
    assert flow.response
    assert 295 <= int(flow.response.headers["retry-after"]) <= 300
    assert {attempt["key"] for attempt in body["error"]["attempts"]} == {f"…{FIRST[-4:]}", f"…{SECOND[-4:]}"}
    assert not any(key in str(body) for key in TWO_KEYS.values())
    later = journey.send(call())
    assert (code(later), records(journey.state)[1].outcome) == ((503, "all_keys_exhausted"), "blocked")
    assert "cooling" in str(records(journey.state)[1].decision)
    claude = journey.send(call("https://api.anthropic.com/v1/messages", body=b'{"model": "claude-haiku-4-5", "messages": []}'))
    journey.refuse(claude, 429, headers={"Retry-After": "300"})
    assert (answered(claude)[0], answered(claude)[1]["type"]) == (503, "error")


ROUTED = f"""{UPSTREAMS}
routes:
  - match: {{model: gpt-4o}}
    to: [{{upstream: openai}}, {{upstream: openrouter, model: openai/gpt-4o}}]
"""


def test_the_next_upstream_gets_the_clients_own_request(make_journey: MakeJourney) -> None:
    """Built anew: its address, its model name and its key, and nothing of the first attempt."""
    keys = {"OPENAI_KEY": new_key(), "OPENROUTER_KEY": new_key()}
    journey = make_journey(ROUTED, keys)
    flow = journey.send(call(headers={"X-Own": "1"}))
    journey.fail(flow, "refused")
    assert flow.request.url == "https://openrouter.ai/api/v1/chat/completions"
    assert flow.request.raw_content == CHAT_BODY.replace(b'"gpt-4o"', b'"openai/gpt-4o"')
    assert (keys_of(flow), flow.request.headers["x-own"]) == (keys["OPENROUTER_KEY"], "1")
    journey.answer(flow)
    (record,) = records(journey.state)
    assert (record.upstream, record.provider, record.served_model) == ("openrouter", "openrouter", "openai/gpt-4o")
    assert [(attempt.upstream, attempt.failure) for attempt in record.attempts] == [("openai", "connect"), ("openrouter", None)]


def test_the_time_limits_are_the_upstreams(make_journey: MakeJourney) -> None:
    """A streamed answer has less time to its first byte than one that comes whole."""
    text = UPSTREAMS.replace("default: true", "default: true, timeout: {connect: 1, first_byte: 2, first_byte_whole: 3, idle: 4}")
    journey = make_journey(text)
    whole, streamed = journey.send(call()), journey.send(call(body=b'{"model": "gpt-4o", "stream": true, "messages": []}'))
    assert whole.metadata[TIMEOUTS] == [1, 3, 4]
    assert streamed.metadata[TIMEOUTS] == [1, 2, 4]


@pytest.mark.parametrize("hook", ["upstream_failed", "attempt_due"])
def test_a_fault_after_a_failure_sends_nothing_more(
    hook: str, make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """502, the key given back, no further attempt."""
    journey = make_journey(UPSTREAMS, TWO_KEYS)
    flow = journey.send(call())

    def fail(*_: Any) -> None:
        raise RuntimeError(FIRST)

    monkeypatch.setattr(journey.failover, "_take", fail)
    if hook == "upstream_failed":
        journey.fail(flow, "refused")
    else:
        journey.hook("attempt_due", flow)
    assert code(flow) == (502, "internal_error")
    assert in_flight(journey.state.pools["openai"]) == 0
    assert FIRST not in caplog.text
    assert not {AGAIN, WAIT} & set(flow.metadata)


def test_nobody_is_asked_again_for_a_client_that_has_left(make_journey: MakeJourney) -> None:
    """An answer that is read for the record only (drain) is not tried again when it fails."""
    journey = make_journey(UPSTREAMS, TWO_KEYS)
    flow = journey.send(call())
    flow.metadata[CLIENT_LEFT] = True
    journey.refuse(flow, 429, headers={"Retry-After": "60"})
    assert len(exchange(flow).record.attempts) == 1
    assert in_flight(journey.state.pools["openai"]) == 0


def test_a_websocket_is_not_sent_again(make_journey: MakeJourney) -> None:
    """Its frames would bear the number of an attempt that is gone."""
    journey = make_journey(UPSTREAMS, TWO_KEYS)
    flow = call(
        "https://api.openai.com/v1/realtime?model=gpt-realtime", headers={"Upgrade": "websocket", "Connection": "Upgrade"}, body=b""
    )
    flow.request.method = "GET"
    journey.send(flow)
    journey.fail(flow, "refused")
    assert code(flow) == (502, "upstream_unreachable")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (("error_event", "x", None, ("overloaded_error", "Overloaded")), "overloaded"),
        (("connect", "refused", None, (None, None)), "connect"),
        (("connect", "[Errno 110] Connect call failed", None, (None, None)), "timeout"),
        (("timeout", "late", None, (None, None)), "timeout"),
        (("status", "status 429", http.Response.make(429, b"{}"), (None, None)), "rate_limit"),
        (("status", "status 500", http.Response.make(500, b"no gzip", {"content-encoding": "gzip"}), (None, None)), "server"),
    ],
)
def test_what_the_http_layer_saw_has_its_class(failure: Any, kind: str) -> None:
    """DESIGN §5, also of a body that can't be read."""
    of_kind, why, response, error = failure
    status = response.status_code if response else None
    assert classified(UpstreamFailure(call(), of_kind, why, status, response, error), 0.0).kind == kind
