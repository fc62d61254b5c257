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

_COSTS = {"cost", "cost_in_usd_ticks"}

_FORMS: dict[str, Paths] = {
    "input": INPUT,
    "output": OUTPUT,
    "read": CACHE_READ,
    "write": CACHE_WRITE,
    "write_1h": CACHE_WRITE_1H,
    "reasoning": REASONING,
    "audio_in": AUDIO_IN,
    "audio_out": AUDIO_OUT,
    "audio_cached": AUDIO_CACHED,
}


def _by_first_key() -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Key at the top → what may lie under it, and where: a usage has few of the keys that there are."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for name, paths in _FORMS.items():
        for first, *rest in paths:
            found.setdefault(first, []).append((name, tuple(rest)))
    return found


_BY_FIRST_KEY = _by_first_key()


def usage_of(found: dict[str, Any]) -> Usage:
    """What a `usage` object says."""
    counts = _counts(found)
    return Usage(
        input_tokens=counts.get("input"),
        output_tokens=_output(found, counts),
        cache_read_tokens=counts.get("read"),
        cache_write_tokens=counts.get("write"),
        cache_write_1h_tokens=counts.get("write_1h"),
        reasoning_tokens=counts.get("reasoning"),
        input_audio_tokens=counts.get("audio_in") or None,
        output_audio_tokens=counts.get("audio_out") or None,
        cache_read_audio_tokens=counts.get("audio_cached") or None,
        cost_usd=cost_of(found),
    )


def cost_of(found: dict[str, Any]) -> float | None:
    """The provider's own figure in USD: a number (OpenRouter, Vercel), an object (Perplexity) or xAI's ticks."""
    if not found.keys() & _COSTS:
        return None
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


def _output(found: dict[str, Any], counts: dict[str, int]) -> int | None:
    """xAI's chat answers count reasoning outside `completion_tokens`; only the total tells."""
    output, reasoning = counts.get("output"), counts.get("reasoning")
    if output is None or not reasoning:
        return output
    total, given = count(found, "total_tokens"), counts.get("input")
    outside = total is not None and given is not None and total == given + output + reasoning
    return output + reasoning if outside else output


def _counts(found: dict[str, Any]) -> dict[str, int]:
    """The largest of the counts that are there of each kind: a provider that uses two names may leave zero under one."""
    counts: dict[str, int] = {}
    for key, value in found.items():
        for name, path in _BY_FIRST_KEY.get(key, ()):
            known = count(value, *path)
            if known is not None and known >= counts.get(name, 0):
                counts[name] = known
    return counts


def usage_in(value: dict[str, Any]) -> dict[str, Any]:
    """The `usage` object of an answer or chunk: at the top, else where Groq's streams have a second copy (`x_groq`), else in the
    last choice of Moonshot's streams."""
    found = value.get("usage")
    if isinstance(found, dict) and found:
        return found
    if "x_groq" in value and (found := obj(value, "x_groq", "usage")):
        return found
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None  # looked up right here, since every event of a stream asks
    found = first.get("usage") if isinstance(first, dict) else None
    return found if isinstance(found, dict) else {}
