"""The models of all upstreams as one list: what has been asked for is kept, merged, and shown in the client's dialect. Pure.

A list belongs to whoever may see it. Those that were asked for with a key of ours, or without any, are shared; one that was asked for
with a client's own credential is shown to nobody who does not have the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from addons.core.attempt import HeaderFields
from addons.core.listing import Listed
from addons.core.terms import Terms

OWN_LISTS = 64
"""Lists that belong to single clients; beyond that the one that was not asked for longest goes."""

AGAIN_S = 30.0
"""An upstream that failed is asked again after so long, or after the `ttl` if that is shorter: else each call for the list would wait for
it. The same as between two probes."""

KEYS, NOBODY = "keys", "nobody"


class Source(NamedTuple):
    """Whose list: an upstream as it is configured, asked with one of our keys (KEYS), without any (NOBODY), or as a client (`owner_of`)."""

    upstream: str
    provider: str
    base_url: str
    owner: str

    @property
    def shared(self) -> bool:
        return self.owner in (KEYS, NOBODY)


def owner_of(credential: HeaderFields) -> str:
    """Stands for a client's own credential, which is not kept."""
    return "own " + sha256(b"\0".join(part for pair in credential for part in pair)).hexdigest()


class Problem(NamedTuple):
    """Why a list could not be had, for people; `status` is the upstream's where it answered."""

    text: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The last list that came, at `at`; `problem` where the last try, at `tried_at`, failed: then the list is an old one, or none (`at`
    None). Times in seconds of one clock."""

    models: tuple[Listed, ...] = ()
    at: float | None = None
    problem: Problem | None = None
    tried_at: float = 0.0

    @property
    def stale(self) -> bool:
        return self.problem is not None and self.at is not None


_NOTHING = Kept()


class ModelLists:
    """What is known of upstreams' models."""

    def __init__(self) -> None:
        self._shared: dict[Source, Kept] = {}
        self._own: OrderedDict[Source, Kept] = OrderedDict()

    def get(self, source: Source) -> Kept:
        """What is kept, be it old or nothing."""
        return (self._shared if source.shared else self._own).get(source, _NOTHING)

    def due(self, source: Source, now: float, ttl_s: float) -> bool:
        """Is it to be asked for (again)?"""
        kept = self.get(source)
        if kept.problem:
            return now - kept.tried_at >= min(AGAIN_S, ttl_s)
        return kept.at is None or now - kept.at >= ttl_s

    def came(self, source: Source, models: tuple[Listed, ...], now: float) -> None:
        """A list has come."""
        self._put(source, Kept(models, now, None, now))

    def failed(self, source: Source, problem: Problem, now: float) -> None:
        """None has come; the old one stays."""
        self._put(source, replace(self.get(source), problem=problem, tried_at=now))

    def listed(self) -> dict[str, frozenset[str]]:
        """Upstream → the ids that it says it has, by the shared lists; upstreams of which none is known are not in it."""
        found: dict[str, frozenset[str]] = {}
        for source, kept in self._shared.items():
            if kept.models:
                found[source.upstream] = found.get(source.upstream, frozenset()) | {model.id for model in kept.models}
        return found

    def keep(self, upstreams: Mapping[str, tuple[str, str | None]]) -> None:
        """The configuration has changed: lists of upstreams that are no longer what they were are forgotten.

        `upstreams`: name → provider and base URL.
        """
        for lists in (self._shared, self._own):
            for source in [source for source in lists if upstreams.get(source.upstream) != (source.provider, source.base_url)]:
                del lists[source]

    def _put(self, source: Source, kept: Kept) -> None:
        if source.shared:
            self._shared[source] = kept
            return
        self._own[source] = kept
        self._own.move_to_end(source)
        if len(self._own) > OWN_LISTS:
            self._own.popitem(last=False)


class Model(NamedTuple):
    """A model as it is shown: `upstreams` that have it, in the order of the configuration."""

    id: str
    created: int | None
    owned_by: str | None
    display_name: str | None
    upstreams: tuple[str, ...]


def merged(lists: Iterable[tuple[str, Sequence[Listed]]], terms: Mapping[str, Terms]) -> list[Model]:
    """All models by their ids, each once, and the upstreams' aliases (of all in `terms`); without what an upstream may not be asked for."""
    models: dict[str, Model] = {}
    by_upstream = {upstream: {listed.id: listed for listed in listing} for upstream, listing in lists}
    for upstream, listing in by_upstream.items():
        for listed in listing.values():
            if terms[upstream].refusal(listed.id) is None:
                _add(models, listed, upstream)
    for upstream, of in terms.items():
        for alias, meant in of.aliases.items():
            if of.refusal(meant) is None:
                target = by_upstream.get(upstream, {}).get(meant, Listed(meant))
                _add(models, target._replace(id=alias, display_name=None), upstream)
    return [models[name] for name in sorted(models)]


def _add(models: dict[str, Model], listed: Listed, upstream: str) -> None:
    """What an earlier upstream does not say of a model, a later one may."""
    old = models.get(listed.id, Model(listed.id, None, None, None, ()))
    models[listed.id] = Model(
        listed.id,
        old.created or listed.created,
        old.owned_by or listed.owned_by,
        old.display_name or listed.display_name,
        old.upstreams if upstream in old.upstreams else (*old.upstreams, upstream),
    )


def openai_list(models: Sequence[Model]) -> dict[str, Any]:
    """OpenAI's shape (https://platform.openai.com/docs/api-reference/models/list), with the upstreams of each."""
    return {
        "object": "list",
        "data": [
            {
                "id": model.id,
                "object": "model",
                "created": model.created or 0,
                "owned_by": model.owned_by or model.upstreams[0],
                "upstreams": model.upstreams,
            }
            for model in models
        ],
    }


def anthropic_list(models: Sequence[Model]) -> dict[str, Any]:
    """Anthropic's shape (https://docs.anthropic.com/en/api/models-list), whole; an unknown date is the epoch there too."""
    data = [
        {
            "type": "model",
            "id": model.id,
            "display_name": model.display_name or model.id,
            "created_at": datetime.fromtimestamp(model.created or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "upstreams": model.upstreams,
        }
        for model in models
    ]
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": ends[0], "last_id": ends[1]}
