"""Whether the beginning of a stream is content, or an error in its place."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from addons.core.opening import Opening, opening_of

SSE = (("Content-Type", "text/event-stream; charset=utf-8"),)
NDJSON = (("content-type", "application/x-ndjson"),)
ROLE = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'
WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
OPENAI_ERROR = b'data: {"error": {"message": "The server is overloaded", "type": "server_error"}}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
START = (
    b'event: message_start\ndata: {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "model": "c"}}\n\n'
)
OVERLOADED = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
THINKING = b'data: {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}\n\n'
THOUGHT = b'data: {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "So"}}\n\n'


def opening(api: str, headers: tuple[tuple[str, str], ...] = SSE) -> Opening:
    found = opening_of(api, 200, headers)
    assert found
    return found


@pytest.mark.parametrize(
    ("api", "headers", "stream", "verdict"),
    [
        ("openai.chat", SSE, ROLE + WORD, "content"),
        ("openai.chat", SSE, ROLE, "unknown"),
        ("openai.chat", SSE, b": OPENROUTER PROCESSING\n\n" + ROLE + OPENAI_ERROR, "error"),
        ("anthropic.messages", SSE, START + PING + PING, "unknown"),
        ("anthropic.messages", SSE, START + OVERLOADED, "error"),
        ("anthropic.messages", SSE, START + THINKING + THOUGHT, "content"),
        ("gemini.generate", SSE, b'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}\r\n\r\n', "content"),
        ("gemini.generate", SSE, b'data: {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}\r\n\r\n', "error"),
        ("ollama.chat", NDJSON, b'{"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": false}\n', "content"),
        ("ollama.chat", NDJSON, b'{"error": "model runner has stopped"}\n', "error"),
        ("openai.responses", SSE, b'event: error\ndata: {"type": "error", "code": "server_error", "message": "no"}\n\n', "error"),
    ],
)
@pytest.mark.parametrize(
    "cut", [lambda data: [data], lambda data: [data[n : n + 1] for n in range(len(data))]], ids=["whole", "byte by byte"]
)
def test_content_error_or_neither(
    api: str, headers: tuple[tuple[str, str], ...], stream: bytes, verdict: str, cut: Callable[[bytes], list[bytes]]
) -> None:
    """The same for any cut of the bytes."""
    reading = opening(api, headers)
    said = "unknown"
    for piece in cut(stream):
        said = reading.feed(piece)
        if said != "unknown":
            break
    assert said == verdict


def test_the_error_is_told() -> None:
    """Type and text."""
    reading = opening("anthropic.messages")
    assert reading.feed(START + OVERLOADED) == "error"
    assert reading.error == ("overloaded_error", "Overloaded")


def test_compressed_streams_are_read() -> None:
    """And what is no gzip is the client's to judge."""
    packed = (*SSE, ("Content-Encoding", "gzip"))
    assert opening("openai.chat", packed).feed(gzip.compress(ROLE + OPENAI_ERROR)) == "error"
    assert opening("openai.chat", packed).feed(ROLE + WORD) == "content"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("cut", [len(ROLE + WORD + OPENAI_ERROR), len(ROLE + WORD), len(ROLE), 10, 1])
def test_what_comes_first_decides(cut: int, line_end: bytes) -> None:
    """Content before an error, or an error before content, in one chunk or in several; the rest is not even read."""
    for events, verdict in ((ROLE + WORD + OPENAI_ERROR, "content"), (ROLE + OPENAI_ERROR + WORD, "error")):
        stream = events.replace(b"\n", line_end)
        reading = opening("openai.chat")
        said = (reading.feed(stream[at : at + cut]) for at in range(0, len(stream), cut))
        assert next(one for one in said if one != "unknown") == verdict
        assert any(reading.error) is (verdict == "error")


def test_a_stream_that_ends_without_content() -> None:
    """Says nothing, or an error whose blank line was missing."""
    reading = opening("openai.chat")
    assert reading.feed(ROLE + b"data: [DONE]\n\n") == "unknown"
    assert reading.finish() == "unknown"
    reading = opening("openai.chat")
    assert reading.feed(OPENAI_ERROR.rstrip()) == "unknown"
    assert reading.finish() == "error"


@pytest.mark.parametrize(
    ("api", "headers"),
    [("openai.audio", SSE), ("other", SSE), ("openai.chat", (("Content-Type", "application/json"),)), ("openai.chat", ())],
)
def test_what_is_not_held(api: str, headers: tuple[tuple[str, str], ...]) -> None:
    """Whole answers, and streams whose content is not text."""
    assert opening_of(api, 200, headers) is None


def test_an_encoding_that_nobody_knows_is_not_held() -> None:
    """It can't be read, so it is passed on."""
    assert opening_of("openai.chat", 200, (*SSE, ("Content-Encoding", "rot13"))) is None
