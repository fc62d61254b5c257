"""The requests that were seen, newest last, bounded in number and in bytes; and how many are being answered."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from scripts.fake_provider.http1 import Headers, Request

MAX_REQUESTS = 10_000
MAX_BYTES = 64 * 1024 * 1024

End = Literal["answered", "cut", "reset", "client left"]
"""`cut` is also what became of an answer whose connection we dropped, for another stream or to stop; `client left` is also a
client that only reset the stream."""

KEY_HEADERS = {"authorization": "Bearer ", "x-api-key": "", "x-goog-api-key": "", "api-key": ""}
"""Header → what stands before the key; a key in the query is `key` (Gemini)."""


@dataclass(slots=True)
class SeenRequest:
    """One request as it arrived (with HTTP/2 `:authority` as the header `host`). `started_s` and `ended_s` are Unix time: the
    request was there in full, the last byte was sent. `connection` counts connections from 1. While it is being answered
    `ended` and `ended_s` are None."""

    n: int
    method: str
    path: str
    headers: Headers
    body: bytes
    key: str
    connection: int
    started_s: float
    http_version: str = "1.1"
    ended: End | None = None
    ended_s: float | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)

    def as_dict(self) -> dict[str, Any]:
        names = ("n", "method", "path", "headers", "key", "connection", "http_version", "started_s", "ended", "ended_s", "sha256")
        return {name: getattr(self, name) for name in names} | {"body": self.body.decode("utf-8", "replace")}


class Gauge:
    """How many there are now, and were at the highest."""

    __slots__ = ("now", "peak")

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def up(self) -> None:
        self.now += 1
        self.peak = max(self.peak, self.now)


class Load:
    """How many requests are being answered, in all and by key."""

    def __init__(self) -> None:
        self.total = Gauge()
        self.by_key: defaultdict[str, Gauge] = defaultdict(Gauge)

    def forget_peaks(self) -> None:
        """The highest is what it is now."""
        for gauge in (self.total, *self.by_key.values()):
            gauge.peak = gauge.now

    def peak_by_key(self) -> dict[str, int]:
        return {key: gauge.peak for key, gauge in list(self.by_key.items()) if gauge.peak}

    def as_dict(self) -> dict[str, Any]:
        return {"in_flight": self.total.now, "peak": self.total.peak, "peak_by_key": self.peak_by_key()}


class RequestLog:
    """Keeps the last requests; the oldest give way."""

    def __init__(self, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        self.load = Load()
        self._seen: deque[SeenRequest] = deque()
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._watchers: tuple[threading.Event, ...] = ()
        self._watching = threading.Lock()
        self.count = 0
        """How many were ever seen."""

    def add(self, request: Request, key: str, connection: int, now_s: float) -> SeenRequest:
        self.count += 1
        target, headers, body = request.target, request.headers, request.body
        seen = SeenRequest(self.count, request.method, target, headers, body, key, connection, now_s, request.http_version)
        self._seen.append(seen)
        self._bytes += len(seen.body)
        while len(self._seen) > self._max_requests or (self._bytes > self._max_bytes and len(self._seen) > 1):
            self._bytes -= len(self._seen.popleft().body)
        self.load.total.up()
        self.load.by_key[key].up()
        if self._watchers:
            self._tell()
        return seen

    def end(self, seen: SeenRequest, end: End, now_s: float) -> None:
        """Once for each request."""
        seen.ended, seen.ended_s = end, now_s
        self.load.total.now -= 1
        self.load.by_key[seen.key].now -= 1
        if self._watchers:
            self._tell()

    def clear(self) -> None:
        self._seen.clear()
        self._bytes = 0
        self.load.forget_peaks()

    def items(self) -> list[SeenRequest]:
        return list(self._seen)

    def wait_for[Found](self, look: Callable[[], Found], timeout_s: float) -> Found:
        """The first truthy thing that `look()` gives: asked now and after each request that began or ended. Blocks, so not for
        the provider's own thread. Raises TimeoutError."""
        deadline, changed = time.monotonic() + timeout_s, threading.Event()
        with self._watching:
            self._watchers = (*self._watchers, changed)
        try:
            while not (found := look()):
                if not changed.wait(max(0, deadline - time.monotonic())):
                    raise TimeoutError(f"not seen within {timeout_s:g} s")
                changed.clear()
            return found
        finally:
            with self._watching:
                self._watchers = tuple(event for event in self._watchers if event is not changed)

    def _tell(self) -> None:
        for changed in self._watchers:
            changed.set()


def key_of(request: Request) -> str:
    """The API key that came with the request, empty without one."""
    for name, value in request.headers:
        prefix = KEY_HEADERS.get(name)
        if prefix is not None:
            return value[len(prefix) :] if value.lower().startswith(prefix.lower()) else value
    if "key=" in request.target:
        return parse_qs(urlsplit(request.target).query).get("key", [""])[0]
    return ""
