"""HAR files, as browsers and mitmproxy write them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from mitmproxy.addons.savehar import SaveHar
from mitmproxy.test import tflow

from addons.core.call import CallRecord
from addons.core.captured import decoded
from scripts.importing.entry import BrokenEntry, Entry
from scripts.importing.har import cut, read
from tests.scripts.importing.samples import ANSWER, REQUEST, STREAM, flow, har, har_entry, pairs


def taken(entry: dict[str, Any]) -> Entry:
    """The entry as it is read."""
    found = read(json.dumps(entry).encode())
    assert found is not None
    return found


def test_entries_are_cut_out_of_the_file() -> None:
    """One after the other, with where each ends; what stands before and after them does not matter."""
    content = har(har_entry(), har_entry(url="http://other.test/"))
    pieces = list(cut(content))
    assert [json.loads(raw)["request"]["url"] for _, raw in pieces] == [har_entry()["request"]["url"], "http://other.test/"]
    assert all(content[:end].endswith(raw) for end, raw in pieces)


@pytest.mark.parametrize("content", [b"{}", b'{"log": {}}', b'{"log": []}', b'{"log": {"entries": {}}}', b"{"])
def test_what_is_no_har_is_said(content: bytes) -> None:
    """With a reason, before the first entry."""
    with pytest.raises(BrokenEntry):
        list(cut(content))


def test_a_cut_file_gives_the_entries_before_the_cut() -> None:
    """Then its end is said."""
    pieces = cut(har(har_entry(), har_entry())[:-200])
    next(pieces)
    with pytest.raises(BrokenEntry, match="cut off"):
        next(pieces)


def test_an_entry_is_a_record() -> None:
    """Address, time, status, bodies and headers."""
    record = taken(har_entry(url="https://API.openai.com:8443/v1/chat/completions?a=b#c")).record
    assert (record.method, record.host, record.path) == ("POST", "api.openai.com", "/v1/chat/completions?a=b")
    assert (record.started_ms, record.status, record.outcome) == (1_772_359_200_250, 200, "ok")
    assert json.loads(record.request.content) == REQUEST
    assert json.loads(record.response.content) == ANSWER
    assert ("user-agent", "my-agent/1.2 (x)") in record.request.headers


def test_timings_are_taken_from_the_beginning() -> None:
    """The first byte comes when waiting ends; `ssl` is within `connect` in the specification, beside it in mitmproxy."""
    record = taken(har_entry()).record
    assert (record.connect_ms, record.ttfb_ms, record.duration_ms) == (40, 600, 900)
    record = taken(har_entry(timings={"connect": 40, "ssl": 30, "send": 1, "wait": 549, "receive": 300})).record
    assert (record.connect_ms, record.ttfb_ms, record.duration_ms) == (70, 550, 850)


@pytest.mark.parametrize("timings", [None, {}, {"wait": None, "receive": -1, "send": "x"}])
def test_missing_timings_are_unknown(timings: object) -> None:
    """Never zero."""
    entry = har_entry(timings=timings)
    del entry["time"]
    record = taken(entry).record
    assert (record.connect_ms, record.ttfb_ms, record.duration_ms) == (None, None, None)


def test_bodies_are_taken_as_they_come() -> None:
    """Text, base64, decoded though a header says gzip, and still compressed."""
    compressed = gzip.compress(STREAM)
    for text, encoding in (
        (STREAM.decode(), None),
        (base64.b64encode(STREAM).decode(), "base64"),
        (base64.b64encode(compressed).decode(), "base64"),
    ):
        entry = har_entry(content={"mimeType": "text/event-stream", "text": text, "encoding": encoding})
        entry["response"]["headers"] = pairs({"content-encoding": "gzip"})
        response = taken(entry).record.response
        assert decoded(response) == STREAM
        assert ("Content-Type", "text/event-stream") in response.headers


def test_a_binary_body_under_a_stale_encoding_is_left() -> None:
    """An AWS event stream is no text, and decoded all the same."""
    frames = b"\0\0\0\x80\xff\xfe rest"
    entry = har_entry(content={"text": base64.b64encode(frames).decode(), "encoding": "base64"})
    entry["response"]["headers"] = pairs({"Content-Encoding": "br"})
    assert decoded(taken(entry).record.response) == frames


def test_a_body_that_was_not_kept_is_a_cut_one() -> None:
    """Evicted by the browser, or streamed past mitmproxy: its size is known at most."""
    for content, size in (({"size": 5000, "mimeType": "text/event-stream"}, 5000), ({"size": 0}, None)):
        entry = taken(har_entry(content=content))
        assert entry.record.response.truncated
        assert entry.given.columns["response_bytes"] == size
        assert entry.given.bodies["response"].truncated


def test_the_size_on_the_wire_is_kept() -> None:
    """It is the compressed one; the body is whole."""
    entry = har_entry()
    entry["response"]["bodySize"] = 77
    found = taken(entry)
    assert found.given.columns == {"response_bytes": 77}
    assert not found.record.response.truncated


def test_calls_that_failed() -> None:
    """No answer (and so no first byte), an error, an answer that broke off."""
    for response, end in (
        ({"status": 0, "_error": "net::ERR_CONNECTION_REFUSED"}, ("error", "connect", None)),
        ({"status": 429, "content": {"text": "{}"}}, ("error", None, 429)),
        ({"status": 200, "_error": "net::ERR_ABORTED", "content": {"text": "{}"}}, ("partial", "stream", 200)),
    ):
        record = taken(har_entry(response=response)).record
        assert (record.outcome, record.error_type, record.status) == end
        assert (record.ttfb_ms is None) == (record.status is None)


def test_websocket_messages_are_json_lines() -> None:
    """What was sent is the request, what came is the answer, with their times."""
    entry = har_entry(
        url="wss://api.openai.com/v1/realtime?model=m",
        _webSocketMessages=[
            {"type": "send", "time": 1_772_359_200.5, "opcode": 1, "data": '{"type": "response.create"}'},
            {"type": "receive", "time": 1_772_359_201.25, "opcode": 1, "data": '{"type":\n"session.created"}'},
            {"type": "receive", "time": 1_772_359_202.25, "opcode": 2, "data": base64.b64encode(b"{}").decode()},
        ],
    )
    record = taken(entry).record
    assert record.request.content == b'{"type": "response.create"}\n'
    assert record.response.content == b'{"type": "session.created"}\n{}\n'
    assert [round(at) for at, _ in record.response.chunks] == [1000, 2000]
    assert round(record.duration_ms or 0) == 2000


@pytest.mark.parametrize("url", ["data:text/plain,x", "chrome-extension://abc/x.js", "blob:https://a.test/1"])
def test_what_is_no_http_is_no_entry(url: str) -> None:
    """Browsers list these too."""
    assert read(json.dumps(har_entry(url=url)).encode()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"request": None},
        {"request": {"url": "http://a.test/"}},
        {"request": {"method": "POST"}},
        {"request": {"method": "POST", "url": "http://[broken/"}},
        {"startedDateTime": "yesterday"},
        {"startedDateTime": None},
        {"response": {"status": 200, "content": {"text": "*", "encoding": "base64"}}},
        {"_webSocketMessages": [{"type": "send"}]},
    ],
)
def test_a_broken_entry_is_said(change: dict[str, Any]) -> None:
    """BrokenEntry with a reason, nothing else."""
    with pytest.raises(BrokenEntry):
        read(json.dumps(har_entry() | change).encode())


def test_headers_may_be_pairs_and_pseudo_headers_are_none() -> None:
    """Slack writes pairs, Chrome HTTP/2's `:method`."""
    entry = har_entry()
    entry["request"]["headers"] = [["X-A", "1"], {"name": ":method", "value": "POST"}, {"name": "X-B", "value": None}, "x"]
    assert taken(entry).record.request.headers == (("X-A", "1"), ("X-B", ""))


