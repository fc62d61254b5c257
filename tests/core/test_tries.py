"""What is tried next for a call, class by class (DESIGN §5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.breaker import Breaker
from addons.core.call import FailureClass
from addons.core.failures import Failure
from addons.core.keypool import KeyPool, PooledKey
from addons.core.tries import Option, Rules, Send, Step, Stop, Tries, Wait

NOW = 1_800_000_000.0
RETRIED: tuple[FailureClass, ...] = ("rate_limit", "quota", "auth", "overloaded", "server", "connect", "timeout")


@dataclass
class Call:
    """A call over upstreams `a`, `b` … with so many keys each (0: on the client's own credential), and a clock that is set by hand."""

    keys: tuple[int, ...]
    rules: Rules = field(default_factory=Rules)
    now: float = NOW
    granted: int = 0

    def __post_init__(self) -> None:
        self.pools = [
            KeyPool([PooledKey(f"{place}{n}", None, "") for n in range(count)], "sequential") for place, count in enumerate(self.keys)
        ]
        self.breakers = [Breaker() for _ in self.keys]
        self.tries = self.another()

    def another(self, rules: Rules | None = None) -> Tries:
        """A further call over the same upstreams."""
        options = [
            Option(n, "abc"[n], "m", self.pools[n] if count else None, self.breakers[n], own=not count) for n, count in enumerate(self.keys)
        ]
        return Tries(options, rules or self.rules, affinity=lambda: None, on_granted=self._grant, jitter=lambda: 0.5)

    def _grant(self) -> None:
        self.granted += 1

    def start(self) -> str:
        return self.told(self.tries.start(self.now))

    def failed(self, kind: FailureClass, wait_s: float | None = None, status: int | None = None) -> str:
        return self.told(self.tries.failed(Failure(kind, status, wait_s), self.now))

    def later(self, seconds: float) -> str:
        """The clock goes on, the pools are served, and the call is woken."""
        self.now += seconds
        for pool in self.pools:
            pool.serve(self.now)
        return self.told(self.tries.resume(self.now))

    def in_flight(self) -> int:
        return sum(key.in_flight for pool in self.pools for key in pool.keys)

    @staticmethod
    def told(step: Step) -> str:
        """`a0`: sent to upstream a with its key 0 · `a`: without a key · `wait` · the reason of a stop."""
        match step:
            case Send(option, lease):
                return option.upstream + (lease.key.value[1:] if lease else "")
            case Wait():
                return "wait"
            case Stop(reason):
                return reason
        raise AssertionError(step)


def test_the_first_candidate_is_taken() -> None:
    """With its first key, which is given back at the end."""
    call = Call((2, 1))
    assert call.start() == "a0"
    call.tries.answered(call.now)
    assert call.in_flight() == 1
    call.tries.close(call.now)
    call.tries.close(call.now)
    assert call.in_flight() == 0


def test_a_short_named_wait_keeps_the_key() -> None:
    """10 s at most: the same key after it, although another is free, and the others are kept off it meanwhile."""
    call = Call((2,))
    assert (call.start(), call.failed("rate_limit", 3.0)) == ("a0", "wait")
    assert call.told(call.another().start(call.now)) == "a1"
    assert call.granted == 0
    assert call.later(3.0) == "a0"
    assert call.granted == 1
    assert call.tries.waited_s == 3.0


@pytest.mark.parametrize("wait_s", [10.1, 60.0, None])
def test_a_long_or_unnamed_wait_is_the_keys_own(wait_s: float | None) -> None:
    """The next key at once; the first one cools."""
    call = Call((2, 1))
    assert (call.start(), call.failed("rate_limit", wait_s)) == ("a0", "a1")
    assert call.pools[0].states(call.now)[0].cooldowns
    assert call.in_flight() == 1


@pytest.mark.parametrize(("kind", "seconds"), [("quota", 3600.0), ("auth", 300.0)])
def test_quota_and_auth_cool_the_key(kind: FailureClass, seconds: float) -> None:
    """Without a hint for an hour, or five minutes; the next key is tried."""
    call = Call((2,))
    assert (call.start(), call.failed(kind)) == ("a0", "a1")
    (cooldown,) = call.pools[0].states(call.now)[0].cooldowns
    assert cooldown.until == pytest.approx(call.now + seconds)


def test_a_named_reset_of_a_quota_is_honoured() -> None:
    """However near it is, the next key is tried at once."""
    call = Call((2,))
    assert (call.start(), call.failed("quota", 40.0)) == ("a0", "a1")
    (cooldown,) = call.pools[0].states(call.now)[0].cooldowns
    assert cooldown.until == pytest.approx(call.now + 40)


@pytest.mark.parametrize("kind", ["overloaded", "server"])
def test_an_upstream_in_trouble_is_asked_twice_more(kind: FailureClass) -> None:
    """After 1 s and 2 s with the same key, then the next upstream."""
    call = Call((2, 1))
    assert (call.start(), call.failed(kind)) == ("a0", "wait")
    assert (call.later(1.0), call.failed(kind)) == ("a0", "wait")
    assert (call.later(2.0), call.failed(kind)) == ("a0", "b0")
    assert call.breakers[0].state(call.now) == "open"
    assert call.breakers[1].state(call.now) == "closed"


def test_the_backoff_is_jittered_and_no_shorter_than_what_is_named() -> None:
    """1 s ± a quarter; a named wait of up to 10 s instead; a longer one is not waited for here."""
    waits = []
    for jitter, named in ((0.0, None), (1.0, None), (0.5, 4.0)):
        call = Call((1, 1))
        call.tries = Tries(
            [Option(0, "a", "m", call.pools[0], call.breakers[0])],
            Rules(),
            affinity=lambda: None,
            on_granted=lambda: None,
            jitter=partial(float, jitter),
        )
        call.start()
        step = call.tries.failed(Failure("overloaded", 503, named), NOW)
        assert isinstance(step, Wait)
        waits.append(step.seconds)
    assert waits == [0.75, 1.25, 4.0]
    call = Call((1, 1))
    assert (call.start(), call.failed("overloaded", 11.0)) == ("a0", "b0")


@pytest.mark.parametrize("kind", ["connect", "timeout"])
def test_who_does_not_answer_is_left_at_once(kind: FailureClass) -> None:
    """No second try there, also where the upstream is named twice."""
    call = Call((2, 1))
    assert (call.start(), call.failed(kind)) == ("a0", "b0")
    call = Call((1,))
    assert (call.start(), call.failed(kind)) == ("a0", "failed")


@pytest.mark.parametrize("kind", ["request", "stream"])
def test_what_is_final_is_final(kind: FailureClass) -> None:
    """One try, whatever else there is."""
    call = Call((2, 2))
    assert (call.start(), call.failed(kind, status=400)) == ("a0", "failed")


@pytest.mark.parametrize(
    ("on", "then"), [((), "failed"), (("5xx",), "b0"), (("503",), "b0"), (("504",), "failed"), (("overloaded",), "b0")]
)
def test_fallback_decides_about_the_next_upstream_only(on: tuple[str, ...], then: str) -> None:
    """By class, status or hundred; waits on the one upstream are as always."""
    call = Call((1, 1), Rules(on))
    call.start()
    for seconds in (1.0, 2.0):
        assert call.failed("overloaded", status=503) == "wait"
        assert call.later(seconds) == "a0"
    assert call.failed("overloaded", status=503) == then


def test_a_status_may_be_named_that_is_final_otherwise() -> None:
    """`on: [404]` moves on to the next upstream."""
    call = Call((1, 1), Rules(("404",)))
    assert (call.start(), call.failed("request", status=404)) == ("a0", "b0")


def test_the_next_key_needs_no_fallback() -> None:
    """Within one upstream the table holds always."""
    call = Call((2, 1), Rules(()))
    assert (call.start(), call.failed("auth"), call.failed("auth")) == ("a0", "a1", "failed")


def test_attempts_are_counted_over_all_upstreams() -> None:
    """`max_attempts` tries, then the last answer as it came."""
    call = Call((9, 1), Rules(max_attempts=3))
    assert [call.start(), call.failed("auth"), call.failed("auth"), call.failed("auth")] == ["a0", "a1", "a2", "failed"]
    assert call.in_flight() == 0


def test_when_all_keys_cool_the_first_is_waited_for() -> None:
    """If it is free before the deadline."""
    call = Call((2, 1), Rules(max_attempts=9))
    assert (call.start(), call.failed("rate_limit", 25.0), call.failed("rate_limit", 11.0)) == ("a0", "a1", "b0")
    assert call.failed("rate_limit", 40.0) == "wait"
    assert call.later(11.0) == "a1"
    assert call.tries.waited_s == pytest.approx(11.0)


def test_when_it_takes_longer_than_the_deadline_the_client_is_told() -> None:
    """`exhausted`, with the time until the first is free."""
    call = Call((1, 1), Rules(deadline_s=20.0))
    assert (call.start(), call.failed("rate_limit", 50.0)) == ("a0", "b0")
    step = call.tries.failed(Failure("rate_limit", 429, 45.0), call.now)
    assert isinstance(step, Stop)
    assert step.reason == "exhausted"
    assert step.retry_after_s == pytest.approx(45.0)
    assert call.told(call.another().start(call.now)) == "exhausted"


def test_a_deadline_counts_all_waits_of_a_call() -> None:
    """What was waited before is not there any more."""
    call = Call((1,), Rules(max_attempts=9, deadline_s=12.0))
    assert (call.start(), call.failed("rate_limit", 8.0)) == ("a0", "wait")
    assert (call.later(8.0), call.failed("rate_limit", 5.0)) == ("a0", "exhausted")


def test_a_key_in_use_is_waited_for() -> None:
    """At its limit of concurrent calls: whoever waits goes on as soon as one ends."""
    call = Call((1,))
    call.pools[0].keys[0].max_concurrent = 1
    other = call.another()
    assert (call.told(other.start(call.now)), call.start()) == ("a0", "wait")
    other.close(call.now)
    assert call.granted == 1
    assert call.later(0.0) == "a0"


def test_a_call_that_ends_while_it_waits_takes_no_key() -> None:
    """The client has left: what is granted in the same moment goes to the next."""
    call = Call((1,))
    call.pools[0].keys[0].max_concurrent = 1
    running, leaving = call.another(), call.another()
    running.start(call.now)
    leaving.start(call.now)
    assert call.start() == "wait"
    running.close(call.now)
    leaving.close(call.now)
    assert call.later(0.0) == "a0"
    assert call.in_flight() == 1


def test_a_call_on_its_own_credential_is_never_cooled() -> None:
    """A limit or a refusal is the client's to see; with another upstream that may stand in, only a limit moves on."""
    assert [(call := Call((0,))).start(), call.failed("rate_limit", 2.0)] == ["a", "failed"]
    assert [(call := Call((0,))).start(), call.failed("auth")] == ["a", "failed"]
    assert [(call := Call((0, 1))).start(), call.failed("rate_limit", 2.0)] == ["a", "b0"]
    assert [(call := Call((0, 1))).start(), call.failed("auth")] == ["a", "failed"]


def test_an_open_breaker_diverts() -> None:
    """Where there is another candidate; a lone upstream is tried whatever its breaker says."""
    call = Call((1, 1))
    for _ in range(3):
        call.breakers[0].failed(call.now, "connect")
    assert call.start() == "b0"
    assert "breaker" in call.tries.passed[0]
    lone = Call((1,))
    for _ in range(3):
        lone.breakers[0].failed(lone.now, "connect")
    assert lone.start() == "a0"


def test_a_call_closes_a_breaker() -> None:
    """Half open it is the probe; that it is answered closes it, that its client leaves lets another try."""
    call = Call((1, 1))
    for _ in range(3):
        call.breakers[0].failed(call.now, "connect")
    call.now += 61
    assert call.start() == "a0"
    assert call.told(call.another().start(call.now)) == "b0"
    call.tries.close(call.now)
    third = call.another()
    assert call.told(third.start(call.now)) == "a0"
    third.answered(call.now)
    assert call.breakers[0].state(call.now) == "closed"


def test_what_cannot_be_sent_is_passed_over() -> None:
    """Its key goes back, it counts as no try, and the reason is kept."""
    call = Call((1, 1))
    assert call.start() == "a0"
    assert call.told(call.tries.unusable("no address", call.now)) == "b0"
    assert (call.tries.passed, call.tries.sent, call.in_flight()) == ({0: "no address"}, 1, 1)
    lone = Call((1,))
    lone.start()
    assert lone.told(lone.tries.unusable("no address", lone.now)) == "unusable"


def test_nobody_to_try() -> None:
    """No candidates at all."""
    assert Call(()).start() == "unusable"


@given(
    keys=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    events=st.lists(st.tuples(st.sampled_from((*RETRIED, "request")), st.none() | st.floats(0, 100)), max_size=40),
    attempts=st.integers(1, 8),
)
def test_every_call_ends_and_gives_all_back(keys: list[int], events: list[Any], attempts: int) -> None:
    """Whatever fails: no more tries than are allowed, no more waiting than the deadline, and no key is left leased."""
    call = Call(tuple(keys), Rules(max_attempts=attempts))
    told, sent = call.start(), 0
    for kind, wait_s in events:
        while told == "wait":
            times = [at for pool in call.pools if (at := pool.next_event(call.now)) is not None]
            told = call.later(max(0.0, min(times, default=call.now + 30.0) - call.now) or 0.01)
        if told in ("failed", "exhausted", "unusable"):
            break
        sent += 1
        told = call.failed(kind, wait_s)
    assert sent <= attempts
    assert call.tries.waited_s <= call.rules.deadline_s + 30.0
    call.tries.close(call.now)
    assert call.in_flight() == 0


def test_what_is_final_is_told_whatever_else_happens() -> None:
    """Also when another call has cooled the only key meanwhile, and when the upstream stands in the route under another model too."""
    call = Call((1,))
    assert call.start() == "a0"
    lease = call.tries.lease
    assert lease
    call.pools[0].lock_out(lease, call.now)
    assert call.failed("request", status=400) == "failed"
    twice = Call((1,))
    options = [Option(n, "a", f"m{n}", twice.pools[0], twice.breakers[0]) for n in range(2)]
    twice.tries = Tries(options, Rules(), affinity=lambda: None, on_granted=lambda: None, jitter=lambda: 0.5)
    assert (twice.start(), twice.failed("request", status=400)) == ("a0", "failed")
    assert twice.in_flight() == 0


def test_an_own_credential_that_is_refused_is_not_shown_twice() -> None:
    """Not even where its upstream stands in the route under another model too."""
    call = Call((0,))
    options = [Option(n, "a", f"m{n}", None, call.breakers[0], own=True) for n in range(2)]
    call.tries = Tries(options, Rules(), affinity=lambda: None, on_granted=lambda: None, jitter=lambda: 0.5)
    assert (call.start(), call.failed("auth", status=401)) == ("a", "failed")


@pytest.mark.parametrize(
    ("kind", "then"), [("server", "failed"), ("timeout", "failed"), ("connect", "failed"), ("auth", "a1"), ("quota", "a1")]
)
def test_what_may_have_been_done_is_not_done_again(kind: FailureClass, then: str) -> None:
    """A call that makes something: only what was plainly refused is sent again."""
    call = Call((2, 1))
    call.tries.repeatable = False
    assert (call.start(), call.failed(kind)) == ("a0", then)


def test_an_answer_that_can_not_be_sent_again_teaches_all_the_same() -> None:
    """The key cools, the breaker counts; nothing more is chosen."""
    call = Call((2,))
    assert call.start() == "a0"
    call.tries.refused(Failure("auth", 401), call.now)
    assert call.in_flight() == 0
    assert call.told(call.another().start(call.now)) == "a1"


def test_whoever_waits_in_vain_is_known() -> None:
    """Others have cooled the key for longer than the call may wait."""
    call = Call((1,))
    call.pools[0].keys[0].max_concurrent = 1
    other = call.another()
    other.start(call.now)
    assert call.start() == "wait"
    assert call.tries.waits_for_key()
    assert not call.tries.hopeless(call.now)
    assert call.told(other.failed(Failure("auth", 401), call.now)) == "exhausted"
    assert call.tries.hopeless(call.now)
    assert call.later(0.1) == "exhausted"
    assert not call.tries.waits_for_key()


def test_a_key_is_kept_once() -> None:
    """Limited again after its own word, it is no better than another: that one is tried."""
    call = Call((2,))
    assert (call.start(), call.failed("rate_limit", 1.0)) == ("a0", "wait")
    assert (call.later(1.0), call.failed("rate_limit", 1.0)) == ("a0", "a1")


def test_the_last_resort_is_told_as_such() -> None:
    """An upstream whose breaker is open is tried when the others have failed: the decision says both."""
    call = Call((1, 1))
    for _ in range(3):
        call.breakers[0].failed(call.now, "connect")
    assert (call.start(), call.failed("connect")) == ("b0", "a0")
    assert "breaker is open; tried as the last resort" in call.tries.passed[0]
