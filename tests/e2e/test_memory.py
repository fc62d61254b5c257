"""Nothing grows with the number of calls. `tests/bench/memory.py` looks at the same over 100 000 calls, from outside."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from addons.storage.writer import Writer
from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.bench.load import Connection, chat, rss_mb
from tests.e2e.harness import Turnpike, fake_upstreams, new_key
from tests.rooms import Proxy, running_proxy

pytestmark = pytest.mark.slow

WARM_UP, CALLS, AT_ONCE = 300, 700, 8
MAX_KEPT = 0.2
"""Objects of one type per call: what is kept of each call is 1 or more."""

IDLE_MB = 110
PRICES_AND_TOKENIZER = ("genai_prices", "tiktoken")


@asynccontextmanager
async def whole_proxy(folder: Path, url: str) -> AsyncIterator[Proxy]:
    """In this process, with a writer and a database of its own, as it is in the wild."""
    text = f"version: 1\nupstreams: {{openai: {{base_url: '{url}/v1', default: true}}}}\nlogs: {{folder: {folder / 'logs'}}}"
    async with running_proxy(folder, text) as proxy:
        state = proxy.journey.state
        state.writer = Writer(folder / "captures.db", state.digest_record, proxy.settings._stored)
        state.writer.start()
        yield proxy
        state.writer.stop()


async def send(proxy: Proxy, fake: FakeProvider, count: int) -> None:
    """Streams and others, some of them refused, cut or left, over kept and new connections; ends when all are written."""
    port, numbers = proxy.address[1], iter(range(count))

    async def work() -> None:
        connection = Connection(port)
        for n in numbers:
            model = {7: "fake:status=400", 8: "fake:chunks=4,cut=2", 9: "fake:reset"}.get(n % 40, "gpt-4o-mini")
            await connection.call(chat(model, f"call {n}", stream=n % 2 == 0), {"Authorization": "Bearer none"})
            if n % 20 == 0:
                await connection.begin(chat("gpt-4o-mini", f"left {n}", stream=True))
                await connection.close()
        await connection.close()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    state = proxy.journey.state
    async with asyncio.timeout(20):
        while state.live or state.writer.stats().queued_bytes or proxy.master.addons.get("proxyserver").connections:
            await asyncio.sleep(0.02)
    fake.clear()
    proxy.hooks.clear()


def counted() -> Counter[str]:
    """How many objects of each type there are."""
    gc.collect()
    return Counter(f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.get_objects())


async def test_nothing_is_kept_of_a_call(tmp_path: Path) -> None:
    """After many calls there are no more objects of any type than after some."""
    with running_fake_provider() as fake:
        async with whole_proxy(tmp_path, fake.url) as proxy:
            await send(proxy, fake, WARM_UP)
            before = counted()
            await send(proxy, fake, CALLS)
            grown = counted() - before
    assert {name: count for name, count in grown.items() if count > MAX_KEPT * CALLS} == {}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_an_idle_proxy_is_small(tmp_path: Path) -> None:
    """The tables of prices and of tokens, which are most of it later, are loaded when a call needs them."""
    with running_fake_provider() as fake, Turnpike(tmp_path, {"version": 1, "upstreams": fake_upstreams(fake)}, env=no_keys()) as turnpike:
        assert turnpike.ready()[0] == 200
        assert turnpike.metric("turnpike_draining") == 0
        assert rss_mb(turnpike.pid) < IDLE_MB


def no_keys() -> dict[str, str]:
    return {f"E2E_{name}_KEY": new_key() for name in ("OPENAI", "ANTHROPIC", "GEMINI")}


def test_tables_are_loaded_on_first_need() -> None:
    """The entry and all that it imports leave them alone."""
    code = f"import runpy, sys; runpy.run_path('addons/router.py'); print([name for name in {PRICES_AND_TOKENIZER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
