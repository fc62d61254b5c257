"""One row per call, whatever its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test.tflow import twebsocket

from addons.core.call import CallRecord
from addons.recorder import connect_ms
from tests.rooms import CHAT_BODY, Journey, Records, base_url_call, call, exchange, make_flow, pass_on, records


def begun(journey: Journey, flow: http.HTTPFlow) -> None:
    """The upstream's answer has begun."""
    journey.begin_answer(flow)
    pass_on(flow, b"data: 1")


def broken_after_beginning(journey: Journey, flow: http.HTTPFlow, *, client_left: bool) -> None:
    begun(journey, flow)
    journey.break_off(flow, client_left=client_left)


def stopped(journey: Journey, flow: http.HTTPFlow) -> None:
    begun(journey, flow)
    journey.recorder.done()


def gone(journey: Journey, flow: http.HTTPFlow) -> None:
    begun(journey, flow)
    journey.hook("client_disconnected", flow.client_conn)


Case = tuple[Callable[[Journey, Any], object], tuple[str, int | None, str | None], tuple[int | None, str | None]]
ENDS: dict[str, Case] = {
    # how it ends → (outcome, status, error_type) of the call, (status, failure) of its attempt
    "answer": (lambda j, f: j.answer(f), ("ok", 200, None), (200, None)),
    "redirect": (lambda j, f: j.answer(f, 302), ("ok", 302, None), (302, None)),
    "upstream's error": (lambda j, f: j.answer(f, 529), ("error", 529, None), (529, "overloaded")),
    "rate limit": (lambda j, f: j.answer(f, 429), ("error", 429, None), (429, "rate_limit")),
    "bad request": (lambda j, f: j.answer(f, 400), ("error", 400, None), (400, "request")),
    "refused connection": (lambda j, f: j.fail(f, "refused"), ("error", 502, "upstream_unreachable"), (None, "connect")),
    "broken before the answer": (lambda j, f: j.break_off(f, client_left=False), ("error", None, "connect"), (None, "connect")),
    "broken in the answer": (lambda j, f: broken_after_beginning(j, f, client_left=False), ("partial", 200, "stream"), (200, "stream")),
    "client left before the answer": (lambda j, f: j.break_off(f, client_left=True), ("cancelled", None, None), (None, None)),
    "client left in the answer": (lambda j, f: broken_after_beginning(j, f, client_left=True), ("cancelled", 200, None), (200, None)),
    "client's connection gone": (gone, ("cancelled", 200, None), (200, None)),
    "proxy stopped": (lambda j, f: j.recorder.done(), ("error", None, "proxy_stopped"), (None, None)),
    "proxy stopped in the answer": (stopped, ("partial", 200, "proxy_stopped"), (200, "stream")),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_is_recorded_once(end: str, journey: Journey) -> None:
    """With what the client got and what became of the attempt; ends that follow add nothing."""
    act, call_end, attempt_end = ENDS[end]
    flow = journey.send(call())
    act(journey, flow)
    journey.hook("response", flow)
    journey.break_off(flow, client_left=True)
    journey.hook("client_disconnected", flow.client_conn)
    journey.recorder.done()
    (record,) = records(journey.state)
    assert (record.outcome, record.status, record.error_type) == call_end
    assert [(attempt.status, attempt.failure) for attempt in record.attempts] == [attempt_end]
    assert not journey.recorder.live


def test_what_is_refused_is_blocked(journey: Journey) -> None:
    """No attempt, nothing of an upstream, but the answer that the client got."""
    flow = journey.send(base_url_call("/proxy/v1/chat/completions", {"Origin": "https://evil.example"}))
    (record,) = records(journey.state)
    assert (record.outcome, record.status, record.error_type, record.attempts) == ("blocked", 403, "not_allowed", [])
    assert flow.response
    assert record.response.content == flow.response.content


def test_a_record_has_the_clients_own_request(journey: Journey) -> None:
    """Method, host, path, headers and body as asked for, not as sent on."""
    flow = journey.send(base_url_call("/proxy/openrouter/v1/chat/completions?a=1", {"X-Turnpike-Tag": "t"}))
    journey.answer(flow, 200, [b'{"a":', b"1}"])
    (record,) = records(journey.state)
    assert (record.method, record.host, record.path) == ("POST", "127.0.0.1", "/proxy/openrouter/v1/chat/completions?a=1")
    assert ("X-Turnpike-Tag", "t") in record.request.headers
    assert (record.request.content, record.request.size) == (CHAT_BODY, len(CHAT_BODY))
    assert (record.response.content, record.response.size) == (b'{"a":1}', 7)
    assert record.duration_ms is not None
    assert record.duration_ms >= (record.ttfb_ms or 0)
    assert record.attempts[0].duration_ms is not None


def test_what_was_seen_before_the_client_left_is_kept(journey: Journey) -> None:
    """The bytes that had passed."""
    flow = journey.send(call())
    broken_after_beginning(journey, flow, client_left=True)
    assert records(journey.state)[0].response.content == b"data: 1"


def test_a_body_that_was_not_held_is_counted_and_kept_as_it_passes(journey: Journey) -> None:
    """Also without a Content-Length."""
    flow = call()
    flow.request.stream = True
    flow.request.raw_content = None
    journey.hook("requestheaders", flow)
    journey.hook("request_stream", flow)
    assert callable(flow.request.stream)
    assert [flow.request.stream(piece) for piece in (b'{"model":', b'"gpt"}', b"")] == [b'{"model":', b'"gpt"}', b""]
    journey.answer(flow)
    (record,) = records(journey.state)
    assert (record.request.size, record.request.content) == (15, b'{"model":"gpt"}')
    assert not record.request.truncated


def test_a_stop_writes_all_that_runs(journey: Journey) -> None:
    """Each of them, then the writer is told to end."""
    flows = [journey.send(call()) for _ in range(50)]
    for flow in flows[:25]:
        begun(journey, flow)
    journey.recorder.done()
    assert sorted(record.outcome for record in records(journey.state)) == ["error"] * 25 + ["partial"] * 25
    assert isinstance(journey.state.writer, Records)
    assert journey.state.writer.stopped == 1


def test_only_the_calls_of_a_connection_end_with_it(journey: Journey) -> None:
    """Another client's go on."""
    leaving, staying = journey.send(call()), journey.send(call())
    journey.hook("client_disconnected", leaving.client_conn)
    assert [record.id for record in records(journey.state)] == [exchange(leaving).record.id]
    assert list(journey.recorder.live.values()) == [staying]


def test_a_websocket_ends_when_it_closes(journey: Journey) -> None:
    """Not with the answer to its handshake."""
    flow = make_flow("GET", "https://api.openai.com/v1/realtime?model=m", {"Upgrade": "websocket"})
    journey.send(flow)
    journey.begin_answer(flow, 101)
    flow.websocket = twebsocket()
    journey.hook("response", flow)
    assert not records(journey.state)
    journey.hook("websocket_end", flow)
    (record,) = records(journey.state)
    assert (record.outcome, record.status, record.api) == ("ok", 101, "openai.realtime")


@pytest.mark.parametrize("url", ["https://api.openai.com/v1/traces/ingest", "http://example.com/v1/chat/completions"])
def test_what_is_no_call_has_no_row(url: str, journey: Journey) -> None:
    """Side calls and other hosts."""
    flow = journey.send(call(url))
    journey.begin_answer(flow)
    journey.hook("response", flow)
    journey.recorder.done()
    assert not records(journey.state)


def test_flows_that_are_not_ours_are_left_alone(journey: Journey) -> None:
    """mitm.it, or a flow that mitmproxy loads from a file."""
    flow = make_flow("GET", "http://mitm.it/")
    for name in ("requestheaders", "response", "error", "websocket_end"):
        getattr(journey.recorder, name)(flow)
    assert not records(journey.state)


@pytest.mark.parametrize(
    ("start", "tcp", "tls", "expected"),
    [
        (100.0, 100.01, 100.03, 30.0),  # with TLS
        (100.0, 100.01, None, 10.0),  # without
        (99.0, 99.01, 99.02, None),  # opened before this call began: used again
        (None, None, None, None),  # never opened
    ],
)
def test_connect_time_is_of_this_calls_own_connection(
    start: float | None, tcp: float | None, tls: float | None, expected: float | None
) -> None:
    """In milliseconds, TCP and TLS; NULL where an open connection was used again."""
    flow = call()
    server = flow.server_conn
    server.timestamp_start, server.timestamp_tcp_setup, server.timestamp_tls_setup = start, tcp, tls
    assert connect_ms(flow, 100_000) == (None if expected is None else pytest.approx(expected))


def test_the_error_of_the_record_is_the_upstreams(journey: Journey) -> None:
    """What mitmproxy said of the break."""
    flow = journey.send(call())
    broken_after_beginning(journey, flow, client_left=False)
    record: CallRecord = records(journey.state)[0]
    assert record.error == "connection closed"
