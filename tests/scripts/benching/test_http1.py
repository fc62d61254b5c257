"""Answers, whole and in any cut."""

from __future__ import annotations

import pytest

from scripts.benching.answers import framed, not_found, stream_events, whole_chat
from scripts.benching.http1 import AnswerError, AnswerReader

STREAM = b"".join(framed(stream_events(5, usage=True)))
TRAILERS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
CLOSED = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end"


def read(data: bytes, step: int) -> AnswerReader:
    reader = AnswerReader()
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    return reader


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100, 10**6])
def test_any_cut_gives_the_same(step: int) -> None:
    """Status, end, bytes and events do not depend on how the bytes come."""
    whole = read(whole_chat(400), step)
    assert (whole.status, whole.finished, whole.body_bytes, whole.events) == (200, True, 400, 0)
    stream = read(STREAM, step)
    assert (stream.status, stream.finished, stream.events, stream.is_stream) == (200, True, 7, True)
    trailers = read(TRAILERS, step)
    assert (trailers.ended, trailers.body_bytes) == (True, 3)
    assert read(not_found(), step).status == 404


def test_an_answer_ends_with_its_last_byte() -> None:
    """Not before."""
    assert not read(STREAM[:-1], 10**6).ended
    assert not read(whole_chat(400)[:-1], 10**6).ended


def test_without_a_length_it_ends_with_the_connection() -> None:
    """And only then."""
    reader = read(CLOSED, 5)
    assert reader.closes and not reader.ended
    reader.close()
    assert reader.finished and reader.body_bytes == 13


def test_a_closed_connection_ends_no_other_answer() -> None:
    """What is cut off is not finished."""
    reader = read(STREAM[:200], 10**6)
    reader.close()
    assert not reader.ended


def test_a_stream_without_done_is_not_finished() -> None:
    """Though its framing is whole."""
    pieces = framed(stream_events(5, usage=False)[:-1])
    reader = read(b"".join(pieces), 10**6)
    assert reader.ended and not reader.finished


def test_connection_close_is_seen() -> None:
    """The next call needs another connection."""
    assert read(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", 100).closes


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        STREAM + b"x",
        b"x" * 70_000,
    ],
    ids=["not HTTP", "no status", "no length", "too long", "no size", "bytes after it", "no head"],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    """And is no measurement."""
    with pytest.raises(AnswerError):
        read(data, 10**6)
