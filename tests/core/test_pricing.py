"""Prices: the user's own first, then the table's; unknown is None, never 0."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest
from genai_prices import Usage as TableUsage
from genai_prices import calc_price

from addons.core import pricing
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


def test_override_prices_hour_long_writes_and_reasoning() -> None:
    """Each is part of a whole and costs what the whole does, unless it has a rate of its own."""
    usage = Usage(1_000_000, 1_000_000, cache_write_tokens=400_000, cache_write_1h_tokens=100_000, reasoning_tokens=500_000)
    rates = {"input": 10, "output": 20, "cache_write": 12, "cache_write_1h": 15, "reasoning": 40}
    assert Prices({"m": rates}).cost(None, ["m"], usage, AT_MS) == pytest.approx(6 + 3.6 + 1.5 + 10 + 20)
    whole = {"input": 10, "output": 20, "cache_write": 12, "cache_write_1h": None, "reasoning": None}
    assert Prices({"m": whole}).cost(None, ["m"], usage, AT_MS) == pytest.approx(6 + 4.8 + 20)


def test_billed_tokens_are_priced() -> None:
    """Cohere bills fewer than it counts."""
    usage = Usage(500, 50, billed_input_tokens=5, billed_output_tokens=40)
    assert Prices({"m": {"input": 1e6, "output": 1e6}}).cost(None, ["m"], usage, AT_MS) == pytest.approx(45)
    assert Prices({"m": {"input": 1e6}}).cost(None, ["m"], Usage(billed_input_tokens=3), AT_MS) == pytest.approx(3)


def test_web_searches_cost_apart() -> None:
    """Anthropic: ten dollars for a thousand, beside the tokens."""
    plain = Prices({}).cost("anthropic", ["claude-sonnet-4-5"], Usage(1000, 100), AT_MS)
    searched = Prices({}).cost("anthropic", ["claude-sonnet-4-5"], Usage(1000, 100, web_searches=2), AT_MS)
    assert plain and searched and searched == pytest.approx(plain + 0.02)


def test_reasoning_has_its_price_where_the_table_has_one() -> None:
    """Perplexity's deep research bills it apart; everywhere else it costs what output costs."""
    for provider, model, differs in (("perplexity", "sonar-deep-research", True), ("openai", "o3", False)):
        plain = Prices({}).cost(provider, [model], Usage(1000, 1000), AT_MS)
        reasoned = Prices({}).cost(provider, [model], Usage(1000, 1000, reasoning_tokens=900), AT_MS)
        assert plain and reasoned and (plain != reasoned) is differs


def test_costs_are_those_of_the_table() -> None:
    """Exactly what genai-prices' own calc_price makes of the same usage, with everything that it knows a price for."""
    usage = Usage(50_000, 3000, 20_000, 10_000, 4000, reasoning_tokens=1000, web_searches=1)
    theirs = TableUsage(
        input_tokens=50_000,
        output_tokens=3000,
        cache_read_tokens=20_000,
        cache_write_tokens=10_000,
        cache_write_5m_tokens=6000,
        cache_write_1h_tokens=4000,
        output_reasoning_tokens=1000,
        web_searches=1,
    )
    at = datetime.fromtimestamp(AT_MS / 1000, UTC)
    for provider, model in (("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-pro"), ("openai", "gpt-5"), ("xai", "grok-4")):
        expected = calc_price(theirs, model, provider_id=TABLE_PROVIDERS[provider], genai_request_timestamp=at).total_price
        assert Prices({}).cost(provider, [model], usage, AT_MS) == float(expected)


def test_a_full_memory_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names come from clients: the memory stays bounded and prices stay right."""
    monkeypatch.setattr(pricing, "_CACHE_LIMIT", 3)
    prices = Prices({})
    expected = prices.cost("openai", ["gpt-4o"], USAGE, AT_MS)
    for number in range(10):
        prices.cost("openai", [f"no-such-{number}"], USAGE, AT_MS)
    assert len(prices._cache) <= 3
    assert prices.cost("openai", ["gpt-4o"], USAGE, AT_MS) == expected


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


def test_billed_units_are_what_is_paid() -> None:
    """Cohere reads more than it bills, and its cached tokens lie outside of what it bills."""
    usage = Usage(input_tokens=507, output_tokens=10, cache_read_tokens=448, billed_input_tokens=12, billed_output_tokens=7)
    priced = calc_price(TableUsage(input_tokens=12, output_tokens=7), "command-r", provider_id="cohere")
    assert Prices({}).cost("cohere", ["command-r"], usage, AT_MS) == pytest.approx(float(priced.total_price))


def test_audio_is_priced_apart() -> None:
    """As genai-prices itself does it: audio tokens are part of the totals and cost more."""
    counts = {"input_tokens": 100, "output_tokens": 200, "input_audio_tokens": 80, "output_audio_tokens": 150}
    want = float(calc_price(TableUsage(**counts), "gpt-realtime", provider_id="openai").total_price)
    prices, at_ms = Prices({}), 1_760_000_000_000
    assert prices.cost("openai", ["gpt-realtime"], Usage(**counts), at_ms) == want
    assert prices.cost("openai", ["gpt-realtime"], Usage(input_tokens=100, output_tokens=200), at_ms) != want


@pytest.mark.parametrize("provider", ["ollama", "local", "copilot"])
def test_what_nobody_bills_has_no_price(provider: str) -> None:
    """A model's name does not make a server on this machine, or a subscription, its maker's API."""
    assert Prices({}).cost(provider, ["gpt-4o"], Usage(input_tokens=1, output_tokens=1), 1_760_000_000_000) is None
