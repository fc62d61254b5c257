"""What is known of models: how much context they take and what they can do. What is not known is None, never False.

Two tables: genai-prices' (context windows, and which provider has which model) and our own of capabilities, `config/models.yml`.
Both take a moment to load, so that they are given by `adopt` when they are there; until then nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from addons.core.pricing import FREE_HOSTED, find_in_table

Capability = Literal["tools", "vision", "audio", "pdf", "json_schema", "reasoning"]
"""tools: function calling · vision, audio, pdf: takes images, sound, PDF files in · json_schema: holds its answer to a schema given ·
reasoning: thinks before it answers (always, or when asked to)."""
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)

_REMEMBERED = 8192  # clients name the models, so what is remembered of them has a bound
_FIELDS = frozenset({"models", "has", "lacks", "context_window"})

_PLACES = re.compile(
    r"^(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|writer)\."
)
"""What Bedrock puts before a model's name: the region that it is routed in, and the maker."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Models by globs of their bare names, and what is known of them. `context_window` in tokens, where genai-prices tells none."""

    models: tuple[str, ...]
    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    context_window: int | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    offered: bool = False
    context_window: int | None = None
    entry: Entry = Entry(())


class ModelData:
    """May be asked by several threads at once."""

    def __init__(self) -> None:
        self.loaded = False
        self._entries: tuple[Entry, ...] = ()
        self._cache: dict[tuple[str | None, str], _Known] = {}

    def adopt(self, entries: Iterable[Entry]) -> None:
        """Our own table is here, and genai-prices may be asked without making anybody wait."""
        self._entries, self._cache, self.loaded = tuple(entries), {}, True

    def offers(self, provider: str, model: str) -> bool:
        """Does genai-prices know this model at this provider?"""
        return self._known(provider, model).offered

    def context_window(self, provider: str | None, model: str) -> int | None:
        """Tokens of input and output together; None: not known. Without a provider it is not: whoever runs a model sets it."""
        return self._known(provider, model).context_window

    def can(self, model: str, capability: str) -> bool | None:
        """Whoever runs it. None: not known."""
        entry = self._known(None, model).entry
        return True if capability in entry.has else False if capability in entry.lacks else None

    def _known(self, provider: str | None, model: str) -> _Known:
        key, cache = (provider, model), self._cache  # replaced rather than emptied: another thread may be reading it
        if key in cache:
            return cache[key]
        if not self.loaded:
            return _Known()
        if len(cache) >= _REMEMBERED:
            cache = self._cache = {}
        cache[key] = found = self._look_up(provider, model)
        return found

    def _look_up(self, provider: str | None, model: str) -> _Known:
        name = bare_name(model)
        entry = next((entry for entry in self._entries if any(fnmatchcase(name, glob) for glob in entry.models)), Entry(()))
        if provider is None or provider in FREE_HOSTED:
            return _Known(entry=entry)
        found = find_in_table(provider, model)
        window = found[1].context_window if found else None
        return _Known(found is not None, window or entry.context_window, entry)


def bare_name(model: str) -> str:
    """The maker's own name, in lower case: `openai/gpt-4o:free` → `gpt-4o`, `eu.anthropic.claude-…-v1:0` → `claude-…-v1`."""
    return _PLACES.sub("", model.lower().rpartition("/")[2].removeprefix("ft:").partition(":")[0])


def read_entries(document: Any) -> tuple[Entry, ...]:
    """The table from a parsed file: a list of `{models: [glob …], has: […], lacks: […], context_window: tokens}`; the first that
    matches holds. Raises ValueError, which names the entry."""
    if not isinstance(document, list):
        raise ValueError("should be a list of entries")
    return tuple(_entry(given, f"entry {number}") for number, given in enumerate(document, 1))


def _entry(given: Any, place: str) -> Entry:
    if not isinstance(given, Mapping) or not set(given) <= _FIELDS:
        raise ValueError(f"{place}: should have no other names than {', '.join(sorted(_FIELDS))}")
    models, has, lacks = (_texts(given.get(name, []), f"{place}.{name}") for name in ("models", "has", "lacks"))
    window = given.get("context_window")
    strangers = {*has, *lacks} - set(CAPABILITIES)
    if strangers or set(has) & set(lacks):
        raise ValueError(f"{place}: {', '.join(sorted(strangers or has))} should be of {', '.join(CAPABILITIES)}, each in one list")
    if not models or not (window is None or (isinstance(window, int) and window > 0)):
        raise ValueError(f"{place}: needs models, and as context_window a number of tokens if any")
    return Entry(models, frozenset(has), frozenset(lacks), window)


def _texts(given: Any, place: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise ValueError(f"{place}: should be a list of texts")
    return tuple(given)
