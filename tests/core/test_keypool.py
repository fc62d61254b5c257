"""The key pool: who gets which key when, what refusals do, and what outlives a reload and a restart. Its parts have tests of their own."""

from __future__ import annotations

import pytest
from hypothesis import settings

from addons.core import keypool
from addons.core.keypool import KeyPool, PooledKey, Ticket
from addons.core.slots import Share, Slots
from tests.core.pool_in_use import PoolInUse
from tests.core.pools import free, leased, make_key, make_pool, used, waiting

NOW = 1_000_000.0


def refuse(pool: KeyPool, now: float, seconds: float | None = None, *, model: str = "m", group: str | None = None) -> float:
    """A call is refused and gives its key back; for how long the key then rests."""
    lease = leased(pool, now, model)
    until = pool.cool(lease, now, seconds, group)
    pool.release(lease, now)
    return until - now


@pytest.mark.parametrize(
    ("rotation", "expected"), [("sequential", "aaaaaa"), ("round_robin", "abcabc"), ("least_used", "abcabc"), ("balanced", "abcabc")]
)
def test_order(rotation: str, expected: str) -> None:
    """Each mode takes equal keys in its own order."""
    assert used(make_pool("abc", rotation), NOW, 6) == expected


def test_an_empty_pool_has_no_key() -> None:
    """No key is None, not an error, and nothing is exhausted."""
    pool = make_pool("")
    assert pool.lease(NOW) is None
    assert pool.free_at(NOW, "m") is None
    assert not pool.exhausted(NOW, "m")
    waiting(pool, NOW)
    assert pool.next_event(NOW) is None


def test_a_lease_is_returned_once() -> None:
    """Several ends of one call give the key back once."""
    pool = make_pool("a")
    lease = leased(pool, NOW)
    assert pool.keys[0].in_flight == 1
    pool.release(lease, NOW)
    pool.release(lease, NOW)
    assert (pool.keys[0].in_flight, lease.returned) == (0, True)


def test_as_many_calls_at_once_as_a_key_may_have() -> None:
    """Over all models; others wait, and the key is busy, not exhausted."""
    pool = make_pool("ab", max_concurrent=2)
    assert free(pool, NOW) == "aabb"
    leases = [leased(pool, NOW, model) for model in "mnmn"]
    assert pool.lease(NOW, "o") is None
    assert not pool.exhausted(NOW, "o") and pool.free_at(NOW, "o") == NOW
    pool.release(leases[1], NOW)
    assert leased(pool, NOW, "o").key.label == "a"


def test_a_cooldown_is_for_a_key_and_a_model() -> None:
    """Another model of the key and another key are as free as ever."""
    pool = make_pool("ab")
    assert refuse(pool, NOW, 60) == 60
    assert set(free(pool, NOW)) == {"b"}
    assert set(free(pool, NOW, "other")) == {"a"}
    assert "a" not in free(pool, NOW + 59.9)
    assert "a" in free(pool, NOW + 60)


def test_a_quota_group_holds_for_all_its_models() -> None:
    """Those that were seen to count towards it, on every key, also where a key cooled for it before that was known."""
    pool = make_pool("ab")
    refuse(pool, NOW, 3600, model="small", group="daily")
    assert set(free(pool, NOW, "large")) == {"a"}
    assert set(free(pool, NOW, "small")) == {"b"}
    pool.release(a := leased(pool, NOW, "large"), NOW)
    pool.release(b := leased(pool, NOW, "small"), NOW)
    pool.cool(b, NOW, 60, "daily")
    assert free(pool, NOW, "large")
    pool.cool(a, NOW, 5, "daily")
    assert not free(pool, NOW + 5, "large")
    assert pool.free_at(NOW, "large") == NOW + 60


def test_the_whole_key_cools_for_models_not_seen_yet() -> None:
    """And for those in use."""
    pool = make_pool("a")
    refuse(pool, NOW, 3600, group="*")
    assert pool.exhausted(NOW, "m") and pool.exhausted(NOW, "other")


