"""What tests of routes share: a configuration's classes with their defaults, and a world to decide in."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from addons.core.providers import Api
from addons.core.routes import CallFacts, FallbackLike
from addons.core.routing import Surroundings
from addons.core.strategies import Kind, Measures, StrategyName

CHAT = Api("openai.chat", "openai", "/chat/completions")
MESSAGES = Api("anthropic.messages", "anthropic", "/messages")


NO_LISTS: Mapping[str, set[str]] = {}


@dataclass(frozen=True)
class Match:
    model: str = "*"
    client: str = "*"
    upstream: str = "*"
    path: str = "*"
    header: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class To:
    upstream: str
    model: str | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Require:
    min_context: int | None = None
    capabilities: Sequence[str] = ()


@dataclass(frozen=True)
class Fallback:
    on: Sequence[str] = ("rate_limit",)
    max_attempts: int = 5
    deadline: float = 30.0


@dataclass(frozen=True)
class Route:
    name: str
    to: tuple[To, ...] = ()
    match: Match = Match()
    strategy: Sequence[StrategyName] = ("priority",)
    require: Require = Require()
    fallback: FallbackLike = Fallback()


@dataclass(frozen=True)
class Filter:
    allow: Sequence[str] = ("*",)
    deny: Sequence[str] = ()


@dataclass(frozen=True)
class Upstream:
    provider: str = "openai"
    base_url: str | None = "https://api.openai.com/v1"
    kind: Kind = "api"
    models: Filter = Filter()
    aliases: Mapping[str, str] = field(default_factory=dict)


class Models:
    """Knows what it was given: (provider, model) → context window, (model, capability) → can it."""

    def __init__(
        self, windows: Mapping[tuple[str, str], int] | None = None, abilities: Mapping[tuple[str, str], bool] | None = None
    ) -> None:
        self.loaded, self.windows, self.abilities = True, windows or {}, abilities or {}

    def offers(self, provider: str, model: str) -> bool:
        return (provider, model) in self.windows

    def context_window(self, provider: str | None, model: str) -> int | None:
        return self.windows.get((provider or "", model))

    def can(self, model: str, capability: str) -> bool | None:
        return self.abilities.get((model, capability))


def facts(
    model: str | None = "gpt-4o-mini", upstream: str = "openai", headers: Mapping[str, str] | None = None, host_of: str | None = None
) -> CallFacts:
    """A call of the OpenAI SDK."""
    return CallFacts(model, "OpenAI", upstream, "/v1/chat/completions", headers or {}, host_of)


def around(
    models: Models | None = None,
    costs: Mapping[tuple[str, str], float] | None = None,
    speeds: Mapping[str, float] | None = None,
    keyed: Sequence[str] = (),
    listed: Mapping[str, set[str]] | None = None,
) -> Surroundings:
    """What is known: nothing, but for what is given."""
    measures = Measures(lambda p, m: (costs or {}).get((p, m)), lambda u, m: (speeds or {}).get(u), random.Random(1).random)
    return Surroundings(models or Models(), measures, frozenset(keyed), listed or NO_LISTS)
