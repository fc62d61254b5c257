"""Rotation of keys."""

from collections import Counter

import pytest

from addons.core.keypool import KeyPool, PooledKey


def pool(rotation: str, *keys: tuple[str, float, int]) -> KeyPool:
    """A pool of keys given as (value, weight, priority)."""
    return KeyPool([PooledKey(value, None, f"env {value}", weight, priority) for value, weight, priority in keys], rotation)


def taken(of: KeyPool, times: int) -> list[str]:
    """The values of that many leases, each returned before the next."""
    values = []
    for _ in range(times):
        lease = of.lease()
        assert lease
        values.append(lease.key.value)
        of.release(lease)
    return values


THREE = (("a", 1.0, 1), ("b", 1.0, 1), ("c", 1.0, 1))


@pytest.mark.parametrize(
    ("rotation", "expected"), [("sequential", "aaaaaa"), ("round_robin", "abcabc"), ("least_used", "abcabc"), ("balanced", "abcabc")]
)
def test_order(rotation: str, expected: str) -> None:
    """Each mode takes equal keys in its own order."""
    assert "".join(taken(pool(rotation, *THREE), 6)) == expected


def test_least_used_looks_at_calls_in_flight() -> None:
    """A key whose call is still running comes after one that is free, however often that was used."""
    of = pool("least_used", *THREE[:2])
    running = of.lease()
    assert running and running.key.value == "a"
    assert taken(of, 3) == ["b", "b", "b"]
    of.release(running)
    assert taken(of, 1) == ["a"]


def test_balanced_keeps_to_weights_and_priority() -> None:
    """In the best priority keys are taken by weight, spread out; others not at all."""
    values = taken(pool("balanced", ("a", 3.0, 1), ("b", 1.0, 1), ("c", 9.0, 2)), 8)
    assert Counter(values) == {"a": 6, "b": 2}
    assert "b" in values[:4]


def test_a_lease_is_returned_once() -> None:
    """Several ends of one call give the key back once."""
    of = pool("least_used", ("a", 1.0, 1))
    lease = of.lease()
    assert lease
    of.release(lease)
    of.release(lease)
    assert of.keys[0].in_flight == 0


def test_an_empty_pool_has_no_key() -> None:
    """No key is None, not an error."""
    assert pool("balanced").lease() is None


def test_repr_shows_no_value() -> None:
    """A key is never shown."""
    assert "hidden" not in repr(PooledKey("hidden-value", "alue", "env A"))
