"""Probes, against a real provider; time is passed in, so that nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from addons.config import load
from addons.core.breaker import OPEN_S
from addons.outbound import Unanswered
from addons.probes import LOOK_S, Probes
from addons.storage.staterows import Saved
from scripts.fake_provider.server import FakeProvider
from tests.conftest import MakeJourney
from tests.rooms import Journey, new_key, running_proxy

KEY, OTHER_KEY = new_key(), new_key()
NOW = 1000.0

PROBED = """
version: 1
upstreams:
  a: {{provider: openai, base_url: "{url}/v1", keys: [{{env: KEY*}}], probe: {{path: /v1/models, every: 30, timeout: 5}}}}
  b: {{provider: anthropic, base_url: "{url}", keys: [{{env: KEY*}}]}}
"""
WITHOUT = PROBED.replace(", probe: {{path: /v1/models, every: 30, timeout: 5}}", "")


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider()
    await provider.start()
    yield provider
    await provider.stop()


Make = Callable[..., Journey]


@pytest.fixture
async def make(make_journey: MakeJourney, fake: FakeProvider) -> AsyncIterator[Make]:
    """The rooms: `a` is probed every 30 s, `b` never; with one key."""
    made: list[Journey] = []

    def making(text: str = PROBED, environ: dict[str, str] | None = None) -> Journey:
        made.append(make_journey(text.format(url=fake.url), {"KEY": KEY} if environ is None else environ))
        return made[-1]

    yield making
    for journey in made:
        journey.probes.done()
        if closing := journey.outbound.done():
            await closing


async def probe(journey: Journey, now: float = NOW) -> float:
    """What is due at this time, done; gives the seconds until the next look."""
    nap_s = journey.probes.begin_due(now)
    async with asyncio.timeout(5):
        await asyncio.gather(*journey.probes._running.values())
    return nap_s


def opened(journey: Journey, name: str = "a") -> None:
    for _ in range(3):
        journey.state.breakers[name].failed(time.time(), "connect")


async def test_an_upstream_is_probed_at_once_and_then_every_so_often(make: Make, fake: FakeProvider) -> None:
    """With its key, at its path; who has no probe is left alone."""
    journey = make()
    for seconds, probes in ((0, 1), (29.9, 1), (30, 2), (45, 2), (60, 3)):
        await probe(journey, NOW + seconds)
        assert [(seen.method, seen.path, seen.key) for seen in fake.requests] == [("GET", "/v1/models", KEY)] * probes


async def test_it_is_looked_again_when_something_is_due(make: Make) -> None:
    """And within a second, since the configuration may change."""
    journey = make()
    assert await probe(journey) == LOOK_S
    assert await probe(journey, NOW + 29.5) == pytest.approx(0.5)
    assert await probe(make(WITHOUT)) == LOOK_S


async def test_without_probes_nobody_is_asked(make: Make, fake: FakeProvider) -> None:
    """The shipped configuration has none."""
    journey = make(WITHOUT)
    for seconds in range(0, 300, 10):
        await probe(journey, NOW + seconds)
    assert fake.requests == []


@pytest.mark.parametrize("status", [200, 301, 401, 404, 429])
async def test_any_answer_below_500_says_that_it_is_well(status: int, make: Make, fake: FakeProvider) -> None:
    """Also one that refuses the key, or the rate: the breaker closes at once."""
    journey = make()
    opened(journey)
    fake.knobs.set("*", {"status": status})
    await probe(journey)
    assert journey.state.breakers["a"].state(time.time()) == "closed"


@pytest.mark.parametrize(
    ("knobs", "why"),
    [
        ({"status": 500}, "server"),
        ({"status": 501}, "server"),
        ({"status": 503}, "overloaded"),
        ({"status": 524}, "timeout"),
        ({"reset": True}, "connect"),
    ],
)
async def test_three_failures_open_the_breaker(knobs: dict[str, object], why: str, make: Make, fake: FakeProvider) -> None:
    """Of a class each; another upstream's breaker is not touched."""
    journey = make()
    fake.knobs.set("*", knobs)
    for n in range(3):
        assert journey.state.breakers["a"].state(time.time()) == "closed"
        await probe(journey, NOW + 30 * n)
    breaker = journey.state.breakers["a"]
    assert (breaker.state(time.time()), breaker.last_failure) == ("open", why)
    assert journey.state.breakers["b"].failures == 0


async def test_an_answer_that_does_not_come_in_time_is_a_failure(make: Make, fake: FakeProvider) -> None:
    """By the probe's own timeout."""
    journey = make(PROBED.replace("timeout: 5", "timeout: 0.05"))
    fake.knobs.set("*", {"hang": True})
    await probe(journey)
    assert journey.state.breakers["a"].last_failure == "timeout"


