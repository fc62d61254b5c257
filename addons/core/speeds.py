"""How fast each upstream answers, per model: moving averages of what was stored, for the strategy `fastest`."""

from __future__ import annotations

from typing import NamedTuple

from addons.core.call import StoredCall
from addons.core.frozen import frozen
from addons.core.strategies import TYPICAL

HALF_LIFE_CALLS = 10
"""After so many further calls a measurement counts half: some minutes of an agent's work, so that one slow answer decides nothing."""

FORGOTTEN_AFTER_S = 1800.0
"""An average that nothing was added to for so long is none any more: who was slow once must get another try."""

FEWEST_TOKENS = 16
"""Of a shorter answer the rate says nothing: it came in one or two pieces."""

NUMBER = (int, float)
"""For isinstance: a union would be made anew each time."""

_NEW_SHARE = 1 - 0.5 ** (1 / HALF_LIFE_CALLS)


@frozen
class Measured:
    """What one call showed. None: it did not show that."""

    upstream: str
    model: str | None
    ttft_ms: float | None
    tokens_per_s: float | None


class _Average(NamedTuple):
    """`calls` are in it: the first few count alike, so that the very first does not outweigh the others."""

    value: float = 0.0
    calls: int = 0

    def with_new(self, value: float | None) -> _Average:
        if value is None:
            return self
        share = max(_NEW_SHARE, 1 / (self.calls + 1))
        return _Average(self.value + share * (value - self.value), self.calls + 1)


class _Speed(NamedTuple):
    """The rate is kept as time per token: times can be averaged, and a burst of 10 000 tokens/s must not hide the slow ones."""

    ttft_s: _Average
    token_s: _Average
    expected_s: float
    at: float


_NOTHING = _Speed(_Average(), _Average(), 0.0, 0.0)


class Speeds:
    """Averages per upstream and served model, at most `limit` of them; what was not added to for longest makes room.

    One thread notes, any may ask: each average is replaced whole, in one step.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._speeds: dict[tuple[str, str | None], _Speed] = {}

    def note(self, upstream: str, model: str | None, ttft_ms: float | None, tokens_per_s: float | None, now: float) -> None:
        """Take a measurement in (None: that was not seen). `now` in seconds, from the same clock as in `expected_s`."""
        if ttft_ms is None and not tokens_per_s:
            return
        old = self._fresh(upstream, model, now) or _NOTHING
        if (upstream, model) not in self._speeds and len(self._speeds) >= self._limit:
            del self._speeds[min(self._speeds, key=lambda known: self._speeds[known].at)]
        ttft_s = old.ttft_s.with_new(None if ttft_ms is None else ttft_ms / 1000)
        token_s = old.token_s.with_new(1 / tokens_per_s if tokens_per_s else None)
        expected_s = ttft_s.value + token_s.value * (TYPICAL.output_tokens or 0)
        self._speeds[upstream, model] = _Speed(ttft_s, token_s, expected_s, now)

    def expected_s(self, upstream: str, model: str | None, now: float) -> float | None:
        """Seconds until a typical answer has come whole; None: not measured, or not for long."""
        speed = self._fresh(upstream, model, now)
        return speed.expected_s if speed else None

    def _fresh(self, upstream: str, model: str | None, now: float) -> _Speed | None:
        speed = self._speeds.get((upstream, model))
        return speed if speed and now - speed.at <= FORGOTTEN_AFTER_S else None


def measured(call: StoredCall) -> Measured | None:
    """What a stored call shows of its upstream's speed; None for one that failed, was tried more than once, or has no model.

    The times of a call count from its beginning, so they would hold the other tries too. A whole answer has no first token that
    could be seen: a long one tells its rate (the waiting in it), a short one (embeddings have no output at all) only its time.
    """
    row = call.row
    upstream, model, duration_ms = row.get("upstream"), row.get("served_model") or row.get("model"), _number(row.get("duration_ms"))
    if row.get("outcome") != "ok" or row.get("attempts") != 1 or duration_ms is None:
        return None
    if not isinstance(upstream, str) or not isinstance(model, str):
        return None
    first_ms, waited_ms = _number(row.get("ttft_ms")), sum([attempt.wait_ms for attempt in call.attempts])
    rate = _rate(_number(row.get("output_tokens")), duration_ms - (waited_ms if first_ms is None else first_ms))
    answered_ms = duration_ms if first_ms is None and rate is None else first_ms
    return Measured(upstream, model, None if answered_ms is None else answered_ms - waited_ms, rate)


def _number(value: object) -> float | None:
    return value if isinstance(value, NUMBER) else None


def _rate(tokens: float | None, took_ms: float) -> float | None:
    return tokens * 1000 / took_ms if tokens and tokens >= FEWEST_TOKENS and took_ms > 0 else None
