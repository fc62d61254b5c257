"""The data item: what is known of one call. Every room adds its facts; the Recorder hands the record to the writer.

It hangs on the flow as an attribute, of which mitmproxy's own `-w` and copies know nothing: a dataclass in `flow.metadata` breaks them, and
a weak dictionary costs ten times as much each of the dozen times that a call is asked for its exchange.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mitmproxy import http

from addons.config import Config
from addons.core.attempt import Request
from addons.core.call import AttemptRecord, CallRecord
from addons.core.ids import RANDOM_LENGTH, random_characters, time_part
from addons.core.keypool import KeyPool
from addons.core.peek import BodyFields, Peek
from addons.core.providers import Api
from addons.core.redaction.outgoing import Restore
from addons.core.redaction.restore_text import Restorable
from addons.core.routing import Decision
from addons.core.tries import Tries
from addons.wireheaders import ReadHeaders, asked_host, read_headers

EXCHANGE = "turnpike_exchange"
"""The attribute of a flow."""

RANDOM_CALLS = 256
"""So many random parts of ids are made at once."""

Kind = Literal["call", "side", "local", "other"]
"""call: an API call, gets a row · side: another path on our host · local: for the proxy itself · other: not our host."""


class Session(Protocol):
    """What is taken in of a relayed WebSocket (`meter.py`)."""

    def close(self) -> None: ...


@dataclass(slots=True, weakref_slot=True)
class Exchange:
    """One flow's facts. `started` is a monotonic clock in seconds, against which all milliseconds are taken.

    `upstream` is the one that the client itself named (by host, path or header); `path` is the provider's path, with the
    proxy's own prefix and upstream segment taken off. `config` and `pools` are those that were valid when the call began.
    """

    kind: Kind
    record: CallRecord
    started: float
    path: str
    config: Config
    pools: Mapping[str, KeyPool]
    peer: str = ""  # the client's address
    upstream: str | None = None
    api: Api | None = None
    base_url_call: bool = False
    may_use_keys: bool = False  # until the Gate says so: should its hook raise, no key is given
    original: Request | None = None
    decision: Decision | None = None
    tries: Tries | None = None
    fields: BodyFields | None = field(default=None, repr=False)
    peek: Peek | None = None
    conversation: str | None = None  # found only where it decides which key is taken
    asked_usage: bool = False
    restore: tuple[Restorable, Restore] | None = None  # what the answer is restored with, and where
    key_sent: str | None = field(default=None, repr=False)  # the pool key that stands in the flow's request
    refused_with: http.Response | None = None  # the last response of an upstream that the client has not been given
    refused_restore: tuple[Restorable, Restore] | None = None  # and what that one is restored with
    waited_ms: float = 0.0  # of the waits that attempts have noted
    attempt_started: float | None = None
    session: Session | None = None
    ended: asyncio.Event | None = None  # made by `end_event`
    headers: ReadHeaders | None = field(default=None, repr=False)

    def read_headers(self, request: http.Request) -> ReadHeaders:
        """The request's headers as they are now, read anew only when somebody has changed them."""
        if self.headers is None or self.headers.fields is not request.headers.fields:
            self.headers = read_headers(request.headers)
        return self.headers

    def now_ms(self) -> float:
        """Milliseconds since the call began."""
        return (time.perf_counter() - self.started) * 1000

    @property
    def attempt(self) -> AttemptRecord | None:
        """The try that is running or was the last."""
        return self.record.attempts[-1] if self.record.attempts else None

    def end_event(self) -> asyncio.Event:
        """Set at the end of the call; made only for those who wait for that."""
        if self.ended is None:
            self.ended = asyncio.Event()
        return self.ended

    def close_tries(self) -> None:
        """Give back what the call holds: a key, a place in a queue; safe at every end of a call."""
        if self.tries:
            self.tries.close(time.time())


class RandomParts:
    """The random parts of ids, made many at a time: each system call gives up Python's lock, and the writer's thread, which takes it, keeps
    it for as long as a whole call needs. A forked process begins with some of its own."""

    def __init__(self) -> None:
        self._characters, self._at = "", 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """What was made is used no more."""
        self._characters, self._at = "", 0

    def next(self) -> str:
        """One that nobody else has been given."""
        if self._at >= len(self._characters):
            self._characters, self._at = random_characters(os.urandom(RANDOM_LENGTH * RANDOM_CALLS)), 0
        start, self._at = self._at, self._at + RANDOM_LENGTH
        return self._characters[start : self._at]


_random_parts = RandomParts()


def open_exchange(
    flow: http.HTTPFlow, kind: Kind, path: str, config: Config, pools: Mapping[str, KeyPool], *, headers: ReadHeaders | None = None
) -> Exchange:
    """Begin the record of a flow, with what the client asked for. `headers`: the request's, where they have been read."""
    now_ms, request = time.time_ns() // 1_000_000, flow.request
    headers = headers or read_headers(request.headers)
    record = CallRecord(
        id=time_part(now_ms) + _random_parts.next(),
        started_ms=now_ms,
        method=request.method,
        host=asked_host(request, headers.by_name),
        path=request.path,
        api="other",
    )
    exchange = Exchange(kind, record, time.perf_counter(), path, config, pools, peer=flow.client_conn.peername[0], headers=headers)
    setattr(flow, EXCHANGE, exchange)
    return exchange


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange of a flow, None for what is not ours (mitm.it, flows loaded from a file)."""
    found: Exchange | None = getattr(flow, EXCHANGE, None)
    return found


def call_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange of an API call that no room has answered yet, None for everything else."""
    exchange = exchange_of(flow)
    return exchange if exchange and exchange.kind == "call" and flow.response is None else None
