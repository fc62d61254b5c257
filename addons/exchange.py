"""The data item: what is known of one call. Every room adds its facts; the Recorder hands the record to the writer.

It hangs on a weak dictionary keyed by flow, since a dataclass in `flow.metadata` breaks mitmproxy's own `-w`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons.config import Config
from addons.core.attempt import Request
from addons.core.call import AttemptRecord, CallRecord
from addons.core.ids import RANDOM_BYTES, ulid
from addons.core.keypool import KeyPool
from addons.core.peek import Peek
from addons.core.providers import Api
from addons.core.redaction.outgoing import Restore
from addons.core.redaction.restore_text import Restorable
from addons.core.routing import Decision
from addons.core.tries import Tries

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
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def now_ms(self) -> float:
        """Milliseconds since the call began."""
        return (time.perf_counter() - self.started) * 1000

    @property
    def attempt(self) -> AttemptRecord | None:
        """The try that is running or was the last."""
        return self.record.attempts[-1] if self.record.attempts else None

    def close_tries(self) -> None:
        """Give back what the call holds: a key, a place in a queue; safe at every end of a call."""
        if self.tries:
            self.tries.close(time.time())


_exchanges: WeakKeyDictionary[http.HTTPFlow, Exchange] = WeakKeyDictionary()


def open_exchange(flow: http.HTTPFlow, kind: Kind, path: str, config: Config, pools: Mapping[str, KeyPool]) -> Exchange:
    """Begin the record of a flow, with what the client asked for."""
    now_ms = time.time_ns() // 1_000_000
    record = CallRecord(
        id=ulid(now_ms, os.urandom(RANDOM_BYTES)),
        started_ms=now_ms,
        method=flow.request.method,
        host=flow.request.pretty_host,
        path=flow.request.path,
        api="other",
    )
    exchange = Exchange(kind, record, time.perf_counter(), path, config, pools, peer=flow.client_conn.peername[0])
    _exchanges[flow] = exchange
    return exchange


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange of a flow, None for what is not ours (mitm.it, flows loaded from a file)."""
    return _exchanges.get(flow)


def call_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange of an API call that no room has answered yet, None for everything else."""
    exchange = _exchanges.get(flow)
    return exchange if exchange and exchange.kind == "call" and flow.response is None else None
