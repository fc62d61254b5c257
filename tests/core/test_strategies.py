"""In which order a route's candidates are tried."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.call import Usage
from addons.core.pricing import Prices
from addons.core.strategies import READY_MADE, STRATEGIES, TYPICAL, Kind, Measures, Option, StrategyName, TypicalCosts, ordered

COSTS = {("openai", "m"): 3.0, ("groq", "m"): 1.0, ("azure", "m"): 3.0}
SPEEDS = {("openai", "m"): 2.0, ("azure", "m"): 1.0, ("local", "m"): 5.0}
MEASURES = Measures(lambda p, m: COSTS.get((p, m)), lambda u, m: SPEEDS.get((u, m or "")), random.Random(1).random)


def option(place: int, name: str, kind: Kind = "api", model: str | None = "m", weight: float = 1.0) -> Option:
    return Option(place, name, name, kind, model, weight)


OPTIONS = [option(0, "openai"), option(1, "groq"), option(2, "azure"), option(3, "local", "local"), option(4, "plan", "subscription")]


def names(options: Sequence[Option], strategies: Sequence[StrategyName], measures: Measures = MEASURES) -> list[str]:
    return [options[at].upstream for at, _ in ordered(options, strategies, measures)]


@pytest.mark.parametrize(
    ("strategies", "order"),
    [
        (["priority"], ["openai", "groq", "azure", "local", "plan"]),
        (["lowest_cost"], ["local", "plan", "groq", "openai", "azure"]),
        (["fastest"], ["groq", "plan", "azure", "openai", "local"]),
        (["local_first"], ["local", "openai", "groq", "azure", "plan"]),
        (["remote_first"], ["openai", "groq", "azure", "plan", "local"]),
        (["subscription_first"], ["plan", "openai", "groq", "azure", "local"]),
        (["api_first"], ["openai", "groq", "azure", "local", "plan"]),
        (["remote_first", "lowest_cost"], ["plan", "groq", "openai", "azure", "local"]),
        (["lowest_cost", "fastest"], ["plan", "local", "groq", "azure", "openai"]),
        (["local_first", "priority", "fastest"], ["local", "openai", "groq", "azure", "plan"]),
    ],
)
def test_each_strategy_orders_by_its_key(strategies: list[StrategyName], order: list[str]) -> None:
    """Several are compared in turn; what is equal in all of them keeps the order of the configuration."""
    assert names(OPTIONS, strategies) == order


def test_an_unknown_price_comes_last_and_the_unmeasured_first() -> None:
    """So does a model that is not known; who was not measured is tried, so that it gets measured."""
    options = [option(0, "mistral"), option(1, "openai"), option(2, "azure", model=None)]
    assert names(options, ["lowest_cost"]) == ["openai", "mistral", "azure"]
    assert names(options, ["fastest"]) == ["mistral", "azure", "openai"]


def test_what_it_was_compared_by_is_told() -> None:
    """Costs and times, None where they are not known; other keys would tell nothing new."""
    options = [option(0, "openai"), option(1, "mistral")]
    told = [shown for _, shown in ordered(options, ["local_first", "lowest_cost", "fastest"], MEASURES)]
    assert told == [(("cost_usd", 3.0), ("expected_s", 2.0)), (("cost_usd", None), ("expected_s", None))]
    assert [shown for _, shown in ordered(options, ["priority"], MEASURES)] == [(), ()]


def test_weighted_draws_in_proportion() -> None:
    """Of 4 000 draws with weights 1, 2 and 5 each comes first about as often as its weight says; the others follow in proportion too."""
    options, measures = [option(0, "a", weight=1), option(1, "b", weight=2), option(2, "c", weight=5)], MEASURES
    orders = Counter(tuple(names(options, ["weighted"], measures)) for _ in range(4000))
    first, rest = Counter[str](), Counter[str]()
    for order, count in orders.items():
        first[order[0]] += count
        if order[0] == "c":
            rest[order[1]] += count
    assert [first[name] / 4000 for name in "abc"] == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.03)
    assert rest["b"] / (rest["a"] + rest["b"]) == pytest.approx(2 / 3, abs=0.05)


def test_the_random_source_is_the_callers() -> None:
    """The same numbers give the same order; 0 is a number that it may give."""
    drawn = [Measures(MEASURES.cost, MEASURES.speed, random.Random(7).random) for _ in range(2)]
    assert names(OPTIONS, ["weighted"], drawn[0]) == names(OPTIONS, ["weighted"], drawn[1])
    assert names(OPTIONS, ["weighted"], Measures(MEASURES.cost, MEASURES.speed, lambda: 0.0)) == names(OPTIONS, ["priority"])


@given(
    st.lists(st.tuples(st.sampled_from(["local", "api", "subscription"]), st.sampled_from("abc"), st.floats(0.1, 10)), max_size=12),
    st.lists(st.sampled_from(sorted(STRATEGIES)), min_size=1, max_size=3),
)
def test_nobody_is_lost(options: list[tuple[Kind, str, float]], strategies: list[StrategyName]) -> None:
    """Whatever is compared, each option comes exactly once."""
    made = [option(place, name, kind, weight=weight) for place, (kind, name, weight) in enumerate(options)]
    assert sorted(at for at, _ in ordered(made, strategies, MEASURES)) == list(range(len(made)))


def test_ready_made_routes_name_strategies() -> None:
    """Those of the table."""
    assert {name for strategies in READY_MADE.values() for name in strategies} <= set(STRATEGIES)


def test_typical_costs_are_those_of_a_typical_call() -> None:
    """By the user's own prices too; None where nothing has a price."""
    cost = TypicalCosts(Prices({"mine": {"input": 1.0, "output": 2.0}})).at(1_760_000_000)
    assert cost("openai", "mine") == pytest.approx((4000 + 2 * 500) / 1e6)
    assert cost("openai", "gpt-4o") == Prices({}).cost("openai", ["gpt-4o"], TYPICAL, 1_760_000_000_000)
    assert cost("openai", "no-such-model") is None


class Counting(Prices):
    """Counts what is computed."""

    def __init__(self) -> None:
        super().__init__({"*": {"input": 1.0, "output": 1.0}})
        self.asked: list[tuple[str, int]] = []

    def cost(self, provider: str | None, models: Sequence[str | None], usage: Usage, at_ms: int) -> float | None:
        self.asked.append((str(models[0]), at_ms))
        return super().cost(provider, models, usage, at_ms)


def test_a_cost_is_computed_once_an_hour() -> None:
    """Some prices depend on the time of day."""
    prices = Counting()
    costs = TypicalCosts(prices)
    for now in (7200, 7201, 10_799, 10_800):
        costs.at(now)("openai", "m")
    assert prices.asked == [("m", 7_200_000), ("m", 10_800_000)]


def test_what_is_remembered_of_costs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients name the models."""
    monkeypatch.setattr("addons.core.strategies._COSTS_REMEMBERED", 3)
    prices = Counting()
    costs = TypicalCosts(prices)
    for name in ("a", "b", "c", "d", "d", "a"):
        costs.at(1)("openai", name)
    assert [name for name, _ in prices.asked] == ["a", "b", "c", "d", "a"]
