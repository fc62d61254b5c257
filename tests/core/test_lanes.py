"""How many calls a key gets that has just been refused, or that takes over from one that was: the ramp, and the pace."""

from __future__ import annotations

import pytest

from addons.core.keypool import KeyPool, Lease
from addons.core.lanes import LATELY_S, PATIENCE_S, RAMP_SUCCESSES
from tests.core.pools import free, leased, make_pool, used, waiting

NOW = 1_000_000.0


def refuse(pool: KeyPool, now: float, seconds: float | None = 20, model: str = "m") -> Lease:
    """A call is refused, and its key is given back."""
    lease = leased(pool, now, model)
    pool.cool(lease, now, seconds)
    pool.release(lease, now)
    return lease


def climb(pool: KeyPool, now: float) -> list[int]:
    """How many calls at once are let in, round by round, each succeeding at once."""
    sizes: list[int] = []
    while len(sizes) < 6:
        leases: list[Lease] = []
        while len(leases) < 200 and (lease := pool.lease(now, "m")):
            leases.append(lease)
        for lease in leases:
            pool.succeeded(lease, now)
            pool.release(lease, now)
        sizes.append(len(leases))
    return sizes


def test_before_anything_happened_nothing_is_held_back() -> None:
    """A new pool takes what comes."""
    assert len(free(make_pool("a"), NOW)) == 50


def test_a_key_that_comes_back_ramps_up() -> None:
    """One call, and one more for each success."""
    pool = make_pool("a")
    refuse(pool, NOW)
    assert climb(pool, NOW + 20) == [1, 2, 4, 8, 16, 32]


def test_a_ramp_is_over_after_many_successes() -> None:
    """Then there is no limit."""
    pool = make_pool("a")
    refuse(pool, NOW)
    used(pool, NOW + 20, RAMP_SUCCESSES - 1)
    assert pool.states(NOW + 20)[0].ramps == {"m": RAMP_SUCCESSES}
    used(pool, NOW + 20, 1)
    assert pool.states(NOW + 20)[0].ramps == {}
    assert len(free(pool, NOW + 20)) == 50


def test_the_next_key_is_not_stampeded() -> None:
    """A key that was not in use when another began to cool starts with one call."""
    pool = make_pool("abc")
    refuse(pool, NOW)
    assert free(pool, NOW) == "bc"


@pytest.mark.parametrize("busy", [True, False])
def test_a_key_that_carries_traffic_is_not_throttled(busy: bool) -> None:
    """Calls in flight, or a success lately."""
    pool = make_pool("ab", "round_robin")
    lease, other = leased(pool, NOW), leased(pool, NOW)
    if not busy:
        pool.succeeded(other, NOW)
        pool.release(other, NOW)
    pool.cool(lease, NOW + 10, 20)
    assert len(free(pool, NOW + 10)) == 50


def test_a_success_long_ago_is_not_lately() -> None:
    """After a minute the key has to show again what it bears."""
    pool = make_pool("ab", "round_robin")
    used(pool, NOW, 2)
    later = NOW + LATELY_S
    lease = leased(pool, later)
    pool.cool(lease, later, 20)
    assert free(pool, later) == "b"


def test_long_after_a_switch_a_key_starts_as_ever() -> None:
    """Nobody is left of those that could stampede it."""
    pool = make_pool("ab")
    refuse(pool, NOW, 3600)
    assert len(free(pool, NOW + LATELY_S)) == 50


def test_another_model_is_no_switch() -> None:
    """Limits are per model."""
    pool = make_pool("ab")
    refuse(pool, NOW, model="other")
    assert len(free(pool, NOW)) == 50


def test_calls_from_before_do_not_count() -> None:
    """Answers that are still streaming neither hold the ramp back nor raise it."""
    pool = make_pool("a")
    before = [leased(pool, NOW) for _ in range(5)]
    refuse(pool, NOW)
    for lease in before[:3]:
        pool.succeeded(lease, NOW + 1)
    assert free(pool, NOW + 20) == "a"
    for lease in before:
        pool.release(lease, NOW + 20)
    assert free(pool, NOW + 20) == "a"


def test_an_answer_that_has_begun_holds_nobody_back() -> None:
    """What matters is calls that may still be refused."""
    pool = make_pool("a")
    refuse(pool, NOW)
    streaming = leased(pool, NOW + 20)
    assert not pool.lease(NOW + 20, "m")
    pool.succeeded(streaming, NOW + 21)
    assert free(pool, NOW + 21) == "aa"
    assert pool.keys[0].in_flight == 1


def test_calls_that_are_not_refused_soon_count_as_accepted() -> None:
    """A ramp does not wait for a long answer: the limit doubles."""
    pool = make_pool("a")
    refuse(pool, NOW)
    back = NOW + 20
    leased(pool, back)
    assert not pool.lease(back + PATIENCE_S - 0.1, "m")
    leased(pool, back + PATIENCE_S)
    assert not pool.lease(back + PATIENCE_S, "m")
    assert free(pool, back + 2 * PATIENCE_S) == "aa"


def test_a_call_that_ends_without_an_answer_is_no_success() -> None:
    """It frees its place, and the ramp stays where it is."""
    pool = make_pool("a")
    refuse(pool, NOW)
    for _ in range(5):
        pool.release(leased(pool, NOW + 20), NOW + 20)
    assert free(pool, NOW + 20) == "a"


