"""Asks providers whether keys are alive: each key once, several at a time, always at its own upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import httpx

from addons.config import Upstream
from addons.core.attempt import Request
from addons.core.keychecks import Verdict, address_of, check_of, verdict
from scripts.keytable import ListedKey
from scripts.progress import Progress
from scripts.running import bracketed

AT_ONCE = 8
READ_BYTES = 16 * 1024  # of an error; a list of models is not read at all
FIRST_ERROR_STATUS = 400

Result = Verdict | Literal["unreachable", "missing"]
DEAD: frozenset[Result] = frozenset({"refused", "unreachable", "missing"})
"""With these a call could not be made with the key."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What became of one key; `note` says why, in a few words and without anything of the answer's text."""

    key: ListedKey
    result: Result
    note: str

    @property
    def dead(self) -> bool:
        return self.result in DEAD


async def probe(keys: Sequence[ListedKey], upstreams: Mapping[str, Upstream], timeout_s: float, progress: Progress) -> list[Probed]:
    """The results in the order of the keys. Calls go directly, as the proxy's do, and follow no redirect: the key stays at its upstream."""
    slots, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(client: httpx.AsyncClient, key: ListedKey) -> Probed:
        nonlocal done
        async with slots:
            result = await _probe(client, key, upstreams[key.upstream], timeout_s)
        progress(done := done + 1)
        return result

    async with httpx.AsyncClient(trust_env=False, timeout=timeout_s) as client:
        return await asyncio.gather(*(one(client, key) for key in keys))


async def _probe(client: httpx.AsyncClient, key: ListedKey, upstream: Upstream, timeout_s: float) -> Probed:
    if key.secret is None:
        return Probed(key, "missing", key.note)
    base_url = address_of(upstream.provider, upstream.base_url, upstream.hosts)
    if base_url is None:
        return Probed(key, "unknown", "the upstream has no base_url, and not just one host")
    request = check_of(upstream.provider, base_url, key.secret.value)
    if request is None:
        return Probed(key, "unknown", f"{upstream.provider} has no call that costs nothing")
    begun = perf_counter()
    try:
        async with asyncio.timeout(timeout_s):
            status, body = await _send(client, request)
    except (TimeoutError, httpx.TimeoutException):
        return Probed(key, "unreachable", f"no answer within {timeout_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) if isinstance(error, httpx.ConnectError) else type(error).__name__  # others may quote what was sent
        return Probed(key, "unreachable", f"{request.host}:{request.port}: {reason}")
    result, note = verdict(status, body)
    took = f"{(perf_counter() - begun) * 1000:.0f} ms"
    return Probed(key, result, f"{note}, {took}" if note else took)


async def _send(client: httpx.AsyncClient, request: Request) -> tuple[int, str]:
    url = f"{request.scheme}://{bracketed(request.host)}:{request.port}{request.path}"
    async with client.stream(request.method, url, headers=[*request.headers, (b"Accept", b"application/json")]) as answer:
        body = b""
        if answer.status_code >= FIRST_ERROR_STATUS:
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > READ_BYTES:
                    break
        return answer.status_code, body[:READ_BYTES].decode("utf-8", "replace")
