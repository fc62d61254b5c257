"""Which upstream a call goes to, under which model name: pure, first matching route wins.

A decision keeps every candidate with the reason that it was passed over, so that a person can see why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import orjson

from addons.core.providers import PROVIDERS, Api


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


class RouteLike(Protocol):
    """A route of the configuration."""

    @property
    def name(self) -> str: ...
    @property
    def match(self) -> MatchLike: ...
    @property
    def to(self) -> Sequence[DestinationLike]: ...


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What routes match on. `headers` has lower-case names."""

    model: str | None
    client: str | None
    upstream: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An upstream in the order of trial; `passed_over` says why it was not taken, None for those that may be."""

    upstream: str
    model: str | None = None
    passed_over: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The route that chose (None: no route matched) and its candidates in order."""

    route: str | None
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate | None:
        return next((candidate for candidate in self.candidates if candidate.passed_over is None), None)

    def as_json(self) -> str:
        """The `decision` column."""
        return orjson.dumps([{"upstream": c.upstream, "model": c.model, "passed_over": c.passed_over} for c in self.candidates]).decode()


def matches(rule: MatchLike, facts: CallFacts) -> bool:
    """Does a call fit a route? An unknown model fits only a pattern that takes everything."""
    return (
        fnmatchcase(facts.model or "", rule.model)
        and fnmatchcase(facts.client or "", rule.client)
        and fnmatchcase(facts.upstream, rule.upstream)
        and fnmatchcase(facts.path, rule.path)
        and all(fnmatchcase(facts.headers.get(name.lower(), ""), pattern) for name, pattern in rule.header.items())
    )


def decide(routes: Sequence[RouteLike], facts: CallFacts, api: Api, providers: Mapping[str, str]) -> Decision:
    """The first matching route's candidates, else the upstream that the client named. `providers`: upstream name → provider."""
    for route in routes:
        if matches(route.match, facts):
            return Decision(route.name, tuple(_candidate(to, api, providers[to.upstream]) for to in route.to))
    return Decision(None, (Candidate(facts.upstream),))


def _candidate(to: DestinationLike, api: Api, provider: str) -> Candidate:
    speaks = api.family in PROVIDERS[provider].speaks
    return Candidate(to.upstream, to.model, None if speaks else f"{provider} has no {api.family} API")
