"""A key's `max_concurrent` shared by several processes."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from addons.core.slots import EXPIRY_S, Claim, Demand, Share, Slots, settle, share_of

NOW = 1000.0


def demand(wanted: int = 0, *, limit: int = 2, given: int = 0, spare: bool = False) -> Demand:
    return Demand("k", limit, given, wanted, spare)


def held(claims: list[Claim]) -> dict[str, int]:
    return {claim.worker: claim.held for claim in claims}


def test_what_is_free_is_given_out_up_to_the_limit() -> None:
    """And what could not be given stays wanted."""
    [claim] = settle([], "a", demand(5), 0, NOW)
    assert (claim.held, claim.wanted) == (2, 3)


def test_whoever_has_fewest_comes_first_then_who_has_waited_longest() -> None:
    """A slot that is handed on does not come back at once."""
    claims = [Claim("a", held=2, beat=NOW), Claim("b", wanted=1, since=NOW - 1, beat=NOW), Claim("c", wanted=1, since=NOW - 2, beat=NOW)]
    assert held(settle(claims, "a", demand(3), 1, NOW)) == {"a": 1, "b": 0, "c": 1}
    assert held(settle(claims, "a", demand(3), 2, NOW)) == {"a": 0, "b": 1, "c": 1}


def test_one_to_spare_comes_last() -> None:
    """Only where nobody lacks one."""
    waiting = Claim("b", wanted=1, beat=NOW)
    assert held(settle([waiting], "a", demand(spare=True, limit=1), 0, NOW)) == {"a": 0, "b": 1}
    assert held(settle([waiting], "a", demand(spare=True, limit=2), 0, NOW)) == {"a": 1, "b": 1}


def test_claims_of_the_dead_are_void() -> None:
    """One that was not heard of for too long, or heard of in a future that is past (the machine was started again)."""
    claims = [Claim("silent", held=1, beat=NOW - EXPIRY_S - 0.1), Claim("future", held=1, beat=NOW + 60)]
    assert held(settle(claims, "a", demand(2), 0, NOW)) == {"a": 2}


def test_a_share_says_what_others_need() -> None:
    """One that has none gets the next slot that comes back; one that has nearly as many does not."""
    mine, other = Claim("a", held=2), Claim("b", held=0, wanted=3)
    assert share_of([mine, other], "a", demand()) == Share("k", 2, 0, False, 2, 3, 0, True)
    assert share_of([mine, other._replace(held=1)], "a", demand()).hand_on is False
    assert share_of([mine._replace(held=3), other._replace(held=1)], "a", demand()).hand_on is True
    assert share_of([other], "a", demand(1, given=4)) == Share("k", 4, 1, False, 1, 3, 0, False)  # taken for dead


def test_cut_off_an_even_share_holds() -> None:
    """At least one; when the state is back what it says counts again, and nothing was handed on meanwhile."""
    slots = Slots("k", lambda: None)
    slots.told(Share("k", 4, 0, False, 2, 0, 0, True))
    assert slots.cut_off(4, 2) is False
    slots.returned()
    assert (slots.held, slots.given) == (2, 0)
    slots.cut_off(1, 8)
    assert slots.held == 1
    assert slots.told(Share("k", 3, 0, False, 2, 0, 0, False))
    assert slots.held == 3


def test_nothing_is_asked_twice() -> None:
    """A call more or less asks nobody as long as slots are there, or are wanted already."""
    slots = Slots("k", lambda: None)
    assert slots.demand(4, 0, 3) == Demand("k", 4, 0, 3, False)
    assert slots.demand(4, 0, 2) is None
    slots.told(Share("k", 3, 0, False, 2, 0, 0, False))
    assert slots.demand(4, 2, 0) is None
    assert slots.demand(4, 3, 0) == Demand("k", 4, 0, 0, True)  # one to spare
    assert slots.demand(4, 3, 0) is None
    assert slots.demand(4, 1, 0) is None


def test_what_is_idle_and_lacks_elsewhere_is_handed_on() -> None:
    """All but one to spare, or as many as are lacking."""
    slots = Slots("k", lambda: None)
    slots.told(Share("k", 4, 0, False, 2, 1, 0, False))
    assert slots.demand(4, 1, 0) == Demand("k", 4, 2, 0, False)
    assert slots.held == 2


def test_one_that_has_none_gets_one_of_several_that_are_idle() -> None:
    """Where nobody lacks any: a peak long ago does not keep them for ever; the last one to spare stays."""
    claims = [Claim("a", held=3), Claim("b", held=0, spare=True), Claim("c", held=2, spare=True)]
    share = share_of(claims, "a", demand(limit=5))
    assert (share.lacking, share.wished, share.hand_on) == (0, 1, False)
    slots = Slots("k", lambda: None)
    slots.told(share)
    assert slots.demand(5, 2, 0) is None
    assert slots.demand(5, 1, 0) == Demand("k", 5, 1, 0, False)


def test_a_key_that_is_gone_gives_up_what_is_idle() -> None:
    """What is in use follows when its call ends."""
    slots = Slots("k", lambda: None)
    slots.told(Share("k", 2, 0, False, 1, 0, 0, False))
    assert slots.demand(0, 1, 0) == Demand("k", 0, 1, 0, False)
    assert slots.demand(0, 0, 0) == Demand("k", 0, 2, 0, False)


class Process:
    """As `slotting.py` and `statekeeper.py` do it, with messages that take their time."""

    def __init__(self, name: str, limit: int) -> None:
        self.name, self.limit = name, limit
        self.slots = Slots("k", lambda: None)
        self.in_flight = self.waiting = 0
        self.asked: Demand | None = None
        self.settled: Demand | None = None
        self.answers: list[Share] = []

    def step(self, what: str, state: dict[str, Claim], now: float) -> None:
        if what == "call":
            self.waiting += 1
        elif what == "end" and self.in_flight:
            self.in_flight -= 1
            self.slots.returned()
        elif what == "answer" and self.answers:
            self.slots.told(self.answers.pop(0))
        elif what in ("settle", "look"):
            self._state(what, state, now)
        while self.waiting and self.in_flight < min(self.slots.held, self.limit):
            self.waiting, self.in_flight = self.waiting - 1, self.in_flight + 1
        self.asked = self.slots.demand(self.limit, self.in_flight, self.waiting) or self.asked

    def _state(self, what: str, state: dict[str, Claim], now: float) -> None:
        claims = list(state.values())
        if what == "settle" and (demand := self.asked or self.settled):
            giving = demand.given - (self.settled.given if self.settled else 0)
            assert giving >= 0
            claims = settle(claims, self.name, demand, giving, now)
            state.clear()
            state.update({claim.worker: claim for claim in claims})
            self.asked, self.settled = None, demand
        if self.settled:
            share = share_of(claims, self.name, self.settled)
            self.settled = self.settled._replace(wanted=share.wanted, spare=share.spare)
            self.answers.append(share)


STEPS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["call", "end", "answer", "settle", "look"])), max_size=120)


@given(STEPS, st.integers(1, 4))
def test_never_more_calls_than_the_limit_and_all_are_served(steps: list[tuple[int, str]], limit: int) -> None:
    """Whatever the order of what happens in three processes; in the end none of them starves."""
    processes = [Process(name, limit) for name in "abc"]
    state: dict[str, Claim] = {}
    now = NOW
    for which, what in steps:
        now += 0.001
        processes[which].step(what, state, now)
        assert sum(process.in_flight for process in processes) <= limit
        assert sum(claim.held for claim in state.values()) <= limit
    for _ in range(20 * len(steps) + 20):
        if not any(process.waiting or process.in_flight for process in processes):
            break
        for process in processes:
            for what in ("settle", "answer", "look", "answer", "end"):
                now += 0.001
                process.step(what, state, now)
                assert sum(each.in_flight for each in processes) <= limit
    assert not any(process.waiting or process.in_flight for process in processes)


def test_shares_are_even_under_load() -> None:
    """Three processes that always want more than a limit of two: each is served about as often."""
    processes = [Process(name, 2) for name in "abc"]
    state: dict[str, Claim] = {}
    served: defaultdict[str, int] = defaultdict(int)
    now = NOW
    for process in processes:
        process.waiting = 1000
    for _ in range(300):
        for process in processes:
            for what in ("settle", "look", "answer", "answer", "end"):
                now += 0.001
                before = process.in_flight + process.waiting
                process.step(what, state, now)
                served[process.name] += before - process.in_flight - process.waiting
    assert min(served.values()) * 2 > max(served.values()) > 0
