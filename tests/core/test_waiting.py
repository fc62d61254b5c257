"""Calls that wait for a key."""

from __future__ import annotations

from addons.core.keypool import KeyPool, Ticket
from tests.core.pools import leased, make_pool, waiting

NOW = 1_000_000.0


def full_pool(labels: str = "a") -> KeyPool:
    """All keys in use, one call each."""
    pool = make_pool(labels, max_concurrent=1)
    for _ in labels:
        leased(pool, NOW)
    return pool


def cooling(pool: KeyPool, seconds: float, model: str = "m") -> None:
    """A key cools and is not in use."""
    lease = leased(pool, NOW, model)
    pool.cool(lease, NOW, seconds)
    pool.release(lease, NOW)


def test_first_come_first_served() -> None:
    """In the order of their coming, one for each key that becomes free."""
    pool, log = make_pool("a", max_concurrent=1), list[Ticket]()
    lease = leased(pool, NOW)
    tickets = [waiting(pool, NOW, log=log) for _ in range(3)]
    for count in (1, 2, 3):
        pool.release(lease, NOW)
        assert log == tickets[:count]
        assert tickets[count - 1].pool is pool
        lease = log[-1].lease or lease


def test_a_free_key_is_granted_at_once() -> None:
    """There is nothing to wait for."""
    pool, log = make_pool("a"), list[Ticket]()
    ticket = waiting(pool, NOW, log=log)
    assert log == [ticket]


def test_a_new_call_does_not_overtake() -> None:
    """Also where the cooldown has ended and nobody has served yet."""
    pool = make_pool("a")
    cooling(pool, 5)
    ticket = waiting(pool, NOW)
    assert not pool.lease(NOW + 5, "m")
    assert ticket.lease


def test_who_waits_for_another_model_holds_nobody_up() -> None:
    """Its keys may be cooling for that one only."""
    pool, log = make_pool("a"), list[Ticket]()
    cooling(pool, 60)
    waiting(pool, NOW, log=log)
    assert leased(pool, NOW, "other")
    other = waiting(pool, NOW, "third", log=log)
    assert log == [other]


def test_a_place_that_two_models_want_goes_to_the_first() -> None:
    """Calls at once are counted per key."""
    pool, log = make_pool("a", max_concurrent=1), list[Ticket]()
    lease = leased(pool, NOW)
    first, second = waiting(pool, NOW, "x", log=log), waiting(pool, NOW, "y", log=log)
    pool.release(lease, NOW)
    assert log == [first] and second.waits


def test_cancelled_tickets_are_passed_over() -> None:
    """Whether first or in the middle."""
    pool, log = make_pool("a", max_concurrent=1), list[Ticket]()
    lease = leased(pool, NOW)
    tickets = [waiting(pool, NOW, log=log) for _ in range(4)]
    tickets[0].cancel(NOW)
    tickets[2].cancel(NOW)
    pool.release(lease, NOW)
    assert log == [tickets[1]]
    tickets[1].cancel(NOW)
    assert log == [tickets[1], tickets[3]]


def test_cancelling_gives_back_what_nobody_took() -> None:
    """Once; what was taken is the call's own."""
    pool = make_pool("a")
    ticket, other = waiting(pool, NOW), waiting(pool, NOW)
    ticket.cancel(NOW)
    ticket.cancel(NOW)
    assert pool.keys[0].in_flight == 1
    lease = other.take()
    other.cancel(NOW)
    assert lease and pool.keys[0].in_flight == 1
    pool.release(lease, NOW)
    assert pool.keys[0].in_flight == 0


def test_taking_nothing_takes_nothing() -> None:
    """A ticket that has no lease goes on waiting."""
    pool = full_pool()
    ticket = waiting(pool, NOW)
    assert ticket.take() is None and ticket.waits


def test_one_ticket_may_wait_in_several_pools() -> None:
    """The first key is taken, under the name that the model has there; elsewhere nobody waits any more."""
    pools, log = [make_pool("a", max_concurrent=1), make_pool("b", max_concurrent=1)], list[Ticket]()
    leases = [leased(pool, NOW) for pool in pools]
    ticket = Ticket("m", None, log.append)
    pools[0].enqueue(ticket, NOW)
    pools[1].enqueue(ticket, NOW, "maker/m")
    pools[1].release(leases[1], NOW)
    assert log == [ticket] and ticket.pool is pools[1]
    assert ticket.lease and (ticket.lease.key.label, ticket.lease.model) == ("b", "maker/m")
    pools[0].release(leases[0], NOW)
    assert pools[0].keys[0].in_flight == 0
    assert leased(pools[0], NOW)


def test_when_to_serve_next() -> None:
    """When the first cooldown ends for a model that somebody waits for."""
    pool, log = make_pool("ab"), list[Ticket]()
    cooling(pool, 60)
    cooling(pool, 20)
    assert pool.next_event(NOW) is None
    ticket = waiting(pool, NOW, log=log)
    assert pool.next_event(NOW) == NOW + 20
    pool.serve(NOW + 19.9)
    assert not log
    pool.serve(NOW + 20)
    assert log == [ticket]
    assert pool.next_event(NOW + 20) is None


def test_for_a_call_to_end_no_time_is_named() -> None:
    """Whoever gives the key back serves."""
    pool = full_pool()
    waiting(pool, NOW)
    assert pool.next_event(NOW) is None


def test_nobody_waits_for_who_has_gone() -> None:
    """A cancelled ticket names no time."""
    pool = make_pool("a")
    cooling(pool, 60)
    waiting(pool, NOW).cancel(NOW)
    assert pool.next_event(NOW) is None
    kept = leased(pool, NOW, "n")
    pool.cool(kept, NOW, 5)
    ticket = Ticket("n", None, lambda _: None)
    pool.keep(ticket, kept, NOW)
    ticket.cancel(NOW)
    assert pool.next_event(NOW) is None
    assert pool.keys[0].in_flight == 0


