"""Which route a call takes."""

from __future__ import annotations

import pytest

from addons.core.routes import Plan, UnknownRoute, matches, needs_model_data, normal
from addons.core.strategies import StrategyName
from tests.core.configured import Filter, Match, Require, Route, To, Upstream, facts

UPSTREAMS = {"openai": Upstream(), "groq": Upstream("groq")}


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Match(), True),
        (Match(model="gpt-4o*"), True),
        (Match(model="GPT-4o*"), False),
        (Match(client="claude*"), False),
        (Match(upstream="openai"), True),
        (Match(path="/v1/chat/*"), True),
        (Match(header={"X-Team": "res*"}), True),
        (Match(header={"X-Team": "sales"}), False),
        (Match(header={"X-Other": "?*"}), False),
        (Match(model="gpt*", client="claude*"), False),
    ],
)
def test_matches(rule: Match, fits: bool) -> None:
    """All parts must fit; header names are matched without case."""
    assert matches(rule, facts(headers={"x-team": "research"})) is fits


def test_an_unknown_model_fits_only_what_takes_everything() -> None:
    """So that no route about a model takes a call whose model nobody has read."""
    assert matches(Match(), facts(None))
    assert not matches(Match(model="gpt*"), facts(None))


def test_the_first_match_wins() -> None:
    """Later routes are not looked at; without a match there is none."""
    plan = Plan([Route("no", match=Match(model="x")), Route("yes"), Route("late")], UPSTREAMS)
    found = plan.route_for(facts())
    assert found and found.name == "yes"
    assert Plan([], UPSTREAMS).route_for(facts()) is None


@pytest.mark.parametrize("name", ["My Route", "my-route", "MY_ROUTE", " my  route "])
def test_a_client_may_name_a_route(name: str) -> None:
    """Whatever that one matches; without case, and spaces, - and _ are alike."""
    plan = Plan([Route("first"), Route("My route", match=Match(client="nobody"))], UPSTREAMS)
    found = plan.route_for(facts(headers={"x-turnpike-route": name}))
    assert found and found.name == "My route"
    unnamed = plan.route_for(facts(headers={"x-turnpike-route": ""}))
    assert unnamed and unnamed.name == "first"


@pytest.mark.parametrize(("name", "strategy"), [("minimum cost", ("lowest_cost",)), ("Maximum_Performance", ("fastest",))])
def test_ready_made_routes_need_not_be_configured(name: str, strategy: tuple[StrategyName, ...]) -> None:
    """They take every upstream, in the order of the configuration."""
    plan = Plan([], UPSTREAMS)
    found = plan.named(name)
    assert (found.strategy, found.fallback) == (strategy, None)
    assert [to.upstream for to in plan.destinations(found)] == ["openai", "groq"]


def test_a_configured_one_comes_first() -> None:
    """The user's own settings of a ready-made route hold where a client names it; of several with one name those of the first."""
    mine = Route("minimum-cost", strategy=["local_first"])
    assert Plan([mine, Route("Minimum Cost")], UPSTREAMS).named("Minimum Cost") is mine


def test_an_unknown_route_names_the_known_ones() -> None:
    """A long name is cut in the message."""
    plan = Plan([Route("cheap"), Route("Minimum Cost")], UPSTREAMS)
    with pytest.raises(UnknownRoute) as caught:
        plan.named("x" * 1000)
    assert str(caught.value) == f"no route is named '{'x' * 80}'; known: cheap, Minimum Cost, Maximum Performance"
    assert caught.value.known == ("cheap", "Minimum Cost", "Maximum Performance")


@pytest.mark.parametrize(
    ("route", "looks", "needs"),
    [
        (Route("r", (To("openai"),)), False, False),
        (Route("r", (To("openai"),), Match(model="x")), True, False),
        (Route("r", (To("openai"),), strategy=["fastest"]), True, False),
        (Route("r", (To("openai"),), strategy=["weighted", "lowest_cost"]), True, True),
        (Route("r", (To("openai"),), require=Require(min_context=1)), True, True),
        (Route("r", (To("openai"),), require=Require(capabilities=["tools"])), True, True),
        (Route("Minimum Cost"), True, True),
    ],
)
def test_what_a_route_needs_to_know(route: Route, looks: bool, needs: bool) -> None:
    """The call's model only where it decides something, and the tables of models only where they are asked."""
    plan = Plan([route], UPSTREAMS)
    assert (plan.looks_at_models("openai", None), needs_model_data(route)) == (looks, needs)


def test_where_the_model_matters() -> None:
    """Without routes only at an upstream that has filters or aliases; with them also if such an upstream might be reached by one."""
    upstreams = {"openai": Upstream(), "strict": Upstream(models=Filter(deny=["x"])), "named": Upstream(aliases={"a": "b"})}
    plan = Plan([], upstreams)
    assert [plan.looks_at_models(name, None) for name in ("openai", "strict", "named", "")] == [False, True, True, False]
    assert plan.looks_at_models("openai", "some route")
    assert Plan([Route("r", (To("strict"),))], upstreams).looks_at_models("openai", None)


def test_names_are_compared_loosely() -> None:
    """Spaces, - and _ alike, also several of them."""
    assert {normal(name) for name in ("Minimum Cost", "minimum-cost", "MINIMUM__COST", " minimum - cost ")} == {"minimum-cost"}
