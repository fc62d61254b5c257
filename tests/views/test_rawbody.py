"""addons/views/rawbody.py: bodies as people read them."""

from __future__ import annotations

from addons.views.rawbody import BodyView, event_payloads, view


def test_json_is_indented_beside_what_it_was() -> None:
    """Once: not where it is indented already."""
    assert view(b'{"a":1}', "application/json") == BodyView('{"a":1}', '{\n  "a": 1\n}')
    assert view(b'{\n  "a": 1\n}', "application/json").pretty is None
    assert view(b"plain", "text/plain") == BodyView("plain")
    assert view(b"", None) == BodyView("")


def test_binary_is_no_text() -> None:
    """It is not guessed at."""
    assert view(b"\xff\xfe", "audio/wav").text is None
    assert view(b"a\0b", None).text is None


def test_streams_are_events() -> None:
    """Of all three framings; with names, JSON indented; the first ones where there are many."""
    sse = view(b'event: ping\ndata: {"a":1}\n\ndata: [DONE]\n\n', "text/event-stream; charset=utf-8")
    assert [(event.name, event.data) for event in sse.events] == [("ping", '{\n  "a": 1\n}'), ("", "[DONE]")]
    assert [event.data for event in view(b'{"a":1}\nx\n', "application/x-ndjson").events] == ['{\n  "a": 1\n}', "x"]
    many = view(b"data: x\n\n" * 1000, "text/event-stream")
    assert (len(many.events), many.more_events) == (300, 700)
    assert view(b"\0\0", "application/vnd.amazon.eventstream").events == ()


def test_payloads() -> None:
    """Those of a stream's events, or the body."""
    assert event_payloads(b"data: 1\n\ndata: 2\n\n", "text/event-stream") == [b"1", b"2"]
    assert event_payloads(b"x", None) == [b"x"]
