"""One proxy for many tests of failover: each takes a cell of its own, so that what cools in one test is no matter to another.

A cell is an upstream `main-N` with three keys and an upstream `back-N` with one, behind a host of its own and a route from the first to
the second. Providers are real servers; what they answer is set per key (`fake.knobs`), and what they were asked stands in their log.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import anthropic
import httpx
import openai

from scripts.fake_provider.log import SeenRequest
from scripts.fake_provider.server import FakeProvider
from tests.e2e.harness import Row, Turnpike, new_key

Wire = Literal["http1", "http2"]
Provider = Literal["openai", "anthropic"]
WIRES: tuple[Wire, ...] = ("http1", "http2")
CELLS: dict[Provider, int] = {"openai": 48, "anthropic": 12}  # per wire
FIRST_BYTE_S = 1.0
MODEL = "gpt-4o-mini"
CLAUDE = "claude-haiku-4-5"
MESSAGES: Any = [{"role": "user", "content": "one two three"}]


@dataclass
class Cell:
    """Its keys in the order in which they are taken (rotation: sequential)."""

    name: str
    wire: Wire
    turnpike: Turnpike
    fake: FakeProvider
    keys: list[str]
    back_key: str

    @property
    def host(self) -> str:
        return f"{self.name}.llm.test"

    def set(self, key: str, times: int | None = None, **knobs: Any) -> None:
        """How the provider treats this key."""
        self.fake.knobs.set(key, knobs, times)

    def seen(self, key: str | None = None) -> list[SeenRequest]:
        """What the provider was asked with this key, or with any of the cell."""
        mine = {*self.keys, self.back_key} if key is None else {key}
        return [request for request in self.fake.requests if request.key in mine]

    def keys_seen(self) -> list[str]:
        """The keys of the requests by name: k0 k1 k2 back."""
        names = {key: f"k{n}" for n, key in enumerate(self.keys)} | {self.back_key: "back"}
        return [names[request.key] for request in self.seen()]

    def row(self) -> Row:
        """The one row of this cell, as soon as it is there."""
        deadline = time.monotonic() + 10
        while not (rows := self.rows()):
            assert time.monotonic() < deadline, f"no row of {self.name}:\n{self.turnpike.output()[-3000:]}"
            time.sleep(0.02)
        [row] = rows
        return row

    def rows(self) -> list[Row]:
        return [row for row in self.turnpike.rows() if self.name in (row["host"] or "") or f"/{self.name}/" in (row["path"] or "")]

    def attempts(self, call_id: str) -> list[tuple[Any, ...]]:
        """(upstream without its number, key name, status, failure) of each try."""
        names = {key[-4:]: f"k{n}" for n, key in enumerate(self.keys)} | {self.back_key[-4:]: "back"}
        rows = self.turnpike.query("select * from attempts where call_id = ? order by n", call_id)
        return [(row["upstream"].partition("-")[0], names.get(row["key_hint"]), row["status"], row["failure"]) for row in rows]


@dataclass
class Cells:
    """Hands out cells."""

    turnpike: Turnpike
    fakes: dict[Wire, FakeProvider]
    keys: dict[str, list[str]]
    numbers: dict[tuple[Wire, Provider], Iterator[int]] = field(default_factory=lambda: {(w, p): count() for w in WIRES for p in CELLS})

    def take(self, wire: Wire, provider: Provider = "openai") -> Cell:
        name = cell_name(wire, provider, next(self.numbers[wire, provider]))
        keys = self.keys[name]
        return Cell(name, wire, self.turnpike, self.fakes[wire], keys[:3], keys[3])


def cell_name(wire: Wire, provider: Provider, n: int) -> str:
    return f"main-{wire}-{provider}-{n}"


def numbers_of_cells() -> list[tuple[Wire, Provider]]:
    return [(wire, provider) for wire in WIRES for provider in CELLS]


def make_config(fakes: dict[Wire, FakeProvider]) -> tuple[dict[str, Any], dict[str, str], dict[str, list[str]]]:
    """The configuration, the environment with its keys, and the keys by cell."""
    upstreams: dict[str, Any] = {}
    routes: list[dict[str, Any]] = []
    env: dict[str, str] = {}
    keys: dict[str, list[str]] = {}
    timeout = {"connect": 2, "first_byte": FIRST_BYTE_S, "first_byte_whole": FIRST_BYTE_S, "idle": 5}
    for wire, provider in numbers_of_cells():
        url = fakes[wire].url
        for n in range(CELLS[provider]):
            name = cell_name(wire, provider, n)
            back = name.replace("main", "back")
            keys[name] = [new_key() for _ in range(4)]
            variables = [f"{name.upper().replace('-', '_')}_{k}" for k in range(4)]
            env |= dict(zip(variables, keys[name], strict=True))
            base_url = f"{url}/v1" if provider == "openai" else url
            common = {"provider": provider, "timeout": timeout, "rotation": "sequential", "base_url": base_url}
            sources = [{"env": variable} for variable in variables]
            upstreams[name] = common | {"hosts": [f"{name}.llm.test"], "keys": sources[:3]}
            upstreams[back] = common | {"keys": sources[3:]}
            routes.append({"name": name, "match": {"upstream": name}, "to": [{"upstream": name}, {"upstream": back}]})
    return {"version": 1, "upstreams": upstreams, "routes": routes}, env, keys


@dataclass(frozen=True)
class Way:
    """How a client reaches the proxy, and over which HTTP."""

    name: str
    base_url_call: bool = False
    http2: bool = False


PROXY, BASE_URL, PROXY_HTTP2 = WAYS = (Way("proxy"), Way("base-url", base_url_call=True), Way("proxy-http2", http2=True))


def http_client(cell: Cell, way: Way) -> httpx.Client:
    """Through the proxy, or straight to it."""
    return httpx.Client(timeout=30) if way.base_url_call else cell.turnpike.client(http2=way.http2, timeout_s=30)


def url_of(cell: Cell, way: Way) -> str:
    """Up to the provider's own path."""
    return f"{cell.turnpike.base_url}/{cell.name}" if way.base_url_call else f"https://{cell.host}"


def openai_client(cell: Cell, way: Way) -> openai.OpenAI:
    client: Any = http_client(cell, way)  # its SDK names httpx's successor, and takes httpx too
    return openai.OpenAI(api_key="client", base_url=f"{url_of(cell, way)}/v1", max_retries=0, http_client=client)


def anthropic_client(cell: Cell) -> anthropic.Anthropic:
    """By base URL; its SDK brings an HTTP client of its own."""
    return anthropic.Anthropic(api_key="client", base_url=f"{cell.turnpike.base_url}/{cell.name}", max_retries=0)


def ask(cell: Cell, way: Way, stream: bool) -> str:
    """One chat call with the real SDK, which is told not to retry; gives the answer's text."""
    with openai_client(cell, way) as client:
        if not stream:
            return client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content or ""
        chunks = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def ask_claude(cell: Cell, stream: bool) -> str:
    """The same with Anthropic's SDK."""
    with anthropic_client(cell) as client:
        if stream:
            with client.messages.stream(model=CLAUDE, max_tokens=100, messages=MESSAGES) as messages:
                return messages.get_final_text()
        (block,) = client.messages.create(model=CLAUDE, max_tokens=100, messages=MESSAGES).content
        assert block.type == "text"
        return block.text
