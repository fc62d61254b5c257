"""AWS's binary frames: whole, byte by byte and cut anywhere they give the same messages, and damage takes no more than itself."""

from __future__ import annotations

import itertools
from binascii import crc32

from hypothesis import given
from hypothesis import strategies as st

from addons.core.eventstream import EventStreamDecoder, Message


def header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + len(value.encode()).to_bytes(2) + value.encode()


def frame(payload: bytes, headers: bytes = b"") -> bytes:
    """One message as AWS frames it."""
    start = (16 + len(headers) + len(payload)).to_bytes(4) + len(headers).to_bytes(4)
    body = start + crc32(start).to_bytes(4) + headers + payload
    return body + crc32(body).to_bytes(4)


def event(kind: str, payload: bytes) -> bytes:
    return frame(payload, header(":event-type", kind) + header(":message-type", "event"))


FIRST, SECOND = event("messageStart", b'{"role":"assistant"}'), event("metadata", b"{}")


def run(pieces: list[bytes], **options: int) -> list[Message]:
    decoder = EventStreamDecoder(**options)
    found = [message for piece in pieces for message in decoder.feed(piece)]
    return found + decoder.flush()


def payloads(pieces: list[bytes], **options: int) -> list[bytes]:
    return [message.payload for message in run(pieces, **options)]


def test_headers_and_payload() -> None:
    """The kind of an event, and whether it is an exception in place of one."""
    failure = frame(b"{}", header(":exception-type", "throttlingException") + header(":message-type", "exception"))
    first, second = run([FIRST + failure])
    assert (first.kind, first.payload, first.failed) == ("messageStart", b'{"role":"assistant"}', False)
    assert (second.kind, second.failed) == ("throttlingException", True)


def test_headers_of_every_type_are_passed_over() -> None:
    """Booleans, numbers, bytes, times and ids stand between strings; one of an unknown type ends the reading of headers."""
    others = b"".join(
        bytes([1]) + b"x" + bytes([kind]) + b"\1" * size for kind, size in {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}.items()
    )
    binary = b"\x01b\x06\x00\x03abc"
    (found,) = run([frame(b"p", others + binary + header("name", "ü") + b"\x01u\x63" + header("late", "x"))])
    assert found.headers == {"name": "ü"}


@given(st.lists(st.binary(max_size=200), max_size=6), st.lists(st.integers(0, 2000), max_size=12), st.binary(max_size=40))
def test_cuts_change_nothing(contents: list[bytes], cuts: list[int], noise: bytes) -> None:
    """Also with noise before and between."""
    body = noise + b"".join(event("chunk", content) + noise for content in contents)
    at = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    whole = run([body])
    assert run([body[start:end] for start, end in itertools.pairwise(at)]) == whole
    assert run([body[index : index + 1] for index in range(len(body))]) == whole


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_whatever_comes_nothing_raises(body: bytes, cuts: list[int]) -> None:
    """Bytes that are no frames give none, and the same however they are cut."""
    at = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    assert run([body[start:end] for start, end in itertools.pairwise(at)]) == run([body])


def test_a_broken_message_is_left_out() -> None:
    """By its own checksum, or by that of its lengths; the next one is found."""
    for index in (1, 5, 9, len(FIRST) - 6, len(FIRST) - 1):
        broken = bytearray(FIRST)
        broken[index] ^= 0xFF
        assert payloads([bytes(broken) + SECOND]) == [b"{}"]


def test_one_that_is_too_long_is_dropped() -> None:
    """It is not kept, however it comes, and the one behind it is read."""
    body = event("chunk", b"x" * 500) + SECOND
    for size in (1, 7, 10_000):
        assert payloads([body[at : at + size] for at in range(0, len(body), size)], max_message_bytes=200) == [b"{}"]


def test_it_goes_on_after_a_gap() -> None:
    """What was begun is forgotten, the rest of a message says nothing."""
    decoder = EventStreamDecoder()
    assert decoder.feed(FIRST[:20]) == []
    decoder.resync()
    assert [message.payload for message in decoder.feed(FIRST[40:] + SECOND)] == [b"{}"]


def test_zeros_take_no_time() -> None:
    """A megabyte of them gives nothing, and what follows is still found."""
    assert payloads([b"\0" * (1 << 20) + SECOND]) == [b"{}"]


def test_noise_that_looks_like_a_beginning_hides_nothing() -> None:
    """What may be the lengths of a message, with a message beginning inside it."""
    for length in range(1, 12):
        assert payloads([b"\0\0\1\0\0\0\0\0\0\0\0\0"[:length] + SECOND]) == [b"{}"]
