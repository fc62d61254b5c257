"""The bench's upstream in the test's own event loop, and servers that do wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.benching.shapes import Cell, Door, Job
from scripts.benching.upstream import Answers, Serving, Spec
from scripts.fake_provider.tls import make_context

HOST = "127.0.0.1"


@asynccontextmanager
async def upstream(folder: Path | None = None, *, chunks: int = 5, delay_ms: float = 0.0, gap_ms: float = 0.0) -> AsyncIterator[Door]:
    """With a folder: over TLS."""
    context: ssl.SSLContext | None = None
    ca_file: Path | None = None
    if folder is not None:
        context, ca_file = make_context(folder)
    answers = Answers(Spec(0, 0, "", chunks, gap_ms, delay_ms, 400, False))
    made: list[Serving] = []

    def make() -> Serving:
        made.append(Serving(answers))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(make, HOST, 0, ssl=context)
    async with server:
        port = int(server.sockets[0].getsockname()[1])
        try:
            yield Door(HOST, port, "/v1", ca_file=str(ca_file) if ca_file else None, server_name="localhost" if ca_file else None)
        finally:  # else a test that fails would wait for its own client to leave
            for serving in made:
                if hasattr(serving, "transport"):
                    serving.transport.abort()


@asynccontextmanager
async def scripted(answer: bytes, *, close: bool = True) -> AsyncIterator[Door]:
    """To whatever comes, these bytes; then it closes, or says nothing more."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(65536)
        writer.write(answer)
        await writer.drain()
        if not close:
            await reader.read(65536)  # until the client leaves
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        try:
            yield Door(HOST, int(server.sockets[0].getsockname()[1]), "/v1")
        finally:
            for writer in writers:
                writer.transport.abort()


def job(door: Door, cell: Cell | None = None, timeout_s: float = 10.0) -> Job:
    return Job(cell or Cell("base", "whole", "kept", 1000, 4), door, "chat", "gpt-4o-mini", 1.0, None, 0.0, timeout_s)
