"""What calls add up to, as plain numbers: cheap to count on the way, put into Prometheus' words when somebody asks (`metrics.py`).

    event loop    ended(record)     calls, attempts, failures by class, durations
    writer        stored(call)      tokens, cost, time to the first token: known when the answer has been read

Each side has dictionaries of its own, so that no lock is needed; who reads them copies them first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

from addons.core.call import CallRecord, StoredCall

DURATION_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""An embedding takes 50 ms, a reasoning model minutes."""

TTFT_BUCKETS_S = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)

MAX_MODELS = 200
"""Models that are counted apart; those beyond are `other`. Each costs a series per kind of token."""

MAX_MODEL_CHARACTERS = 100
OTHER = "other"

TOKEN_KINDS: Mapping[str, str] = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "reasoning_tokens": "reasoning",
}
"""Columns of `calls` → the label `kind`. The first two are totals, of which the others are parts."""

_TOKEN_KINDS = tuple(TOKEN_KINDS.items())
NUMBER = (int, float)
"""For isinstance: a union would be made anew each time."""


class Histogram:
    """Counts of values by upper bounds (inclusive), and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last: above all bounds
        self.total = 0.0

    def note(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many are not above it), as Prometheus has them."""
        names = [*(str(bound) for bound in self._bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class Models:
    """Names that may stand in a label. A client can ask for any model, so only those count that have answered, and only so many."""

    def __init__(self, limit: int = MAX_MODELS) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def label(self, name: str | None) -> str:
        """The name itself, or `other` for none, one too many, or one too long."""
        if not name or len(name) > MAX_MODEL_CHARACTERS:
            return OTHER
        if name not in self._known:
            if len(self._known) >= self._limit:
                return OTHER
            self._known.add(name)
        return name


class Tallies:
    """Since the start. Upstreams are those of the configuration, so their number is bounded too."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()  # (upstream, outcome)
        self.attempts: Counter[str] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()  # (upstream, class of DESIGN §5)
        self.durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATION_BUCKETS_S))
        self.ttft: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(TTFT_BUCKETS_S))
        self.tokens: Counter[tuple[str, str]] = Counter()  # (kind, model)
        self.cost_usd: defaultdict[tuple[str, str], float] = defaultdict(float)  # (upstream, model)
        self.lag = Histogram(LAG_BUCKETS_S)
        self._models = Models()

    def ended(self, record: CallRecord) -> None:
        """On the event loop, for each call once."""
        upstream = record.upstream or ""
        self.calls[upstream, record.outcome] += 1
        if not record.attempts:
            return
        for attempt in record.attempts:
            tried = attempt.upstream or ""
            self.attempts[tried] += 1
            if attempt.failure:
                self.failures[tried, attempt.failure] += 1
        if record.duration_ms is not None:
            self.durations[upstream].note(record.duration_ms / 1000)

    def stored(self, call: StoredCall) -> None:
        """In the writer's thread, for each call once."""
        row = call.row
        upstream = str(row.get("upstream") or "")
        if isinstance(ttft_ms := row.get("ttft_ms"), NUMBER):
            self.ttft[upstream].note(ttft_ms / 1000)
        counts = [(kind, count) for column, kind in _TOKEN_KINDS if isinstance(count := row.get(column), int)]
        cost = row.get("cost_usd")
        if not counts and cost is None:
            return
        answered = row.get("outcome") == "ok" and row.get("tokens_source") == "reported"
        model = self._models.label(str(row.get("served_model") or row.get("model") or "") if answered else None)
        for kind, count in counts:
            self.tokens[kind, model] += count
        if isinstance(cost, NUMBER):
            self.cost_usd[upstream, model] += cost
