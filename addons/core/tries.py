"""What is tried next for one call, and after which wait: pure, with the clock passed in (Unix time, seconds).

    Tries.start ──► Send ── failed ──► Send │ Wait │ Stop
                      ╰─ answered        Wait ── resume ──► Send │ Wait │ Stop

What a class of failure entails is the table `core/failures.py`; which key is free, the pools tell; which upstream is down, the breakers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from addons.core.breaker import Breaker
from addons.core.failures import HANDLING, Failure
from addons.core.keypool import KeyPool, Lease, PooledKey, Ticket

KEY_FAILURES = frozenset({"rate_limit", "quota", "auth"})
MAY_HAVE_BEEN_DONE = frozenset({"server", "connect", "timeout"})
_NONE = frozenset[int]()
JITTER = 0.25  # of a backoff, up or down, so that calls that failed together do not come back together


@dataclass(slots=True, eq=False)
class Option:
    """A candidate that may be tried; never changed. `model` is the name that limits are kept by; `pool` is None where no key of ours is put
    in, `own` then tells whether the client's own credential goes there."""

    index: int
    upstream: str
    model: str
    pool: KeyPool | None
    breaker: Breaker
    own: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """`fallback` of the configuration: on which classes and statuses another upstream is tried, how often anything is, and the most
    seconds that waits may add."""

    on: Collection[str] = ("rate_limit", "quota", "auth", "overloaded", "server", "connect", "timeout")
    max_attempts: int = 5
    deadline_s: float = 30.0

    def moves_on(self, failure: Failure) -> bool:
        status = failure.status or 0
        return not {failure.kind, str(status), f"{status // 100}xx"}.isdisjoint(self.on)


