"""What an upstream may be asked for, and under which names: its aliases, its model filters, what it offers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol
from urllib.parse import urlsplit

from addons.core.dialects.hosts import provider_of
from addons.core.providers import PROVIDERS, Api, path_at
from addons.core.strategies import Kind


class FilterLike(Protocol):
    """`models` of an upstream: globs; deny wins."""

    @property
    def allow(self) -> Sequence[str]: ...
    @property
    def deny(self) -> Sequence[str]: ...


class UpstreamLike(Protocol):
    """An upstream of the configuration."""

    @property
    def provider(self) -> str: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def models(self) -> FilterLike: ...
    @property
    def aliases(self) -> Mapping[str, str]: ...


class RequireLike(Protocol):
    """`require` of a route. `min_context` in tokens."""

    @property
    def min_context(self) -> int | None: ...
    @property
    def capabilities(self) -> Sequence[str]: ...


class ModelsLike(Protocol):
    """What is known of models (`core/modeldata.py`); nothing before it is `loaded`."""

    @property
    def loaded(self) -> bool: ...
    def offers(self, provider: str, model: str) -> bool: ...
    def context_window(self, provider: str | None, model: str) -> int | None: ...
    def can(self, model: str, capability: str) -> bool | None: ...


class Terms:
    """An upstream's settings made ready for deciding; once per configuration."""

    def __init__(self, name: str, upstream: UpstreamLike) -> None:
        self.name, self.provider, self.kind, self.aliases = name, upstream.provider, upstream.kind, upstream.aliases
        self.has_address = upstream.base_url is not None
        host = urlsplit(upstream.base_url).hostname if upstream.base_url else None
        self._is_providers_own = upstream.kind != "local" and (host is None or provider_of(host) == upstream.provider)
        self._allow, self._deny = ([glob.lower() for glob in globs] for globs in (upstream.models.allow, upstream.models.deny))
        self._filters = bool(self._deny) or "*" not in self._allow

    @property
    def looks_at_models(self) -> bool:
        """Does it matter here which model is asked for?"""
        return self._filters or bool(self.aliases)

    def sent(self, model: str | None) -> str | None:
        """The name that this upstream is asked under. An alias of an alias is not followed."""
        return None if model is None else self.aliases.get(model, model)

    def no_api(self, api: Api) -> str | None:
        """Why it can't take a call of this kind."""
        if path_at(self.provider, "", api) is not None:
            return None
        if api.family in PROVIDERS[self.provider].speaks:
            return f"{self.provider} has no Azure deployments"
        return f"{self.provider} has no {api.family} API"

    def refusal(self, model: str | None) -> str | None:
        """Why it may not be asked for this model. Names are compared without case, so that another spelling is no way around."""
        if model is None or not self._filters:
            return None
        name = model.lower()
        if any(fnmatchcase(name, glob) for glob in self._deny):
            return f"model {model} is denied on {self.name} (upstreams.{self.name}.models)"
        if not any(fnmatchcase(name, glob) for glob in self._allow):
            return f"model {model} is not allowed on {self.name} (upstreams.{self.name}.models)"
        return None

    def offers(self, asked: str, models: ModelsLike, listed: Collection[str]) -> bool:
        """Is it known to have this model? By an alias, by its own list, or, where the provider itself runs it, by genai-prices."""
        return asked in self.aliases or asked in listed or (self._is_providers_own and models.offers(self.provider, asked))

    def unmet(self, require: RequireLike, model: str | None, models: ModelsLike) -> tuple[str | None, tuple[str, ...]]:
        """Why this model is not what a route requires, None where nothing is known to be missing; and what of it is not known."""
        if model is None:
            return None, (*(("min_context",) if require.min_context else ()), *require.capabilities)
        unknown: list[str] = []
        for name, met, lack in self._compared(require, model, models):
            if met is None:
                unknown.append(name)
            elif not met:
                return lack, ()
        return None, tuple(unknown)

    def _compared(self, require: RequireLike, model: str, models: ModelsLike) -> Iterator[tuple[str, bool | None, str]]:
        """Each requirement: is it met (None: not known), and what to say if not.

        Whoever runs a model on a machine of their own sets its context window, so that it is not known there.
        """
        if require.min_context:
            window = models.context_window(None if self.kind == "local" else self.provider, model)
            met = None if window is None else window >= require.min_context
            yield "min_context", met, f"context of {window} is under min_context {require.min_context}"
        for capability in require.capabilities:
            yield capability, models.can(model, capability), f"model {model} lacks {capability}"
