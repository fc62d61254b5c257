"""Costs by rates are those of the table, to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from types import SimpleNamespace

from genai_prices.data_snapshot import get_snapshot

from addons.core.call import Usage
from addons.core.pricing import TABLE_PROVIDERS, Prices, _table_usage, find_in_table
from addons.core.tablerates import TableRates


def test_what_does_not_grow_evenly_is_left_to_the_table() -> None:
    """Prices of another kind, costs that depend on each other, and what has no price at all."""
    prices = SimpleNamespace(input_mtok=Decimal(3), output_mtok=None)
    assert TableRates(SimpleNamespace(input_mtok="by the minute")).rates(Usage(1, 1), lambda _: Decimal()) is None
    assert TableRates(prices).rates(Usage(1, 1), lambda usage: Decimal(usage.input_tokens or 0) ** 2) is None
    assert TableRates(prices).rates(Usage(1, 1), lambda _: None) is None
    even = TableRates(prices).rates(
        Usage(1, 1), lambda usage: 1 + 2 * Decimal(usage.input_tokens or 0) + 3 * Decimal(usage.output_tokens or 0)
    )
    assert even and even.cost(Usage(10, 100)) == 321


def test_the_quick_way_is_the_tables_own() -> None:
    """For every model of the table: what is calculated from rates found once is what the table itself says, to the last digit; also with
    counts that are zero, of the cache, or contradict each other, on either side of a tier's start, and at times with other prices."""
    usages = [Usage(11, 7), Usage(123_457, 9_999), Usage(300_001, 3, cache_read_tokens=0, reasoning_tokens=0), Usage(5, 0), Usage(5)]
    usages += [Usage(50_003, 3001, 20_011, 10_007, 4001, reasoning_tokens=1009), Usage(1003, 50, 301), Usage(1003, 5, 301, 601)]
    usages += [
        Usage(10, 5, 20),
        Usage(10, 5, 3, 8),
        Usage(10, 5, None, 5, 6),
        Usage(10, 5, None, None, 0),
        Usage(7, 50, reasoning_tokens=51),
    ]
    usages += [
        Usage(tokens, 5, 301, 7, 3) for start in (0, 32_000, 128_000, 200_000, 272_000) for tokens in (start + 400, start, start + 1)
    ]
    moments = [datetime(2026, 3, 1, hour, 30, tzinfo=UTC) for hour in (2, 13)]
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            name = next((ours for ours, theirs in TABLE_PROVIDERS.items() if theirs == provider.id), None)
            entry = find_in_table(name, model.id) if name else None
            if entry is None:
                continue
            prices = Prices({})
            for usage, at in product(usages, moments):
                try:
                    own = float(entry[1].calc_price(_table_usage(usage), entry[0], genai_request_timestamp=at).total_price)
                except (LookupError, ValueError):
                    own = None
                assert prices.cost(name, [model.id], usage, int(at.timestamp() * 1000)) == own, (provider.id, model.id, usage)
                compared += own is not None
    assert compared > 1000