class Send(NamedTuple):
    """Send it there, with this key."""

    option: Option
    lease: Lease | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Call `resume` after so many seconds, or as soon as `on_granted` was called."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more is tried. exhausted: all keys of all candidates cool, are locked, or stayed in use · failed: as the last attempt has
    it · unusable: there was no candidate to be tried."""

    reason: Literal["exhausted", "failed", "unusable"]
    retry_after_s: float | None = None


Step = Send | Wait | Stop


@dataclass(slots=True)
class _Waiting:
    """A wait that has begun: for a key with `ticket`, else for time to pass, the key being kept."""

    since: float
    ticket: Ticket | None = None


class Tries:
    """The tries of one call over its candidates. `passed` says of each one that was passed over, why.

    `affinity` names the conversation, asked for only where a pool has a choice; `jitter` gives a number from 0 to 1; not `repeatable` is
    a call that makes something which would be there twice (a batch, a file).
    """

    def __init__(
        self,
        options: Sequence[Option],
        rules: Rules,
        *,
        affinity: Callable[[], str | None],
        on_granted: Callable[[], None],
        jitter: Callable[[], float],
        repeatable: bool = True,
    ) -> None:
        self.options, self.rules, self.repeatable = options, rules, repeatable
        self.passed: dict[int, str] = {}
        self.sent, self.waited_s = 0, 0.0
        self.current: Option | None = None
        self.lease: Lease | None = None
        self._affinity, self._on_granted, self._jitter = affinity, on_granted, jitter
        self._spent = _NONE  # options that are not tried again in this call
        self._unusable = _NONE  # of these, those that could not be sent to at all
        self._kept: frozenset[PooledKey] = frozenset()
        self._stay = False  # only the upstream of the last attempt may be tried
        self._backoffs = 0  # of the upstream that is being tried
        self._waiting: _Waiting | None = None
        self._open = self._is_probe = False  # is an attempt under way, of which nothing is known yet? is it its breaker's probe?

    def start(self, now: float) -> Step:
        """The first step."""
        return self._choose(now)

    def unusable(self, why: str, now: float) -> Step:
        """The option of the last `Send` can't be sent to after all (nothing was sent)."""
        if self.current:
            self.passed[self.current.index] = why
            self._spent |= {self.current.index}
            self._unusable |= {self.current.index}
        self.sent -= 1
        self._abandon(now)
        self._release(now)
        return self._choose(now)

    def answered(self, now: float) -> None:
        """An answer has begun; the key stays in use until `close`."""
        self._open = False
        if self.current:
            self.current.breaker.succeeded(now)
            if self.lease and self.current.pool:
                self.current.pool.succeeded(self.lease, now, self._affinity_in(self.current.pool))

    def failed(self, failure: Failure, now: float) -> Step:
        """The last attempt has failed, and nothing of it has reached the client."""
        option = self.current
        if option is None:
            return self._stop(now)
        self._open = False
        self._tell_breaker(option, failure, now)
        if self._is_final(option, failure):
            self._release(now)
            return Stop("failed")
        if wait := self._same_again(option, failure, now):
            return wait
        self._stay = not self.rules.moves_on(failure)
        self._punish(option, failure, now)
        return self._choose(now)

    def refused(self, failure: Failure, now: float) -> None:
        """The last attempt has failed, and its answer is on its way to the client: only what it teaches counts."""
        if self.current:
            self._open = False
            self._tell_breaker(self.current, failure, now)
            self._punish(self.current, failure, now)

    def _is_final(self, option: Option, failure: Failure) -> bool:
        """The client's own fault, or its own credential's, is for the client to see, unless the configuration names the status; and a call
        that makes something may have made it."""
        if option.own and failure.kind == "auth":
            return True
        if not self.repeatable and failure.kind in MAY_HAVE_BEEN_DONE:
            return True
        return HANDLING[failure.kind].then == "client" and not self.rules.moves_on(failure)

    @staticmethod
    def _tell_breaker(option: Option, failure: Failure, now: float) -> None:
        if HANDLING[failure.kind].trips_breaker:
            option.breaker.failed(now, failure.kind)
        else:
            option.breaker.succeeded(now)  # it answers

    def resume(self, now: float) -> Step:
        """The wait is over, or something has been granted."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._release(now)
            return self._choose(now)
        self.waited_s += max(0.0, now - waiting.since)
        if waiting.ticket is None:
            return self._send(self.current, self.lease, now) if self.current else self._choose(now)
        lease, pool = waiting.ticket.take(), waiting.ticket.pool
        if lease is None or pool is None:
            waiting.ticket.cancel(now)
            return self._choose(now)
        return self._send(next(o for o in self.options if o.pool is pool and o.model == lease.model), lease, now)

    def waits_for_key(self) -> bool:
        """Is it in a pool's queue?"""
        return self._waiting is not None and self._waiting.ticket is not None and self._waiting.ticket.waits

    def hopeless(self, now: float) -> bool:
        """Does it wait for a key that can't be free before its deadline (since others have cooled it meanwhile)?"""
        if self._waiting is None or not self.waits_for_key():
            return False
        end = self._waiting.since + self.rules.deadline_s - self.waited_s
        free_at = [at for option in self.options if option.pool and (at := option.pool.free_at(now, option.model)) is not None]
        return not free_at or min(free_at) > end

    def close(self, now: float) -> None:
        """The call has ended, however: nothing is held any more. Safe to call again."""
        waiting, self._waiting = self._waiting, None
        if waiting and waiting.ticket:
            waiting.ticket.cancel(now)
        self._abandon(now)
        self._release(now)

    def _same_again(self, option: Option, failure: Failure, now: float) -> Step | None:
        """The wait before the same upstream is asked again with the same key, where the class says so and there is time for it."""
        handling, named, left = HANDLING[failure.kind], failure.wait_s, self.rules.deadline_s - self.waited_s
        if self.sent >= self.rules.max_attempts or (named is not None and named > min(handling.named_wait_s, left)):
            return None
        if self._backoffs < len(handling.backoff_s):
            backoff = handling.backoff_s[self._backoffs] * (1 + JITTER * (2 * self._jitter() - 1))
            wait = max(backoff, named or 0.0)
            if wait > left:
                return None
            self._backoffs += 1
            self._waiting = _Waiting(now)
            return Wait(wait)
        if failure.kind in KEY_FAILURES and named is not None and self.lease and option.pool and self.lease.key not in self._kept:
            self._kept |= {self.lease.key}  # once: a key that is limited again after its own word is no better than another
            return self._keep_key(option.pool, self.lease, named, failure, now)
        return None

    def _keep_key(self, pool: KeyPool, lease: Lease, seconds: float, failure: Failure, now: float) -> Step | None:
        """The key cools for all others, and this call goes first when it has; unless another refusal has cooled it for longer."""
        until = pool.cool(lease, now, seconds, failure.group, why=failure.kind)
        if until - now > min(HANDLING[failure.kind].named_wait_s, self.rules.deadline_s - self.waited_s):
            return None
        ticket = Ticket(lease.model, self._affinity_in(pool), lambda _: self._on_granted())
        self.lease, self._waiting = None, _Waiting(now, ticket)
        pool.keep(ticket, lease, now)
        return self.resume(now) if ticket.lease else Wait(self.rules.deadline_s - self.waited_s)

    def _punish(self, option: Option, failure: Failure, now: float) -> None:
        """The key cools where the failure was its own, else the candidate has had its turn; a lone upstream that fails is not asked on."""
        if failure.kind in KEY_FAILURES and self.lease and option.pool:
            if failure.kind == "auth":
                option.pool.lock_out(self.lease, now)
            else:
                named = failure.wait_s if failure.wait_s is not None else HANDLING[failure.kind].cool_s
                option.pool.cool(self.lease, now, named, failure.group, why=failure.kind)
        elif failure.kind in ("connect", "timeout"):
            self._spent |= {other.index for other in self.options if other.upstream == option.upstream}
        else:
            self._spent |= {option.index}
        self._release(now)

    def _choose(self, now: float) -> Step:
        """The first candidate that can be sent to now; else the wait for a key."""
        home = self.current.upstream if self.current else None
        open_ones = [o for o in self.options if o.index not in self._spent and (not self._stay or o.upstream == home)]
        if self.sent >= self.rules.max_attempts or not open_ones:
            return self._stop(now)
        for heed_breakers in (True, False):  # a breaker only diverts where another candidate can be used (DESIGN §5)
            for option in open_ones:
                if heed_breakers and not option.breaker.allows(now):
                    self.passed[option.index] = (
                        f"{option.upstream} has failed repeatedly ({option.breaker.last_failure}), its breaker is open"
                    )
                elif option.pool is None:
                    return self._send(option, None, now, last_resort=not heed_breakers)
                elif lease := option.pool.lease(now, option.model, self._affinity_in(option.pool)):
                    return self._send(option, lease, now, last_resort=not heed_breakers)
                else:
                    self.passed[option.index] = _no_key(option, option.pool, now)
        return self._wait_for_key([(option, option.pool) for option in open_ones if option.pool], now)

    def _wait_for_key(self, pooled: list[tuple[Option, KeyPool]], now: float) -> Step:
        left = self.rules.deadline_s - self.waited_s
        free_at = [at for option, pool in pooled if (at := pool.free_at(now, option.model)) is not None]
        if left <= 0 or not free_at or min(free_at) - now > left:
            return self._stop(now)
        ticket = Ticket("", self._affinity_in(*(pool for _, pool in pooled)), lambda _: self._on_granted())
        self._waiting = _Waiting(now, ticket)
        for option, pool in pooled:
            pool.enqueue(ticket, now, option.model)
            if ticket.lease:
                return self.resume(now)
        return Wait(left)

    def _send(self, option: Option, lease: Lease | None, now: float, *, last_resort: bool = False) -> Send:
        if self.current is None or self.current.upstream != option.upstream:
            self._backoffs = 0
        self.current, self.lease = option, lease
        why = self.passed.pop(option.index, None)
        if why and last_resort:
            self.passed[option.index] = f"{why}; tried as the last resort"
        self._is_probe = option.breaker.begin(now)
        self._open = True
        self.sent += 1
        return Send(option, lease)

    def _stop(self, now: float) -> Stop:
        """Which of the answers of DESIGN §4 the client gets."""
        usable = [option for option in self.options if option.index not in self._unusable]
        pools = [(option, option.pool) for option in usable if option.pool]
        whole = bool(pools) and len(pools) == len(usable)
        free_at = [at for option, pool in pools if (at := pool.free_at(now, option.model)) is not None]
        wait = max(0.0, min(free_at) - now) if free_at else None
        if whole and (self.sent == 0 or all(pool.exhausted(now, option.model) for option, pool in pools)):
            return Stop("exhausted", wait)
        return Stop("failed" if self.sent else "unusable", wait)

    def _release(self, now: float) -> None:
        if self.lease and self.current and self.current.pool:
            self.current.pool.release(self.lease, now)
        self.lease = None

    def _abandon(self, now: float) -> None:
        """The attempt under way will tell nothing of its upstream any more."""
        if self._open and self._is_probe and self.current:
            self.current.breaker.abandoned(now)
        self._open = False

    def _affinity_in(self, *pools: KeyPool) -> str | None:
        for pool in pools:
            if len(pool.keys) > 1:
                return self._affinity()
        return None


def _no_key(option: Option, pool: KeyPool, now: float) -> str:
    if pool.exhausted(now, option.model):
        at = pool.free_at(now, option.model)
        return f"all keys of {option.upstream} are cooling or locked" + (f", for {at - now:.0f} s more" if at is not None else "")
    return f"all keys of {option.upstream} are in use"
