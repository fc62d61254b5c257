"""Which upstreams a call may go to, in which order and under which model names: pure, everything is passed in.

    Plan ──► the route that the client names, or the first that matches (`core/routes.py`)
         ──► its destinations one by one: API, model filters, requirements (`core/terms.py`)
         ──► those left, in the order of the route's strategies (`core/strategies.py`)

A decision keeps every candidate with the reason that it was passed over, so that a person can see why.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import orjson

from addons.core.frozen import frozen
from addons.core.memo import LONGEST
from addons.core.providers import Api
from addons.core.routes import CallFacts, DestinationLike, FallbackLike, Plan, RouteLike
from addons.core.strategies import SETTLED, Measures, Option, Shown, ordered
from addons.core.terms import ModelsLike, Terms
from addons.core.tries import Rules

_REMEMBERED = 256  # clients name the models, so what is remembered of them has a bound
_NO_REASONS: Mapping[int, str] = MappingProxyType({})
_NO_LISTS: Mapping[str, Collection[str]] = MappingProxyType({})


@frozen
class Candidate:
    """An upstream in the order of trial; `passed_over` says why it was not taken, None for those that may be.

    `model` is the name to put in, None: as the client asked. `unknown` names the requirements of the route that could not be
    checked, which passes nobody over.
    """

    upstream: str
    model: str | None = None
    passed_over: str | None = None
    unknown: tuple[str, ...] = ()

    def as_dict(self, passed_over: str | None, measures: Shown = ()) -> dict[str, object]:
        """As the `decision` column has it; measures and `unknown` only where there are any."""
        told: dict[str, object] = {"upstream": self.upstream, "model": self.model, "passed_over": passed_over, **dict(measures)}
        return {**told, "unknown": self.unknown} if self.unknown else told


@dataclass(frozen=True)
class Decision:
    """The route that chose (None: no route matched) and its candidates: those that may be tried, in that order, then the others.

    `fallback` are the route's settings, None: the defaults. `measures` tell, for those that may be tried, by what they were compared:
    `cost_usd` of a typical call, `expected_s` of a typical answer; None: not known.
    """

    route: str | None
    candidates: tuple[Candidate, ...]
    fallback: FallbackLike | None = None
    measures: tuple[Shown, ...] = ()

    @cached_property
    def rules(self) -> Rules:
        """The settings as `Tries` take them."""
        fallback = self.fallback
        return Rules(frozenset(fallback.on), fallback.max_attempts, fallback.deadline) if fallback else Rules()

    @property
    def chosen(self) -> Candidate | None:
        """The first that may be tried."""
        return next((candidate for candidate in self.candidates if candidate.passed_over is None), None)

    def as_json(self, passed: Mapping[int, str] = _NO_REASONS) -> str:
        """The `decision` column. `passed`: why candidates (by their place) were passed over when their turn came."""
        return self._told(passed) if passed else self._as_decided

    @cached_property
    def _as_decided(self) -> str:
        """Once for all calls that are decided alike."""
        return self._told(_NO_REASONS)

    def _told(self, passed: Mapping[int, str]) -> str:
        measures = (*self.measures, *((),) * (len(self.candidates) - len(self.measures)))
        return orjson.dumps([c.as_dict(c.passed_over or passed.get(at), measures[at]) for at, c in enumerate(self.candidates)]).decode()


@frozen
class Surroundings:
    """What a decision rests on besides routes and call.

    `keyed`: upstreams that have keys which this call may be given; `listed`: upstream → the models that it says it has, a mapping that
    is replaced and never changed.
    """

    models: ModelsLike
    measures: Measures
    keyed: frozenset[str] = frozenset()
    listed: Mapping[str, Collection[str]] = _NO_LISTS


def decide(plan: Plan, facts: CallFacts, api: Api, around: Surroundings) -> Decision:
    """The candidates of the call's route; without a route the upstream that the client named, if it may be asked for the model.

    Raises UnknownRoute, for a route that the client names.
    """
    route = plan.route_for(facts)
    return without_route(plan, facts.upstream, facts.model) if route is None else by_route(plan, route, facts, api, around)


def without_route(plan: Plan, upstream: str, model: str | None) -> Decision:
    """The upstream that the client named, if it may be asked for the model."""
    key = None, upstream, model
    found: Decision | None
    _, found = plan.remembered.get(key, (None, None))
    if found is None:
        found = Decision(None, (_lone(plan, upstream, model),))
        _remember(plan, key, model, (None, found))
    return found


def by_route(plan: Plan, route: RouteLike, facts: CallFacts, api: Api, around: Surroundings) -> Decision:
    """The candidates of this route."""
    judged = _judged(plan, facts, api, around, route)
    if judged.settled:
        return judged.settled
    return _in_order(judged, route, around.measures)


def _in_order(judged: _Judged, route: RouteLike, measures: Measures) -> Decision:
    order = ordered(judged.options, route.strategy, measures)
    candidates = (*(judged.open[at] for at, _ in order), *judged.closed)
    return Decision(route.name, candidates, route.fallback, tuple(shown for _, shown in order))


def _lone(plan: Plan, upstream: str, model: str | None) -> Candidate:
    terms = plan.terms.get(upstream)
    if terms is None:
        return Candidate(upstream)
    sent = terms.sent(model)
    return Candidate(upstream, None if sent == model else sent, terms.refusal(sent))


def _remember(plan: Plan, key: Hashable, model: str | None, found: tuple[object, object]) -> None:
    if len(model or "") > LONGEST:
        return
    if len(plan.remembered) >= _REMEMBERED:
        plan.remembered.clear()
    plan.remembered[key] = found


class _Judged(NamedTuple):
    """A route's destinations, looked at for one kind of call: those that may be tried, in the order of the route, and the others.

    `settled`: what comes of them, where the route's strategies ask for nothing that changes from call to call.
    """

    options: tuple[Option, ...]
    open: tuple[Candidate, ...]  # one for each option
    closed: tuple[Candidate, ...]
    settled: Decision | None = None


def _judged(plan: Plan, facts: CallFacts, api: Api, around: Surroundings, route: RouteLike) -> _Judged:
    """Judging rests on these alone, so that it is done once for all calls that agree in them."""
    call = api.family, api.rest.startswith("/deployments/"), facts.model, facts.upstream, facts.host_of
    key = id(route), call, around.keyed, around.models.loaded
    found: _Judged | None
    listed, found = plan.remembered.get(key, (None, None))
    if found is None or listed is not around.listed:
        found = _Judge(plan, facts, api, around, route).judged()
        if SETTLED.issuperset(route.strategy):
            found = found._replace(settled=_in_order(found, route, around.measures))
        _remember(plan, key, facts.model, (around.listed, found))
    return found


class _Judge:
    """Looks at the destinations of one route for one call."""

    def __init__(self, plan: Plan, facts: CallFacts, api: Api, around: Surroundings, route: RouteLike) -> None:
        self.plan, self.facts, self.api, self.around, self.route = plan, facts, api, around, route
        self.ready_made = not route.to
        self.requires = bool(route.require.min_context or route.require.capabilities)

    def judged(self) -> _Judged:
        """All of them.

        Of a ready-made route the upstream that the client named is taken at its word where nobody else is known to offer the model
        (the tables may be older than it), and before the tables are there.
        """
        seen = [self._look_at(place, destination) for place, destination in enumerate(self.plan.destinations(self.route))]
        open_ = [each for each in seen if each[1].passed_over is None]
        closed = [candidate for _, candidate in seen if candidate.passed_over is not None]
        if self.ready_made:
            doubts = {option.upstream: doubt for option, _ in open_ if (doubt := self._no_model(option.upstream))}
            if len(doubts) == len(open_) or not self.around.models.loaded:
                doubts.pop(self.facts.upstream, None)
            closed += [replace(candidate, passed_over=doubts[option.upstream]) for option, candidate in open_ if option.upstream in doubts]
            open_ = [each for each in open_ if each[0].upstream not in doubts]
        return _Judged(tuple(option for option, _ in open_), tuple(candidate for _, candidate in open_), tuple(closed))

    def _look_at(self, place: int, to: DestinationLike) -> tuple[Option, Candidate]:
        """The destination with the reason why it may not be tried."""
        terms, asked = self.plan.terms[to.upstream], to.model or self.facts.model
        sent = terms.sent(asked)
        unmet, unknown = terms.unmet(self.route.require, sent, self.around.models) if self.requires else (None, ())
        no_place = self._no_place(terms) if self.ready_made else None
        reason = terms.no_api(self.api) or no_place or terms.refusal(sent) or unmet
        option = Option(place, terms.name, terms.provider, terms.kind, sent, to.weight)
        return option, Candidate(terms.name, sent if to.model or sent != asked else None, reason, unknown)

    def _no_place(self, terms: Terms) -> str | None:
        """Why nobody could be called there."""
        name = terms.name
        if name != self.facts.upstream and terms.kind != "local" and name not in self.around.keyed:
            return f"{name} has no keys for this call, and the client did not name it"
        return None if terms.has_address or name == self.facts.host_of else f"{name} has no base_url, and the call was not made to its host"

    def _no_model(self, upstream: str) -> str | None:
        """Why it is not asked for this model."""
        model = self.facts.model
        if model is None:
            return f"the call's model is not known, so that only {self.facts.upstream} is asked"
        offered = self.plan.terms[upstream].offers(model, self.around.models, self.around.listed.get(upstream, ()))
        return None if offered else f"{upstream} is not known to offer {model}"
