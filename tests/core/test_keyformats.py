"""How keys begin."""

from __future__ import annotations

import secrets

import pytest

from addons.core.keyformats import PREFIXES, misfit
from addons.core.providers import PROVIDERS

REST = secrets.token_hex(16)


@pytest.mark.parametrize(("provider", "prefix"), [(provider, prefix) for provider, prefixes in PREFIXES.items() for prefix in prefixes])
def test_a_key_of_the_providers_own_form_fits(provider: str, prefix: str) -> None:
    """Each of its forms, also where another provider's begin likewise."""
    assert misfit(provider, prefix + REST) is None


@pytest.mark.parametrize(
    ("provider", "prefix", "seems"),
    [
        ("openai", "sk-ant-", "anthropic"),
        ("openai", "sk-or-", "openrouter"),
        ("openai", "gsk_", "groq"),
        ("deepseek", "sk-proj-", "openai"),
        ("anthropic", "sk-", "openai"),
        ("openrouter", "sk-", "openai"),
        ("groq", "xai-", "xai"),
        ("gemini", "sk-ant-", "anthropic"),
    ],
)
def test_anothers_key_is_recognised(provider: str, prefix: str, seems: str) -> None:
    """By the longest beginning that is known."""
    told = misfit(provider, prefix + REST)
    assert told == f"does not begin as {provider}'s keys do ({PREFIXES[provider][0]}…), but as {seems}'s"


def test_a_key_of_no_known_form_is_odd() -> None:
    """Where the provider's have one; nothing of the key is told."""
    told = misfit("openai", REST)
    assert told == "does not begin as openai's keys do (sk-…)"
    assert misfit("mistral", REST) is None


@pytest.mark.parametrize(
    ("base_url", "hosts", "odd"),
    [
        (None, (), True),
        ("https://api.openai.com/v1", ("llm.internal",), True),
        ("https://eu.api.openai.com/v1", (), True),
        (None, ("api.openai.com",), True),
        (None, ("api.openai.com", "llm.internal"), False),
        ("http://127.0.0.1:8000/v1", ("api.openai.com",), False),
        ("https://llm.example.com/v1", (), False),
        ("https://openrouter.ai/api/v1", (), False),
        ("https://api.openai.com.example.com/v1", (), False),
    ],
)
def test_other_hosts_take_any_key(base_url: str | None, hosts: tuple[str, ...], odd: bool) -> None:
    """Compatible servers have keys of their own; `base_url` says where keys go, without it the hosts."""
    assert (misfit("openai", REST, base_url, hosts) is not None) == odd


def test_the_table_names_known_providers() -> None:
    """None twice in another spelling."""
    assert set(PREFIXES) <= set(PROVIDERS)