def test_a_kept_lease_counts() -> None:
    """A call that waits with its key goes first; the others when it has succeeded."""
    pool = make_pool("a")
    kept = leased(pool, NOW)
    assert pool.cool(kept, NOW, 2) == NOW + 2
    assert pool.keys[0].in_flight == 1
    assert not pool.lease(NOW + 2, "m")
    pool.succeeded(kept, NOW + 3)
    assert free(pool, NOW + 3) == "aa"


def test_a_kept_lease_that_is_given_up_leaves_its_place() -> None:
    """The client has left during the wait."""
    pool = make_pool("a")
    kept = leased(pool, NOW)
    pool.cool(kept, NOW, 2)
    pool.release(kept, NOW + 1)
    assert not pool.lease(NOW + 1, "m")
    assert free(pool, NOW + 2) == "a"


def test_kept_leases_do_not_hold_a_key_for_ever() -> None:
    """If nothing is heard of them, the ramp goes on without them."""
    pool = make_pool("a")
    for kept in [leased(pool, NOW), leased(pool, NOW)]:
        pool.cool(kept, NOW, 2)
    assert not pool.lease(NOW + 2 + PATIENCE_S - 0.1, "m")
    assert pool.lease(NOW + 2 + PATIENCE_S, "m")


def test_a_cooldown_of_the_whole_key_puts_the_ramp_off() -> None:
    """It begins when the key comes back for the model, not before."""
    pool = make_pool("a")
    kept, other = leased(pool, NOW), leased(pool, NOW, "other")
    pool.cool(kept, NOW, 2)
    pool.cool(other, NOW, 60, "*")
    assert not pool.lease(NOW + 60, "m")
    assert pool.lease(NOW + 60 + PATIENCE_S, "m")


def test_a_refusal_of_a_call_that_has_ended_holds_no_place() -> None:
    """It may be told after the key was given back."""
    pool = make_pool("a")
    lease = leased(pool, NOW)
    pool.release(lease, NOW)
    pool.cool(lease, NOW, 2)
    assert free(pool, NOW + 2) == "a"


def test_a_longer_cooldown_puts_the_ramp_off() -> None:
    """It begins when the key comes back, not before."""
    pool = make_pool("a")
    first, second = leased(pool, NOW), leased(pool, NOW)
    pool.cool(first, NOW, 2)
    pool.cool(second, NOW, 60)
    pool.release(second, NOW)
    assert not pool.lease(NOW + 60, "m")
    pool.release(first, NOW + 60)
    assert free(pool, NOW + 60) == "a"


def test_a_refusal_after_the_answer_began_is_a_refusal() -> None:
    """An error inside a stream: the place in the next ramp is given back with the lease."""
    pool = make_pool("a")
    lease = leased(pool, NOW)
    pool.succeeded(lease, NOW)
    pool.cool(lease, NOW, 2)
    pool.release(lease, NOW)
    assert (lease.lane.unanswered, lease.lane.in_flight) == (0, 0)
    assert free(pool, NOW + 2) == "a"


def refused_twice(pool: KeyPool) -> float:
    """Between two refusals, 10 s apart, a key has accepted ten calls, one after the other. Gives the time when it comes back."""
    refuse(pool, NOW, 2)
    now = NOW + 2
    for _ in range(10):
        lease = leased(pool, now)
        pool.succeeded(lease, now := now + 0.8)
        pool.release(lease, now)
    refuse(pool, now, 2)
    return now + 2


def test_calls_keep_to_the_pace() -> None:
    """A key that accepts one call a second gets no more, though its ramp would let in others; who waits is told when."""
    pool = make_pool("a", max_concurrent=1)
    back = refused_twice(pool)
    used(pool, back, 1)
    assert pool.lease(back + 0.9, "m") is None
    assert not pool.exhausted(back + 0.9, "m") and pool.free_at(back + 0.9, "m") == back + 0.9
    ticket = waiting(pool, back + 0.9)
    assert pool.next_event(back + 0.9) == pytest.approx(back + 1)
    pool.serve(back + 1)
    assert ticket.lease


def test_calls_that_were_refused_are_not_counted() -> None:
    """Of the calls that are sent together before the key is known to cool."""
    pool = make_pool("a")
    refuse(pool, NOW, 2)
    used(pool, NOW + 2, 10)
    leases = [leased(pool, NOW + 12) for _ in range(5)]
    for lease in leases:
        pool.cool(lease, NOW + 12, 2)
    for lease in leases:
        pool.release(lease, NOW + 12)
    pace = leased(pool, NOW + 14).lane.pace
    assert pace.rate == pytest.approx(10 / 2)  # nobody wanted the key for the rest of the time


def test_time_at_a_limit_is_not_idle() -> None:
    """A key that was full until now was wanted until now."""
    for pool, end in ((make_pool("a", max_concurrent=1), KeyPool.release), (make_pool("a"), KeyPool.succeeded)):
        refuse(pool, NOW, 2)
        lease = leased(pool, NOW + 2)
        end(pool, lease, NOW + 5)
        assert lease.lane.pace.wanted_at == NOW + 5


def test_the_pace_begins_with_the_end_of_the_cooldown() -> None:
    """Also where that was put off: it has not been without refusals meanwhile."""
    pool = make_pool("a", max_concurrent=1)
    back = refused_twice(pool)
    lease = leased(pool, back - 2, "other")
    pool.cool(lease, back - 2, 60, "*")
    pool.release(lease, back - 2)
    used(pool, back + 58, 1)
    assert pool.lease(back + 58.9, "m") is None
    assert pool.lease(back + 59, "m")
