"""What a call cost, in USD, from the tokens that were reported: the user's own prices first, then genai-prices' table.

A price that is not known is None, never 0, and never an error: usage is stored whether or not it has a price. The table
is the one installed with the package; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from addons.core.call import Usage
from addons.core.tablerates import TableRates

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

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

FREE_HOSTED = frozenset({"ollama", "local", "copilot"})
"""Nobody bills the tokens of a server on the user's own machine, or of a subscription; a model's name does not make it its maker's API."""

_CACHE_LIMIT = 4096
"""Model names come from clients, so the memory of which prices is bounded."""

_Pricer = Callable[[Usage, int], float | None]


@dataclass(frozen=True, slots=True)
class _Rates:
    """USD per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float
    reasoning: float

    def cost(self, usage: Usage, _at_ms: int) -> float:
        read, write, reasoning = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0, usage.reasoning_tokens or 0
        write_1h = min(usage.cache_write_1h_tokens or 0, write)
        paid = (
            (max(0, (usage.input_tokens or 0) - read - write), self.input),
            (read, self.cache_read),
            (write - write_1h, self.cache_write),
            (write_1h, self.cache_write_1h),
            (max(0, (usage.output_tokens or 0) - reasoning), self.output),
            (reasoning, self.reasoning),
        )
        return sum(tokens * rate for tokens, rate in paid) / 1_000_000


class Prices:
    """`overrides` maps a model glob to `{input, output, cache_read, cache_write, cache_write_1h, reasoning}`, USD per million tokens;
    the first that matches wins.

    What is absent or None costs what its whole does: cached tokens what input costs, one-hour writes what writes cost, reasoning
    what output costs. May be asked by several threads at once.
    """

    def __init__(self, overrides: Mapping[str, Mapping[str, float | None]]) -> None:
        self._overrides = tuple((glob.lower(), _rates(prices)) for glob, prices in overrides.items())
        self._cache: dict[tuple[str | None, str], _Pricer | None] = {}

    def cost(self, provider: str | None, models: Sequence[str | None], usage: Usage, at_ms: int) -> float | None:
        """USD at `at_ms` (Unix milliseconds), by the first of `models` that has a price; None without one or without input tokens.

        Where the provider bills other counts than it used (Cohere), those are priced.
        """
        usage = _billed(usage)
        if usage.input_tokens is None:  # what is known of the output alone would be a cost that is too low
            return None
        names = [model for model in models if model]
        for name in names if self._overrides else ():
            if own := self._override(name):
                return own(usage, at_ms)
        for name in names:
            pricer = self._from_table(provider, name)
            cost = pricer(usage, at_ms) if pricer else None
            if cost is not None:
                return cost
        return None

    def _override(self, model: str) -> _Pricer | None:
        return next((rates.cost for glob, rates in self._overrides if fnmatchcase(model.lower(), glob)), None)

    def _from_table(self, provider: str | None, model: str) -> _Pricer | None:
        key = provider, model
        known = self._cache  # replaced rather than emptied: another thread may be reading it
        if key in known:
            return known[key]
        if len(known) >= _CACHE_LIMIT:
            known = self._cache = {}
        known[key] = found = _table_pricer(provider, model)
        return found


def _rates(prices: Mapping[str, float | None]) -> _Rates:
    given = {kind: price for kind, price in prices.items() if price is not None}
    paid_input, paid_output = given.get("input", 0.0), given.get("output", 0.0)
    write = given.get("cache_write", paid_input)
    return _Rates(
        input=paid_input,
        output=paid_output,
        cache_read=given.get("cache_read", paid_input),
        cache_write=write,
        cache_write_1h=given.get("cache_write_1h", write),
        reasoning=given.get("reasoning", paid_output),
    )


def _billed(usage: Usage) -> Usage:
    """What is paid, where that is not what was read and written (Cohere): without the cached tokens, which lie outside it."""
    if usage.billed_input_tokens is None and usage.billed_output_tokens is None:
        return usage
    return Usage(input_tokens=usage.billed_input_tokens or 0, output_tokens=usage.billed_output_tokens or 0)


def find_in_table(provider: str | None, model: str) -> tuple[Provider, ModelInfo] | None:
    """Provider and model of genai-prices; None where it has no such model, or nobody bills it.

    Imported here, because the table takes a third of a second to load; a look-up takes up to a millisecond, so keep what it finds.
    """
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    known = (provider or "").lower()
    if known in FREE_HOSTED:
        return None
    try:
        return get_snapshot().find_provider_model(model, None, TABLE_PROVIDERS.get(known), None)
    except LookupError:
        return None


def _table_pricer(provider: str | None, model: str) -> _Pricer | None:
    """The price of a model in genai-prices, found once."""
    entry = find_in_table(provider, model)
    if entry is None:
        return None
    found, info = entry
    known: dict[int, TableRates] = {}
    always = None if isinstance(info.prices, list) else info.prices  # whatever the time

    def exact(usage: Usage, at_ms: int) -> Decimal | None:
        try:
            return info.calc_price(_table_usage(usage), found, genai_request_timestamp=_moment(at_ms)).total_price
        except (LookupError, ValueError):  # counts that contradict each other, or a unit without a price
            return None

    def price(usage: Usage, at_ms: int) -> float | None:
        prices = always or info.get_prices(_moment(at_ms))
        tables = known.get(id(prices))
        if tables is None:
            tables = known[id(prices)] = TableRates(prices)
        rates = tables.rates(usage, lambda sample: exact(sample, at_ms))
        cost = rates.cost(usage) if rates else exact(usage, at_ms)
        return None if cost is None else float(cost)

    return price


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _table_usage(usage: Usage) -> object:
    """Ours and theirs agree: `input_tokens` is the total with the cached ones in it, `output_tokens` that with the reasoning."""
    from genai_prices import Usage as TableUsage  # noqa: PLC0415

    write, write_1h = usage.cache_write_tokens, usage.cache_write_1h_tokens
    return TableUsage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=write,
        cache_write_5m_tokens=None if write is None or write_1h is None else max(0, write - write_1h),
        cache_write_1h_tokens=write_1h,
        output_reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        cache_audio_read_tokens=usage.cache_read_audio_tokens,
        web_searches=usage.web_searches,
    )
