"""The breaker of one upstream (DESIGN §5): pure, the clock passed in as Unix seconds.

    closed ── 3 failures in a row ──► open ── 60 s ──► half open ── success ──► closed
                                       ▲                   │
                                       ╰───── failure ─────╯

It only says how things stand. Whether a call is diverted is the caller's to decide: where there is no other candidate the
upstream is tried whatever the state is, and what comes of that counts here as any other call does.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

BreakerState = Literal["closed", "open", "half_open"]

FAILURES_TO_OPEN = 3
OPEN_S = 60.0
PROBE_S = 60.0
"""How long a probe keeps its place: one whose end is never told must not keep the upstream out for ever. A first byte is waited for
as long (DESIGN §3 `timeout.first_byte`), so a probe that takes longer has as good as failed."""


class BreakerRecord(NamedTuple):
    """What outlives a restart. `open_until` in Unix seconds, None while closed; `why`: the class of the last failure."""

    failures: int
    open_until: float | None
    why: str | None


class Breaker:
    """To be told of every call: `begin`, then one of `succeeded`, `failed` (for the classes that trip it: `core/failures.py`), `abandoned`.

    `failures` counts those in a row; `open_until` (Unix seconds) is None while closed and stays while half open; `last_failure`
    is the class of the last failure, also after a recovery.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.open_until: float | None = None
        self.last_failure: str | None = None
        self._probe_since: float | None = None

    def __repr__(self) -> str:
        return f"Breaker(failures={self.failures}, open_until={self.open_until}, last_failure={self.last_failure})"

    def state(self, now: float) -> BreakerState:
        """How it stands. A clock that was set back for longer than OPEN_S does not keep it open."""
        if self.open_until is None:
            return "closed"
        return "open" if 0 < self.open_until - now < 2 * OPEN_S else "half_open"

    def allows(self, now: float) -> bool:
        """May a call go there although there is another candidate? Half open: only if no probe is out."""
        if self.open_until is None:
            return True
        return self.state(now) == "half_open" and not self._probe_is_out(now)

    def begin(self, now: float) -> bool:
        """A call is sent. Half open it is the probe, if there is none (then True); it gives up its place after PROBE_S at the latest."""
        if self.open_until is None or self.state(now) != "half_open" or self._probe_is_out(now):
            return False
        self._probe_since = now
        return True

    def succeeded(self, now: float) -> None:
        """The upstream answered, be it about a key or a request: closed, whatever it was before."""
        self.failures, self.open_until, self._probe_since = 0, None, None

    def failed(self, now: float, why: str) -> None:
        """The upstream is not well. While it is open nothing more comes of that: calls sent earlier may end late."""
        self.failures += 1
        self.last_failure = why
        if self.failures >= FAILURES_TO_OPEN and self.state(now) != "open":
            self.open_until, self._probe_since = now + OPEN_S, None

    def abandoned(self, now: float) -> None:
        """The probe ended without saying anything of the upstream (the client left): another may be it."""
        self._probe_since = None

    def snapshot(self) -> BreakerRecord:
        """What `restore` needs."""
        return BreakerRecord(self.failures, self.open_until, self.last_failure)

    def restore(self, record: BreakerRecord, now: float) -> None:
        """Stand as recorded. A probe of the last run is over, and a clock that was set back does not keep it open for longer."""
        self.failures, self.open_until, self.last_failure = record
        if self.open_until is not None:
            self.open_until = min(self.open_until, now + OPEN_S)
            self.failures = max(self.failures, FAILURES_TO_OPEN)  # so that a failed probe opens it again
        self._probe_since = None

    def _probe_is_out(self, now: float) -> bool:
        return self._probe_since is not None and 0 <= now - self._probe_since < PROBE_S
