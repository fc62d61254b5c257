"""The routes of a configuration, and which of them a call takes: the one that its client names, else the first that matches."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from addons.core.strategies import READY_MADE, StrategyName
from addons.core.terms import RequireLike, Terms, UpstreamLike

ROUTE_HEADER = "x-turnpike-route"
"""By which a client chooses a route itself."""

_LONGEST_NAME_SHOWN = 80
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def normal(name: str) -> str:
    """A route's name as it is compared: without case; spaces, - and _ alike."""
    return re.sub(r"[\s_-]+", "-", name.strip().lower())


READY_MADE_BY_NAME: Mapping[str, tuple[StrategyName, ...]] = {normal(name): strategy for name, strategy in READY_MADE.items()}


class MatchLike(Protocol):
    """The `match` of a route: globs; a header's value is a glob too."""

    @property
    def model(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def upstream(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def header(self) -> Mapping[str, str]: ...


class DestinationLike(Protocol):
    """One entry of a route's `to`."""

    @property
    def upstream(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def weight(self) -> float: ...


class FallbackLike(Protocol):
    """A route's `fallback`. `deadline` in seconds."""

    @property
    def on(self) -> Sequence[str]: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def deadline(self) -> float: ...


class RouteLike(Protocol):
    """A route of the configuration. Without `to` it takes whatever upstream offers the model."""

    @property
    def name(self) -> str: ...
    @property
    def match(self) -> MatchLike: ...
    @property
    def strategy(self) -> Sequence[StrategyName]: ...
    @property
    def to(self) -> Sequence[DestinationLike]: ...
    @property
    def require(self) -> RequireLike: ...
    @property
    def fallback(self) -> FallbackLike | None: ...


class CallFacts(NamedTuple):
    """What routes match on. `headers` has lower-case names.

    `upstream` is the one that the client named; `host_of` the one whose host it asked for (None: the proxy's own address).
    """

    model: str | None
    client: str | None
    upstream: str
    path: str
    headers: Mapping[str, str]
    host_of: str | None = None


class UnknownRoute(LookupError):
    """No route has the name that the client asked for; the message lists the `known`."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no route is named {name[:_LONGEST_NAME_SHOWN]!r}; known: {', '.join(known)}")
        self.known = tuple(known)


@dataclass(frozen=True, slots=True)
class _Any:
    """The match, and the requirements, of a ready-made route that the configuration says nothing of."""

    model: str = "*"
    client: str = "*"
    upstream: str = "*"
    path: str = "*"
    header: Mapping[str, str] = _NO_HEADERS
    min_context: int | None = None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ReadyMade:
    name: str
    strategy: tuple[StrategyName, ...]
    match: _Any = _Any()
    require: _Any = _Any()
    to: tuple[DestinationLike, ...] = ()
    fallback: FallbackLike | None = None


@dataclass(frozen=True, slots=True)
class _Anywhere:
    """A destination of a route without `to`."""

    upstream: str
    model: str | None = None
    weight: float = 1.0


class Plan:
    """The routes and upstreams of a configuration, made ready for deciding. `remembered` is what `core/routing.py` found before."""

    def __init__(self, routes: Sequence[RouteLike], upstreams: Mapping[str, UpstreamLike]) -> None:
        self.routes = tuple(routes)
        self.remembered: dict[Hashable, tuple[Any, Any]] = {}
        self.terms = {name: Terms(name, upstream) for name, upstream in upstreams.items()}
        self._anywhere = tuple(_Anywhere(name) for name in upstreams)
        named: list[RouteLike] = [*self.routes, *(_ReadyMade(name, strategy) for name, strategy in READY_MADE.items())]
        self._named = {normal(route.name): route for route in reversed(named)}  # of several with one name the first
        self._names = tuple({normal(route.name): route.name for route in named}.values())
        self._choosy = frozenset(name for name, terms in self.terms.items() if terms.looks_at_models)
        self._any_looks = any(_looks_at_models(route) for route in self.routes) or bool(self.routes and self._choosy)

    def looks_at_models(self, upstream: str, route: str | None) -> bool:
        """May the model decide about a call that names this upstream (and this route)? If not, it need not be read."""
        return self._any_looks or bool(route) or upstream in self._choosy

    def destinations(self, route: RouteLike) -> Sequence[DestinationLike]:
        """Those that the route names; of one without `to` every upstream, in the order of the configuration."""
        return route.to or self._anywhere

    def named(self, name: str) -> RouteLike:
        """The route that a client asks for. Raises UnknownRoute."""
        route = self._named.get(normal(name))
        if route is None:
            raise UnknownRoute(name, self._names)
        return route

    def route_for(self, facts: CallFacts) -> RouteLike | None:
        """The route that the client names, whatever that one matches; else the first that matches. Raises UnknownRoute."""
        if name := facts.headers.get(ROUTE_HEADER):
            return self.named(name)
        for route in self.routes:
            if matches(route.match, facts):
                return route
        return None


def needs_model_data(route: RouteLike) -> bool:
    """Does this route ask for prices, context windows, capabilities, or who offers a model?"""
    return not route.to or "lowest_cost" in route.strategy or bool(route.require.min_context or route.require.capabilities)


def _looks_at_models(route: RouteLike) -> bool:
    return route.match.model != "*" or "fastest" in route.strategy or needs_model_data(route)


def matches(rule: MatchLike, facts: CallFacts) -> bool:
    """Does a call fit a route? An unknown model fits only a pattern that takes everything."""
    return (
        _fits(facts.model or "", rule.model)
        and _fits(facts.client or "", rule.client)
        and _fits(facts.upstream, rule.upstream)
        and _fits(facts.path, rule.path)
        and (not rule.header or all(_fits(facts.headers.get(name.lower(), ""), pattern) for name, pattern in rule.header.items()))
    )


def _fits(value: str, glob: str) -> bool:
    return glob == "*" or fnmatchcase(value, glob)
