"""What is told of keys."""

from __future__ import annotations

import json

from addons.core.keystates import GroupState, KeyCooldown
from tests.core.pools import leased, make_pool

NOW = 1_000_000.0


def test_people_see_what_runs() -> None:
    """The cooldowns with their ends and reasons, what is in flight, and how far a ramp has come; no value."""
    pool = make_pool("ab", max_concurrent=3)
    lease, other, *_ = leased(pool, NOW), leased(pool, NOW, "n"), leased(pool, NOW)
    pool.cool(lease, NOW, 20)
    pool.cool(lease, NOW, 3600, "images", why="quota")
    pool.lock_out(other, NOW)
    pool.release(other, NOW)
    first, second = pool.states(NOW + 10)
    assert first.cooldowns == (
        GroupState("m", NOW + 20, "rate_limit"),
        GroupState("images", NOW + 3600, "quota"),
        GroupState("*", NOW + 300, "auth"),
    )
    key = pool.keys[0]
    assert (first.label, first.hint, first.in_flight, first.limit, first.used) == ("a", key.hint, 2, 3, 3)
    assert (second.cooldowns, second.ramps, second.used) == ((), {}, 0)
    assert key.value not in repr(first)


def test_ramps_are_told() -> None:
    """As long as they last."""
    pool = make_pool("a")
    pool.cool(lease := leased(pool, NOW), NOW, 20)
    pool.release(lease, NOW)
    assert pool.states(NOW)[0].ramps == {}
    lease = leased(pool, NOW + 20)
    assert pool.states(NOW + 20)[0].ramps == {"m": 1}
    pool.succeeded(lease, NOW + 21)
    assert pool.states(NOW + 21)[0].ramps == {"m": 2}


def test_what_is_kept_is_plain() -> None:
    """It can be written anywhere, has one row for a key and group, none of what is over, and no value."""
    pool = make_pool("a")
    lease = leased(pool, NOW)
    pool.cool(lease, NOW, 20)
    pool.cool(lease, NOW, None, "*")
    pool.lock_out(lease, NOW)
    (key,) = pool.keys
    rows = pool.snapshot(NOW)
    assert rows == [
        KeyCooldown(key.id, "m", NOW + 20, 0, "rate_limit"),
        KeyCooldown(key.id, "*", NOW + 10, 1, "rate_limit"),
        KeyCooldown(key.id, "*auth", NOW + 300, 1, "auth"),
    ]
    assert key.value not in json.dumps(rows)
    assert [row.group for row in pool.snapshot(NOW + 15)] == ["m", "*auth"]
