"""`turnpike run --workers 2`: two processes on one port, one database, one state."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from scripts.launch import program
from tests.e2e.harness import clean_environment, free_port, new_key, wait_for
from tests.scripts.run_process import RunProcess, is_there

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux spreads connections over SO_REUSEPORT"),
]

CHAT = "/v1/chat/completions"
CALL = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}
KEYS = {"LIMITED": new_key(), "COOLING": new_key(), "PLAIN": new_key()}


class Pair:
    """Two workers behind one address; `clients(n)` are connections that stay with one of them."""

    def __init__(self, folder: Path, fake: FakeProvider, stack: ExitStack) -> None:
        self.folder, self.fake, self._stack = folder, fake, stack
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "turnpike.db"
        upstream = {"provider": "openai", "base_url": f"{fake.url}/v1"}
        self.config = folder / "turnpike.yml"
        self.config.write_text(
            json.dumps(
                {
                    "version": 1,
                    "proxy": {"port": self.port},
                    "capture": {"database": str(self.database)},
                    "state": {"url": f"sqlite:{folder / 'state.db'}"},
                    "redaction": {"outgoing": {"mode": "placeholder"}},
                    "upstreams": {
                        "limited": upstream | {"keys": [{"env": "LIMITED", "max_concurrent": 2}]},
                        "cooling": upstream | {"keys": [{"env": "COOLING"}]},
                        "plain": upstream | {"keys": [{"env": "PLAIN"}]},
                    },
                }
            )
        )
        command = [program("turnpike"), "run", "--config", str(self.config), "--workers", "2"]
        self.process = stack.enter_context(RunProcess(folder, command, clean_environment() | KEYS))
        for number in (1, 2):
            self.process.line(f"[{number}]")
        wait_for(lambda: self.running() == [1, 2], "both workers", 30)

    def running(self) -> list[int]:
        """The numbers of those that run, as one of them says."""
        try:
            return list(httpx.get(f"{self.url}/ready", timeout=5).json()["worker"]["running"])
        except httpx.HTTPError:
            return []

    def client(self, number: int) -> tuple[httpx.Client, int]:
        """A kept connection to this worker, and the worker's process id."""
        while True:
            client = self._stack.enter_context(httpx.Client(base_url=self.url, timeout=30))
            worker = client.get("/ready").json()["worker"]
            if worker["number"] == number:
                return client, int(worker["pid"])
            client.close()

    def rows(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute("select id, upstream, outcome, attempts from calls order by id").fetchall()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as stack:
        fake = stack.enter_context(running_fake_provider())
        yield Pair(tmp_path_factory.mktemp("pair"), fake, stack)


@pytest.fixture(autouse=True)
def forgotten(pair: Pair) -> None:
    pair.fake.clear()


def post(client: httpx.Client, upstream: str, **more: Any) -> httpx.Response:
    return client.post(f"/proxy/{upstream}{CHAT}", json=CALL | more)


def test_a_keys_limit_holds_across_workers(pair: Pair) -> None:
    """Forty calls at once over forty connections: the upstream never sees more than two, all are served by both workers, no row is lost."""
    pair.fake.knobs.set(KEYS["LIMITED"], {"first_byte": 0.02})

    async def burst() -> list[httpx.Response]:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:
            return await asyncio.gather(*(client.post(f"{pair.url}/proxy/limited{CHAT}", json=CALL) for _ in range(40)))

    answers = asyncio.run(burst())
    assert [answer.status_code for answer in answers] == [200] * 40
    assert pair.fake.peak == 2
    calls = {answer.headers["x-turnpike-call"] for answer in answers}
    rows = wait_for(lambda: found if len(found := [row for row in pair.rows() if row[0] in calls]) == 40 else None, "all rows")
    assert {row[1:] for row in rows} == {("limited", "ok", 1)}


def test_what_one_learns_the_other_knows(pair: Pair) -> None:
    """A cooldown within a moment; and a reset at one ends it in both."""
    one, two = pair.client(1)[0], pair.client(2)[0]
    pair.fake.knobs.set(KEYS["COOLING"], {"status": 429, "retry_after": 120})
    assert post(one, "cooling").status_code == 503
    wait_for(lambda: cooling(two), "the other's cooldown")
    seen = len(pair.fake.requests)
    assert post(two, "cooling").status_code == 503
    assert len(pair.fake.requests) == seen
    pair.fake.knobs.set(KEYS["COOLING"], {})
    assert two.post("/proxy/v1/quota-stats/reset").status_code == 200
    wait_for(lambda: not cooling(one), "the reset")
    assert [post(client, "cooling").status_code for client in (one, two)] == [200, 200]


def cooling(client: httpx.Client) -> list[Any]:
    [stats] = [of for of in client.get("/proxy/v1/quota-stats").json()["data"] if of["upstream"] == "cooling"]
    return list(stats["keys"][0]["cooldowns"])


def test_both_put_the_same_stand_in_for_a_secret(pair: Pair) -> None:
    """So that the provider's prompt cache holds, whichever a client's connection reaches."""
    secret = new_key("sk-proj-")
    messages = [{"role": "user", "content": f"my key is {secret}"}]
    for number in (1, 2):
        assert post(pair.client(number)[0], "plain", messages=messages).status_code == 200
    first, second = (seen.body for seen in pair.fake.requests)
    assert first == second
    assert secret.encode() not in first


def test_any_of_them_answers_for_all(pair: Pair) -> None:
    """Metrics bear the worker's number, and calls of keys are counted together."""
    clients = [pair.client(number)[0] for number in (1, 2)]
    for client in clients:
        assert post(client, "plain").status_code == 200

    def counted() -> bool:
        text = clients[0].get("/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("turnpike_calls_total{") and 'upstream="plain"' in line]
        [stats] = [of for of in clients[0].get("/proxy/v1/quota-stats").json()["data"] if of["upstream"] == "plain"]
        used = sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)
        return {f'worker="{n}"' in "".join(lines) for n in (1, 2)} == {True} and stats["keys"][0]["used"] == used

    wait_for(counted, "both workers' counts")


def test_a_killed_worker_is_replaced_and_its_slots_come_free(pair: Pair) -> None:
    """While it lives a call at the other one waits; then that one goes on, and a new process answers in its place."""
    pair.fake.knobs.set(KEYS["LIMITED"], {})
    ((one, pid), (another, same)), (other, _) = (pair.client(1), pair.client(1)), pair.client(2)
    assert pid == same
    slow = {"X-Fake-First-Byte": "60"}
    ended: list[object] = []

    def call(client: httpx.Client, **headers: str) -> None:
        try:
            ended.append(client.post(f"/proxy/limited{CHAT}", json=CALL, headers=headers).status_code)
        except httpx.HTTPError as error:
            ended.append(type(error).__name__)

    threads = [threading.Thread(target=call, args=(client,), kwargs=slow) for client in (one, another)]
    for thread in threads:
        thread.start()
    wait_for(lambda: pair.fake.in_flight == 2, "both slots taken")
    waits = threading.Thread(target=call, args=(other,))
    waits.start()
    wait_for(lambda: lacking(pair) == 1, "the other's wait")
    assert pair.fake.in_flight == 2
    os.kill(pid, signal.SIGKILL)
    for thread in (*threads, waits):
        thread.join(30)
    assert ended[-1] == 200 and len(ended) == 3 and 200 not in ended[:2]
    assert "[exit status 137]" in (line := pair.process.line("worker 1 has ended")).replace("(", "[").replace(")", "]"), line
    client, new = pair.client(1)
    assert new != pid
    assert post(client, "limited").status_code == 200
    assert pair.fake.peak == 2


def lacking(pair: Pair) -> int:
    with closing(sqlite3.connect(f"{(pair.folder / 'state.db').as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        return int(connection.execute("select coalesce(sum(wanted), 0) from leases").fetchone()[0])


def test_the_port_is_nobody_elses(pair: Pair) -> None:
    """Neither a second pair nor a single proxy shares it; both say so in one line."""
    for more in ((), ("--workers", "2")):
        command = [program("turnpike"), "run", "--config", str(pair.config), *more]
        with RunProcess(pair.folder, command, clean_environment() | KEYS) as second:
            assert second.end() == 1
        assert len(second.lines) == 1 and f"port {pair.port} on 127.0.0.1 is in use" in second.lines[0]


def test_all_end_together(pair: Pair) -> None:
    """SIGTERM to the parent: the status is 0, the call that runs has its row, and no process is left."""
    client, pid = pair.client(2)

    def call() -> None:
        with suppress(httpx.HTTPError):
            client.post(f"/proxy/plain{CHAT}", json=CALL, headers={"X-Fake-First-Byte": "60"})

    fails = threading.Thread(target=call)
    before = len(pair.rows())
    fails.start()
    wait_for(lambda: pair.fake.in_flight == 1, "the call")
    children = pair.process.children()
    assert pid in children and len(children) == 2
    assert pair.process.stop(signal.SIGTERM) == 0
    fails.join(10)
    assert not any(is_there(child) for child in children)
    assert len(pair.rows()) == before + 1
    assert not any("Traceback" in line for line in pair.process.lines)
