"""The candidates of a call: who may be tried, in which order, under which model name; and why the others may not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from addons.core.providers import Api
from addons.core.routes import Plan, UnknownRoute
from addons.core.routing import Candidate, Decision, decide
from addons.core.strategies import STRATEGIES, StrategyName
from tests.core.configured import CHAT, MESSAGES, Fallback, Filter, Match, Models, Require, Route, To, Upstream, around, facts

UPSTREAMS = {
    "openai": Upstream(),
    "router": Upstream("openrouter", "https://openrouter.ai/api/v1"),
    "claude": Upstream("anthropic", "https://api.anthropic.com"),
    "vertex": Upstream("vertex", None),
    "ollama": Upstream("ollama", "http://127.0.0.1:11434", "local"),
}
MINIMUM = {"x-turnpike-route": "Minimum Cost"}


def tried(decision: Decision) -> list[tuple[str, str | None]]:
    return [(candidate.upstream, candidate.model) for candidate in decision.candidates if candidate.passed_over is None]


def reasons(decision: Decision) -> dict[str, str]:
    return {candidate.upstream: candidate.passed_over for candidate in decision.candidates if candidate.passed_over}


def test_a_route_names_the_candidates() -> None:
    """In the order of `to`, each under its model; the route's own fallback settings go with them."""
    fallback = Fallback(max_attempts=2)
    plan = Plan([Route("r", (To("router", "openai/gpt-4o"), To("openai")), fallback=fallback)], UPSTREAMS)
    decision = decide(plan, facts(), CHAT, around())
    assert (decision.route, decision.fallback) == ("r", fallback)
    assert tried(decision) == [("router", "openai/gpt-4o"), ("openai", None)]
    assert decision.chosen and decision.chosen.upstream == "router"


def test_no_match_leaves_the_call_where_it_was_going() -> None:
    """Then the upstream that the client named is the only candidate, with the default fallback."""
    plan = Plan([Route("r", (To("router"),), Match(model="x"))], UPSTREAMS)
    assert decide(plan, facts(), CHAT, around()) == Decision(None, (Candidate("openai"),), None)


def test_who_does_not_speak_the_dialect_is_passed_over_and_why_is_kept() -> None:
    """The reason stands in the decision, behind those that may be tried."""
    plan = Plan([Route("r", (To("vertex"), To("router")))], UPSTREAMS)
    decision = decide(plan, facts(), CHAT, around())
    assert decision.candidates == (Candidate("router"), Candidate("vertex", None, "vertex has no openai API"))
    assert orjson.loads(decision.as_json()) == [
        {"upstream": "router", "model": None, "passed_over": None},
        {"upstream": "vertex", "model": None, "passed_over": "vertex has no openai API"},
    ]


def test_reasons_found_while_trying_are_added() -> None:
    """By the candidate's place; a reason that it had before stays."""
    decision = Decision("r", (Candidate("a"), Candidate("b"), Candidate("c", None, "was denied")))
    told = orjson.loads(decision.as_json({1: "all keys cool", 2: "other"}))
    assert [each["passed_over"] for each in told] == [None, "all keys cool", "was denied"]


def test_a_deployment_stays_with_azure() -> None:
    """It is a name in somebody's account, and no model of anybody else."""
    api = Api("openai.chat", "openai", "/deployments/mine/chat/completions", "mine", (13, 17))
    decision = decide(Plan([Route("r", (To("openai"),))], UPSTREAMS), facts("mine", "azure"), api, around())
    assert reasons(decision) == {"openai": "openai has no Azure deployments"}


ALIASED = {
    "openai": Upstream(aliases={"fast": "gpt-4o-mini"}),
    "groq": Upstream("groq", "https://api.groq.com/openai/v1", models=Filter(deny=["gpt-4o*"]), aliases={"fast": "llama-3.1-8b-instant"}),
}


@pytest.mark.parametrize(
    ("to", "asked", "put_in"),
    [
        (To("openai"), "fast", "gpt-4o-mini"),
        (To("groq"), "fast", "llama-3.1-8b-instant"),
        (To("openai", "fast"), "o3", "gpt-4o-mini"),
        (To("openai"), "o3", None),
        (To("openai", "o3"), "o3", "o3"),
        (To("openai"), None, None),
        (To("openai", "fast"), None, "gpt-4o-mini"),
    ],
)
def test_aliases(to: To, asked: str | None, put_in: str | None) -> None:
    """Of what the client asks for, and of what `to` names."""
    assert tried(decide(Plan([Route("r", (to,))], ALIASED), facts(asked), CHAT, around())) == [(to.upstream, put_in)]