def test_what_mitmproxy_writes_reads_as_the_flow_does() -> None:
    """save.har decodes bodies and leaves the headers; a WebSocket's binary messages are base64 there."""
    recorded = flow(content=gzip.compress(STREAM), headers={"Content-Encoding": "gzip", "Content-Type": "text/event-stream"})
    socket = tflow.twebsocketflow()
    content = json.dumps(SaveHar().make_har([recorded, socket, tflow.tflow(err=True)])).encode()
    first, second, third = (read(raw) for _, raw in cut(content))
    assert first and second and third
    assert decoded(first.record.response) == STREAM
    assert first.record.ttfb_ms == pytest.approx(400)
    assert first.record.duration_ms == pytest.approx(1000)
    assert second.record.response.content
    assert isinstance(third.record, CallRecord)
    assert (third.record.status, third.record.error_type) == (None, "connect")


def test_an_entry_of_our_own_export_says_what_it_was() -> None:
    """Id, columns, attempts and what is known of the bodies; the bodies themselves are the HAR's. Broken, it is said."""
    call = {
        "id": "01JD3V8Y6QXKTR0ZB5N4M7WCEF",
        "ts_ms": 5,
        "method": "POST",
        "host": "a.test",
        "path": "/x",
        "api": "openai.chat",
        "status": 200,
    }
    facts = {"encoding": "gzip", "size": 5, "truncated": False, "redacted": True}
    extra: dict[str, Any] = {"turnpike": 2, "call": call, "attempts": [{"n": 1}], "request": facts, "response": facts}
    entry = har_entry(content={"text": base64.b64encode(b"\xff").decode(), "encoding": "base64"}, _turnpike=extra)
    entry["request"]["postData"] |= {"text": base64.b64encode(b"\xfe").decode(), "_encoding": "base64"}
    found = taken(entry)
    assert (found.record.id, found.record.host, found.known_call, found.stored) == (call["id"], "a.test", True, None)
    assert (found.record.request.content, found.record.response.content) == (b"\xfe", b"\xff")
    assert found.record.request.headers[0] == ("content-type", "application/json")
    assert found.given.bodies["response"].size == 5 and found.given.bodies["response"].redacted
    assert found.given.attempts and found.given.columns["path"] == "/x"
    del extra["response"]
    assert set(taken(entry).given.bodies) == {"request"}
    for broken in ({}, extra | {"turnpike": 9}, extra | {"call": None}):
        with pytest.raises(BrokenEntry):
            read(json.dumps(entry | {"_turnpike": broken}).encode())
