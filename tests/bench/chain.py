"""What our rooms cost the event loop per call: `python -O -m tests.bench.chain [CASE …]`.

Drives the real rooms, in the order of `router.py`, with flows as mitmproxy makes them, through every hook of a call from its headers to
its row; without a network, a writer or mitmproxy's own dispatch. Prints microseconds of CPU per call: the median and the least of many
rounds, for the whole journey and for each hook.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mitmproxy import http
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.net.http.http1 import read_request_head, read_response_head

from addons.core.call import CallRecord
from addons.proxycore.hooks import ORIGIN_FORM
from addons.state import State
from addons.storage.queue import RecordQueue
from addons.storage.writer import Writer
from scripts.benching.answers import END, stream_events, whole_chat
from scripts.benching.prompts import Prompts
from scripts.benching.shapes import Kind
from tests.rooms import Journey, make_state, mitmproxy_context

CALLS, ROUNDS = 300, 25
CONFIG = """
version: 1
upstreams:
  openai: {provider: openai, base_url: "http://127.0.0.1:9001/v1", hosts: [api.openai.com], default: true, keys: [{env: KEY}]}
  anthropic: {base_url: "https://api.anthropic.com", hosts: [api.anthropic.com]}
"""
ROUTES = """
routes:
  - {match: {model: "gpt-4o*"}, to: [{upstream: openai, model: gpt-4.1-mini}, {upstream: anthropic}]}