def test_aliases_and_filters_hold_without_a_route_too() -> None:
    """The alias is put in; what would be sent is what is checked."""
    upstreams = {"openai": Upstream(aliases={"fast": "gpt-4o-mini", "old": "gpt-3.5-turbo"}, models=Filter(deny=["gpt-3*"]))}
    plan = Plan([], upstreams)
    assert decide(plan, facts("fast"), CHAT, around()).candidates == (Candidate("openai", "gpt-4o-mini"),)
    assert decide(plan, facts("old"), CHAT, around()).candidates == (
        Candidate("openai", "gpt-3.5-turbo", "model gpt-3.5-turbo is denied on openai (upstreams.openai.models)"),
    )
    assert decide(plan, facts("gpt-3"), CHAT, around()).chosen is None


def test_filters_are_checked_on_what_would_be_sent() -> None:
    """A name in `to` and an alias change what that is."""
    upstreams = ALIASED | {"groq": Upstream("groq", models=Filter(deny=["gpt-4o*"]), aliases={"best": "gpt-4o"})}
    plan = Plan([Route("r", (To("groq"), To("groq", "o3"), To("groq", "best"), To("openai")))], upstreams)
    decision = decide(plan, facts("gpt-4o-mini"), CHAT, around())
    assert tried(decision) == [("groq", "o3"), ("openai", None)]
    assert [candidate.passed_over for candidate in decision.candidates[2:]] == [
        "model gpt-4o-mini is denied on groq (upstreams.groq.models)",
        "model gpt-4o is denied on groq (upstreams.groq.models)",
    ]


def test_requirements_pass_over_what_is_known_to_fall_short() -> None:
    """What is not known passes nobody over, and stands in the decision."""
    models = Models({("openai", "small"): 8192, ("openai", "big"): 128_000}, {("big", "vision"): False, ("seeing", "vision"): True})
    to = (To("openai", "small"), To("openai", "big"), To("openai", "seeing"), To("router", "other"))
    decision = decide(Plan([Route("r", to, require=Require(32000, ["vision"]))], UPSTREAMS), facts(), CHAT, around(models))
    assert [(c.model, c.passed_over, c.unknown) for c in decision.candidates] == [
        ("seeing", None, ("min_context",)),
        ("other", None, ("min_context", "vision")),
        ("small", "context of 8192 is under min_context 32000", ()),
        ("big", "model big lacks vision", ()),
    ]
    assert orjson.loads(decision.as_json())[0]["unknown"] == ["min_context"]


def test_strategies_order_those_that_are_left() -> None:
    """And what they compared is told of each; of who was passed over it is not asked."""
    to = (To("openai", "a"), To("router", "b"), To("vertex"), To("ollama", "c"))
    plan = Plan([Route("r", to, strategy=["remote_first", "lowest_cost"])], UPSTREAMS)
    decision = decide(plan, facts(), CHAT, around(costs={("openai", "a"): 2.0, ("openrouter", "b"): 1.0}))
    assert [candidate.upstream for candidate in decision.candidates] == ["router", "openai", "ollama", "vertex"]
    assert [each.get("cost_usd", "-") for each in orjson.loads(decision.as_json())] == [1.0, 2.0, 0.0, "-"]


def test_speeds_are_those_of_the_model_that_is_sent() -> None:
    """Per upstream; who was not measured comes first."""
    plan = Plan([Route("r", (To("openai"), To("router"), To("ollama")), strategy=["fastest"])], UPSTREAMS)
    decision = decide(plan, facts(), CHAT, around(speeds={"openai": 2.0, "router": 1.0}))
    assert [candidate.upstream for candidate in decision.candidates] == ["ollama", "router", "openai"]
    assert [each["expected_s"] for each in orjson.loads(decision.as_json())] == [None, 1.0, 2.0]


KNOWN = Models({("openai", "gpt-4o"): 128_000, ("openrouter", "gpt-4o"): 128_000, ("anthropic", "claude"): 200_000})


def ready_made(model: str | None = "gpt-4o", upstreams: Any = None, *, upstream: str = "openai", **world: Any) -> Decision:
    """The route *Minimum Cost*, by the header alone."""
    host_of = world.pop("host_of", None)
    return decide(Plan([], upstreams or UPSTREAMS), facts(model, upstream, MINIMUM, host_of), CHAT, around(KNOWN, **world))


