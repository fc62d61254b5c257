"""Captured bytes made readable: content-decoded, and an answer fed to its reader chunk by chunk, as it came.

A body that cannot be decoded stays as it was on the wire, and its readings are empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import unquote_plus

from addons.core.call import AnswerReading, CallRecord, CapturedBody, Headers
from addons.core.dialects import AnswerReader, answer_reader, session_reader
from addons.core.encodings import UndecodableBody, decode, decoder, names
from addons.core.frozen import frozen
from addons.core.redaction.names import is_credential_header, is_credential_parameter

SWITCHING_PROTOCOLS = 101
JSON_LINES = "application/jsonl"
"""What the messages of a WebSocket are kept as."""
STREAM_TYPES = frozenset({"text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"})


@frozen
class Answer:
    """The decoded answer and what it says. `whole`: were all its bytes, or at least its end, there to be read?"""

    content: bytes
    reading: AnswerReading
    streamed: bool
    whole: bool


def header(headers: Headers, name: str) -> str | None:
    """The values of a header joined by commas (RFC 9110 §5.3), None without any; `name` in lower case."""
    size = len(name)
    return ", ".join([value for key, value in headers if len(key) == size and key.lower() == name]) or None


def _encoding(body: CapturedBody) -> str | None:
    """The Content-Encoding that is still on the bytes."""
    return None if body.decoded else header(body.headers, "content-encoding")


def decoded(body: CapturedBody) -> bytes:
    """The body without its Content-Encoding."""
    try:
        return decode(body.content, _encoding(body))
    except UndecodableBody:
        return body.content


def read_answer(record: CallRecord, streaming: bool) -> Answer:
    """Feeds the answer of a call to its dialect's reader. `streaming`: did the client ask for a stream?"""
    body = record.response
    if record.status == SWITCHING_PROTOCOLS:
        return _read_session(record)
    kind = header(body.headers, "content-type")
    reader = answer_reader(record.api, kind, record.status, body.headers)
    try:
        content = _feed(body, reader)
    except UndecodableBody:
        return Answer(body.content, answer_reader(record.api, kind, record.status, body.headers).finish(), False, False)
    whole = _feed_end(body, reader)
    reading = reader.finish()
    is_stream_type = (kind or "").partition(";")[0].strip().lower() in STREAM_TYPES
    succeeded = record.status is not None and record.status < 400
    return Answer(content, reading, is_stream_type or (streaming and succeeded and bool(body.size)), whole)


def _read_session(record: CallRecord) -> Answer:
    """A WebSocket's messages from the server: a line each, as its chunks are."""
    body, reader = record.response, session_reader(record.api)
    for message in body.content.split(b"\n"):
        reader.feed(message)
    return Answer(body.content, reader.finish(), bool(body.content), not _gap(body))


def _feed(body: CapturedBody, reader: AnswerReader) -> bytes:
    """One feed per chunk, also where a chunk decodes to nothing yet: the reader counts them."""
    kept = body.content if _gap(body) else body.content + body.tail
    if not names(_encoding(body)):
        for chunk in _until_content(_chunks(body, kept), kept, reader):
            reader.feed(chunk)
        return kept
    opened = decoder(_encoding(body))
    pieces = []
    for chunk in _chunks(body, kept):
        piece = opened.feed(chunk)
        reader.feed(piece)
        pieces.append(piece)
    if last := opened.flush():
        reader.feed(last)
        pieces.append(last)
    return b"".join(pieces)


def _chunks(body: CapturedBody, kept: bytes) -> Iterator[bytes]:
    if len(body.chunks) == 1 and body.chunks[0][1] == len(kept):
        yield kept  # not copied
        return
    start = 0
    for _, length in body.chunks:
        yield kept[start : start + length]
        start += length
    if start < len(kept):
        yield kept[start:]


def _until_content(chunks: Iterator[bytes], kept: bytes, reader: AnswerReader) -> Iterator[bytes]:
    """The chunks, and when it is known in which of them the content began, the rest as one: it reads the same, and faster."""
    at = 0
    for chunk in chunks:
        yield chunk
        at += len(chunk)
        if reader.has_begun:
            break
    if at < len(kept):
        yield kept[at:]


def _gap(body: CapturedBody) -> bool:
    """Are bytes missing between what was kept from the beginning and the tail?"""
    return len(body.content) + len(body.tail) < body.size


def _feed_end(body: CapturedBody, reader: AnswerReader) -> bool:
    """The tail behind a gap, unless it is compressed (then it cannot be read alone). Is the answer's end known now?"""
    if not _gap(body):
        return True
    if not body.tail or (_encoding(body) or "identity").lower() != "identity":
        return False
    reader.resume()
    reader.feed(body.tail)
    return True


def ttft_ms(body: CapturedBody, answer: Answer) -> float | None:
    """Milliseconds from the call's beginning to the chunk with the first content of a stream; None for whole answers."""
    first = answer.reading.first_content
    if first is None or not answer.streamed or not body.chunks:
        return None
    return body.chunks[min(first, len(body.chunks) - 1)][0]


def deltas_ms(body: CapturedBody, answer: Answer) -> tuple[float, ...]:
    """Of a stream: the first chunk's time since the call's beginning, then the gap before each further one."""
    if not answer.streamed:
        return ()
    times = [0.0, *[at for at, _ in body.chunks]]
    return tuple([round(later - earlier, 3) for earlier, later in pairwise(times)])


def credentials_of(record: CallRecord) -> list[str]:
    """The credentials that the client itself sent, which an upstream's error may echo: header values without their scheme, query values."""
    return credentials_in(record.request.headers, record.path)


def credentials_in(headers: Headers, path: str) -> list[str]:
    """The same, of a request's headers and its path with the query."""
    values = [value.rpartition(" ")[2] for name, value in headers if is_credential_header(name)]
    query = path.partition("?")[2]
    for item in query.split("&") if query else ():
        name, _, value = item.partition("=")
        if is_credential_parameter(unquote_plus(name)):
            values += [value, unquote_plus(value)]
    return values
