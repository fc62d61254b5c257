"""Bodies over HTTP/1: in the same bytes, ours does what mitmproxy's own does, but for how a body is cut into chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h11
import pytest
from h11._readers import ChunkedReader, ContentLengthReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy.proxy.layers.http._http1 import Http1Connection
from mitmproxy.proxy.layers.http._http2 import Http2Server

from addons.proxycore import http1
from addons.proxycore.install import install
from addons.proxycore.pins import put_back, replace_all
from tests.proxycore.sansio import (
    ASK,
    CHUNKS,
    Answer,
    Asking,
    Said,
    Wire,
    answers,
    askings,
    cut,
    cuts,
    gist,
    pieces,
    proxy_options,
    way,
    with_both,
)
from tests.proxycore.scripted import END, STREAM, chunk


@pytest.fixture(scope="module")
def options() -> Iterator[Any]:
    install()
    with proxy_options() as made:
        yield made


@settings(max_examples=600)
@given(answers)
def test_an_answer_is_handed_on_as_by_mitmproxy(options: Any, answer: Answer) -> None:
    """Well-formed or not, whole or broken off, in any cut, streamed or held, with hooks that take their time, and clients that leave."""
    stock, ours = with_both([http1.REPLACED], lambda: answer.said(options))
    assert gist(ours) == gist(stock)


@settings(max_examples=300)
@given(askings)
def test_a_request_is_handed_on_as_by_mitmproxy(options: Any, asking: Asking) -> None:
    """The same for bodies that clients send, pipelined requests among them."""
    stock, ours = with_both([http1.REPLACED], lambda: asking.said(options))
    assert gist(ours) == gist(stock)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(CHUNKS), min_size=1, max_size=6), st.fixed_dictionaries(way))
def test_chunk_by_chunk_not_a_byte_differs(options: Any, parts: list[bytes], manner: dict[str, Any]) -> None:
    """Chunks that come one by one go to the client one by one, framed as before."""

    def converse() -> list[Said]:
        wire = Wire(options, **(manner | {"is_call": False}))
        wire.from_client(ASK)
        for data in (STREAM, *parts, END):
            wire.from_server(data)
        return wire.finish()

    stock, ours = with_both([http1.REPLACED], converse)
    assert ours == stock


def test_what_comes_together_is_one_piece_and_waits_for_nothing(options: Any) -> None:
    """The chunks of one read are one write, a chunk that has begun goes on at once, and the end comes with what was before it."""
    wire = Wire(options)
    replace_all([http1.REPLACED])
    try:
        wire.from_client(ASK)
        wire.from_server(STREAM)
        wire.said.clear()
        wire.from_server(chunk(b"one ") + chunk(b"two ") + b"6\r\nthr")
        wire.from_server(b"ee \r\n" + chunk(b"four") + END)
    finally:
        put_back([http1.REPLACED])
    assert [data for whom, data in wire.said if whom == "client"] == [chunk(b"one two thr"), chunk(b"ee four"), END]


def test_bodies_that_are_kept_although_they_are_streamed(options: Any) -> None:
    """`store_streamed_bodies` is one more thing that is done with each piece."""
    answer = Answer(STREAM, [*CHUNKS, END], [len(STREAM)], end=False, left=None, way={})
    options.store_streamed_bodies = True
    try:
        stock, ours = with_both([http1.REPLACED], lambda: answer.said(options))
    finally:
        options.store_streamed_bodies = False
    assert gist(ours) == gist(stock)
    assert any(what == "kept" and "Hello" in str(content) for what, content in ours)


def test_an_answer_to_an_http2_client_goes_its_old_way(options: Any) -> None:
    """Its streams have windows, which HTTP/2's layer keeps."""
    wire = Wire(options)
    wire.from_client(ASK)
    wire.from_server(STREAM)
    upstream = next(layer for layer in wire.layer.connections.values() if not isinstance(layer, Http1Connection))
    client = upstream.child_layer  # type: ignore[attr-defined]
    direct = [type(command).__name__ for command in http1._deliver(client, b"Hello")]
    wire.layer.connections[wire.client] = Http2Server(wire.layer.context.fork())
    by_event = [type(command).__name__ for command in http1._deliver(client, b"Hello")]
    assert (direct, by_event) == (["SendData"], ["ReceiveHttp"])


@settings(max_examples=500)
@given(pieces, st.booleans(), cuts)
def test_chunks_that_are_taken_are_those_that_h11_reads(parts: list[bytes], one_by_one: bool, places: list[int]) -> None:
    """And the rest is left to it, in the state in which it would be itself."""
    ours, theirs = ReceiveBuffer(), ReceiveBuffer()
    reader, stock = ChunkedReader(), ChunkedReader()
    got: list[bytes | bytearray] = []
    for piece in parts if one_by_one else cut(b"".join(parts), places):
        ours += piece
        theirs += piece
        with_ours, with_theirs = _read(reader, ours, got), _read_stock(stock, theirs)
        assert (b"".join(got), with_ours) == with_theirs
        got.clear()
        if with_ours:
            return
        assert (bytes(ours), vars(reader)) == (bytes(theirs), vars(stock))


@settings(max_examples=200)
@given(st.integers(0, 12), st.lists(st.binary(max_size=6), max_size=6))
def test_a_counted_body_is_read_as_by_h11(length: int, parts: list[bytes]) -> None:
    """To its end and no further, whatever comes behind it."""
    ours, theirs = ReceiveBuffer(), ReceiveBuffer()
    reader, stock = ContentLengthReader(length), ContentLengthReader(length)
    got: list[bytes | bytearray] = []
    for piece in parts:
        ours += piece
        theirs += piece
        with_ours, with_theirs = _read(reader, ours, got), _read_stock(stock, theirs)
        assert (b"".join(got), with_ours) == with_theirs
        assert (bytes(ours), vars(reader)) == (bytes(theirs), vars(stock))
        got.clear()


def _read(reader: ChunkedReader | ContentLengthReader, buffer: ReceiveBuffer, got: list[bytes | bytearray]) -> str:
    try:
        return repr(http1._take(reader, buffer, got) or "")[:20].strip("'")
    except Exception as error:
        return repr(error)


def _read_stock(reader: ChunkedReader | ContentLengthReader, buffer: ReceiveBuffer) -> tuple[bytes, str]:
    got = []
    try:
        while isinstance(event := reader(buffer), h11.Data):
            got.append(event.data)
    except Exception as error:
        return b"".join(got), repr(error)
    return b"".join(got), repr(event or "")[:20].strip("'")
