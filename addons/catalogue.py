"""GET {prefix}/v1/models and POST {prefix}/v1/models/refresh: the models of all upstreams as one list (DESIGN §4).

However many ask, each upstream is asked once: those that come meanwhile wait for the same answer, and whoever leaves takes it from nobody.
Which upstreams are asked depends on the caller:

- those with keys, with one of them, if the caller may use keys (the Gate's word);
- local ones, without any credential;
- the one that a call of the caller would go to (DESIGN §3), with the caller's own credential, where a call of theirs would keep it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from mitmproxy import http

from addons.answers import answer_json, refuse
from addons.config import Config, Upstream
from addons.core.attempt import NONE, OWN, Credential, HeaderFields, own_credential
from addons.core.catalogue import KEYS, NOBODY, Kept, Model, ModelLists, Problem, Source, anthropic_list, merged, openai_list, owner_of
from addons.core.inject import wants_pool_key
from addons.core.listing import NO_LIST, Listed, NotAList, list_request, own_headers, read_list
from addons.core.own_calls import spare_key
from addons.core.providers import PROVIDERS, Api, Family
from addons.core.terms import Terms
from addons.exchange import Exchange, exchange_of
from addons.outbound import Outbound, Unanswered
from addons.state import State

logger = logging.getLogger(__name__)

LIST_S = 10.0  # an upstream that takes longer is named among the errors
LIST_BYTES = 16 * 1024 * 1024

SHAPES = {"openai": openai_list, "anthropic": anthropic_list}


class Ask(NamedTuple):
    """A list to be had. `credential` None: there is none that could be used now. `headers`: the client's, along with its own one."""

    source: Source
    credential: Credential | None
    headers: HeaderFields = ()


class Asks(NamedTuple):
    """The lists that a caller may see, in the order of the configuration, and why other upstreams have none for it."""

    asks: list[Ask]
    skipped: dict[str, str]


Give = Callable[[http.HTTPFlow, Exchange, Asks], None]


class Catalogue:
    """Asked by Endpoints; keeps the lists, and tells the Router what upstreams say they have (`state.listed`)."""

    def __init__(self, state: State, outbound: Outbound) -> None:
        self.state, self.outbound = state, outbound
        self.lists = ModelLists()
        self._running: dict[Source, asyncio.Task[None]] = {}
        self._config: Config | None = None
        self._terms: dict[str, Terms] = {}
        self._last: tuple[list[Kept], dict[str, Terms], list[Model]] = ([], {}, [])  # lists, terms, and what they merge to

    async def models(self, flow: http.HTTPFlow) -> None:
        """The list, in Anthropic's shape for those that speak it, else in OpenAI's."""
        await self._answer(flow, self._give_list, anew=False)

    async def refresh(self, flow: http.HTTPFlow) -> None:
        """Ask anew, and tell what came of it."""
        await self._answer(flow, self._give_report, anew=True)

    def listed(self) -> Mapping[str, frozenset[str]]:
        """Upstream → the ids of its models, as far as they were asked for on behalf of everybody; for routing."""
        return self.state.listed

    def done(self) -> None:
        """Nobody waits any more."""
        for task in self._running.values():
            task.cancel()

    async def _answer(self, flow: http.HTTPFlow, give: Give, anew: bool) -> None:
        """A hook that raises would send the request on (DESIGN §2.1), so whatever goes wrong becomes an answer."""
        exchange = exchange_of(flow)
        if exchange is None:
            return
        try:
            self._adopt(self.state.config)
            asks = asks_of(flow, exchange)
            await self._bring(asks.asks, exchange.config.catalogue.ttl, anew)
            give(flow, exchange, asks)
        except Exception as error:
            logger.error("the list of models could not be made: %s", type(error).__name__)
            refuse(flow, exchange, 500, "internal_error", "the list could not be made; the proxy's log names the error")

    def _adopt(self, config: Config) -> None:
        """The configuration may have changed: what an upstream listed that is another one now is forgotten."""
        if config is not self._config:
            self._config, self._terms = config, {name: Terms(name, upstream) for name, upstream in config.upstreams.items()}
            self.lists.keep({name: (upstream.provider, upstream.base_url) for name, upstream in config.upstreams.items()})
            self._tell()

    def _tell(self) -> None:
        listed = self.lists.listed()
        if listed != self.state.listed:  # what the Router has worked out from it stays valid until it changes
            self.state.listed = listed

    async def _bring(self, asks: list[Ask], ttl_s: float, anew: bool) -> None:
        """Have all lists as new as they should be; one that is on its way is waited for, not asked for again."""
        now = time.monotonic()
        wanted = [ask for ask in asks if anew or self.lists.due(ask.source, now, ttl_s)]
        for ask in wanted:
            if ask.source not in self._running:
                self._running[ask.source] = asyncio.create_task(self._fetch(ask))
        if wanted:
            await asyncio.wait([self._running[ask.source] for ask in wanted])  # does not cancel them when this client leaves

    async def _fetch(self, ask: Ask) -> None:
        """Keep what comes, or why nothing did. Raises nothing."""
        source = ask.source
        try:
            found = await self._ask(ask)
        except Unanswered as error:
            found = Problem(self.state.redactor.text(str(error), "error")[0])
        except NotAList:
            found = Problem("the answer is no list of models")
        except Exception as error:
            logger.error("the list of models of %s could not be had: %s", source.upstream, type(error).__name__)
            found = Problem(f"failed ({type(error).__name__})")
        finally:
            del self._running[source]
        if not is_still(self.state.config, source):
            return
        if isinstance(found, Problem):
            self.lists.failed(source, found, time.monotonic())
        else:
            self.lists.came(source, found, time.monotonic())
            self._tell()

    async def _ask(self, ask: Ask) -> tuple[Listed, ...] | Problem:
        source = ask.source
        if ask.credential is None:
            return Problem("every key is locked out")
        request = list_request(source.provider, source.base_url, ask.credential, ask.headers)
        answer = await self.outbound.get(request, LIST_S, LIST_BYTES)
        if answer.status != 200:
            return Problem(f"answered {answer.status}", answer.status)
        return read_list(source.provider, answer.body)

    def _give_list(self, flow: http.HTTPFlow, exchange: Exchange, asks: Asks) -> None:
        """What there is, and beside it which upstreams failed. Where all have failed it is an error, the caller's own first."""
        family = family_spoken(flow)
        exchange.api = Api("other", family, "/models")
        problems, models = self._problems(asks), self._models(asks)
        errors = {name: problem.text for name, problem in problems.items()}
        if errors and not models:
            refused = [problems[source.upstream].status for source, *_ in asks.asks if not source.shared and source.upstream in problems]
            status = next((status for status in refused if status and 400 <= status < 500), 502)
            told = "; ".join(f"{name}: {text}" for name, text in errors.items())
            code = "upstream_unreachable" if status == 502 else "upstream_refused"
            refuse(flow, exchange, status, code, f"no upstream gave a list of models: {told}", errors=errors)
            return
        answer_json(flow, 200, SHAPES[family](models) | {"errors": errors, "stale": self._stale(asks)})

    def _give_report(self, flow: http.HTTPFlow, exchange: Exchange, asks: Asks) -> None:
        """How many models each upstream has, and why others gave none or were not asked."""
        problems, stale = self._problems(asks), self._stale(asks)
        counts = {source.upstream: len(self.lists.get(source).models) for source, *_ in asks.asks}
        errors = {name: problem.text for name, problem in problems.items()}
        models = len(self._models(asks))
        answer_json(flow, 200, {"models": models, "upstreams": counts, "errors": errors, "stale": stale, "skipped": asks.skipped})

    def _problems(self, asks: Asks) -> dict[str, Problem]:
        kept = ((source.upstream, self.lists.get(source)) for source, *_ in asks.asks)
        return {upstream: of.problem for upstream, of in kept if of.problem}

    def _stale(self, asks: Asks) -> list[str]:
        """The upstreams whose list is an old one."""
        return [source.upstream for source, *_ in asks.asks if self.lists.get(source).stale]

    def _models(self, asks: Asks) -> list[Model]:
        """All models; merged anew only when a list or the configuration is another one than last time."""
        kept, terms = [self.lists.get(ask.source) for ask in asks.asks], self._terms
        before, by, models = self._last
        if by is not terms or len(kept) != len(before) or any(new is not old for new, old in zip(kept, before, strict=True)):
            lists = ((ask.source.upstream, each.models) for ask, each in zip(asks.asks, kept, strict=True))
            models = merged([(upstream, listing) for upstream, listing in lists if upstream in terms], terms)
            self._last = kept, terms, models
        return models


