"""The price table's own arithmetic takes a tenth of a millisecond. What a call costs grows evenly with each of its counts, so a few
questions to the table tell the rates of all further calls: `TableRates(prices).rates(usage, exact)`, None where it has to be asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from addons.core.call import Usage

_Shape = tuple[bool, ...]
"""Of each count: is it not known?"""

Exact = Callable[[Usage], Decimal | None]
"""What the table itself says."""

_MOST_SAMPLED = 1_000_000  # tokens


class Linear(NamedTuple):
    """What a call costs whose cost grows evenly with each count: USD, and USD per token."""

    fixed: Decimal
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    reasoning: Decimal

    def cost(self, usage: Usage) -> Decimal:
        paid = self.fixed + (usage.input_tokens or 0) * self.input + (usage.output_tokens or 0) * self.output
        if usage.cache_read_tokens:
            paid += usage.cache_read_tokens * self.cache_read
        if usage.cache_write_tokens:
            paid += usage.cache_write_tokens * self.cache_write + (usage.cache_write_1h_tokens or 0) * self.cache_write_1h
        return paid + usage.reasoning_tokens * self.reasoning if usage.reasoning_tokens else paid


class TableRates:
    """The prices of a model at a time, as rates: the table's own arithmetic takes a tenth of a millisecond. Where it has tiers, which go by
    all input, the cost grows evenly within each."""

    def __init__(self, prices: object) -> None:
        self._prices = prices  # kept, so that its id stays its own
        values = [value for name, value in vars(prices).items() if value is not None and not name.startswith("_")]
        tiered = [value.tiers for value in values if hasattr(value, "tiers")]
        self._starts = sorted({tier.start for tiers in tiered for tier in tiers})
        self._is_plain = all(isinstance(value, Decimal) or hasattr(value, "tiers") for value in values)
        self._rates: dict[tuple[_Shape, int], Linear | None] = {}

    def rates(self, usage: Usage, exact: Exact) -> Linear | None:
        """None where the table has to be asked."""
        shape = _shape(usage) if self._is_plain else None
        if shape is None:
            return None
        tier = bisect_left(self._starts, usage.input_tokens or 0)
        key = shape, tier
        if key not in self._rates:
            self._rates[key] = self._found(usage, tier, exact)
        return self._rates[key]

    def _found(self, usage: Usage, tier: int, exact: Exact) -> Linear | None:
        """By asking the table for the least that this tier is for, and for as many tokens of each kind more."""
        least = self._starts[tier - 1] + 1 if tier else 0
        room = self._starts[tier] - least if tier < len(self._starts) else _MOST_SAMPLED
        if room < 1:
            return None
        many = 10 ** min(len(str(room)) - 1, len(str(_MOST_SAMPLED)) - 1)
        sent, got = {"input_tokens": least + many}, {"input_tokens": least, "output_tokens": many}
        written = sent | {"cache_write_tokens": many}
        asked: list[dict[str, int]] = [
            {"input_tokens": least},
            sent,
            got,
            sent | {"cache_read_tokens": many},
            written,
            written | {"cache_write_1h_tokens": many},
            got | {"reasoning_tokens": many},
        ]
        costs = [cost for counts in asked if (cost := exact(_sample(usage, counts))) is not None]
        if len(costs) < len(asked):
            return None
        nothing, input_, output, read, write, write_1h, reasoning = costs
        of_input = (input_ - nothing) / many
        rates = Linear(
            fixed=nothing - least * of_input,
            input=of_input,
            output=(output - nothing) / many,
            cache_read=(read - input_) / many,
            cache_write=(write - input_) / many,
            cache_write_1h=(write_1h - write) / many,
            reasoning=(reasoning - output) / many,
        )
        mixed = _sample(usage, _mixed(least + many // 2))
        return rates if rates.cost(mixed) == exact(mixed) else None


def _mixed(tokens: int) -> dict[str, int]:
    """Shows whether the parts of a cost do not depend on each other."""
    third = tokens // 3
    return {
        "input_tokens": tokens,
        "output_tokens": 700,
        "cache_read_tokens": third,
        "cache_write_tokens": third,
        "cache_write_1h_tokens": third // 2,
        "reasoning_tokens": 400,
    }


def _shape(usage: Usage) -> _Shape | None:
    """None where more is to be priced than tokens of text, or a part is more than its whole."""
    read, write, write_1h = usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    searches, audio = usage.web_searches, (usage.input_audio_tokens, usage.output_audio_tokens, usage.cache_read_audio_tokens)
    output, reasoning = usage.output_tokens, usage.reasoning_tokens
    if searches or any(audio) or output is None or (write_1h or 0) > (write or 0):
        return None
    if (read or 0) + (write or 0) > (usage.input_tokens or 0) or (reasoning or 0) > output:
        return None
    return tuple([count is None for count in (read, write, write_1h, reasoning, searches, *audio)])


def _sample(usage: Usage, counts: Mapping[str, int]) -> Usage:
    """These counts, others 0, as far as the usage knows them."""
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")
    known = {name: counts.get(name, 0) for name in names if getattr(usage, name) is not None}
    return replace(usage, **known)