def test_a_ready_made_route_takes_whoever_offers_the_model() -> None:
    """The upstream that the client named, those that have keys, and local ones; each of the others has its reason."""
    decision = ready_made(keyed=["router", "claude"], costs={("openai", "gpt-4o"): 2.0, ("openrouter", "gpt-4o"): 1.0})
    assert (decision.route, decision.fallback) == ("Minimum Cost", None)
    assert tried(decision) == [("router", None), ("openai", None)]
    assert reasons(decision) == {
        "claude": "claude is not known to offer gpt-4o",
        "vertex": "vertex has no openai API",
        "ollama": "ollama is not known to offer gpt-4o",
    }


def test_it_needs_keys_where_the_client_did_not_ask() -> None:
    """The client's own credential does not go there."""
    assert reasons(ready_made())["router"] == "router has no keys for this call, and the client did not name it"


def test_it_knows_models_by_lists_and_aliases() -> None:
    """What the upstream itself lists, and what an alias says."""
    upstreams = UPSTREAMS | {"groq": Upstream("groq", "https://api.groq.com/openai/v1", aliases={"mine": "llama-3"})}
    decision = ready_made("mine", upstreams, keyed=["groq", "router"], listed={"ollama": {"mine"}, "openai": {"x"}})
    assert tried(decision) == [("ollama", None), ("groq", "llama-3")]
    assert reasons(decision)["openai"] == "openai is not known to offer mine"


def test_a_new_list_is_heeded() -> None:
    """The catalogue has read the upstream's models meanwhile."""
    plan = Plan([], UPSTREAMS)
    before = decide(plan, facts("new", "openai", MINIMUM), CHAT, around(KNOWN, keyed=["router"]))
    after = decide(plan, facts("new", "openai", MINIMUM), CHAT, around(KNOWN, keyed=["router"], listed={"router": {"new"}}))
    assert (tried(before), tried(after)) == ([("openai", None)], [("router", None)])


def test_the_clients_own_upstream_is_taken_at_its_word() -> None:
    """Where nobody is known to offer the model: the tables may be older than it."""
    decision = ready_made("brand-new", keyed=["router"])
    assert tried(decision) == [("openai", None)]
    assert reasons(decision)["router"] == "router is not known to offer brand-new"


def test_before_the_tables_are_there_it_is_taken_at_its_word_too() -> None:
    """Though another has an alias, which says so at once."""
    models = Models()
    upstreams = {"openai": Upstream(), "groq": Upstream("groq", aliases={"gpt-4o": "x"}), "router": UPSTREAMS["router"]}
    for models.loaded, upstreams_tried in ((False, [("openai", None), ("groq", "x")]), (True, [("groq", "x")])):
        decision = decide(Plan([], upstreams), facts("gpt-4o", "openai", MINIMUM), CHAT, around(models, keyed=["groq", "router"]))
        assert tried(decision) == upstreams_tried


def test_without_a_model_only_the_clients_own_upstream_is_asked() -> None:
    """A batch, a file: nobody else has it."""
    decision = ready_made(None, keyed=["router"])
    assert tried(decision) == [("openai", None)]
    assert reasons(decision)["router"] == "the call's model is not known, so that only openai is asked"


def test_it_needs_an_address() -> None:
    """An upstream without base_url is reached at its own host only, where the call was made to that."""
    upstreams = {"plan": Upstream(base_url=None, kind="subscription"), "openai": Upstream()}
    reached = ready_made("gpt-4o", upstreams, upstream="plan", host_of="plan", keyed=["openai"])
    assert tried(reached) == [("plan", None), ("openai", None)]
    assert reasons(ready_made("gpt-4o", upstreams, upstream="plan")) == {
        "plan": "plan has no base_url, and the call was not made to its host",
        "openai": "openai has no keys for this call, and the client did not name it",
    }


def test_a_configured_ready_made_route_keeps_its_settings() -> None:
    """Match, strategy and requirements; filters hold as ever."""
    upstreams = {"openai": Upstream(models=Filter(deny=["gpt-4o"])), "router": UPSTREAMS["router"]}
    route = Route("minimum-cost", match=Match(client="Open*"), strategy=["api_first"], require=Require(200_000))
    decision = decide(Plan([route], upstreams), facts("gpt-4o"), CHAT, around(KNOWN, keyed=["router"]))
    assert decision.route == "minimum-cost"
    assert reasons(decision) == {
        "openai": "model gpt-4o is denied on openai (upstreams.openai.models)",
        "router": "context of 128000 is under min_context 200000",
    }


