"""What tests of the rooms share: a State of a real configuration, flows as mitmproxy hands them over, a real proxy in this process."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import orjson
from mitmproxy import connection, exceptions, http
from mitmproxy.addons import default_addons
from mitmproxy.addons.dumper import Dumper
from mitmproxy.flow import Error
from mitmproxy.options import Options
from mitmproxy.test import taddons
from mitmproxy.test.tflow import tclient_conn, tserver_conn
from mitmproxy.tools.dump import DumpMaster

from addons.catalogue import Catalogue
from addons.config import load
from addons.core.call import CallRecord
from addons.endpoints import Endpoints
from addons.exchange import Exchange, exchange_of
from addons.failover import Failover
from addons.gate import Gate
from addons.keys import Keys
from addons.meter import Meter
from addons.outbound import Outbound
from addons.probes import Probes
from addons.proxycore.connecting import ConnectClock
from addons.proxycore.hooks import AGAIN, CLIENT_LEFT, FAILURE, ORIGIN_FORM, WAIT, FailureKind, UpstreamFailure
from addons.recorder import Recorder
from addons.redactor import Redactor
from addons.routing import Router
from addons.scope import Scope
from addons.settings import Settings
from addons.state import State
from addons.storage.writer import Writer, WriterStats

OWN_PORT = 8080
OWN_HOST = f"127.0.0.1:{OWN_PORT}"
LOCAL_PEER = ("127.0.0.1", 50_000)
REMOTE_PEER = ("192.0.2.7", 50_000)
REMOTE_SOCKET = ("192.0.2.1", OWN_PORT)
HOOK_NAMES = ("requestheaders", "request_stream", "request", "responseheaders", "response", "error", "upstream_failed")

UPSTREAMS = """
version: 1
upstreams:
  openai: {base_url: "https://api.openai.com/v1", hosts: [api.openai.com], default: true, keys: [{env: OPENAI_KEY*}]}
  anthropic: {base_url: "https://api.anthropic.com", hosts: [api.anthropic.com], keys: [{env: ANTHROPIC_KEY*}]}
  openrouter: {base_url: "https://openrouter.ai/api/v1", hosts: [openrouter.ai], keys: [{env: OPENROUTER_KEY*}]}
"""
"""Three upstreams with as many keys as the environment given to `make_state` has."""

CHAT = "/v1/chat/completions"
CHAT_BODY = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}'


def new_key(prefix: str = "sk-") -> str:
    """A key that nothing else has."""
    return prefix + secrets.token_hex(20)


class Records:
    """Stands for the writer: keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.stopped = 0
        self.health = (True, "ok")
        self.added = asyncio.Event()

    def put(self, record: CallRecord) -> None:
        self.records.append(record)
        self.added.set()

    def stop(self) -> bool:
        self.stopped += 1
        return True

    def healthy(self) -> tuple[bool, str]:
        return self.health

    def stats(self) -> WriterStats:
        return WriterStats(3, 700, len(self.records), 0, 0, None, None)

    async def wait_for(self, count: int) -> list[CallRecord]:
        """At least so many records; 5 s at most."""
        async with asyncio.timeout(5):
            while len(self.records) < count:
                self.added.clear()
                await self.added.wait()
        return self.records


def make_state(folder: Path, text: str = UPSTREAMS, environ: Mapping[str, str] | None = None) -> State:
    """A State by this configuration, whose writer keeps the records in a list."""
    file = folder / "turnpike.yml"
    file.write_text(text)
    state = State()
    state.adopt(load(file, environ or {}))
    state.writer = cast(Writer, Records())
    return state


def records(state: State) -> list[CallRecord]:
    """What the Recorder has handed over."""
    assert isinstance(state.writer, Records)
    return state.writer.records


def run_at_once(hook: Coroutine[Any, Any, None]) -> None:
    """Run an asynchronous hook that has nothing to wait for."""
    with contextlib.suppress(StopIteration):
        hook.send(None)
        raise AssertionError("the hook waits for something")


