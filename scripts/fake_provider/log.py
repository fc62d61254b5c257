"""The requests that were seen, newest last, bounded in number and in bytes."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from scripts.fake_provider.http1 import Headers, Request

MAX_REQUESTS = 10_000
MAX_BYTES = 64 * 1024 * 1024

End = Literal["answered", "cut", "reset", "client left"]

KEY_HEADERS = {"authorization": "Bearer ", "x-api-key": "", "x-goog-api-key": "", "api-key": ""}
"""Header → what stands before the key; a key in the query is `key` (Gemini)."""


@dataclass(slots=True)
class SeenRequest:
    """One request as it arrived. `started_s` is Unix time, `connection` counts connections from 1,
    `ended` is None while it is being answered."""

    n: int
    method: str
    path: str
    headers: Headers
    body: bytes
    key: str
    connection: int
    started_s: float
    ended: End | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)

    def as_dict(self) -> dict[str, Any]:
        names = ("n", "method", "path", "headers", "key", "connection", "started_s", "ended", "sha256")
        return {name: getattr(self, name) for name in names} | {"body": self.body.decode("utf-8", "replace")}


class RequestLog:
    """Keeps the last requests; the oldest give way."""

    def __init__(self, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        self._seen: deque[SeenRequest] = deque()
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self.count = 0
        """How many were ever seen."""

    def add(self, request: Request, key: str, connection: int, now_s: float) -> SeenRequest:
        self.count += 1
        seen = SeenRequest(self.count, request.method, request.target, request.headers, request.body, key, connection, now_s)
        self._seen.append(seen)
        self._bytes += len(seen.body)
        while len(self._seen) > self._max_requests or (self._bytes > self._max_bytes and len(self._seen) > 1):
            self._bytes -= len(self._seen.popleft().body)
        return seen

    def clear(self) -> None:
        self._seen.clear()
        self._bytes = 0

    def items(self) -> list[SeenRequest]:
        return list(self._seen)


def key_of(request: Request) -> str:
    """The API key that came with the request, empty without one."""
    for name, value in request.headers:
        prefix = KEY_HEADERS.get(name)
        if prefix is not None:
            return value[len(prefix) :] if value.lower().startswith(prefix.lower()) else value
    if "key=" in request.target:
        return parse_qs(urlsplit(request.target).query).get("key", [""])[0]
    return ""
