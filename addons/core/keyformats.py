"""How providers' keys begin, to tell a key that was put in the wrong place. Only a hint: none is refused for it.

Sources: the providers' own documentation and consoles. Not in the table is whose keys have no mark of their own (Azure, Cohere,
Mistral, Ollama) or had none until lately (Fireworks, Together), and Vertex, whose tokens come in many forms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from addons.core.dialects.hosts import provider_of

PREFIXES: Mapping[str, tuple[str, ...]] = {
    "openai": ("sk-", "sk-proj-", "sk-svcacct-", "sk-admin-"),
    "anthropic": ("sk-ant-",),
    "gemini": ("AIza", "AQ."),
    "bedrock": ("ABSK", "bedrock-api-key-"),
    "openrouter": ("sk-or-",),
    "deepseek": ("sk-",),
    "groq": ("gsk_",),
    "xai": ("xai-",),
    "perplexity": ("pplx-",),
    "voyage": ("pa-",),
}


def misfit(provider: str, key: str, base_url: str | None = None, hosts: Collection[str] = ()) -> str | None:
    """What is odd about a key for this provider, worded to follow its name; None: nothing that is known.

    Other hosts than the provider's own (of `base_url`, without one the `hosts` that clients ask for) take keys of any form.
    With neither the provider itself is meant.
    """
    called = [urlsplit(base_url).hostname or ""] if base_url is not None else hosts
    if provider not in PREFIXES or any(provider_of(host) != provider for host in called):
        return None
    own = _longest(provider, key)
    owner = max(PREFIXES, key=lambda name: _longest(name, key))
    if own and own >= _longest(owner, key):
        return None
    seems = f", but as {owner}'s" if _longest(owner, key) else ""
    return f"does not begin as {provider}'s keys do ({PREFIXES[provider][0]}…){seems}"


def _longest(provider: str, key: str) -> int:
    """How many characters of the key are a known beginning of this provider's."""
    return max((len(prefix) for prefix in PREFIXES[provider] if key.startswith(prefix)), default=0)
