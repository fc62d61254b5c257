"""In which order a route's candidates are tried: one table of strategies, each a sort key; smaller is tried earlier.

Several strategies are compared in the order in which they are named, as a tuple of keys; what is equal in all of them keeps the
order in which the configuration names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal, NamedTuple

from addons.core.call import Usage
from addons.core.pricing import Prices

StrategyName = Literal["priority", "weighted", "lowest_cost", "fastest", "local_first", "remote_first", "subscription_first", "api_first"]
Kind = Literal["local", "api", "subscription"]

READY_MADE: Mapping[str, tuple[StrategyName, ...]] = {"Minimum Cost": ("lowest_cost",), "Maximum Performance": ("fastest",)}
"""Routes that exist without being configured, and the strategy that each stands for."""

TYPICAL = Usage(input_tokens=4000, output_tokens=500)
"""The call by which prices and speeds are compared: an agent's turn with some history, and a few paragraphs of answer."""

NOBODY_BILLS: frozenset[Kind] = frozenset({"local", "subscription"})
"""Their tokens cost nothing more: the machine is the user's own, the subscription is paid already."""

_UNMEASURED = -1.0
_COSTS_REMEMBERED = 4096
_HOUR_S = 3600


class Option(NamedTuple):
    """A candidate as strategies see it. `place`: where it stands in the configuration; `model`: as it would be sent, None: not known."""

    place: int
    upstream: str
    provider: str
    kind: Kind
    model: str | None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Measures:
    """What strategies ask.

    `cost(provider, model)`: USD of a typical call · `speed(upstream, model)`: seconds until a typical answer has come ·
    None: not known. `random()`: evenly from [0, 1).
    """

    cost: Callable[[str, str], float | None]
    speed: Callable[[str, str | None], float | None]
    random: Callable[[], float]


def _priority(option: Option, measures: Measures) -> float:
    return option.place


def _weighted(option: Option, measures: Measures) -> float:
    """Exponential times (Efraimidis and Spirakis, 2006): the first is drawn in proportion to its weight, so is the next of the rest."""
    return -log(1.0 - measures.random()) / option.weight


def _lowest_cost(option: Option, measures: Measures) -> float:
    """A price that is not known comes last."""
    if option.kind in NOBODY_BILLS:
        return 0.0
    cost = measures.cost(option.provider, option.model) if option.model else None
    return inf if cost is None else cost


def _fastest(option: Option, measures: Measures) -> float:
    """Who has not been measured yet (or not for long) is tried first: else it never would be, however fast it is."""
    speed = measures.speed(option.upstream, option.model)
    return _UNMEASURED if speed is None else speed


def _first(kind: Kind) -> Callable[[Option, Measures], float]:
    return lambda option, measures: option.kind != kind


STRATEGIES: Mapping[StrategyName, Callable[[Option, Measures], float]] = {
    "priority": _priority,
    "weighted": _weighted,
    "lowest_cost": _lowest_cost,
    "fastest": _fastest,
    "local_first": _first("local"),
    "remote_first": lambda option, measures: option.kind == "local",
    "subscription_first": _first("subscription"),
    "api_first": _first("api"),
}

SETTLED: frozenset[StrategyName] = frozenset(
    {"priority", "local_first", "remote_first", "subscription_first", "api_first"},
)
"""Those that ask for no measure: the same options always come in the same order."""

_SHOWN: Mapping[StrategyName, str] = {"lowest_cost": "cost_usd", "fastest": "expected_s"}
"""The keys that a decision keeps, under these names."""

Shown = tuple[tuple[str, float | None], ...]


def ordered(options: Sequence[Option], strategies: Sequence[StrategyName], measures: Measures) -> list[tuple[int, Shown]]:
    """The indexes of the options in the order of trial, each with what was measured or priced for it (None: not known).

    `options` come in the order of their places.
    """
    columns = [[STRATEGIES[name](option, measures) for option in options] for name in strategies]
    shown = [[(_SHOWN[name], _told(value)) for value in column] for name, column in zip(strategies, columns, strict=True) if name in _SHOWN]
    rows = list(zip(*columns, strict=True))
    told: Sequence[Shown] = list(zip(*shown, strict=True)) or [()] * len(options)
    return [(at, told[at]) for at in sorted(range(len(options)), key=rows.__getitem__)]


def _told(value: float) -> float | None:
    return None if value in (inf, _UNMEASURED) else value


class TypicalCosts:
    """USD of a typical call per provider and model. Computed once an hour, since some prices depend on the time of day.

    What is remembered is bounded, since clients name the models.
    """

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self._hour = 0
        self._known: dict[tuple[str, str], float | None] = {}

    def at(self, now: float) -> Callable[[str, str], float | None]:
        """The costs at this time (seconds since 1970) by provider and model; None: not known."""
        hour = int(now // _HOUR_S)
        if hour != self._hour or len(self._known) >= _COSTS_REMEMBERED:
            self._hour, self._known = hour, {}
        known, prices, at_ms = self._known, self.prices, int(now * 1000)

        def cost(provider: str, model: str) -> float | None:
            key = provider, model
            if key not in known:
                known[key] = prices.cost(provider, [model], TYPICAL, at_ms)
            return known[key]

        return cost