def test_without_a_hint_it_escalates_and_a_success_resets() -> None:
    """10, 30, 60, 120 seconds; then from the start."""
    pool, now, rests = make_pool("a"), NOW, []
    for _ in range(5):
        rests.append(refuse(pool, now))
        now += rests[-1]
    assert rests == [10, 30, 60, 120, 120]
    used(pool, now, 1)
    assert refuse(pool, now) == 10


def test_a_burst_escalates_one_step() -> None:
    """Calls that were all sent before the cooldown was set and fail together."""
    pool = make_pool("a")
    burst = [leased(pool, NOW) for _ in range(5)]
    untils = [pool.cool(lease, NOW + number / 10, None) for number, lease in enumerate(burst)]
    assert untils == [NOW + number / 10 + 10 for number in range(5)]
    for lease in burst:
        pool.release(lease, NOW + 1)
    assert refuse(pool, NOW + 20) == 30


def test_a_success_from_before_changes_nothing() -> None:
    """Neither is the cooldown lifted, nor does it start from the first step again."""
    pool = make_pool("a")
    before = leased(pool, NOW)
    refuse(pool, NOW)
    pool.succeeded(before, NOW + 1)
    assert pool.exhausted(NOW + 9, "m")
    assert refuse(pool, NOW + 10) == 30


def test_a_success_of_one_model_says_nothing_of_another() -> None:
    """Each escalates for itself."""
    pool = make_pool("a")
    refuse(pool, NOW)
    used(pool, NOW + 10, 1, "other")
    assert refuse(pool, NOW + 10) == 30


def test_a_cooldown_is_never_shortened() -> None:
    """What is told later may only make it longer, and the longest is what a call is told."""
    pool = make_pool("a")
    leases = [leased(pool, NOW) for _ in range(3)]
    assert pool.cool(leases[0], NOW, 60) == NOW + 60
    assert pool.cool(leases[1], NOW, 5) == NOW + 60
    assert pool.cool(leases[2], NOW + 1, 90) == NOW + 91
    assert pool.free_at(NOW, "m") == NOW + 91


def test_a_call_may_keep_its_key_and_be_sent_again() -> None:
    """After the cooldown its success counts as any other, and so does its next refusal."""
    pool = make_pool("a")
    lease = leased(pool, NOW)
    assert pool.cool(lease, NOW, None) == NOW + 10
    assert pool.cool(lease, NOW + 10, None) == NOW + 40
    pool.succeeded(lease, NOW + 41)
    pool.release(lease, NOW + 42)
    assert pool.keys[0].in_flight == 0
    assert refuse(pool, NOW + 42) == 10


def test_a_call_that_had_succeeded_may_succeed_again() -> None:
    """Its answer broke off with a refusal before any of it was used, and it was sent once more."""
    pool = make_pool("a")
    lease = leased(pool, NOW)
    pool.succeeded(lease, NOW)
    pool.cool(lease, NOW, None)
    pool.succeeded(lease, NOW + 10)
    pool.release(lease, NOW + 10)
    assert refuse(pool, NOW + 11) == 10


def lock(pool: KeyPool, now: float) -> float:
    lease = leased(pool, now)
    until = pool.lock_out(lease, now)
    pool.release(lease, now)
    return until - now


def test_a_key_that_is_refused_is_locked() -> None:
    """As a whole, five minutes, then twice as long each time, until a success."""
    pool = make_pool("a")
    assert lock(pool, NOW) == 300
    assert pool.exhausted(NOW, "m") and pool.exhausted(NOW, "other")
    assert lock(pool, NOW + 300) == 600
    used(pool, NOW + 900, 1)
    assert lock(pool, NOW + 900) == 300


def test_a_burst_locks_once() -> None:
    """All calls with a bad key fail together."""
    pool = make_pool("a")
    burst = [leased(pool, NOW) for _ in range(5)]
    assert [pool.lock_out(lease, NOW) for lease in burst] == [NOW + 300] * 5


