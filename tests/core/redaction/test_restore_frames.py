"""Framings give back what they were fed, event by event."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.decoders import SSEDecoder
from addons.core.redaction import restore_frames
from addons.core.redaction.restore_frames import ArrayFrame, EventFrame, Frame, LineFrame

SSE = [
    b": comment\n\n",
    b'event: a\ndata: {"x":"1"}\n\n',
    b'data:{"x":"2"}\r\n\r\n',
    b'data: {"x":\ndata: "3"}\nid: 7\n\n',
    b"data: 4\r\r",
    b"data: [DONE]\n\n",
]
LINES = [b'{"a":1}\n', b'{"b":"\\n"}\r\n', b"\n", b"x\n"]
ARRAY = [b'[{"a":"]}\\\\"}', b',\r\n{"b":[{"c":"\\""}]}', b', {"d":{}}', b"\r\n]", b"\n"]

FRAMES: list[tuple[Callable[[], Frame], list[bytes]]] = [(EventFrame, SSE), (LineFrame, LINES), (ArrayFrame, ARRAY)]


def split(frame: Frame, chunks: list[bytes]) -> list[bytes]:
    """All events, and what is left, of which nothing may be missing."""
    found = []
    for chunk in chunks:
        passed, block = frame.feed(chunk)
        events = frame.events(block) if block else []
        assert b"".join(events) == block
        found += [passed, *events] if passed else events
    return [*found, rest] if (rest := frame.rest()) else found


@pytest.mark.parametrize(("make", "events"), FRAMES)
def test_events_are_the_same_wherever_they_are_cut(make: Callable[[], Frame], events: list[bytes]) -> None:
    """Whole, byte by byte, and in two or three at every place."""
    content = b"".join(events)
    assert split(make(), [content]) == events
    assert split(make(), [bytes([byte]) for byte in content]) == events
    for first in range(len(content) + 1):
        assert split(make(), [content[:first], content[first:]]) == events
        assert split(make(), [content[:first], content[first : first + 2], content[first + 2 :]]) == events


@pytest.mark.parametrize(("make", "events"), FRAMES)
def test_a_whole_event_passes_as_the_same_object(make: Callable[[], Frame], events: list[bytes]) -> None:
    """Nothing is copied for it, and nothing waits for the next one."""
    frame = make()
    for event in events:
        passed, block = frame.feed(event)
        assert passed == b"" and block is event


ROUGH = st.lists(st.sampled_from([b"\r", b"\n", b"data: ", b"x", b'"', b"\\", b"[", b"]", b"{", b"}", b",", b"\n\n", b"{}"]), max_size=20)


@given(st.sampled_from([EventFrame, LineFrame, ArrayFrame]), ROUGH, st.sampled_from([4, 1000]))
def test_nothing_is_lost_of_whatever_comes(make: Callable[[], Frame], chunks: list[bytes], bound: int) -> None:
    """In order, whether events are held or too long for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore_frames, "MAX_HELD_BYTES", bound)
        assert b"".join(split(make(), chunks)) == b"".join(chunks)


LINE_ENDS = st.sampled_from([[b"\r\n", b"\n"], [b"\r"]])


@given(LINE_ENDS, st.lists(st.sampled_from([b"data: x", b"data:y", b"id", b": data", b"", b"", b""]), max_size=14), st.data())
def test_events_end_where_they_do_for_a_client(ends: list[bytes], lines: list[bytes], data: st.DataObject) -> None:
    """LF and CRLF mixed in any way, or CR throughout, in any chunks: as the decoder sees it."""
    content = b"".join(line + data.draw(st.sampled_from(ends)) for line in lines)
    places = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=4)))
    events = split(EventFrame(), [content[start:end] for start, end in pairwise([0, *places, len(content)])])
    decoder = SSEDecoder()
    assert [found[1] for event in events if (found := EventFrame().payload(event))] == [
        event.data for event in [*decoder.feed(content), *decoder.flush()]
    ]


@pytest.mark.parametrize(
    ("make", "events"),
    [
        (EventFrame, [b"data: " + b"x" * 50 + b"\n\n", b"data: 1\n\n", b"data: 2\n\n"]),
        (EventFrame, [b"data: " + b"x" * 50 + b"\r\n\r\n", b"data: 1\r\n\r\n"]),
        (LineFrame, [b"x" * 50 + b"\n", b"1\n", b"2\n"]),
        (ArrayFrame, [b'[{"a":"' + b"x" * 50 + b'"}', b",{}", b",{}", b"]"]),
    ],
)
def test_an_event_that_is_too_long_passes(make: Callable[[], Frame], events: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of it is held than may be, and the next events are found wherever the chunks end."""
    monkeypatch.setattr(restore_frames, "MAX_HELD_BYTES", 20)
    content = b"".join(events)
    for size in range(1, 19):
        frame = make()
        given_back = held = 0
        found: list[bytes] = []
        for start in range(0, len(content), size):
            passed, block = frame.feed(content[start : start + size])
            given_back += len(passed) + len(block)
            held = max(held, min(start + size, len(content)) - given_back)
            found += frame.events(block) if block else []
        assert held <= 20 and found == events[1:] and frame.rest() == b""


def test_a_payload_is_the_json_of_an_event() -> None:
    """Lines of data are joined; what has none, or ends the stream, is no JSON."""
    frame = EventFrame()
    assert [frame.payload(event) for event in SSE] == [
        None,
        (15, b'{"x":"1"}'),
        (5, b'{"x":"2"}'),
        (6, b'{"x":\n"3"}'),
        (6, b"4"),
        (6, b"[DONE]"),
    ]
    assert frame.is_end(b"[DONE]") and frame.payload(b"database: 1\n\n") is None
    assert [LineFrame().payload(line) for line in LINES] == [(0, LINES[0]), (0, LINES[1]), None, (0, b"x\n")]
    assert [ArrayFrame().payload(element) for element in ARRAY] == [
        (1, ARRAY[0][1:]),
        (3, ARRAY[1][3:]),
        (2, b'{"d":{}}'),
        (2, b"]"),
        None,
    ]
    assert ArrayFrame().is_end(b"]")


def test_a_copy_has_the_form_of_its_event() -> None:
    """Its name, its line ends, its comma; the values that JSON cannot hold come as near as they can."""
    assert EventFrame().copy(SSE[1], {"y": 1}) == b'event: a\ndata: {"y":1}\n\n'
    assert EventFrame().copy(SSE[2], {"y": 1}) == b'data:{"y":1}\r\n\r\n'
    assert EventFrame().copy(b"data: 1", 2) == b"data: 2\n\n"
    assert LineFrame().copy(LINES[1], {"y": 1}) == b'{"y":1}\r\n'
    assert ArrayFrame().copy(ARRAY[0], {"y": 1}) == b',\r\n{"y":1}'
    assert orjson.loads(LineFrame().copy(b"", [2**70, "\ud800"])) == [2.0**70, "?"]
