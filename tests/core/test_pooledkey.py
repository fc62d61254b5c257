"""A key and its lease."""

from __future__ import annotations

import gc

import pytest

from addons.core import pooledkey
from addons.core.keypool import KeyPool
from tests.core.pools import free, leased, make_key, make_pool

NOW = 1_000_000.0


def test_its_value_is_shown_nowhere() -> None:
    """Neither by the key nor by a lease, and the id is a hash."""
    pool = make_pool("a")
    (key,) = pool.keys
    lease = leased(pool, NOW)
    assert key.value not in repr(key) + repr(lease) + repr(lease.lane) + repr(lease.lane.pace) + key.id
    assert key.hint and key.hint not in key.id


def test_its_id_is_of_its_value() -> None:
    """The same after a restart, whatever else is configured."""
    key, other = make_key(), make_key()
    same = pooledkey.PooledKey(key.value, None, "elsewhere", 2.0, 3)
    assert key.id == same.id != other.id


def test_keys_are_not_equal_by_what_they_hold() -> None:
    """Each is itself, so they can be counted in sets."""
    key = make_key()
    assert len({key, pooledkey.PooledKey(key.value, key.hint, key.label)}) == 2


def test_a_new_configuration_leaves_the_state() -> None:
    """Weights and limits change, what is in flight does not."""
    pool = make_pool("a")
    leased(pool, NOW)
    pool.keys[0].configure(make_key("b", weight=2, priority=3, max_concurrent=4))
    key = pool.keys[0]
    assert (key.label, key.weight, key.priority, key.max_concurrent, key.in_flight) == ("b", 2, 3, 4, 1)


def test_cooldowns_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are over are forgotten; none that runs."""
    monkeypatch.setattr(pooledkey, "MAX_COOLDOWNS", 10)
    key = make_key()
    for number in range(30):
        key.cooldown(f"model {number}", NOW).reach(NOW, NOW + (1 if number % 5 else 100), "rate_limit")
    assert len(key.cooldowns) == 30  # all of them run
    key.cooldown("another", NOW + 50)
    assert len(key.cooldowns) == 7


def test_a_lane_that_is_forgotten_leaves_no_pool_with_it() -> None:
    """Cooldowns go to the lane that the key has, so nobody may look at another one."""
    pool = make_pool("ab")
    assert free(pool, NOW)
    for key in pool.keys:
        key.forget("m")
    pool.cool(leased(pool, NOW), NOW, 60)
    assert "a" not in free(pool, NOW)


def test_a_lease_knows_what_it_was_sent_before() -> None:
    """By the order of events; a call that was refused and sent again after the cooldown, by the time."""
    pool = make_pool("a")
    first, second = leased(pool, NOW), leased(pool, NOW)
    cooldown = pool.keys[0].cooldown("m", NOW)
    assert first.sent_after(cooldown, NOW)
    pool.cool(first, NOW, 5)
    assert not first.sent_after(cooldown, NOW) and not second.sent_after(cooldown, NOW)
    assert first.sent_after(cooldown, NOW + 5) and not second.sent_after(cooldown, NOW + 5)
    pool.release(first, NOW + 5)
    assert leased(pool, NOW + 5).sent_after(cooldown, NOW + 5)


def test_it_knows_the_pools_that_hold_it() -> None:
    """Each once, as long as anybody else has it."""
    key = make_key()
    one, other = KeyPool([key], "balanced"), KeyPool([key], "balanced")
    key.holders.add(one)
    assert key.holders.all() == [one, other]
    del one
    gc.collect()
    assert key.holders.all() == [other]
    key.holders.add(third := KeyPool([], "balanced"))
    assert key.holders.all() == [other, third]