def test_when_the_first_is_free() -> None:
    """The earliest end; now, where one is free or only busy."""
    pool = make_pool("ab", max_concurrent=1)
    refuse(pool, NOW, 60)
    assert (pool.exhausted(NOW, "m"), pool.free_at(NOW, "m")) == (False, NOW)
    busy = leased(pool, NOW)
    assert (pool.exhausted(NOW, "m"), pool.free_at(NOW, "m")) == (False, NOW)
    pool.cool(busy, NOW, 20)
    assert (pool.exhausted(NOW, "m"), pool.free_at(NOW, "m")) == (True, NOW + 20)
    assert (pool.exhausted(NOW + 20, "m"), pool.free_at(NOW + 25, "m")) == (False, NOW + 25)


def begin(pool: KeyPool, now: float, conversation: str) -> str:
    """A turn of a conversation; the key that it was sent with."""
    lease = leased(pool, now, affinity=conversation)
    pool.succeeded(lease, now, conversation)
    pool.release(lease, now)
    return lease.key.label


def test_a_conversation_stays_on_its_key() -> None:
    """Until that cools; then it stays on the one that it went to."""
    pool = make_pool("abc", "round_robin")
    assert [begin(pool, NOW, "x"), begin(pool, NOW, "y")] == ["a", "b"]
    assert [begin(pool, NOW, "x") for _ in range(3)] == ["a", "a", "a"]
    lease = leased(pool, NOW, affinity="x")
    pool.cool(lease, NOW, 60)
    pool.release(lease, NOW)
    assert begin(pool, NOW, "x") == "c"
    assert begin(pool, NOW + 60, "x") == "c"


def test_a_conversation_does_not_wait_for_its_key() -> None:
    """While that is only busy another serves it, and the next turn is its own key's again."""
    pool = make_pool("ab", max_concurrent=1)
    assert begin(pool, NOW, "x") == "a"
    busy = leased(pool, NOW)
    assert begin(pool, NOW, "x") == "b"
    pool.release(busy, NOW)
    assert begin(pool, NOW, "x") == "a"


def test_one_that_waits_gets_its_own_key_if_it_can() -> None:
    """Of several that become free."""
    pool = make_pool("ab", "round_robin")
    assert [begin(pool, NOW, "x"), begin(pool, NOW, "y")] == ["a", "b"]
    for _ in "ab":
        refuse(pool, NOW, 20)
    ticket = waiting(pool, NOW, affinity="y")
    pool.serve(NOW + 20)
    assert ticket.lease and ticket.lease.key.label == "b"


def test_a_first_turn_takes_whose_turn_it_is() -> None:
    """A conversation that is not known has no key, nor has a call without one."""
    pool = make_pool("ab", "round_robin")
    used(pool, NOW, 1)
    assert leased(pool, NOW, affinity="x").key.label == "b"


def test_models_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names come from clients; a cooldown outlives being forgotten, and leases still go back."""
    monkeypatch.setattr(keypool, "MODELS", 3)
    pool = make_pool("ab")
    refuse(pool, NOW, 60)
    held = leased(pool, NOW)
    for number in range(10):
        used(pool, NOW, 1, f"model {number}")
    assert len(pool.keys[0].lanes) == 3
    assert set(free(pool, NOW)) == {"b"}
    assert pool.cool(held, NOW, 90) == NOW + 90
    pool.release(held, NOW)
    assert pool.exhausted(NOW, "m") and pool.free_at(NOW, "m") == NOW + 60
    assert [key.in_flight for key in pool.keys] == [0, 0]


def test_models_in_use_are_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the one that was longest not asked for; its quota group is learned anew."""
    monkeypatch.setattr(keypool, "MODELS", 2)
    pool = make_pool("a")
    refuse(pool, NOW, 20, group="daily")
    lane = pool.keys[0].lanes["m"]
    for number in range(5):
        used(pool, NOW, 1, f"model {number}")
        assert pool.exhausted(NOW, "m")
    assert pool.keys[0].lanes["m"] is lane
    used(pool, NOW, 1, "x")
    used(pool, NOW, 1, "y")
    assert leased(pool, NOW)


