"""The tap on an answer: bytes pass untouched, at most so many are kept."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.frame_protocol import Opcode

from addons.config import Config
from addons.core.ask_usage import UsageFilter
from addons.core.call import CallRecord
from addons.exchange import Exchange
from addons.meter import TAIL_BYTES, Meter, Tap
from tests.rooms import Journey, call, exchange, make_flow, mitmproxy_context, pass_on, records


def tap(max_body: int) -> Tap:
    exchange = Exchange("call", CallRecord("id", 0, "POST", "h", "/", "other"), 0.0, "/", Config(), {})
    return Tap(exchange, exchange.record.response, max_body)


def test_the_client_gets_the_very_bytes(journey: Journey) -> None:
    """Chunk by chunk as they come, each with its time and length; the end is passed on too."""
    flow = journey.send(call())
    journey.begin_answer(flow, headers={"Content-Encoding": "gzip"})
    chunks = [b"\x1f\x8b", b"not really gzip", b"\xff"]
    assert [pass_on(flow, chunk) for chunk in [*chunks, b""]] == [*chunks, b""]
    journey.hook("response", flow)
    body = exchange(flow).record.response
    assert (body.content, body.size, [size for _, size in body.chunks]) == (b"".join(chunks), 18, [2, 15, 1])
    times = [at for at, _ in body.chunks]
    assert times == sorted(times)
    assert (exchange(flow).record.ttfb_ms or 0) <= times[0]


def test_bytes_pass_even_when_recording_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A stream callable that raises would break the client's connection: it is logged by its kind alone."""

    def fail(self: Tap, data: bytes) -> None:
        raise MemoryError("secret text")

    monkeypatch.setattr(Tap, "_take", fail)
    assert tap(100)(b"data") == b"data"
    assert "MemoryError" in caplog.text
    assert "secret" not in caplog.text


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=12), st.integers(0, 40))
def test_the_beginning_is_kept_and_the_sizes_add_up(chunks: list[bytes], max_body: int) -> None:
    """However the body is cut: the first `max_body` bytes, the tail of the rest, and the true length."""
    sink, whole = tap(max_body), b"".join(chunks)
    assert [sink(chunk) for chunk in chunks] == chunks
    sink.close()
    assert (sink.body.content, sink.body.tail) == (whole[:max_body], whole[max_body:])
    assert sink.body.size == len(whole) == sum(size for _, size in sink.body.chunks)


def test_the_tail_of_a_long_body_is_kept() -> None:
    """The usage stands in a stream's last events."""
    sink = tap(10)
    for number in range(40_000):
        sink(b"%08d" % number)
    sink.close()
    assert sink.body.content == b"0000000000"
    assert len(sink.body.tail) == TAIL_BYTES
    assert sink.body.tail.endswith(b"00039999")
    assert sink.body.truncated


def test_an_endless_stream_takes_no_endless_memory() -> None:
    """Past what is kept neither pieces, chunks nor tail grow."""
    sink = tap(4)
    for _ in range(10_000):
        sink(b"x" * 100)
    assert len(sink.pieces) == 1
    assert len(sink.body.chunks) <= 2
    assert len(sink.tail) <= 2 * TAIL_BYTES
    assert sink.body.chunks[-1][1] + sum(size for _, size in sink.body.chunks[:-1]) == sink.body.size == 1_000_000


def test_the_answer_names_the_call(journey: Journey) -> None:
    """X-Turnpike-Call for the client; the record keeps the upstream's own headers only."""
    flow = journey.send(call())
    journey.begin_answer(flow, headers={"x-Request-ID": "r1"})
    assert flow.response
    assert flow.response.headers["X-Turnpike-Call"] == exchange(flow).record.id
    assert ("x-Request-ID", "r1") in exchange(flow).record.response.headers
    assert "X-Turnpike-Call" not in dict(exchange(flow).record.response.headers)