class Journey:
    """The rooms in the order of router.py, and their hooks called as mitmproxy would. An error in a hook is not swallowed here."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.outbound = Outbound()
        self.catalogue, self.probes = Catalogue(state, self.outbound), Probes(state, self.outbound)
        self.scope, self.gate, self.endpoints, self.router = Scope(state), Gate(state), Endpoints(state, self.catalogue), Router(state)
        self.redactor = Redactor(state)
        self.failover = Failover(state, self.router, self.redactor, Keys())
        self.meter, self.recorder = Meter(state), Recorder(state)
        self.rooms = [self.scope, self.gate, self.endpoints, self.router, self.redactor, self.failover, self.meter, self.recorder]
        self.rooms += [self.catalogue, self.probes, self.outbound]

    def hook(self, name: str, data: object) -> list[str]:
        """Call one hook on every room that has it, until one halts; gives the names of those that were called."""
        called = []
        for room in self.rooms:
            handler = getattr(room, name, None)
            if handler is None:
                continue
            called.append(type(room).__name__)
            try:
                result = handler(data)
            except exceptions.AddonHalt:
                break
            if inspect.iscoroutine(result):
                run_at_once(result)
        return called

    def send(self, flow: http.HTTPFlow) -> http.HTTPFlow:
        """A request that has come whole. What a room answers itself ends at once, as in mitmproxy."""
        self.hook("requestheaders", flow)
        self.hook("request", flow)
        if flow.response:
            self.hook("responseheaders", flow)
            self.hook("response", flow)
        return flow

    def begin_answer(self, flow: http.HTTPFlow, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """The upstream's status and headers have come."""
        flow.response = http.Response.make(status, b"", dict(headers or {}))
        flow.response.raw_content = None
        self.hook("responseheaders", flow)

    def answer(self, flow: http.HTTPFlow, status: int = 200, chunks: Iterable[bytes] = (b"{}",)) -> bytes:
        """A whole answer of the upstream; gives what the client got of its body."""
        self.begin_answer(flow, status)
        got = [pass_on(flow, chunk) for chunk in (*chunks, b"")]
        self.hook("response", flow)
        return b"".join(got)

    def fail(self, flow: http.HTTPFlow, why: str, kind: FailureKind = "connect", response: http.Response | None = None) -> None:
        """An attempt failed; what the rooms answer ends the call, as in the HTTP layer."""
        if kind in ("connect", "timeout"):
            flow.metadata[FAILURE] = why
        self.hook("upstream_failed", UpstreamFailure(flow, kind, why, response.status_code if response else None, response))
        if flow.metadata.pop(AGAIN, False):
            flow.metadata.pop(FAILURE, None)
            return
        if flow.response is None:
            flow.response = response
        if flow.response:
            self.hook("responseheaders", flow)
            self.hook("response", flow)

    def refuse(self, flow: http.HTTPFlow, status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> float | None:
        """An attempt was answered with an error; gives the wait that the rooms ask for before the next one, None without one."""
        self.fail(flow, f"status {status}", "status", http.Response.make(status, body, dict(headers or {})))
        wait: float | None = flow.metadata.pop(WAIT, None)
        return wait

    def break_off(self, flow: http.HTTPFlow, *, client_left: bool) -> None:
        """The connection to the client, or the one to the upstream, is gone."""
        flow.metadata.update({CLIENT_LEFT: True} if client_left else {FAILURE: "connection closed"})
        flow.error = Error("connection closed")
        self.hook("error", flow)


def pass_on(flow: http.HTTPFlow, chunk: bytes) -> bytes:
    """A chunk through `flow.response.stream`, as mitmproxy does it."""
    assert flow.response
    assert callable(flow.response.stream)
    passed = flow.response.stream(chunk)
    assert isinstance(passed, bytes)
    return passed


def make_flow(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    peer: tuple[str, int] = LOCAL_PEER,
    socket: tuple[str, int] = ("127.0.0.1", OWN_PORT),
) -> http.HTTPFlow:
    """A request in absolute form, or one that came through a CONNECT."""
    client: connection.Client = tclient_conn()
    client.peername, client.sockname, client.sni = peer, socket, None
    flow = http.HTTPFlow(client, tserver_conn())
    fields = {"Host": "", **(headers or {})}
    flow.request = http.Request.make(method, url, body, http.Headers([(name.encode(), value.encode()) for name, value in fields.items()]))
    flow.request.headers["Host"] = fields["Host"] or flow.request.host
    return flow


def call(url: str = f"https://api.openai.com{CHAT}", headers: Mapping[str, str] | None = None, **more: Any) -> http.HTTPFlow:
    """A chat call on its way to a provider's host."""
    return make_flow("POST", url, headers, more.pop("body", CHAT_BODY), **more)


def base_url_call(
    path: str, headers: Mapping[str, str] | None = None, method: str = "POST", host: str = OWN_HOST, **more: Any
) -> http.HTTPFlow:
    """A request in origin form: spoken to the proxy itself."""
    body = more.pop("body", CHAT_BODY if method == "POST" else b"")
    flow = make_flow(method, f"http://{host}{path}", {"Host": host, **(headers or {})}, body, **more)
    flow.metadata[ORIGIN_FORM] = True
    return flow


def exchange(flow: http.HTTPFlow) -> Exchange:
    """The exchange that a flow must have."""
    found = exchange_of(flow)
    assert found is not None
    return found


def answered(flow: http.HTTPFlow) -> tuple[int, Any]:
    """Status and JSON of the answer that a room put into the flow."""
    assert flow.response is not None, "no room answered this"
    return flow.response.status_code, orjson.loads(flow.response.content or b"null")


def code(flow: http.HTTPFlow) -> tuple[int, str]:
    """Status and code of an error in OpenAI's or Anthropic's dialect."""
    status, body = answered(flow)
    return status, body["error"]["code"]


def mitmproxy_context() -> taddons.context:
    """mitmdump's own add-ons and their options, without a running proxy."""
    context = taddons.context(*default_addons(), Dumper(), loadcore=False)
    context.options.add_option("termlog_verbosity", str, "info", "")  # of an add-on that would write to the terminal
    return context


class _Started:
    """Last in the chain: tells when all rooms have run their `running`."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def running(self) -> None:
        self.event.set()


class Proxy:
    """A mitmproxy with our rooms in this process. `hooks` names each hook that a flow went through, in order, as (name, path)."""

    def __init__(self, master: DumpMaster, journey: Journey, settings: Settings) -> None:
        self.master, self.journey, self.settings = master, journey, settings
        self.hooks: list[str] = []

    @property
    def records(self) -> Records:
        writer = self.journey.state.writer
        assert isinstance(writer, Records)
        return writer

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [(address[0], address[1]) for address in self.master.addons.get("proxyserver").listen_addrs()]

    @property
    def address(self) -> tuple[str, int]:
        return self.addresses[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.address[1]}"

    async def exchange(self, request: bytes) -> bytes:
        """Raw bytes in, all that comes back until the proxy closes (the request says `Connection: close`)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.address[1])
        writer.write(request)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer


