"""What the key pool is worth, in simulated minutes; `python -m tests.sim.keypool_sim` prints more of them."""

from __future__ import annotations

import pytest

from tests.sim.keypool_sim import CLIENTS, simulate
from tests.sim.provider import PER_MINUTE, Limiter, SlidingWindow, TokenBucket

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("limiter", "arrivals", "seed"),
    [
        ("bucket of 60", "every 8 s", 1),
        ("bucket of 10", "at random, 7 s", 2),
        ("sliding window", "every 10 s", 3),
        ("sliding window", "every 5 s", 4),
        ("sliding window", "at random, 10 s", 5),
    ],
)
def test_fewer_refusals_and_no_fewer_calls_served(limiter: str, arrivals: str, seed: int) -> None:
    """Where more is asked for than the keys give: at least five times fewer 429s than naive round robin, no lower share served, no call
    waits longer than it may, and no key is used above 1.5 times the mean."""
    naive, ours = (simulate(client, limiter, arrivals, seed) for client in ("naive", "ours"))
    assert naive.refusals >= 5000  # it is a test
    assert 5 * ours.refusals <= naive.refusals
    assert ours.share >= naive.share
    assert ours.longest_wait_s <= 30.001
    assert ours.unevenness < 1.5


def test_where_the_keys_suffice_nobody_waits() -> None:
    """The pool holds nothing back before a key has refused anything."""
    ours = simulate("ours", "bucket of 10", "every 15 s", 1)
    assert (ours.share, ours.refusals, ours.longest_wait_s) == (1, 0, 0)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_seed_gives_the_same_again(client: str) -> None:
    """So that figures can be compared, over the same calls for all."""
    first = simulate(client, "bucket of 10", "at random, 10 s", 1)
    assert simulate(client, "bucket of 10", "at random, 10 s", 1) == first
    assert first.calls == 10_800


@pytest.mark.parametrize(("limiter", "at_once"), [(TokenBucket(60), 60), (TokenBucket(10), 10), (SlidingWindow(), 60)])
def test_the_provider_keeps_to_its_limit(limiter: Limiter, at_once: int) -> None:
    """So many at once, and in the long run 60 a minute; the wait that it names is true."""
    assert sum(limiter.take(0.0) is None for _ in range(100)) == at_once
    accepted = sum(limiter.take(second / 10) is None for second in range(1, 6001))
    assert accepted == pytest.approx(10 * PER_MINUTE, abs=PER_MINUTE)
    while (wait := limiter.take(700.0)) is None:
        pass
    assert limiter.take(700.0 + wait - 0.01) is not None
    assert limiter.take(700.0 + wait + 0.001) is None