def family_spoken(flow: http.HTTPFlow) -> Family:
    """Both clients ask for `/v1/models`; Anthropic's name a version."""
    return "anthropic" if "anthropic-version" in flow.request.headers else "openai"


def is_still(config: Config, source: Source) -> bool:
    """Is the upstream still what it was when it was asked?"""
    upstream = config.upstreams.get(source.upstream)
    return upstream is not None and (upstream.provider, upstream.base_url) == (source.provider, source.base_url)


def asks_of(flow: http.HTTPFlow, exchange: Exchange) -> Asks:
    """What this caller may see, and how it is asked for."""
    config, found = exchange.config, Asks([], {})
    meant = named_upstream(config, family_spoken(flow))
    for name, upstream in config.upstreams.items():
        ask = _ask_of(upstream, flow if name == meant else None, exchange)
        if isinstance(ask, Ask):
            found.asks.append(ask)
        else:
            found.skipped[name] = ask
    return found


def named_upstream(config: Config, family: Family) -> str | None:
    """The upstream that a base-URL call in this family goes to if it names none: the default, else the first that speaks it."""
    default = config.default_upstream
    names = ([default.name] if default else []) + list(config.upstreams)
    return next((name for name in names if family in PROVIDERS[config.upstreams[name].provider].speaks), None)


def _ask_of(upstream: Upstream, flow: http.HTTPFlow | None, exchange: Exchange) -> Ask | str:
    """How this upstream is asked, else why it is not; `flow` where the client's own credential is meant for it."""
    provider, base_url = upstream.provider, upstream.base_url
    if base_url is None or provider in NO_LIST:
        return NO_LIST.get(provider, "has no base_url")

    def source(owner: str) -> Source:
        return Source(upstream.name, provider, base_url, owner)

    fields, path = (flow.request.headers.fields, flow.request.path) if flow else ((), "")
    keys = exchange.pools[upstream.name].keys
    if keys and wants_pool_key(upstream.inject, upstream.inject_for, own_credential(fields, path), exchange.may_use_keys):
        key = spare_key(keys, time.time())
        return Ask(source(KEYS), Credential("key", key.value) if key else None)
    if upstream.kind == "local":
        return Ask(source(NOBODY), NONE)
    if own := own_headers(fields, path, provider):
        return Ask(source(owner_of(own)), OWN, own)
    return "has no key that this caller may use, and is not local"
