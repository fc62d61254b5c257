"""How often a key accepts calls, learned from its refusals: calls are then spaced, instead of being sent only to be refused.

A cooldown tells when the next call will be accepted, but not how many may follow. Between two refusals a key has accepted as many calls as
its provider's limit let through, whatever its kind (a bucket that refills, a window, calls at once); their number by the time is the rate.
Time in which nobody wanted the key does not count, or quiet hours would pass for a low limit. While no refusal follows, calls are let
closer together, slowly at first, so that a rate that was learned too low, or a limit that was raised, is found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

DOUBLES_S = 30.0
"""After so long without a refusal the rate is twice what was learned, then growing by the square of the time: a minute later it is ten
times that. With an exact rate one call in ten or fifteen is refused, which is what knowing of a raised limit costs."""

MEMORY_S = 30.0
"""What was learned counts half after so much time of use: half the window of most limits, which are per minute."""

ENOUGH_CALLS = 4.0
"""Accepted between refusals, as far as remembered; of fewer, nothing is concluded."""

LONGEST_GAP_S = 5.0
"""Where the rate seems lower still, a call that is refused now and then is the smaller harm: what is learned may be out of date."""

FORGET_S = 300.0
"""A cooldown so long is no matter of rate (a spent quota, a key that was locked), nor are refusals that lie so far apart."""


@dataclass(slots=True)
class Pace:
    """`rate` in calls per second, 0 while it is not known; the next call may be sent at `next_at`; `wanted_at` is when the key was last
    in use or could not be used."""

    rate: float = 0.0
    next_at: float = -inf
    wanted_at: float = 0.0
    sent: int = 0
    _refused_at: float = -inf
    _back_at: float = 0.0
    _idle_s: float = 0.0
    _ended: tuple[float, int] | None = None  # the last time between refusals: seconds in use, calls
    _busy_s: float = 0.0
    _accepted: float = 0.0

    def refused(self, now: float, until: float) -> None:
        """A cooldown begins. The calls since the last one count when it is over, as some of them may still be refused."""
        if now - self._refused_at < FORGET_S and until - now < FORGET_S:
            self._ended = max(0.0, now - self._refused_at - self._idle_s), self.sent
        else:
            self._ended, self.rate, self._busy_s, self._accepted = None, 0.0, 0.0, 0.0
        self._refused_at, self._idle_s, self.sent = now, 0.0, 0
        self.extended(until)

    def extended(self, until: float) -> None:
        """The cooldown that runs ends then."""
        self._back_at = self.next_at = self.wanted_at = until

    def refused_too(self) -> None:
        """A call that was sent before the cooldown was refused as well."""
        if self._ended:
            seconds, calls = self._ended
            self._ended = seconds, calls - 1

    def send(self, now: float) -> None:
        """A call goes out."""
        if self._ended:
            self._learn(*self._ended)
            self._ended = None
        self._idle_s += max(0.0, now - max(self.wanted_at, self.next_at))
        self.wanted_at = now
        self.sent += 1
        if self.rate:
            faster = 1 + ((now - self._back_at) / DOUBLES_S) ** 2
            self.next_at = now + min(LONGEST_GAP_S, 1 / (self.rate * faster))

    def _learn(self, seconds: float, calls: int) -> None:
        fading = 0.5 ** (seconds / MEMORY_S)
        self._busy_s = self._busy_s * fading + seconds
        self._accepted = self._accepted * fading + calls
        self.rate = self._accepted / self._busy_s if self._accepted >= ENOUGH_CALLS and self._busy_s > 0 else 0.0
