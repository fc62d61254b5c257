"""What outlives a restart, between the pools and breakers and `state.db`."""

from __future__ import annotations

from pathlib import Path

from addons.core.breaker import Breaker
from addons.core.keypool import KeyPool, PooledKey
from addons.health import restore, saved_of
from addons.storage.statefile import StateFile
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