def again(pool: KeyPool, rotation: str = "sequential", drop: str = "", add: str = "") -> KeyPool:
    """The pool of a new configuration: some keys less, some more."""
    kept = [PooledKey(key.value, key.hint, key.label) for key in pool.keys if key.label not in drop]
    new = KeyPool([*(make_key(label) for label in add), *kept], rotation)
    new.adopt(pool)
    return new


def test_a_reload_keeps_the_state_of_the_keys_that_stay() -> None:
    """Cooldowns, conversations, and leases, which are given back through either pool."""
    pool = make_pool("abc")
    assert begin(pool, NOW, "x") == "a"
    held = [leased(pool, NOW), leased(pool, NOW)]
    pool.cool(held[0], NOW, 60)
    assert begin(pool, NOW, "y") == "b"
    new = again(pool, drop="c", add="d")
    assert [key.label for key in new.keys] == ["d", "a", "b"]
    assert [key.in_flight for key in new.keys] == [0, 2, 0]
    assert begin(new, NOW, "y") == "b"
    assert "a" not in free(new, NOW)
    new.release(held[0], NOW)
    pool.release(held[1], NOW)
    assert [key.in_flight for key in new.keys] == [0, 0, 0]
    assert begin(new, NOW + 60, "x") == "a"


def test_a_reload_takes_the_new_settings() -> None:
    """Of a key that stays: its limit, its priority, its weight."""
    pool = make_pool("a")
    (key,) = pool.keys
    new = KeyPool([PooledKey(key.value, key.hint, "other", 2.0, 3, 1)], "balanced")
    new.adopt(pool)
    assert new.keys == [key]
    assert (key.label, key.weight, key.priority, free(new, NOW)) == ("other", 2.0, 3, "other")


def test_after_a_reload_both_pools_know() -> None:
    """A key that cools through one cools in the other, and one that becomes free serves who waits in either."""
    pool = make_pool("a", max_concurrent=1)
    lease = leased(pool, NOW)
    new = KeyPool([PooledKey(pool.keys[0].value, None, "a", max_concurrent=1)], "balanced")
    new.adopt(pool)
    assert new.lease(NOW, "m") is None
    early, late = waiting(pool, NOW), waiting(new, NOW)
    new.release(lease, NOW)
    granted = [ticket for ticket in (early, late) if ticket.lease]
    assert len(granted) == 1
    granted[0].cancel(NOW)
    assert early.lease and late.lease
    (late if granted[0] is early else early).cancel(NOW)
    lease = leased(new, NOW)
    pool.cool(lease, NOW, 60)
    assert pool.exhausted(NOW, "m") and new.exhausted(NOW, "m")


def test_what_waits_in_the_old_pool_gets_none_of_the_new_keys() -> None:
    """They may be of another host."""
    pool = make_pool("a", max_concurrent=1)
    leased(pool, NOW)
    ticket = waiting(pool, NOW)
    assert free(again(pool, drop="a", add="b"), NOW)
    pool.serve(NOW)
    assert ticket.waits


def test_a_reload_goes_on_with_the_turns() -> None:
    """And a key that is new does not have to catch up."""
    pool = make_pool("abc", "least_used")
    used(pool, NOW, 30)
    new = again(pool, "least_used", add="d")
    assert used(new, NOW, 8).count("d") <= 3


def test_a_reload_keeps_the_quota_groups() -> None:
    """Which models count towards them."""
    pool = make_pool("a")
    refuse(pool, NOW, 5, model="small", group="daily")
    pool.release(large := leased(pool, NOW, "large"), NOW)
    pool.cool(large, NOW, 5, "daily")
    new = again(pool)
    refuse(new, NOW + 5, 60, model="large", group="daily")
    assert new.exhausted(NOW + 10, "small")


def test_a_reload_keeps_in_mind_that_a_key_has_just_begun_to_cool() -> None:
    """Those that were not in use ramp up."""
    pool = make_pool("ab")
    refuse(pool, NOW, 60)
    assert free(again(pool, add="c"), NOW) == "cb"


