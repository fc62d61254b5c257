"""Is a key alive? The cheapest call that each provider refuses without a good key, and what its answer says.

Sources: the providers' API references. Nearly all list their models, for nothing. OpenRouter lists them to anybody, so its key is
asked about itself; Perplexity's list is not at its own root, so its asynchronous jobs are listed. Bedrock (at its runtime host), Vertex
and Voyage have no call that would cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from addons.core.attempt import Credential, HeaderFields, Request, Target, build
from addons.core.providers import PROVIDERS, Api, Family

Verdict = Literal["alive", "refused", "limited", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """A GET: `rest` is the path below root and prefix, as in the table of API paths."""

    family: Family
    rest: str
    query: str = ""
    headers: HeaderFields = ()


_MODELS = Check("openai", "/models")
CHECKS: Mapping[str, Check] = {
    "openai": _MODELS,
    "anthropic": Check("anthropic", "/models", "limit=1", ((b"anthropic-version", b"2023-06-01"),)),
    "gemini": Check("gemini", "/v1beta/models", "pageSize=1"),
    "ollama": Check("ollama", "/tags"),
    "azure": Check("openai", "/models", "api-version=2024-10-21"),
    "openrouter": Check("openai", "/key"),
    "mistral": _MODELS,
    "deepseek": _MODELS,
    "groq": _MODELS,
    "xai": _MODELS,
    "cohere": Check("cohere", "/v1/models", "page_size=1"),
    "perplexity": Check("openai", "/async/chat/completions"),
    "together": _MODELS,
    "fireworks": _MODELS,
}

BY_STATUS: Mapping[int, Verdict] = {401: "refused", 402: "limited", 403: "refused", 429: "limited"}
BAD_KEY = re.compile(r"API_KEY_INVALID|API key not valid|(?:incorrect|invalid)(?: |%20)api(?: |%20)key", re.IGNORECASE)
"""In a 400: Gemini and xAI say it so."""
RESTRICTED = re.compile(r"missing scopes", re.IGNORECASE)
"""OpenAI of a key that is good, but may not list models."""


def address_of(provider: str, base_url: str | None, hosts: Collection[str]) -> str | None:
    """The base URL to check a key at: the upstream's own, else its only host; None where it has several or a glob of them."""
    if base_url is not None:
        return base_url
    host = next(iter(hosts), "*")
    return f"https://{host}{PROVIDERS[provider].root}" if len(hosts) == 1 and not re.search(r"[*?\[]", host) else None


def check_of(provider: str, base_url: str, key: str) -> Request | None:
    """The request that checks a key, made as any call's is; None where the provider has no such call."""
    check = CHECKS.get(provider)
    if check is None:
        return None
    query = "" if base_url.endswith("/openai/v1") else check.query  # Azure's newer root takes no api-version
    request = Request("GET", "https", "", 443, f"{check.rest}?{query}" if query else check.rest, check.headers, None)
    return build(request, Api("other", check.family, check.rest), Target(provider, base_url), Credential("key", key))


def verdict(status: int, body: str) -> tuple[Verdict, str]:
    """What an answer says of the key, and a word on why (nothing of the body, which may quote the key)."""
    if status < 300:
        return "alive", ""
    if status in (401, 403) and RESTRICTED.search(body):
        return "alive", "it may not list models"
    if status == 400 and BAD_KEY.search(body):
        return "refused", "400"
    return BY_STATUS.get(status, "unknown"), str(status)
