"""Routes: the first that matches decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import pytest

from addons.core.providers import Api
from addons.core.routing import CallFacts, decide, matches


@dataclass(frozen=True)
class Match:
    """As the configuration's, with its defaults."""

    model: str = "*"
    client: str = "*"
    upstream: str = "*"
    path: str = "*"
    header: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class To:
    """As the configuration's."""

    upstream: str
    model: str | None = None


@dataclass(frozen=True)
class Route:
    """As the configuration's."""

    name: str
    match: Match
    to: tuple[To, ...]


FACTS = CallFacts("gpt-4o-mini", "OpenAI", "openai", "/v1/chat/completions", {"x-team": "research"})
CHAT = Api("openai.chat", "openai", "/chat/completions")
PROVIDERS = {"openai": "openai", "router": "openrouter", "claude": "anthropic", "vertex": "vertex"}


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
    assert matches(rule, FACTS) is fits


def test_first_match_wins() -> None:
    """Later routes are not looked at."""
    routes = [
        Route("no", Match(model="x"), (To("openai"),)),
        Route("yes", Match(), (To("router", "openai/gpt-4o"), To("openai"))),
        Route("late", Match(), (To("openai"),)),
    ]
    decision = decide(routes, FACTS, CHAT, PROVIDERS)
    assert decision.route == "yes"
    assert decision.chosen and (decision.chosen.upstream, decision.chosen.model) == ("router", "openai/gpt-4o")


def test_no_match_leaves_the_call_where_it_was_going() -> None:
    """Then the upstream that the client named is the only candidate."""
    decision = decide([], FACTS, CHAT, PROVIDERS)
    assert decision.route is None
    assert [candidate.upstream for candidate in decision.candidates] == ["openai"]


def test_who_does_not_speak_the_dialect_is_passed_over_and_why_is_kept() -> None:
    """The reason stands in the decision."""
    decision = decide([Route("r", Match(), (To("vertex"), To("router")))], FACTS, CHAT, PROVIDERS)
    assert decision.chosen and decision.chosen.upstream == "router"
    assert orjson.loads(decision.as_json())[0] == {"upstream": "vertex", "model": None, "passed_over": "vertex has no openai API"}
