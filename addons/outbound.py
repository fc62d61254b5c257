"""Calls that the proxy makes of its own accord (the list of models, probes): one HTTP client for all, made when it is first needed.

They go directly, whatever the environment says of proxies, trust what mitmproxy trusts upstream, and follow no redirect: a key stays at
its upstream.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Literal, NamedTuple

import certifi
import httpx
from mitmproxy import ctx

from addons.core.attempt import Request

LOGGERS = ("httpx", "httpcore")
"""They tell of every request at the level of our own lines."""


class Answer(NamedTuple):
    """`body` is decoded; `whole` is False where it was cut at the limit."""

    status: int
    body: bytes
    whole: bool


class Unanswered(Exception):
    """No answer came. `why` as in DESIGN §5; str() is for people and quotes nothing that was sent."""

    def __init__(self, why: Literal["connect", "timeout"], text: str) -> None:
        super().__init__(text)
        self.why = why


class Outbound:
    """Asked by Catalogue and Probes; its client lives in the loop in which it was first used, until mitmproxy is done."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def get(self, request: Request, timeout_s: float, limit_bytes: int) -> Answer:
        """The answer, its body up to the limit, all within `timeout_s`. Raises Unanswered."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._send(request, limit_bytes)
        except (TimeoutError, httpx.TimeoutException):
            raise Unanswered("timeout", f"no answer within {timeout_s:g} s") from None
        except httpx.ConnectError as error:
            raise Unanswered("connect", str(error) or "no connection") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # their texts may quote what was sent
            raise Unanswered("connect", f"the connection broke ({type(error).__name__})") from None

    async def _send(self, request: Request, limit_bytes: int) -> Answer:
        if self._client is None:
            for name in LOGGERS:
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = httpx.AsyncClient(verify=trust(), trust_env=False, timeout=None, follow_redirects=False)
        async with self._client.stream(request.method, url_of(request), headers=list(request.headers)) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > limit_bytes:
                    return Answer(response.status_code, bytes(body[:limit_bytes]), whole=False)
            return Answer(response.status_code, bytes(body), whole=True)

    def done(self) -> asyncio.Task[None] | None:
        """Close it. The task is waited for where mitmproxy can wait; it can't when a script is taken out while it runs."""
        client, self._client = self._client, None
        return asyncio.ensure_future(client.aclose()) if client else None


def url_of(request: Request) -> str:
    """The URL of a request that was built for its upstream."""
    host = f"[{request.host}]" if ":" in request.host else request.host
    return f"{request.scheme}://{host}:{request.port}{request.path}"


def trust() -> ssl.SSLContext:
    """Whom mitmproxy trusts upstream, by its own options."""
    options = ctx.options
    file, folder = options.ssl_verify_upstream_trusted_ca, options.ssl_verify_upstream_trusted_confdir
    context = ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # new in Python 3.13; mitmproxy takes CAs that it would not
    if options.ssl_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