def test_our_own_answer_is_not_tapped(journey: Journey) -> None:
    """It is whole already; it has no first byte of an upstream's."""
    flow = journey.send(call(headers={"X-Upstream-Name": "nobody"}))
    assert flow.response
    assert flow.response.stream is False
    assert flow.response.headers["X-Turnpike-Call"] == exchange(flow).record.id
    assert exchange(flow).record.ttfb_ms is None


def test_a_websocket_is_not_tapped(journey: Journey) -> None:
    """101 has no body."""
    flow = journey.send(call())
    journey.begin_answer(flow, 101)
    assert flow.response
    assert flow.response.stream is False


def test_what_is_no_call_is_left_alone(journey: Journey) -> None:
    """No header, no tap."""
    flow = make_flow("GET", "http://x/")
    flow.response = http.Response.make(200)
    flow.response.raw_content = None
    Meter(journey.state).responseheaders(flow)
    assert (flow.response.stream, "X-Turnpike-Call" in flow.response.headers) == (False, False)


def test_usage_that_only_we_asked_for_is_kept_and_not_passed_on() -> None:
    """What is held or taken out is no chunk at all: an empty one would end a chunked body."""
    exchange = Exchange("call", CallRecord("id", 0, "POST", "h", "/", "openai.chat"), 0.0, "/", Config(), {})
    sink = Tap(exchange, exchange.record.response, 1000, usage_filter=UsageFilter())
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    assert [sink(piece) for piece in (b": ping\n\n", usage[:9], usage[9:], b"data: [DONE]\n\n", b"")] == [
        [b": ping\n\n"],
        [],
        [],
        [b"data: [DONE]\n\n"],
        [],
    ]
    sink.close()
    assert usage in sink.body.content


def test_messages_of_a_websocket_are_taken_in_and_let_go(journey: Journey) -> None:
    """A line each; mitmproxy's own list does not grow with the session."""
    flow = make_flow("GET", "https://api.openai.com/v1/realtime?model=m", {"Upgrade": "websocket"})
    journey.send(flow)
    flow.websocket = WebSocketData()
    with mitmproxy_context():
        journey.hook("websocket_start", flow)
        for from_client, content in ((True, b'{"a":\n1}'), (False, b"{}"), (False, b'{"b":2}')):
            flow.websocket.messages.append(WebSocketMessage(Opcode.TEXT, from_client, content))
            journey.hook("websocket_message", flow)
            assert flow.websocket.messages == []
        journey.hook("websocket_end", flow)
    (record,) = records(journey.state)
    assert record.request.content == b'{"a": 1}\n'
    assert record.response.content == b'{}\n{"b":2}\n'


def test_usage_is_taken_out_of_a_compressed_answer_too(journey: Journey) -> None:
    """An upstream that compresses, or announces a length, although it was asked for neither: the client gets a plain answer."""
    flow = journey.send(call(body=b'{"model":"gpt-4o","stream":true}'))
    packed = gzip.compress(b'data: {"choices":[{}]}\n\ndata: {"choices":null,"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n')
    flow.response = http.Response.make(200, b"", {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
    flow.response.raw_content = None
    flow.response.headers["content-length"] = str(len(packed))
    journey.hook("responseheaders", flow)
    assert callable(flow.response.stream)
    pieces: list[Any] = [flow.response.stream(packed[:20]), flow.response.stream(packed[20:]), flow.response.stream(b"")]
    assert b"".join(b"".join(piece) for piece in pieces) == b'data: {"choices":[{}]}\n\ndata: [DONE]\n\n'
    assert "content-encoding" not in flow.response.headers and flow.response.headers["transfer-encoding"] == "chunked"
    journey.hook("response", flow)
    (record,) = records(journey.state)
    assert record.response.content == packed and ("Content-Encoding", "gzip") in record.response.headers


def test_nothing_passes_when_the_row_is_made() -> None:
    """The proxy stops while a stream goes on: the client is given no more than its row holds. A request body passes on nevertheless."""
    sink = tap(100)
    assert sink(b"one") == b"one"
    sink.close(ends=True)
    assert sink(b"two") == [] and sink.body.content == b"one"
    sink = tap(100)
    sink.close()
    assert sink(b"two") == b"two"
