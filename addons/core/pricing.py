"""What a call cost, in USD, from the tokens that were reported: the user's own prices first, then genai-prices' table.

A price that is not known is None, never 0, and never an error: usage is stored whether or not it has a price. The table
is the one installed with the package; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from addons.core.call import Usage

TABLE_PROVIDERS: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "google": "google",
    "vertex": "google",
    "openrouter": "openrouter",
    "mistral": "mistral",
    "groq": "groq",
    "xai": "x-ai",
    "x-ai": "x-ai",
    "deepseek": "deepseek",
    "cohere": "cohere",
    "perplexity": "perplexity",
    "together": "together",
    "fireworks": "fireworks",
    "azure": "azure",
    "bedrock": "aws",
    "aws": "aws",
    "voyage": "voyageai",
    "moonshot": "moonshotai",
    "cerebras": "cerebras",
    "novita": "novita",
}
"""Our provider names (`core/providers.py`) → the ids of genai-prices."""

FREE_HOSTED = frozenset({"ollama", "lmstudio", "llamacpp", "vllm"})
"""Servers on the user's own machine: nobody bills their tokens, and a model's name does not make it its maker's API."""

_CACHE_LIMIT = 4096
"""Model names come from clients, so the memory of which prices is bounded."""

_Pricer = Callable[[Usage, int], float | None]


@dataclass(frozen=True, slots=True)
class _Rates:
    """USD per million tokens. Cached tokens without a rate of their own cost what input costs."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def cost(self, usage: Usage, _at_ms: int) -> float:
        read, write = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        plain = max(0, (usage.input_tokens or 0) - read - write)
        total = plain * self.input + read * self.cache_read + write * self.cache_write + (usage.output_tokens or 0) * self.output
        return total / 1_000_000


class Prices:
    """`overrides` maps a model glob to `{input, output, cache_read, cache_write}`, USD per million tokens; the first that matches wins.

    Without `cache_read` or `cache_write` (absent or None) cached tokens cost what input costs.
    """

    def __init__(self, overrides: Mapping[str, Mapping[str, float | None]]) -> None:
        self._overrides = tuple((glob.lower(), _rates(prices)) for glob, prices in overrides.items())
        self._cache: dict[tuple[str | None, str], _Pricer | None] = {}

    def cost(self, provider: str | None, models: Sequence[str | None], usage: Usage, at_ms: int) -> float | None:
        """USD at `at_ms` (Unix milliseconds), by the first of `models` that has a price; None without one or without input tokens."""
        if usage.input_tokens is None:  # what is known of the output alone would be a cost that is too low
            return None
        names = [model for model in models if model]
        for pick in (self._override, lambda model: self._from_table(provider, model)):
            for name in names:
                pricer = pick(name)
                cost = pricer(usage, at_ms) if pricer else None
                if cost is not None:
                    return cost
        return None

    def _override(self, model: str) -> _Pricer | None:
        return next((rates.cost for glob, rates in self._overrides if fnmatchcase(model.lower(), glob)), None)

    def _from_table(self, provider: str | None, model: str) -> _Pricer | None:
        key = provider, model
        if key not in self._cache:
            if len(self._cache) >= _CACHE_LIMIT:
                self._cache.clear()
            self._cache[key] = _table_pricer(provider, model)
        return self._cache[key]


def _rates(prices: Mapping[str, float | None]) -> _Rates:
    given = {kind: price for kind, price in prices.items() if price is not None}
    paid_input = given.get("input", 0.0)
    return _Rates(paid_input, given.get("output", 0.0), given.get("cache_read", paid_input), given.get("cache_write", paid_input))


def _table_pricer(provider: str | None, model: str) -> _Pricer | None:
    """The price of a model in genai-prices, found once. Imported here, because the table takes a third of a second to load."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    known = (provider or "").lower()
    if known in FREE_HOSTED:
        return None
    try:
        found, info = get_snapshot().find_provider_model(model, None, TABLE_PROVIDERS.get(known), None)
    except LookupError:
        return None

    def price(usage: Usage, at_ms: int) -> float | None:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        try:
            return float(info.calc_price(_table_usage(usage), found, genai_request_timestamp=at).total_price)
        except (LookupError, ValueError):  # counts that contradict each other, or a unit without a price
            return None

    return price


def _table_usage(usage: Usage) -> object:
    """Ours and theirs agree: `input_tokens` is the total with the cached ones in it."""
    from genai_prices import Usage as TableUsage  # noqa: PLC0415

    return TableUsage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
    )
