"""Sends samples as unmodified clients do: to the original hosts through the proxy, or to the proxy's base URL."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from scripts.demo.samples import Lane
from scripts.demo.wire import WIRES, Sample

CLIENT_KEY = "turnpike"  # what a client without a key of its own sends; the proxy puts a key of its pool in
STREAM_PAUSE_S = 0.03
TIMEOUT_S = 30.0


class Traffic:
    """Clients of the proxy at `proxy_url`, which trust its CA; an async context. `unexpected` tells what went otherwise."""

    def __init__(self, proxy_url: str, prefix: str, ca: Path) -> None:
        self._base = proxy_url + prefix
        trust = ssl.create_default_context(cafile=str(ca))
        self._through = httpx.AsyncClient(proxy=proxy_url, verify=trust, trust_env=False, timeout=TIMEOUT_S)
        self._direct = httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S)
        self._stack = AsyncExitStack()
        self.unexpected: list[str] = []

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._through)
        await self._stack.enter_async_context(self._direct)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def send_all(self, lanes: Iterable[Lane], sent: Callable[[], None]) -> None:
        """The lanes side by side; within one, call after call. `sent` is called after each."""
        await asyncio.gather(*(self._send_lane(lane, sent) for lane in lanes))

    async def _send_lane(self, lane: Lane, sent: Callable[[], None]) -> None:
        for sample in lane:
            await self._send(sample)
            sent()

    async def _send(self, sample: Sample) -> None:
        breaks = "cut" in sample.knobs
        try:
            async with self._client(sample).stream(
                "POST", self._url(sample), headers=headers_of(sample), json=WIRES[sample.dialect].body(sample)
            ) as answer:
                await answer.aread()
        except httpx.HTTPError as error:
            if not breaks:
                self.unexpected.append(f"{sample.dialect} {sample.model}: {type(error).__name__} {error}")
            return
        if answer.status_code != sample.expect:
            self.unexpected.append(f"{sample.dialect} {sample.model}: {answer.status_code} instead of {sample.expect}: {answer.text[:200]}")

    def _client(self, sample: Sample) -> httpx.AsyncClient:
        return self._through if sample.way == "proxy" else self._direct

    def _url(self, sample: Sample) -> str:
        wire = WIRES[sample.dialect]
        if sample.way == "proxy":
            return f"https://{wire.host}{wire.path(sample)}"
        return self._base + (f"/{sample.upstream}" if sample.upstream else "") + wire.path(sample)


def headers_of(sample: Sample) -> dict[str, str]:
    """Who asks, on what credential, and how the fake provider is to answer."""
    knobs = dict(sample.knobs)
    if sample.answer:
        knobs["text"] = sample.answer.strip()
    if sample.stream:
        knobs.setdefault("delay", str(STREAM_PAUSE_S))
    name, value = WIRES[sample.dialect].key_header(CLIENT_KEY)
    own = {"User-Agent": sample.client, name: value}
    return own | dict(sample.headers) | {f"X-Fake-{knob.replace('_', '-')}": text for knob, text in knobs.items()}
