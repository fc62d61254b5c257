"""What outlives a restart, between the pools and breakers and `state.db`."""

from __future__ import annotations

from pathlib import Path

from addons.core.breaker import Breaker
from addons.core.keypool import KeyPool, PooledKey
from addons.health import merge, restore, saved_of
from addons.storage.statefile import StateFile
from addons.storage.staterows import News, Saved, SavedBreaker, SavedCooldown
from tests.rooms import new_key

NOW = 1_800_000_000.0
KEYS = [new_key() for _ in range(3)]


def pools() -> dict[str, KeyPool]:
    return {"one": KeyPool([PooledKey(key, key[-4:], "env K") for key in KEYS], "sequential"), "two": KeyPool([], "sequential")}


def breakers() -> dict[str, Breaker]:
    return {"one": Breaker(), "two": Breaker()}


def test_pools_and_breakers_stand_as_before(tmp_path: Path) -> None:
    """Through the file: what cools, what is locked out, and which breaker is open; and no key is in the file."""
    before, broken = pools(), breakers()
    for cools in (True, False):
        lease = before["one"].lease(NOW, "m")
        assert lease
        until = before["one"].cool(lease, NOW, 120.0) if cools else before["one"].lock_out(lease, NOW)
        assert until > NOW
        before["one"].release(lease, NOW)
    for _ in range(3):
        broken["two"].failed(NOW, "connect")
    first = StateFile(tmp_path / "state.db", clock=lambda: NOW)
    first.start()
    first.put(saved_of(before, broken, NOW))
    assert first.stop()
    second = StateFile(tmp_path / "state.db", clock=lambda: NOW + 10)
    saved = second.start()
    second.stop()
    after, mended = pools(), breakers()
    restore(saved, after, mended, NOW + 10)
    lease = after["one"].lease(NOW + 10, "m")
    assert lease
    assert lease.key.value == KEYS[2]
    assert [len(key.cooldowns) for key in after["one"].states(NOW + 10)] == [1, 1, 0]
    assert (mended["one"].state(NOW + 10), mended["two"].state(NOW + 10)) == ("closed", "open")
    assert not any(key.encode() in path.read_bytes() for key in KEYS for path in tmp_path.iterdir())


def test_what_the_configuration_no_longer_has_is_left_out() -> None:
    """An upstream that is gone, and a key that is."""
    before, broken = pools(), breakers()
    lease = before["one"].lease(NOW, "m")
    assert lease
    before["one"].cool(lease, NOW, 120.0)
    for _ in range(3):
        broken["two"].failed(NOW, "connect")
    after = {"one": KeyPool([PooledKey(new_key(), None, "env K")], "sequential")}
    restore(saved_of(before, broken, NOW), after, {"one": Breaker()}, NOW)
    assert after["one"].lease(NOW, "m")


def test_news_make_cooldowns_longer_and_never_shorter() -> None:
    """Of keys and of breakers; what is not here is ignored."""
    ours, broken = pools(), breakers()
    lease = ours["one"].lease(NOW, "m")
    assert lease
    ours["one"].cool(lease, NOW, 120.0)
    for _ in range(3):
        broken["one"].failed(NOW, "connect")
    for seconds, until in ((60, 120), (300, 300)):
        cooldown = SavedCooldown("one", lease.key.id, "m", NOW + seconds, 1, "quota")
        breaker = SavedBreaker("one", NOW + seconds / 6, 3, "timeout")
        strangers = Saved((cooldown._replace(upstream="gone"),), (breaker._replace(upstream="gone"),))
        news = Saved((cooldown, *strangers.cooldowns), (breaker, *strangers.breakers))
        merge(News(news, (), ()), ours, broken, NOW)
        assert [of.until for of in ours["one"].states(NOW)[0].cooldowns] == [NOW + until]
    assert broken["one"].open_until == NOW + 60


def test_a_burst_over_several_processes_is_one_step() -> None:
    """A call that was sent before another process's cooldown was heard of, and is refused too, does not escalate it."""
    ours = pools()
    lease = ours["one"].lease(NOW, "m")
    assert lease
    merge(News(Saved((SavedCooldown("one", lease.key.id, "m", NOW + 10, 1, "rate_limit"),)), (), ()), ours, breakers(), NOW)
    assert ours["one"].cool(lease, NOW + 1, None) <= NOW + 11


def test_what_another_process_has_ended_is_over() -> None:
    """A reset of an upstream's keys; a breaker that a call there has closed, unless ours was opened anew."""
    ours, broken = pools(), breakers()
    lease = ours["one"].lease(NOW, "m")
    assert lease
    ours["one"].cool(lease, NOW, 120.0)
    merge(News(Saved(), ("one", "gone"), ()), ours, broken, NOW)
    assert not ours["one"].states(NOW)[0].cooldowns
    for _ in range(3):
        broken["two"].failed(NOW, "connect")
    merge(News(Saved(), (), (SavedBreaker("two", NOW + 59, 3, "connect"),)), ours, broken, NOW)
    assert broken["two"].state(NOW) == "open"
    merge(News(Saved(), (), (SavedBreaker("two", NOW + 60, 3, "connect"),)), ours, broken, NOW)
    assert broken["two"].state(NOW) == "closed"
