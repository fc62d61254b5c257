"""addons/storage/statekeeper.py: what several processes agree upon, in SQLite and in Redis (where a server is installed)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.core.slots import Demand, Share
from addons.storage import statekeeper
from addons.storage.statefile import StateFile
from addons.storage.statekeeper import StateKeeper
from addons.storage.stateredis import StateRedis
from addons.storage.staterows import News, Saved, SavedBreaker, SavedCooldown
from tests.storage.redis_server import RedisServer, redis_server

NOW = 1_800_000_000.0
COOLING = SavedCooldown("openai", "a1b2", "gpt-4o", NOW + 600, 2, "rate_limit")
OPEN = SavedBreaker("openai", NOW + 30, 3, "timeout")


class Heard:
    """A process that has started and listens."""

    def __init__(self, keeper: StateKeeper) -> None:
        self.keeper = keeper
        self.news: queue.Queue[News] = queue.Queue()
        self.shares: queue.Queue[Share] = queue.Queue()
        self.cut_off = threading.Event()
        keeper.on_news, keeper.on_cut_off = self.news.put, self.cut_off.set
        keeper.on_shares = self._heard
        self.saved = keeper.start()

    def _heard(self, shares: list[Share]) -> None:
        for share in shares:
            self.shares.put(share)

    def asks(self, wanted: int, *, given: int = 0, limit: int = 2) -> Heard:
        self.keeper.ask([Demand("openai:a1b2", limit, given, wanted, False)])
        return self

    def share(self, like: Callable[[Share], bool]) -> Share:
        """The first share that is as it should be."""
        while True:
            share = self.shares.get(timeout=10)
            if like(share):
                return share


Start = Callable[[str], Heard]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer | None]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def start(request: pytest.FixtureRequest, tmp_path: Path, server: RedisServer | None) -> Iterator[Start]:
    """Starts a process of this name at NOW; all are stopped at the end."""
    begun: list[StateKeeper] = []
    if request.param == "redis":
        if server is None:
            pytest.skip("no redis-server or valkey-server is installed")
        server.empty()

    def starting(name: str) -> Heard:
        keeper: StateKeeper
        if request.param == "redis" and server:
            keeper = StateRedis(server.url, lambda: NOW, name)
        else:
            keeper = StateFile(tmp_path / "state.db", lambda: NOW, name)
        begun.append(keeper)
        return Heard(keeper)

    yield starting
    for keeper in begun:
        keeper.stop()


def test_what_was_put_outlives_a_restart(start: Start) -> None:
    """And what was taken back does not."""
    first = start("a")
    first.keeper.put(Saved((COOLING,), (OPEN,)))
    first.keeper.stop()
    second = start("a")
    assert second.saved == Saved((COOLING,), (OPEN,))
    second.keeper.put(Saved((COOLING,), ()))
    second.keeper.stop()
    assert start("a").saved == Saved((COOLING,), ())


def test_others_hear_of_what_cools(start: Start) -> None:
    """Once; of two times the later stays, and a breaker that is closed again is told as such."""
    one, two = start("a"), start("b")
    one.keeper.put(Saved((COOLING,), (OPEN,)))
    assert two.news.get(timeout=10) == News(Saved((COOLING,), (OPEN,)), (), ())
    shorter = COOLING._replace(until=NOW + 5)
    two.keeper.put(Saved((shorter,), (OPEN,)))
    while two.keeper._written.cooldowns != (shorter,):
        time.sleep(0.005)
    one.news.get(timeout=10)  # its own, and nothing of the shorter one
    two.keeper.put(Saved((shorter,), ()))
    assert one.news.get(timeout=10) == News(Saved(), (), (OPEN,))
    assert start("c").saved == Saved((COOLING,), ())


def test_a_reset_reaches_all(start: Start) -> None:
    """What was in the way before it is gone, and only of that upstream."""
    other = COOLING._replace(upstream="other")
    one, two = start("a"), start("b")
    one.keeper.put(Saved((COOLING, other), (OPEN,)))
    two.news.get(timeout=10)
    two.keeper.reset(["openai"])
    assert one_with(one, "openai").reset == ("openai",)
    assert start("c").saved == Saved((other,), ())


def one_with(heard: Heard, upstream: str) -> News:
    while True:
        if upstream in (news := heard.news.get(timeout=10)).reset:
            return news


def test_slots_are_never_more_than_the_limit(start: Start) -> None:
    """The second gets what the first hands on, without asking again."""
    one, two = start("a"), start("b")
    assert one.asks(2).share(lambda share: True).granted == 2
    assert two.asks(1).share(lambda share: True).granted == 0
    assert one.share(lambda share: share.lacking == 1).hand_on
    one.asks(0, given=1)
    assert two.share(lambda share: share.granted > 0) == Share("openai:a1b2", 1, 0, False, 2, 0, 0, False)


def test_slots_come_free_when_their_process_is_gone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once where it stops, or another takes its place; else when it has not been heard of for long."""
    one, two = start("a"), start("b")
    one.asks(2).share(lambda share: share.granted == 2)
    two.asks(1)
    one.keeper.stop()
    two.asks(0, given=two.share(lambda share: share.granted == 1).granted)
    start("c").asks(2).share(lambda share: share.granted == 2)
    start("c")  # the first one of that name was killed
    two.asks(1, given=1).share(lambda share: share.granted - 1 == 1)


def test_a_process_that_hangs_loses_its_slots_and_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as if it had never had them."""
    monkeypatch.setattr("addons.core.slots.EXPIRY_S", 0.3)
    one, two = start("a"), start("b")
    one.asks(2).share(lambda share: share.granted == 2)
    hangs, go_on = threading.Event(), threading.Event()

    def hang(news: News) -> None:
        hangs.set()
        go_on.wait(10)

    one.keeper.on_news = hang
    two.keeper.put(Saved((COOLING,)))
    hangs.wait(10)
    two.asks(2)
    two.share(lambda share: share.granted == 2)
    go_on.set()
    assert one.share(lambda share: share.granted == 0).lacking == 0


def test_calls_beat_the_interval(start: Start) -> None:
    """A demand is answered at once, whatever was written just now."""
    one = start("a")
    for wanted in (1, 2):
        one.keeper.put(Saved((COOLING._replace(step=wanted),)))
        one.asks(wanted)
        assert one.share(lambda _: True).granted == wanted


def test_cut_off_is_said_and_what_waits_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost of what was asked meanwhile."""
    monkeypatch.setattr(statekeeper, "BACKOFF_S", (0.01,))
    keeper = StateFile(tmp_path / "state.db", lambda: NOW, "a")
    settle, works = StateFile._settle, threading.Event()

    def fails(self: StateFile, asked: object) -> object:
        if works.is_set():
            return settle(self, asked)  # type: ignore[arg-type]
        raise OSError("disk I/O error")

    monkeypatch.setattr(StateFile, "_settle", fails)
    one = Heard(keeper)
    try:
        one.asks(2)
        assert one.cut_off.wait(10)
        assert keeper.error == "disk I/O error"
        works.set()
        assert one.share(lambda share: True).granted == 2
        deadline = time.monotonic() + 5
        while keeper.error and time.monotonic() < deadline:
            time.sleep(0.01)
        assert keeper.error is None
    finally:
        keeper.stop()
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
