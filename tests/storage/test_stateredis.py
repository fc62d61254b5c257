"""addons/storage/stateredis.py: what is its own, beside what `test_statekeeper.py` says of both kinds of state."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest
import redis

from addons.storage import statekeeper
from addons.storage.database import StoreError
from addons.storage.stateredis import StateRedis
from addons.storage.staterows import News, Saved, SavedCooldown
from tests.e2e.harness import free_port
from tests.storage.redis_server import RedisServer, installed

NOW = 1_800_000_000.0
COOLING = SavedCooldown("openai", "a1b2", "gpt-4o", NOW + 600, 2, "rate_limit")

needs_server = pytest.mark.skipif(installed() is None, reason="no redis-server or valkey-server is installed")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer(cast(str, installed()), password="not-a-secret")
    yield server
    server.stop()


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_package_that_is_missing_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install, and not the password."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreError, match=r"the state at redis://h/0 needs the Python package redis; .*turnpike\[redis\]") as caught:
        StateRedis("redis://:word@h:1/0")
    assert "word" not in str(caught.value)


def test_a_url_that_is_none_is_one_clear_line() -> None:
    """Before anything is tried."""
    with pytest.raises(StoreError, match="can't be used"):
        StateRedis("redis://h:port/0")


@needs_server
def test_a_wrong_password_ends_the_start(server: RedisServer) -> None:
    """It is for somebody to mend, and will not mend itself."""
    with pytest.raises(StoreError, match=r"cannot read the state at redis://127\.0\.0\.1/0: ") as caught:
        StateRedis(server.url.replace("not-a-secret", "wrong-word")).start()
    assert "wrong-word" not in str(caught.value) and "\n" not in str(caught.value)


@needs_server
def test_a_server_that_is_gone_is_found_again(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put meanwhile waits, also where the server was not there at the start."""
    monkeypatch.setattr(statekeeper, "BACKOFF_S", (0.02,))
    server.stop()
    keeper, news = StateRedis(server.url, lambda: NOW, "a"), list[News]()
    keeper.on_news = news.append
    assert keeper.start() == Saved()
    assert keeper.error
    keeper.put(Saved((COOLING,)))
    try:
        server.start()
        wait_for(lambda: keeper.error is None and news)
        assert news[0].set == Saved((COOLING,))
    finally:
        assert keeper.stop()


@needs_server
def test_no_key_and_nothing_else_is_touched(server: RedisServer) -> None:
    """All names begin with ours, and what is over is deleted at the next start."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        client.set("another", "program's")
        keeper = StateRedis(server.url, lambda: NOW, "a")
        keeper.start()
        keeper.put(Saved((COOLING,)))
        assert keeper.stop()
        assert set(client.scan_iter()) == {"another", "turnpike:cooldowns", "turnpike:version"}
        later = StateRedis(server.url, lambda: NOW + 600, "a")
        assert later.start() == Saved()
        later.stop()
        assert not client.exists("turnpike:cooldowns")


def test_nobody_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start does not wait for a server that refuses."""
    keeper = StateRedis(f"redis://127.0.0.1:{free_port()}/0")
    assert keeper.start() == Saved()
    assert "refused" in str(keeper.error)
    keeper.stop()