class _Listener:
    """Notes the hooks that reach the end of the chain."""

    def __init__(self, hooks: list[str]) -> None:
        for name in HOOK_NAMES:
            setattr(self, name, lambda flow, name=name: hooks.append(name))


@contextlib.asynccontextmanager
async def running_proxy(folder: Path, text: str, **options: Any) -> AsyncIterator[Proxy]:
    """Listens on a port of the system's choice; records are kept in a list, not written."""
    file = folder / "turnpike.yml"
    logs = "" if "logs:" in text else f"logs: {{folder: {folder / 'logs'}}}\n"
    file.write_text(f"{text}\ncapture: {{database: {folder / 'turnpike.db'}}}\nstate: {{url: 'sqlite:{folder / 'state.db'}'}}\n{logs}")
    master = DumpMaster(Options(confdir=str(folder.parent / "confdir"), listen_port=0, **options), with_termlog=False, with_dumper=False)
    state, started = State(), _Started()
    journey = Journey(state)
    settings = Settings(state)
    proxy = Proxy(master, journey, settings)
    master.addons.add(ConnectClock(), settings, *journey.rooms, _Listener(proxy.hooks), started)
    master.options.update(turnpike_config=str(file))
    state.writer.stop()
    state.writer = cast(Writer, Records())
    task = asyncio.create_task(master.run())
    try:
        async with asyncio.timeout(10):
            await started.event.wait()
        yield proxy
    finally:
        master.shutdown()
        await task
        await close_listeners(master)


async def close_listeners(master: DumpMaster) -> None:
    """mitmproxy leaves its sockets to the end of the process."""
    closing = master.addons.get("proxyserver").servers.update([])
    if inspect.isawaitable(closing):
        await closing