def test_the_owner_is_told_when_to_set_its_timer() -> None:
    """When somebody has to wait, and when something has changed while somebody waits; a reload goes on with it."""
    pool, told = make_pool("a", max_concurrent=1), list[KeyPool]()
    pool.on_waiting = told.append
    lease = leased(pool, NOW)
    pool.release(lease, NOW)
    lease = leased(pool, NOW)
    assert not told
    waiting(pool, NOW)
    other = waiting(pool, NOW)
    assert told == [pool] * 2
    pool.release(lease, NOW)
    assert told == [pool] * 3
    other.cancel(NOW)
    new = make_pool("b")
    new.adopt(pool)
    new.cool(kept := leased(new, NOW), NOW, 5)
    new.keep(Ticket("m", None, lambda _: None), kept, NOW)
    assert told == [pool, pool, pool, new]


def keep(pool: KeyPool, count: int, seconds: float, log: list[Ticket]) -> list[Ticket]:
    """So many calls on the first key are refused, and wait with it."""
    leases = [leased(pool, NOW) for _ in range(count)]
    tickets = [Ticket("m", None, log.append) for _ in leases]
    for lease in leases:
        pool.cool(lease, NOW, seconds)
    for lease, ticket in zip(leases, tickets, strict=True):
        pool.keep(ticket, lease, NOW)
    return tickets


def test_who_keeps_a_key_gets_it_again() -> None:
    """After the cooldown and not before, ahead of those that hold none."""
    pool, log = make_pool("a"), list[Ticket]()
    (kept,) = keep(pool, 1, 5, log)
    assert pool.next_event(NOW) == NOW + 5
    other = waiting(pool, NOW, log=log)
    assert pool.keys[0].in_flight == 1
    pool.serve(NOW + 4.9)
    assert not log
    pool.serve(NOW + 5)
    assert log == [kept] and kept.lease and not kept.lease.returned
    assert pool.keys[0].in_flight == 1
    pool.succeeded(kept.lease, NOW + 6)
    assert log == [kept, other]


def test_who_keeps_a_key_waits_also_while_another_is_free() -> None:
    """That is what keeping means: its prompts are cached there."""
    pool, log = make_pool("ab", "round_robin"), list[Ticket]()
    (kept,) = keep(pool, 1, 5, log)
    pool.serve(NOW + 1)
    assert kept.waits
    pool.serve(NOW + 5)
    assert kept.lease and kept.lease.key.label == "a"


def test_those_that_keep_one_key_come_back_one_after_the_other() -> None:
    """By the ramp, in the order of their leases."""
    pool, log = make_pool("a"), list[Ticket]()
    tickets = keep(pool, 4, 5, log)
    pool.serve(NOW + 5)
    assert log == tickets[:1]
    pool.succeeded(tickets[0].lease or leased(pool, NOW), NOW + 6)
    assert log == tickets[:3]


def test_who_is_not_let_go_then_takes_another_key() -> None:
    """No call waits while a key is free."""
    pool, log = make_pool("ab"), list[Ticket]()
    tickets = keep(pool, 2, 5, log)
    pool.serve(NOW + 5)
    assert [ticket.lease.key.label for ticket in tickets if ticket.lease] == ["a", "b"]


def test_a_key_that_is_kept_is_given_back() -> None:
    """With the end of the wait, however it ends."""
    pool, log = make_pool("a"), list[Ticket]()
    first, second = keep(pool, 2, 5, log)
    assert pool.keys[0].in_flight == 2
    second.cancel(NOW + 1)
    assert pool.keys[0].in_flight == 1
    pool.serve(NOW + 5)
    first.cancel(NOW + 6)
    assert pool.keys[0].in_flight == 0


def test_a_key_that_is_kept_for_longer_is_free_for_other_models() -> None:
    """The cooldown was extended meanwhile: the wait was for what was known, and the place goes to others."""
    pool, log = make_pool("a", max_concurrent=2), list[Ticket]()
    late = leased(pool, NOW)
    (kept,) = keep(pool, 1, 5, log)
    pool.cool(late, NOW, 60)
    other = waiting(pool, NOW, "other", log=log)
    assert other.waits
    pool.serve(NOW + 5)
    assert log == [other] and kept.waits
    assert pool.next_event(NOW + 5) == NOW + 60


def test_a_key_that_is_kept_is_given_back_for_one_of_another_pool() -> None:
    """A call that waits with its key may wait for others' keys too."""
    pool, elsewhere, log = make_pool("a"), make_pool("b", max_concurrent=1), list[Ticket]()
    busy = leased(elsewhere, NOW)
    (kept,) = keep(pool, 1, 5, log)
    elsewhere.enqueue(kept, NOW)
    elsewhere.release(busy, NOW + 1)
    assert kept.lease and kept.lease.key.label == "b"
    assert pool.keys[0].in_flight == 0 and pool.next_event(NOW + 1) is None


def test_no_pool_gives_away_the_key_of_another() -> None:
    """Though it is the one that the call kept."""
    pool, elsewhere, log = make_pool("a"), make_pool("b", max_concurrent=1), list[Ticket]()
    busy, late = leased(elsewhere, NOW), leased(pool, NOW)
    (kept,) = keep(pool, 1, 5, log)
    pool.cool(late, NOW, 20)
    pool.release(late, NOW)
    elsewhere.enqueue(kept, NOW)
    pool.serve(NOW + 5)
    assert kept.waits
    elsewhere.release(busy, NOW + 20)
    assert kept.lease and kept.lease.key.label == "b"
