"""Token counts in OpenAI's forms: every name, and the arithmetic that providers disagree on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.call import Usage
from addons.core.dialects.openai_usage import _FORMS, _counts, better, usage_in, usage_of
from addons.core.jsonvalues import count

BASE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@pytest.mark.parametrize(
    "cached",
    [
        {"prompt_tokens_details": {"cached_tokens": 4}},
        {"prompt_token_details": {"cached_tokens": 4}},
        {"num_cached_tokens": 4},
        {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
        {"cached_tokens": 4},
        {"prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}},
    ],
)
def test_cached_tokens_have_many_names_and_are_part_of_the_prompt(cached: dict[str, Any]) -> None:
    """Mistral's three, DeepSeek's hit and miss, Moonshot's; two names at once count once."""
    assert usage_of({**BASE, **cached}) == Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4)


def test_xais_reasoning_lies_outside_its_completion_tokens() -> None:
    """Where the total says so it is added; where it does not (OpenAI, a gateway that left it out of its total) it is not."""
    details = {"completion_tokens_details": {"reasoning_tokens": 7}}
    assert usage_of({**BASE, **details, "total_tokens": 22}).output_tokens == 12
    assert usage_of({**BASE, **details}).output_tokens == 5
    assert usage_of({**BASE, **details, "total_tokens": None}).output_tokens == 5


def test_money_as_providers_name_it() -> None:
    """OpenRouter's number, Perplexity's object, xAI's ticks."""
    assert usage_of({**BASE, "cost": 0.5}).cost_usd == 0.5
    assert usage_of({**BASE, "cost": {"total_cost": 0.25}}).cost_usd == 0.25
    assert usage_of({**BASE, "cost_in_usd_ticks": 5_000_000_000}).cost_usd == 0.5


def test_unknown_is_not_zero() -> None:
    """Nothing and wrong types are None; a later report without counts does not replace one with."""
    assert usage_of({}) == usage_of({"prompt_tokens": None, "completion_tokens": "x", "cost": "y"}) == Usage()
    known = usage_of(BASE)
    assert better(known, Usage()) == better(known, Usage(input_tokens=0, output_tokens=0)) == known
    assert better(known, Usage(input_tokens=11, output_tokens=6)).input_tokens == 11


def test_names_of_moonshot_and_alibaba() -> None:
    """Moonshot's streams have the usage in the last choice; Alibaba tells cache writes among the details."""
    assert usage_in({"choices": [{"usage": {"prompt_tokens": 19}}]}) == {"prompt_tokens": 19}
    details = {"cache_creation_input_tokens": 2048, "cache_creation": {"ephemeral_5m_input_tokens": 2048}}
    assert usage_of({"prompt_tokens": 3000, "completion_tokens": 1, "prompt_tokens_details": details}).cache_write_tokens == 2048


def test_audio_tokens_are_told() -> None:
    """They are part of the totals, and priced apart."""
    usage = usage_of(
        {"input_tokens": 9, "output_tokens": 5, "input_token_details": {"audio_tokens": 4}, "output_token_details": {"audio_tokens": 3}}
    )
    assert (usage.input_audio_tokens, usage.output_audio_tokens) == (4, 3)


KEYS = sorted({step for paths in _FORMS.values() for path in paths for step in path})
VALUES = st.integers(-2, 9) | st.sampled_from([None, "7", True, 2.0, "x"])


@given(
    st.dictionaries(
        st.sampled_from(KEYS), VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES))
    )
)
def test_counts_are_the_largest_under_any_name(found: dict[str, Any]) -> None:
    """As looking for each name of each kind would tell."""
    known = {name: [value for path in paths if (value := count(found, *path)) is not None] for name, paths in _FORMS.items()}
    assert _counts(found) == {name: max(values) for name, values in known.items() if values}
