"""Prices: the user's own first, then the table's; unknown is None, never 0."""

from __future__ import annotations

import sys

import pytest

from addons.core.call import Usage
from addons.core.pricing import TABLE_PROVIDERS, Prices
from addons.core.providers import PROVIDER_NAMES

AT_MS = 1_760_000_000_000
USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000)


def test_override_wins_by_glob() -> None:
    """The first glob that matches any of the models decides, before the table is asked; case does not matter."""
    prices = Prices({"GPT-4o*": {"input": 1, "output": 10}, "*": {"input": 100}})
    assert prices.cost("openai", ["gpt-4o-mini"], USAGE, AT_MS) == pytest.approx(2)
    assert prices.cost("ollama", [None, "llama3.2"], USAGE, AT_MS) == pytest.approx(100)


def test_override_prices_cached_tokens_apart() -> None:
    """Cached tokens are part of the input: they cost their own rate, or input's where none is given."""
    usage = Usage(input_tokens=1_000_000, output_tokens=0, cache_read_tokens=400_000, cache_write_tokens=100_000)
    assert Prices({"m": {"input": 10, "cache_read": 1, "cache_write": 12}}).cost(None, ["m"], usage, AT_MS) == pytest.approx(5 + 0.4 + 1.2)
    assert Prices({"m": {"input": 10, "cache_read": None}}).cost(None, ["m"], usage, AT_MS) == pytest.approx(10)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-2024-08-06"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("gemini", "gemini-2.5-pro"),
        ("openrouter", "openai/gpt-4o"),
        ("azure", "gpt-4o"),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("mistral", "mistral-large-latest"),
        ("groq", "llama-3.3-70b-versatile"),
        ("xai", "grok-4"),
        (None, "gpt-4o"),
        ("somebody", "gpt-4o"),
    ],
)
def test_table_prices_by_provider(provider: str | None, model: str) -> None:
    """Our providers' names lead to the table's; an unknown provider is found by the model's name."""
    cost = Prices({}).cost(provider, [model], USAGE, AT_MS)
    assert cost is not None and cost > 0


def test_cached_tokens_are_part_of_the_input() -> None:
    """The table is given totals: a million tokens, all read from the cache, cost the cache's rate and nothing else."""
    whole = Prices({}).cost("anthropic", ["claude-sonnet-4-5"], Usage(input_tokens=100_000, output_tokens=0), AT_MS)
    cached = Prices({}).cost("anthropic", ["claude-sonnet-4-5"], Usage(100_000, 0, cache_read_tokens=100_000), AT_MS)
    assert whole and cached and cached == pytest.approx(whole / 10)


def test_hour_long_cache_writes_cost_more() -> None:
    """Anthropic prices them at twice the input, five-minute ones at 1.25 times."""
    short = Prices({}).cost("anthropic", ["claude-sonnet-4-5"], Usage(100_000, 0, None, 100_000), AT_MS)
    long = Prices({}).cost("anthropic", ["claude-sonnet-4-5"], Usage(100_000, 0, None, 100_000, 100_000), AT_MS)
    assert short and long and long == pytest.approx(short * 2 / 1.25)


@pytest.mark.parametrize(
    ("provider", "models", "usage"),
    [
        ("openai", ["no-such-model-1"], USAGE),
        ("openai", [None], USAGE),
        ("openai", [], USAGE),
        ("ollama", ["gpt-4o"], USAGE),
        ("openai", ["gpt-4o"], Usage()),
        ("openai", ["gpt-4o"], Usage(output_tokens=5)),
        ("anthropic", ["claude-sonnet-4-5"], Usage(input_tokens=1, output_tokens=1, cache_read_tokens=5)),
    ],
)
def test_unknown_is_none(provider: str, models: list[str | None], usage: Usage) -> None:
    """No model, no usage, a local server, or counts that contradict each other: no cost, no error."""
    assert Prices({}).cost(provider, models, usage, AT_MS) is None


def test_first_priced_model_counts() -> None:
    """What the answer named goes first; what cannot be priced is passed over."""
    prices = Prices({})
    small = prices.cost("openai", ["gpt-4o-mini", "gpt-4o"], USAGE, AT_MS)
    assert small == prices.cost("openai", ["gpt-4o-mini"], USAGE, AT_MS)
    assert prices.cost("openai", ["my-deployment", "gpt-4o"], USAGE, AT_MS) == prices.cost("openai", ["gpt-4o"], USAGE, AT_MS)


def test_lookup_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider and model are looked up once, found or not."""
    prices = Prices({})
    first = prices.cost("openai", ["gpt-4o", "no-such"], USAGE, AT_MS), prices.cost("openai", ["no-such"], USAGE, AT_MS)
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    assert (prices.cost("openai", ["gpt-4o"], USAGE, AT_MS), prices.cost("openai", ["no-such"], USAGE, AT_MS)) == first


def test_every_provider_of_ours_is_mapped() -> None:
    """A provider that the proxy knows is in the table, or is known to have no price."""
    assert set(PROVIDER_NAMES) - set(TABLE_PROVIDERS) == {"ollama"}
