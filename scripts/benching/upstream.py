"""The upstream, a process of its own: fixed bytes in OpenAI's dialect, as fast as asyncio goes.

    python -m scripts.benching.upstream '{"plain": FD, "tls": FD, "folder": …, "chunks": …, …}'

The listening sockets are handed over, so that their ports are known before it runs. It looks at no more of a request than its path,
its length and the beginning of its body. `turnpike fake-provider` speaks every dialect and is many times slower.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from scripts.benching.answers import framed, not_found, stream_events, whole_chat, whole_embedding
from scripts.fake_provider.tls import load_context

LOOKED_AT = 4096
"""How far into a body `stream` and `include_usage` are looked for: the bench's own requests, and what Turnpike adds, begin with them."""
_LENGTH = re.compile(rb"\r\ncontent-length:\s*([0-9]+)", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Spec:
    """Descriptors of the listening sockets, the folder with the certificate, and how answers are."""

    plain: int
    tls: int
    folder: str
    chunks: int
    chunk_gap_ms: float
    delay_ms: float
    answer_bytes: int
    tool: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class Answers:
    """The bytes, made once, and the times between them in seconds."""

    def __init__(self, spec: Spec) -> None:
        self.delay_s, self.gap_s = spec.delay_ms / 1000, spec.chunk_gap_ms / 1000
        self.chat = whole_chat(spec.answer_bytes)
        self.embedding = whole_embedding()
        self.not_found = not_found()
        self.streams = {usage: framed(stream_events(spec.chunks, usage=usage, tool=spec.tool)) for usage in (False, True)}

    def to(self, start: bytes, body: bytes) -> list[bytes]:
        """The pieces of the answer, of the request's first line and the beginning of its body."""
        path = start.split(b" ", 2)[1] if start.count(b" ") >= 2 else b""
        if path.endswith(b"/embeddings"):
            return [self.embedding]
        if not path.endswith(b"/chat/completions"):
            return [self.not_found]
        beginning = body[:LOOKED_AT]
        return self.streams[b'"include_usage":true' in beginning] if b'"stream":true' in beginning else [self.chat]


class Serving(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.needed = 0  # bytes of the whole request, once its head is there
        self.body_start = 0
        self.pieces: list[bytes] = []
        self.at = 0
        self.paused = self.waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream's transport is needed")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.needed:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self.buffer, 0, end)
            self.body_start = end + 4
            self.needed = self.body_start + (int(length[1]) if length else 0)
            if b"100-continue" in self.buffer[:end].lower():
                self.transport.write(_CONTINUE)
        if len(self.buffer) >= self.needed and not self.pieces:
            self._answer()

    def _answer(self) -> None:
        start = bytes(self.buffer[: self.buffer.index(b"\r\n")])
        self.pieces = self.answers.to(start, bytes(self.buffer[self.body_start : self.body_start + LOOKED_AT]))
        del self.buffer[: self.needed]
        self.at = self.needed = 0
        if self.answers.delay_s:
            self.loop.call_later(self.answers.delay_s, self._next)
        else:
            self._next()

    def _next(self) -> None:
        """One piece, each in a turn of the loop of its own, so that each is a segment of its own on the wire."""
        if self.transport.is_closing():
            return
        if self.paused:
            self.waits = True
            return
        self.transport.write(self.pieces[self.at])
        self.at += 1
        if self.at == len(self.pieces):
            self.pieces = []
            if self.buffer:
                self.data_received(b"")
        elif self.answers.gap_s:
            self.loop.call_later(self.answers.gap_s, self._next)
        else:
            self.loop.call_soon(self._next)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.waits:
            self.waits = False
            self._next()


async def serve(spec: Spec) -> None:
    """Until SIGTERM."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    make = partial(Serving, Answers(spec))
    contexts = {spec.plain: None, spec.tls: load_context(Path(spec.folder))}
    for descriptor, context in contexts.items():
        await loop.create_server(make, sock=socket.socket(fileno=descriptor), ssl=context, backlog=1024)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(Spec(**json.loads(sys.argv[1]))))