async def test_half_open_the_probe_is_the_one_call(make: Make, fake: FakeProvider) -> None:
    """While it is under way no call of a client need be."""
    journey = make()
    breaker = journey.state.breakers["a"]
    for _ in range(3):
        breaker.failed(time.time() - OPEN_S - 1, "connect")
    fake.knobs.set("*", {"hang": True})
    journey.probes.begin_due(NOW)
    assert breaker.allows(time.time())
    while not fake.requests:
        await asyncio.sleep(0)
    assert (breaker.state(time.time()), breaker.allows(time.time())) == ("half_open", False)


async def test_one_that_takes_longer_than_its_turn_is_not_overtaken(make: Make, fake: FakeProvider) -> None:
    """There is one under way at most; the next begins when it is due after that."""
    journey = make()
    fake.knobs.set("*", {"first_byte": 0.1}, times=1)
    for n in range(4):
        journey.probes.begin_due(NOW + 30 * n)
        while not fake.requests:
            await asyncio.sleep(0)
    assert len(fake.requests) == 1
    await probe(journey, NOW + 100)
    await probe(journey, NOW + 120)
    assert len(fake.requests) == 2


async def test_a_reload_is_followed(make: Make, fake: FakeProvider, tmp_path: Path) -> None:
    """Another path at once, an unchanged one in its time, none any more where the probe was taken out."""
    journey = make()
    await probe(journey)
    for text, paths in (
        (PROBED + "logs: {{level: error}}", []),
        (PROBED.replace("/v1/models", "/v1/other"), ["/v1/other"]),
        (WITHOUT, []),
        (PROBED, ["/v1/models"]),
    ):
        (tmp_path / "new.yml").write_text(text.format(url=fake.url))
        journey.state.adopt(load(tmp_path / "new.yml", {"KEY": KEY}))
        fake.clear()
        await probe(journey, NOW + 1)
        assert [seen.path for seen in fake.requests] == paths


async def test_a_locked_key_is_not_probed_with(make: Make, fake: FakeProvider) -> None:
    """Another is; without any the probe goes without a credential. With `inject: never` it always does."""
    journey = make(environ={"KEY": KEY, "KEY_1": OTHER_KEY})
    pool = journey.state.pools["a"]
    for expected in (KEY, OTHER_KEY, ""):
        await probe(journey, NOW + 30 * len(fake.requests))
        assert fake.requests[-1].key == expected
        if lease := pool.lease(time.time(), "m"):
            pool.lock_out(lease, time.time())
            pool.release(lease, time.time())
    await probe(make(PROBED.replace("probe:", "inject: never, probe:")))
    assert fake.requests[-1].key == ""


async def test_a_change_is_remembered_and_told_once(
    make: Make, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """For the next start, and in the log."""
    journey, changes = make(), list[Saved | None]()
    monkeypatch.setattr(journey.state, "health_changed", lambda: changes.append(None))
    with caplog.at_level(logging.INFO, "addons.probes"):
        for n, status in enumerate((200, 500, 500, 200, 200)):
            fake.knobs.set("*", {"status": status})
            await probe(journey, NOW + 30 * n)
    assert caplog.messages == ["upstream a fails its probe: answered 500", "upstream a answers its probe again"]
    assert len(changes) == 3


async def test_a_fault_of_ours_ends_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fake: FakeProvider
) -> None:
    """Neither that upstream's probes nor the watch; what was wrong is told by its kind alone."""
    journey, tries = make(), list[int]()

    async def fail(*_: object) -> None:
        tries.append(1)
        raise RuntimeError(KEY) if len(tries) < 3 else Unanswered("connect", f"refused {KEY}")

    monkeypatch.setattr(journey.outbound, "get", fail)
    for n in range(3):
        await probe(journey, NOW + 30 * n)
    assert caplog.messages[:2] == ["the probe of a failed: RuntimeError"] * 2
    assert (journey.state.breakers["a"].last_failure, KEY in caplog.text) == ("connect", False)

    seen = asyncio.Event()

    def broken(now: float) -> float:
        if len(caplog.records) > 5:
            seen.set()
        raise RuntimeError(KEY)

    monkeypatch.setattr("addons.probes.LOOK_S", 0)
    monkeypatch.setattr(journey.probes, "begin_due", broken)
    journey.probes.running()
    async with asyncio.timeout(5):
        await seen.wait()
    assert caplog.messages[-1] == "probes could not be begun: RuntimeError"


async def test_probes_run_with_the_proxy_and_end_with_it(tmp_path: Path, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start on; also one that is under way."""
    monkeypatch.setenv("KEY", KEY)
    async with running_proxy(tmp_path, PROBED.replace("every: 30", "every: 0.02").format(url=fake.url), listen_host="127.0.0.1") as proxy:
        room: Probes = proxy.journey.probes
        async with asyncio.timeout(5):
            while len(fake.requests) < 3:
                await asyncio.sleep(0.005)
        fake.knobs.set("*", {"hang": True})
        while not room._running:
            await asyncio.sleep(0.005)
        running = [*room._running.values(), *([room._watcher] if room._watcher else [])]
    await asyncio.wait(running, timeout=5)
    assert len(running) == 2
    assert all(task.done() for task in running)
