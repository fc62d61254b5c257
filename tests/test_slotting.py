"""Slots of keys, between pools and the state: two processes' worth of rooms on one file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from addons.core.breaker import Breaker
from addons.core.keypool import KeyPool, Lease, PooledKey, Ticket
from addons.slotting import Slotting
from addons.storage.statefile import StateFile
from addons.storage.statekeeper import StateKeeper
from addons.storage.stateredis import StateRedis
from tests.rooms import new_key
from tests.storage.redis_server import RedisServer, redis_server

KEY, OTHER = new_key(), new_key()


class Process:
    """A pool, and the state that it shares."""

    def __init__(self, keeper: StateKeeper) -> None:
        self.pool = pool(2)
        self.keeper = keeper
        self.keeper.start()
        self.slotting = Slotting(self.keeper, 2, shares=True)
        self.slotting.adopt({"one": self.pool}, {"one": Breaker()})
        self.slotting.begin(asyncio.get_running_loop())

    async def lease(self) -> Lease:
        """As a call gets one: at once, or by waiting."""
        if lease := self.pool.lease(time.time(), "m"):
            return lease
        granted = asyncio.Event()
        ticket = Ticket("m", None, lambda _: granted.set())
        self.pool.enqueue(ticket, time.time())
        async with asyncio.timeout(10):
            await granted.wait()
        lease = ticket.take()
        assert lease
        return lease

    def release(self, lease: Lease) -> None:
        self.pool.release(lease, time.time())


def pool(limit: int | None, key: str = KEY) -> KeyPool:
    return KeyPool([PooledKey(key, key[-4:], "env K", max_concurrent=limit)], "balanced")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer | None]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
async def processes(request: pytest.FixtureRequest, tmp_path: Path, server: RedisServer | None) -> AsyncIterator[Callable[[str], Process]]:
    begun: list[Process] = []
    if request.param == "redis":
        if server is None:
            pytest.skip("no redis-server or valkey-server is installed")
        server.empty()

    def begin(name: str) -> Process:
        redis = server if request.param == "redis" else None
        keeper = StateRedis(redis.url, worker=name) if redis else StateFile(tmp_path / "state.db", worker=name)
        begun.append(Process(keeper))
        return begun[-1]

    yield begin
    for process in begun:
        process.keeper.stop()


async def until(test: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not test():
            await asyncio.sleep(0.005)


async def test_each_has_one_to_spare(processes: Callable[[str], Process]) -> None:
    """So that a first call waits for nobody."""
    one, two = processes("a"), processes("b")
    await until(lambda: one.pool.lease(time.time(), "m"))
    await until(lambda: two.pool.lease(time.time(), "m"))
    assert one.pool.lease(time.time(), "m") is None


async def test_two_processes_keep_to_the_limit_together(processes: Callable[[str], Process]) -> None:
    """Forty calls in each of them: never more than two at once, and all are served."""
    both, at_once, most = (processes("a"), processes("b")), 0, 0

    async def call(process: Process) -> None:
        nonlocal at_once, most
        lease = await process.lease()
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        process.release(lease)

    await asyncio.gather(*(call(process) for process in both for _ in range(40)))
    assert most <= 2  # one at a time is within the limit too: how they interleave is the machine's


async def test_what_one_does_not_use_the_other_may(processes: Callable[[str], Process]) -> None:
    """All of it, and back."""
    one, two = processes("a"), processes("b")
    for busy in (one, two, one):
        leases = [await busy.lease() for _ in range(2)]
        for lease in leases:
            busy.release(lease)


async def test_a_state_out_of_reach_leaves_each_its_share(processes: Callable[[str], Process], monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go on, with half of the limit each; afterwards as before."""
    one, two = processes("a"), processes("b")
    leases = [await one.lease() for _ in range(2)]
    await until(lambda: two.pool.keys[0].slots)

    def fails(*_: object) -> object:
        raise OSError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(type(one.keeper), "_settle", fails)
        held = await two.lease()
        assert two.pool.lease(time.time(), "m") is None
        for lease in leases:
            one.release(lease)
        await until(lambda: one.pool.keys[0].slots and one.pool.keys[0].slots.alone)
        again = one.pool.lease(time.time(), "m")
        assert again and one.pool.lease(time.time(), "m") is None
    one.release(again)
    two.release(held)
    leases = [await two.lease() for _ in range(2)]
    assert len(leases) == 2


async def test_a_new_configuration_changes_what_is_shared(processes: Callable[[str], Process]) -> None:
    """A key without a limit asks nobody, one that is gone gives up its slots, and one that is back has them again."""
    one, two = processes("a"), processes("b")
    lease = await one.lease()
    gone = pool(2, OTHER)
    one.slotting.adopt({"one": gone}, {"one": Breaker()})
    one.release(lease)
    leases = [await two.lease() for _ in range(2)]
    for each in leases:
        two.release(each)
    one.pool = pool(2)
    one.slotting.adopt({"one": one.pool}, {"one": Breaker()})
    one.release(await one.lease())
    free = pool(None)
    one.slotting.adopt({"one": free}, {"one": Breaker()})
    assert all(free.lease(time.time(), "m") for _ in range(20))


async def test_one_that_is_alone_asks_nobody(tmp_path: Path) -> None:
    """Its limit is its own count."""
    keeper = StateFile(tmp_path / "state.db")
    keys = pool(2)
    Slotting(keeper, 1, shares=False).adopt({"one": keys}, {"one": Breaker()})
    assert keys.keys[0].slots is None
    assert [bool(keys.lease(time.time(), "m")) for _ in range(3)] == [True, True, False]
