"""Captured bytes are decoded and fed to the dialect's reader as they came."""

from __future__ import annotations

import gzip
import json
import zlib

from addons.core.call import CallRecord, CapturedBody
from addons.core.captured import decoded, deltas_ms, header, read_answer, ttft_ms
from addons.core.dialects import answer_reader

SSE_HEADERS = (("Content-Type", "text/event-stream; charset=utf-8"),)


def event(**delta: object) -> bytes:
    return b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode() + b"\n\n"


USAGE_EVENT = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\ndata: [DONE]\n\n'
EVENTS = [event(role="assistant"), event(content="he"), event(content="llo"), USAGE_EVENT]


def record(body: CapturedBody, status: int | None = 200) -> CallRecord:
    return CallRecord(
        id="1", started_ms=0, method="POST", host="h", path="/v1/chat/completions", api="openai.chat", status=status, response=body
    )


def captured(chunks: list[bytes], headers: tuple[tuple[str, str], ...] = SSE_HEADERS) -> CapturedBody:
    """Chunks that came at 10, 20, 30 … ms."""
    content = b"".join(chunks)
    return CapturedBody(headers, content, len(content), chunks=[(10.0 * n, len(chunk)) for n, chunk in enumerate(chunks, 1)])


def test_header_is_joined_in_any_case() -> None:
    """Repeated headers are one list; a missing one is None."""
    assert header((("A", "1"), ("a", "2")), "a") == "1, 2"
    assert header((), "a") is None


def test_stream_timings() -> None:
    """TTFT is the arrival of the chunk with the first content, not of the role; gaps begin with the first chunk's own time."""
    body = captured(EVENTS)
    answer = read_answer(record(body), streaming=True)
    assert answer.streamed and answer.whole and answer.reading.usage.input_tokens == 7
    assert ttft_ms(body, answer) == 20
    assert deltas_ms(body, answer) == (10, 10, 10, 10)


def test_compressed_stream_is_read_chunk_by_chunk() -> None:
    """A chunk of a sync-flushed gzip stream counts as one, also where it decodes to nothing yet."""
    packer = zlib.compressobj(wbits=31)
    chunks = [packer.compress(e) + packer.flush(zlib.Z_SYNC_FLUSH) for e in EVENTS[:-1]] + [packer.compress(EVENTS[-1]) + packer.flush()]
    split = [chunks[0][:5], chunks[0][5:], *chunks[1:]]
    body = captured(split, (*SSE_HEADERS, ("content-encoding", "gzip")))
    answer = read_answer(record(body), streaming=True)
    assert answer.content == b"".join(EVENTS)
    assert ttft_ms(body, answer) == 30


def test_tail_behind_a_gap_is_read() -> None:
    """Usage at the end of a long stream is found though the middle is missing; what is kept of the body has no tail in it."""
    middle = [event(content="x" * 50) for _ in range(40)]
    whole = b"".join([*EVENTS[:3], *middle, USAGE_EVENT])
    half = middle[0].index(b"xxx") + 20  # cut inside a text, so that both halves together would look like one event
    start = b"".join(EVENTS[:3]) + middle[0][:half]
    tail = whole[-len(USAGE_EVENT) - (len(middle[0]) - half) :]
    body = CapturedBody(SSE_HEADERS, start, len(whole), tail, [(10, len(start)), (50, len(whole) - len(start))])
    answer = read_answer(record(body), streaming=True)
    assert answer.whole and answer.reading.usage.output_tokens == 3
    assert answer.reading.messages[0].parts[0].text == "hello"
    assert answer.content == start


def test_compressed_tail_is_not_read() -> None:
    """Bytes from the middle of a gzip stream mean nothing: the end of such an answer is unknown."""
    packed = gzip.compress(b"".join(EVENTS) * 3)
    body = CapturedBody((*SSE_HEADERS, ("content-encoding", "gzip")), packed[:40], len(packed), packed[-20:], [(10, len(packed))])
    assert not read_answer(record(body), streaming=True).whole


def test_tail_without_a_gap_goes_on() -> None:
    """Where nothing is missing between content and tail the reader never stops."""
    whole = b"".join(EVENTS)
    at = len(EVENTS[0]) + 12
    body = CapturedBody(SSE_HEADERS, whole[:at], len(whole), whole[at:], [(10, len(whole))])
    (message,) = read_answer(record(body), streaming=True).reading.messages
    assert message.parts[0].text == "hello"


def test_whole_answer_has_no_stream_timings() -> None:
    """JSON that came in one piece is no stream."""
    body = captured([b'{"model":"m","choices":[{"message":{"role":"assistant","content":"hi"}}]}'], (("content-type", "application/json"),))
    answer = read_answer(record(body), streaming=False)
    assert not answer.streamed and ttft_ms(body, answer) is None and deltas_ms(body, answer) == ()


def test_body_without_chunks_is_read() -> None:
    """Our own answers are set whole: content without chunk times."""
    body = CapturedBody((("content-type", "application/json"),), b'{"error":{"message":"no","type":"t"}}', 37)
    assert read_answer(record(body, status=502), streaming=False).reading.error == "no"


def test_undecodable_body_stays_as_it_was() -> None:
    """A wrong Content-Encoding is no error: the bytes stay, the reading is empty and the end unknown."""
    body = captured([b"plain, not gzip"], (("content-encoding", "gzip"), ("content-type", "text/event-stream")))
    answer = read_answer(record(body), streaming=True)
    assert (answer.content, answer.whole, answer.reading.messages) == (b"plain, not gzip", False, ())
    assert decoded(body) == b"plain, not gzip"


def test_a_body_that_is_decoded_already_is_left() -> None:
    """Imported traffic keeps the header of an encoding that is off."""
    body = captured(EVENTS, (*SSE_HEADERS, ("content-encoding", "gzip")))
    body.decoded = True
    answer = read_answer(record(body), streaming=True)
    assert decoded(body) == answer.content == b"".join(EVENTS)
    assert answer.reading.usage.output_tokens == 3


def test_the_messages_of_a_websocket_are_read_one_by_one() -> None:
    """A line each; one that is broken costs no other."""
    done = {"type": "response.done", "response": {"status": "completed", "usage": {"input_tokens": 12, "output_tokens": 5}}}
    body = captured([b'{"type": "response.output_text.delta"}\n', b"{broken\n", json.dumps(done).encode() + b"\n"], ())
    session = record(body, status=101)
    session.api = "openai.realtime"
    answer = read_answer(session, streaming=True)
    assert (answer.reading.usage.input_tokens, answer.reading.usage.output_tokens) == (12, 5)
    assert answer.streamed and answer.whole
    assert ttft_ms(body, answer) == 10


def test_what_comes_after_the_first_content_is_read_as_one() -> None:
    """And reads as chunk by chunk, however the chunks are cut, also where a body was cut or has more bytes than its chunks."""
    content = b"".join(EVENTS)
    for size in (1, 7, 100, len(content)):
        chunks = [content[at : at + size] for at in range(0, len(content), size)]
        for kept, tail in ((len(content), 0), (len(content) - 150, 60), (len(content) - 150, 150)):
            body = captured(chunks)
            body.content, body.tail = content[:kept], content[len(content) - tail :] if tail else b""
            reader = answer_reader("openai.chat", "text/event-stream", 200)
            gap = kept + tail < len(content)
            told = body.content if gap else body.content + body.tail
            for at in range(0, len(told), size):
                reader.feed(told[at : at + size])
            if gap and tail:
                reader.resume()
                reader.feed(body.tail)
            answer = read_answer(record(body), streaming=True)
            assert answer.reading == reader.finish() and answer.content == told