"""
KEYS = CONFIG.replace("keys: [{env: KEY}]", "keys: [{env: 'KEY*'}]")
BASE_URL = b"POST /proxy/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
FORWARDED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\n"
PLAIN = b"Content-Type: application/json\r\nAuthorization: Bearer bench\r\n"
SDK = b"""Accept-Encoding: gzip, deflate\r
Connection: keep-alive\r
Accept: application/json\r
Content-Type: application/json\r
User-Agent: OpenAI/Python 2.8.1\r
X-Stainless-Lang: python\r
X-Stainless-Package-Version: 2.8.1\r
X-Stainless-OS: Linux\r
X-Stainless-Arch: x64\r
X-Stainless-Runtime: CPython\r
X-Stainless-Runtime-Version: 3.13.0\r
Authorization: Bearer sk-proj-0123456789abcdef0123456789abcdef\r
X-Stainless-Async: false\r
x-stainless-retry-count: 0\r
x-stainless-read-timeout: 600\r
"""


@dataclass(frozen=True)
class Case:
    """One shape of calls. `head` without its length; `answer`: head and pieces of the body."""

    kind: Kind
    head: bytes
    stream: bool = False
    config: str = CONFIG
    size: int = 1000


CASES: Mapping[str, Case] = {
    "whole": Case("chat", BASE_URL + PLAIN),
    "stream": Case("chat", BASE_URL + PLAIN, stream=True),
    "agent": Case("agent", BASE_URL + SDK, stream=True, size=200_000),
    "forwarded": Case("chat", FORWARDED + SDK),
    "keys": Case("chat", BASE_URL + SDK, config=KEYS),
    "agent-keys": Case("agent", BASE_URL + SDK, stream=True, config=KEYS, size=200_000),
    "routed": Case("chat", BASE_URL + SDK, config=CONFIG + ROUTES),
}


class Queued:
    """Stands for the writer: its queue is the real one, and emptied at once."""

    def __init__(self) -> None:
        self.queue = RecordQueue(2**30)

    def put(self, record: CallRecord) -> None:
        self.queue.put(record)

    def empty(self) -> None:
        while len(self.queue):
            entry = self.queue.take(None)
            if entry:
                self.queue.written(entry[1])


class Driver:
    """The calls of one case. Each hook is a list of bound handlers, as the dispatch table has them."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self.state: State = make_state(folder, case.config, {f"KEY{n}": f"sk-proj-{n}" + "0123456789" * 4 for n in ("", "_2", "_3")})
        self.written = Queued()
        self.state.writer = cast(Writer, self.written)
        rooms = Journey(self.state).rooms
        self.hooks = {
            name: [handler for room in rooms if (handler := getattr(room, name, None))]
            for name in ("requestheaders", "request", "responseheaders", "response")
        }
        self.prompts = Prompts(case.kind, "gpt-4o-mini", case.stream, case.size)
        self.client = Client(peername=("127.0.0.1", 50_000), sockname=("127.0.0.1", 8080), state=ConnectionState.OPEN)
        self.server = Server(address=("127.0.0.1", 9001))
        events = stream_events(40, usage=True) if case.stream else []
        head, _, body = whole_chat(400).partition(b"\r\n\r\n")
        streamed = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        self.answer_head, self.chunks = (streamed, [*events, b""]) if events else (head, [body, b""])
        assert END

    def flows(self, count: int) -> Iterator[tuple[http.HTTPFlow, bytes]]:
        """Requests of which the heads have been read, each with the body that follows."""
        for number in range(count):
            body = self.prompts.next(number % 32)
            head = self.case.head + b"Content-Length: %d" % len(body)
            flow = http.HTTPFlow(self.client, self.server)
            flow.request = read_request_head(head.split(b"\r\n"))
            forwarded = self.case.head is CASES["forwarded"].head
            host, port, scheme = ("api.openai.com", 443, b"https") if forwarded else ("127.0.0.1", 8080, b"http")
            flow.request.data.host, flow.request.data.port, flow.request.data.scheme = host, port, scheme
            flow.live = True
            if not forwarded:
                flow.metadata[ORIGIN_FORM] = True
            yield flow, body

    def fire(self, name: str, flow: http.HTTPFlow) -> None:
        for handler in self.hooks[name]:
            handler(flow)

    def run(self, count: int, spent: dict[str, int] | None = None) -> int:
        """So many calls; the nanoseconds of CPU that the rooms took. `spent` gets those of each hook."""
        clock = time.thread_time_ns
        flows = list(self.flows(count))
        answers = [read_response_head(self.answer_head.split(b"\r\n")) for _ in flows]
        whole = 0

        def timed(name: str, work: Callable[[], None]) -> None:
            nonlocal whole
            start = clock()
            work()
            took = clock() - start
            whole += took
            if spent is not None:
                spent[name] = spent.get(name, 0) + took

        def begin() -> None:
            for flow, _ in flows:
                self.fire("requestheaders", flow)

        def send() -> None:
            for flow, _ in flows:
                self.fire("request", flow)

        def begin_answer() -> None:
            for flow, _ in flows:
                self.fire("responseheaders", flow)

        def pass_on() -> None:
            for flow, _ in flows:
                assert flow.response
                tap = cast(Callable[[bytes], Any], flow.response.stream)
                for chunk in self.chunks:
                    tap(chunk)

        def end() -> None:
            for flow, _ in flows:
                self.fire("response", flow)

        timed("requestheaders", begin)
        for flow, body in flows:
            flow.request.data.content = body
        timed("request", send)
        for (flow, _), answer in zip(flows, answers, strict=True):
            if flow.response or not flow.metadata.get("turnpike_timeouts"):
                raise SystemExit(f"a call was not sent: {flow.response and flow.response.content!r}")
            flow.response = answer
        timed("responseheaders", begin_answer)
        timed("chunks", pass_on)
        timed("response", end)
        self.written.empty()
        return whole


def measure(name: str, folder: Path) -> None:
    """Print a line for a case."""
    driver = Driver(CASES[name], folder)
    driver.run(CALLS)
    rounds: list[dict[str, int]] = []
    for _ in range(ROUNDS):
        rounds.append({})
        driver.run(CALLS, rounds[-1])
    totals = [sum(each.values()) / CALLS / 1000 for each in rounds]
    parts = {hook: min(each[hook] for each in rounds) / CALLS / 1000 for hook in rounds[0]}
    hooks = sum(value for hook, value in parts.items() if hook != "chunks")
    told = "  ".join(f"{hook} {value:.1f}" for hook, value in parts.items())
    print(f"{name:10} median {statistics.median(totals):6.1f}  least {min(totals):6.1f}  hooks {hooks:6.1f} µs | {told}", flush=True)


async def main() -> None:
    """The cases named, or all."""
    with mitmproxy_context(), tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or CASES:
            measure(name, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
