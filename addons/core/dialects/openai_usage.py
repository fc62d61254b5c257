"""Token counts in the forms that OpenAI and those who follow it use; one table, read by one function.

Sources: the providers' API references and their recorded answers.
"""

from __future__ import annotations

from typing import Any

from addons.core.call import Usage
from addons.core.jsonvalues import count, number, obj

Paths = tuple[tuple[str, ...], ...]

INPUT: Paths = (("prompt_tokens",), ("input_tokens",))
OUTPUT: Paths = (("completion_tokens",), ("output_tokens",))
CACHE_READ: Paths = (
    ("prompt_tokens_details", "cached_tokens"),  # OpenAI; parts of the prompt in all of these
    ("input_tokens_details", "cached_tokens"),  # OpenAI responses
    ("prompt_token_details", "cached_tokens"),  # OpenAI assistants, Writer, Mistral's second name
    ("input_token_details", "cached_tokens"),  # OpenAI realtime
    ("num_cached_tokens",),  # Mistral's third name
    ("prompt_cache_hit_tokens",),  # DeepSeek: hit + miss = prompt
    ("cached_tokens",),  # Moonshot, Together
    ("cache_read_input_tokens",),  # Anthropic models behind gateways that keep OpenAI's totals
)
CACHE_WRITE: Paths = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("input_tokens_details", "cache_write_tokens"),
    ("cache_creation_input_tokens",),
    ("prompt_tokens_details", "cache_creation_input_tokens"),  # Alibaba
)
CACHE_WRITE_1H: Paths = (
    ("cache_creation", "ephemeral_1h_input_tokens"),
    ("prompt_tokens_details", "cache_creation", "ephemeral_1h_input_tokens"),
)
REASONING: Paths = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("completion_token_details", "reasoning_tokens"),
    ("output_token_details", "reasoning_tokens"),
    ("reasoning_tokens",),  # Copilot, Perplexity
)
AUDIO_IN: Paths = (
    ("prompt_tokens_details", "audio_tokens"),
    ("input_token_details", "audio_tokens"),
    ("input_tokens_details", "audio_tokens"),
)
AUDIO_OUT: Paths = (
    ("completion_tokens_details", "audio_tokens"),
    ("output_token_details", "audio_tokens"),
    ("output_tokens_details", "audio_tokens"),
)
AUDIO_CACHED: Paths = (("input_token_details", "cached_tokens_details", "audio_tokens"),)
XAI_TICKS_PER_USD = 1e10  # docs.x.ai, "cost_in_usd_ticks"


def usage_of(found: dict[str, Any]) -> Usage:
    """What a `usage` object says."""
    reasoning = _most(found, REASONING)
    return Usage(
        input_tokens=_most(found, INPUT),
        output_tokens=_output(found, reasoning),
        cache_read_tokens=_most(found, CACHE_READ),
        cache_write_tokens=_most(found, CACHE_WRITE),
        cache_write_1h_tokens=_most(found, CACHE_WRITE_1H),
        reasoning_tokens=reasoning,
        input_audio_tokens=_most(found, AUDIO_IN) or None,
        output_audio_tokens=_most(found, AUDIO_OUT) or None,
        cache_read_audio_tokens=_most(found, AUDIO_CACHED) or None,
        cost_usd=cost_of(found),
    )


def cost_of(found: dict[str, Any]) -> float | None:
    """The provider's own figure in USD: a number (OpenRouter, Vercel), an object (Perplexity) or xAI's ticks."""
    cost = number(found, "cost")
    if cost is None:
        cost = number(found, "cost", "total_cost")
    if cost is None and (ticks := number(found, "cost_in_usd_ticks")) is not None:
        cost = ticks / XAI_TICKS_PER_USD
    return cost


def better(old: Usage, new: Usage) -> Usage:
    """Usage may come several times in a stream: the last one counts, except that nothing and zeros take nothing away."""
    if not new.known and new.cost_usd is None:
        return old
    return new if (new.input_tokens or new.output_tokens or not old.known) else old


def _output(found: dict[str, Any], reasoning: int | None) -> int | None:
    """xAI's chat answers count reasoning outside `completion_tokens`; only the total tells."""
    output = _most(found, OUTPUT)
    if not output and output != 0:
        return output
    total, given = count(found, "total_tokens"), _most(found, INPUT)
    outside = bool(reasoning) and total is not None and given is not None and total == given + output + (reasoning or 0)
    return output + (reasoning or 0) if outside else output


def _most(found: dict[str, Any], paths: Paths) -> int | None:
    """The largest of the counts that are there: a provider that uses two names may leave zero under one."""
    counts = [value for path in paths if (value := count(found, *path)) is not None]
    return max(counts, default=None)


def usage_in(value: dict[str, Any]) -> dict[str, Any]:
    """The `usage` object of an answer or chunk: at the top, else where Groq's streams have a second copy (`x_groq`), else in the
    last choice of Moonshot's streams."""
    found = value.get("usage")
    if isinstance(found, dict) and found:
        return found
    return obj(value, "x_groq", "usage") or obj(value, "choices", 0, "usage")
