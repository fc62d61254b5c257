"""Framing decoders: whole, byte by byte and cut anywhere they give the same events."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.decoders import JSONArrayDecoder, NDJSONDecoder, ServerSentEvent, SSEDecoder

SOURCE = random.Random(42)
SSE = '\ufeffevent: a\ndata: {"x": "ü€😀"}\n\n: ping\n\nid: 7\nretry: 10\ndata:one\ndata: two\ndata\n\nevent: last\ndata: end'
EVENTS = [ServerSentEvent("a", '{"x": "ü€😀"}'.encode()), ServerSentEvent("", b"one\ntwo\n"), ServerSentEvent("last", b"end")]


def pieces_of(body: bytes) -> list[list[bytes]]:
    """The body whole, byte by byte, and in random cuts."""
    ways = [[body], [body[at : at + 1] for at in range(len(body))]]
    for _ in range(50):
        cuts = sorted(SOURCE.randrange(len(body) + 1) for _ in range(5))
        ways.append([body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)])
    return ways


def run[Event](decoder: SSEDecoder | NDJSONDecoder | JSONArrayDecoder, pieces: list[bytes]) -> list[object]:
    found: list[object] = []
    for piece in pieces:
        found += decoder.feed(piece)
    return found + list(decoder.flush())


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_sse_is_the_same_however_it_is_cut(ending: str) -> None:
    """LF, CRLF and CR, a BOM, comments, data over several lines, no space after the colon, no last blank line."""
    for pieces in pieces_of(SSE.replace("\n", ending).encode()):
        assert run(SSEDecoder(), pieces) == EVENTS


def test_sse_events_come_at_once() -> None:
    """An event is given as soon as its blank line is there, also when that is a CR whose LF may follow."""
    decoder = SSEDecoder()
    assert decoder.feed(b"data: 1\r\n\r") == [ServerSentEvent("", b"1")]
    assert decoder.feed(b"\ndata: 2\n\n") == [ServerSentEvent("", b"2")]


def test_sse_goes_on_after_a_gap() -> None:
    """What was begun before the gap is forgotten, the rest of a line after it says nothing, the next event counts."""
    decoder = SSEDecoder()
    assert decoder.feed(b'event: a\ndata: {"cut') == []
    decoder.resync()
    assert decoder.feed(b'ed": 1}\n\ndata: whole\n\n') == [ServerSentEvent("", b"whole")]


@pytest.mark.parametrize("line", [b"data: " + b"x" * 5000 + b"\n", b"data: " + b"x" * 60 + b"\n" + b"data: " + b"x" * 60 + b"\n"])
def test_sse_drops_what_is_too_long(line: bytes) -> None:
    """An event over the bound is left out and not kept in memory, the ones around it stay."""
    body = b"data: 1\n\n" + line + b"\n" + b"data: 2\n\n"
    for pieces in pieces_of(body)[:12]:
        assert run(SSEDecoder(max_event_bytes=100), pieces) == [ServerSentEvent("", b"1"), ServerSentEvent("", b"2")]
    decoder = SSEDecoder(max_event_bytes=100)
    for _ in range(1000):
        decoder.feed(b"y" * 1000)
    assert sum(map(len, decoder._lines._pieces)) <= 100


def test_ndjson_is_the_same_however_it_is_cut() -> None:
    """Lines with any ending, blank ones left out, the last one without its end."""
    body = '{"a": "ü"}\n\r\n{"b": 2}\r\n  \n{"c": 3}'.encode()
    for pieces in pieces_of(body):
        assert run(NDJSONDecoder(), pieces) == ['{"a": "ü"}'.encode(), b'{"b": 2}', b'{"c": 3}']


def test_array_elements_are_the_same_however_they_are_cut() -> None:
    """Brackets, commas, quotes and escapes inside strings and elements separate nothing."""
    elements = ['{"a": "],[{\\"\\\\"}', '[1, {"b": [2, 3]}]', '"x,\\u00fcé"', "12", "null"]
    body = ("\ufeff [\n" + "\n,\r\n".join(elements) + "\n]\n").encode()
    for pieces in pieces_of(body):
        assert run(JSONArrayDecoder(), pieces) == [element.encode() for element in elements]


def test_array_elements_come_at_once_and_a_cut_one_at_the_end() -> None:
    """An element is given with the comma behind it; what the end of the stream cut is given by flush."""
    decoder = JSONArrayDecoder()
    assert decoder.feed(b'[{"a": 1}\n,') == [b'{"a": 1}']
    assert decoder.feed(b'{"b": ') == []
    assert decoder.flush() == [b'{"b":']


def test_array_goes_on_after_a_gap() -> None:
    """The next element that begins after a separator at the start of a line."""
    decoder = JSONArrayDecoder()
    decoder.feed(b'[{"a": "')
    decoder.resync()
    assert decoder.feed(b'x", "b": [1, 2]}\n,\r\n{"c"') == []
    assert decoder.feed(b": 3}\n]") == [b'{"c": 3}']


def test_array_drops_what_is_too_long() -> None:
    """An element over the bound is left out, the next one is found."""
    decoder = JSONArrayDecoder(max_event_bytes=50)
    found = [event for piece in (b'["', b"x" * 400, b'", ', b'{"a": 1}', b"]") for event in decoder.feed(piece)]
    assert found == [b'{"a": 1}']


HOSTILE = st.lists(
    st.sampled_from(
        [
            b"data:",
            b"data: ",
            b"event: a",
            b":",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b'"',
            b"\\",
            b'{"a": 1}',
            "ü€😀\ufeff".encode(),
            b"\xff",
            b"\x00",
            b"[DONE]",
            b" ",
            b"id: 1",
            b"retry:",
            b"datax: 1",
        ]
    )
    | st.binary(max_size=4),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize("kind", [SSEDecoder, NDJSONDecoder, JSONArrayDecoder])
@given(body=HOSTILE, cuts=st.lists(st.integers(0, 120), max_size=8), bound=st.sampled_from([20, 1000]))
def test_hostile_streams_are_the_same_however_they_are_cut(
    kind: type[SSEDecoder] | type[NDJSONDecoder] | type[JSONArrayDecoder], body: bytes, cuts: list[int], bound: int
) -> None:
    """Any mix of separators, brackets, quotes, escapes and broken UTF-8 gives the same events whole, byte by byte and in pieces."""
    at = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    pieces = [body[start:end] for start, end in itertools.pairwise(at)]
    single = [body[index : index + 1] for index in range(len(body))]
    if kind is JSONArrayDecoder:
        bound = 1000  # how much of an element that is too long comes before it is known to be depends on the pieces
    whole = run(kind(max_event_bytes=bound), [body])
    assert run(kind(max_event_bytes=bound), pieces) == whole
    assert run(kind(max_event_bytes=bound), single) == whole


@given(
    st.lists(
        st.sampled_from(["data: a", "data:b", "data: {\n}", "event: e\ndata: c", "event: x", ": p", "", "\n", "data", "\ufeffdata: d"]),
        max_size=6,
    )
)
def test_sse_of_whole_events_at_once(blocks: list[str]) -> None:
    """Chunks that end with an event are read as what is cut within one."""
    body = "".join(f"{block}\n\n" for block in blocks).encode()
    whole, single = SSEDecoder(), SSEDecoder()
    assert run(whole, [body]) == run(single, [body[at : at + 1] for at in range(len(body))])
    assert run(SSEDecoder(), [f"{block}\n\n".encode() for block in blocks]) == run(SSEDecoder(), [body])