def test_an_unknown_route_is_an_error() -> None:
    """For the room to answer."""
    with pytest.raises(UnknownRoute, match="known: Minimum Cost, Maximum Performance"):
        decide(Plan([], UPSTREAMS), facts(headers={"x-turnpike-route": "nope"}), CHAT, around())


def test_what_was_found_before_is_not_mixed_up() -> None:
    """One plan decides for models, dialects, keys and clients in turn, and again once more is known of models."""
    plan, late = Plan([], UPSTREAMS), Models()
    late.loaded = False
    unloaded = decide(plan, facts("gpt-4o", "openai", MINIMUM), CHAT, around(late, keyed=["router"]))
    found = [
        decide(plan, facts(model, upstream, MINIMUM), api, around(KNOWN, keyed=keyed))
        for model, upstream, api, keyed in [
            ("gpt-4o", "openai", CHAT, ["router"]),
            ("gpt-4o", "openai", CHAT, []),
            ("claude", "openai", CHAT, ["router"]),
            ("gpt-4o", "openai", MESSAGES, ["router"]),
            ("claude", "openai", CHAT, ["router", "claude"]),
            ("gpt-4o", "router", CHAT, []),
            ("claude", "claude", MESSAGES, []),
        ]
    ]
    assert tried(unloaded) == [("openai", None)]
    upstreams = [[upstream for upstream, _ in tried(decision)] for decision in found]
    assert upstreams == [["openai", "router"], ["openai"], ["openai"], ["router"], ["claude"], ["router"], ["claude"]]


def test_each_route_has_its_own() -> None:
    """Two routes of one plan are not taken for each other."""
    plan, world = Plan([Route("a", (To("openai"),)), Route("b", (To("router"),))], UPSTREAMS), around()
    found = [decide(plan, facts(headers={"x-turnpike-route": name}), CHAT, world).candidates for name in "aba"]
    assert found == [(Candidate("openai"),), (Candidate("router"),), (Candidate("openai"),)]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients name the models."""
    monkeypatch.setattr("addons.core.routing._REMEMBERED", 5)
    plan = Plan([Route("r", (To("openai"),))], UPSTREAMS)
    for number in range(20):
        assert tried(decide(plan, facts(f"m{number % 7}"), CHAT, around())) == [("openai", None)]
    assert len(plan.remembered) <= 5


def test_the_same_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Destinations are judged once for all calls of a kind: fifty of them would else cost each call more than the rest of the decision."""
    plan, world, asked = Plan([Route("r", (To("openai"),))], UPSTREAMS), around(), list[Api]()
    monkeypatch.setattr(plan.terms["openai"], "no_api", asked.append)
    for _ in range(3):
        decide(plan, facts(), CHAT, world)
    assert len(asked) == 1


ASKED = [
    ("gpt-4o", "openai", CHAT),
    ("o3", "openai", CHAT),
    (None, "router", CHAT),
    ("gpt-4o", "claude", MESSAGES),
    ("m" * 300, "openai", CHAT),
]


@pytest.mark.parametrize("strategy", [*((name,) for name in STRATEGIES), ("local_first", "priority"), ("api_first", "lowest_cost"), None])
def test_what_is_remembered_is_what_would_be_decided(strategy: Sequence[StrategyName] | None) -> None:
    """By each strategy and without a route: one plan decides again and again as a new one does, also when prices have changed."""
    upstreams = UPSTREAMS | {"alias": Upstream(aliases={"gpt-4o": "x"}, models=Filter(deny=("o3",)))}
    to = (To("openai"), To("alias"), To("ollama", "llama", 3.0), To("claude"), To("router"))
    routes = [Route("r", to, Match(model="*"), strategy)] if strategy else []
    plan = Plan(routes, upstreams)
    for cost in (1.0, 3.0, 1.0):
        for model, upstream, api in ASKED:
            for _ in range(2):
                worlds = [around(costs={("openai", model or ""): cost, ("openrouter", model or ""): 2.0}) for _ in range(2)]
                found = decide(plan, facts(model, upstream), api, worlds[0])
                fresh = decide(Plan(routes, upstreams), facts(model, upstream), api, worlds[1])
                assert (found, found.as_json(), found.as_json({0: "no"})) == (fresh, fresh.as_json(), fresh.as_json({0: "no"}))