def test_cooldowns_outlive_a_restart() -> None:
    """With their escalation; keys that are gone are ignored, and a key that comes back ramps up."""
    pool = make_pool("abc")
    refuse(pool, NOW)
    refuse(pool, NOW, 40)
    lock(pool, NOW)
    saved = pool.snapshot(NOW)
    new = KeyPool(
        [PooledKey(key.value, None, key.label) for key in pool.keys[1:]] + [PooledKey(pool.keys[0].value, None, "a")], "sequential"
    )
    new.restore(saved, NOW + 1)
    new.restore([("unknown", "m", NOW + 1000, 1, "quota")], NOW + 1)
    assert new.exhausted(NOW + 9, "m")
    assert new.free_at(NOW + 9, "other") == NOW + 9
    assert free(new, NOW + 10) == "a"
    assert refuse(new, NOW + 10) == 30
    assert free(new, NOW + 40) == "ba"
    assert new.snapshot(NOW + 41)[0].why == "auth"


def test_restoring_shortens_nothing() -> None:
    """Nor does a time that lies far off last for ever."""
    pool = make_pool("a")
    refuse(pool, NOW, 60)
    (row,) = pool.snapshot(NOW)
    pool.restore([row._replace(until=NOW + 5)], NOW)
    assert pool.free_at(NOW, "m") == NOW + 60
    pool.restore([row._replace(until=NOW * 1000)], NOW)
    assert pool.free_at(NOW, "m") == NOW + 31 * 86_400


TestUse = PoolInUse.TestCase
PoolInUse.TestCase.settings = settings(max_examples=150, stateful_step_count=50)


def test_all_is_forgiven() -> None:
    """Cooldowns, lock-outs and paces end at once, and whoever waits goes on."""
    of = KeyPool([PooledKey(name, None, name) for name in "ab"], "sequential")
    for locked in (True, False):
        lease = of.lease(1000.0, "m")
        assert lease
        assert of.lock_out(lease, 1000.0) if locked else of.cool(lease, 1000.0, 500.0)
        of.release(lease, 1000.0)
    granted: list[Ticket] = []
    of.enqueue(Ticket("m", None, granted.append), 1001.0)
    assert of.exhausted(1001.0, "m")
    of.forgive(1001.0)
    assert len(granted) == 1
    assert not of.exhausted(1001.0, "m")
    assert of.lease(1001.0, "m")
    assert not any(state.cooldowns for state in of.states(1001.0))
    assert of.snapshot(1001.0) == []


def test_slots_of_a_shared_key_bound_its_calls() -> None:
    """Others may have the rest of `max_concurrent`; calls that wait only for a slot are counted as lacking one."""
    touched: list[int] = []
    key = PooledKey("a", None, "env K", max_concurrent=3)
    pool = KeyPool([key], "sequential")
    key.slots = Slots("k", lambda: touched.append(1))
    assert pool.lease(NOW, "m") is None
    tickets = [Ticket("m", None, lambda _: None) for _ in range(5)]
    for ticket in tickets:
        pool.enqueue(ticket, NOW)
    assert touched
    assert pool.lacking(key, NOW) == 3
    key.slots.told(Share("k", 2, 1, False, 2, 0, 0, False))
    key.loosened(NOW)
    assert [ticket.lease is not None for ticket in tickets] == [True, True, False, False, False]
    assert pool.lacking(key, NOW) == 1
    granted = tickets[0].take()
    assert granted
    pool.cool(granted, NOW, 60.0)
    assert pool.lacking(key, NOW) == 0  # it is not for slots that they wait now


def test_a_slot_goes_on_to_another_process_before_it_is_used_again() -> None:
    """Where that one has none."""
    key = PooledKey("a", None, "env K", max_concurrent=1)
    pool = KeyPool([key], "sequential")
    key.slots = Slots("k", lambda: None)
    key.slots.told(Share("k", 1, 0, False, 2, 1, 0, True))
    lease = pool.lease(NOW, "m")
    ticket = Ticket("m", None, lambda _: None)
    pool.enqueue(ticket, NOW)
    assert lease
    pool.release(lease, NOW)
    assert ticket.waits and (key.slots.held, key.slots.given) == (0, 1)
