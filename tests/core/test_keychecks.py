"""Which call tells whether a key is alive, and what its answer says."""

from __future__ import annotations

import secrets

import pytest

from addons.core.keychecks import CHECKS, address_of, check_of, verdict
from addons.core.providers import PROVIDERS

KEY = secrets.token_hex(16)


@pytest.mark.parametrize(
    ("provider", "base_url", "url", "header"),
    [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com:443/v1/models", ("Authorization", f"Bearer {KEY}")),
        ("openai", "http://[::1]:8000/v1", "http://::1:8000/v1/models", ("Authorization", f"Bearer {KEY}")),
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com:443/v1/models?limit=1", ("x-api-key", KEY)),
        (
            "gemini",
            "https://generativelanguage.googleapis.com",
            "https://generativelanguage.googleapis.com:443/v1beta/models?pageSize=1",
            ("x-goog-api-key", KEY),
        ),
        (
            "azure",
            "https://mine.openai.azure.com/openai",
            "https://mine.openai.azure.com:443/openai/models?api-version=2024-10-21",
            ("api-key", KEY),
        ),
        ("azure", "https://mine.openai.azure.com/openai/v1", "https://mine.openai.azure.com:443/openai/v1/models", ("api-key", KEY)),
        ("ollama", "http://127.0.0.1:11434", "http://127.0.0.1:11434/api/tags", ("Authorization", f"Bearer {KEY}")),
        ("openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai:443/api/v1/key", ("Authorization", f"Bearer {KEY}")),
        ("deepseek", "https://api.deepseek.com", "https://api.deepseek.com:443/models", ("Authorization", f"Bearer {KEY}")),
        ("groq", "https://api.groq.com/openai/v1", "https://api.groq.com:443/openai/v1/models", ("Authorization", f"Bearer {KEY}")),
        ("cohere", "https://api.cohere.com", "https://api.cohere.com:443/v1/models?page_size=1", ("Authorization", f"Bearer {KEY}")),
    ],
)
def test_the_call_is_the_providers_own(provider: str, base_url: str, url: str, header: tuple[str, str]) -> None:
    """A GET without a body, below the upstream's base URL, the key in the provider's style and nowhere else."""
    request = check_of(provider, base_url, KEY)
    assert request is not None
    assert f"{request.scheme}://{request.host}:{request.port}{request.path}" == url
    assert (request.method, request.body) == ("GET", None)
    headers = [(name.decode(), value.decode()) for name, value in request.headers]
    assert [pair for pair in headers if KEY in pair[1]] == [header]
    assert KEY not in request.path


def test_anthropic_is_told_the_version() -> None:
    """It refuses calls without."""
    request = check_of("anthropic", "https://api.anthropic.com", KEY)
    assert request and dict(request.headers)[b"anthropic-version"] == b"2023-06-01"


def test_where_no_call_is_free_there_is_none() -> None:
    """All other providers of the table have one."""
    assert [name for name in PROVIDERS if check_of(name, "https://host", KEY) is None] == ["vertex", "bedrock", "voyage"]
    assert set(CHECKS) <= set(PROVIDERS)


@pytest.mark.parametrize(
    ("provider", "base_url", "hosts", "expected"),
    [
        ("openai", "http://127.0.0.1:9/v1", ("api.openai.com",), "http://127.0.0.1:9/v1"),
        ("openai", None, ("api.openai.com",), "https://api.openai.com/v1"),
        ("anthropic", None, ("api.anthropic.com",), "https://api.anthropic.com"),
        ("azure", None, ("*.openai.azure.com",), None),
        ("openai", None, ("a.example.com", "b.example.com"), None),
        ("openai", None, (), None),
    ],
)
def test_a_key_is_checked_at_its_own_upstream(provider: str, base_url: str | None, hosts: tuple[str, ...], expected: str | None) -> None:
    """At its base URL, or at the one host that it has; nowhere where that is not known."""
    assert address_of(provider, base_url, hosts) == expected


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, "", "alive"),
        (204, "", "alive"),
        (401, '{"error": {"message": "Incorrect API key provided"}}', "refused"),
        (403, "", "refused"),
        (403, "You have insufficient permissions for this operation. Missing scopes: api.model.read.", "alive"),
        (401, "You have insufficient permissions for this operation. Missing scopes: model.read.", "alive"),
        (400, '{"error": {"details": [{"reason": "API_KEY_INVALID"}]}}', "refused"),
        (400, '{"code": "Client specified an invalid argument", "error": "Incorrect API key provided: na***ys."}', "refused"),
        (400, "Incorrect%20API%20key%20provided", "refused"),
        (400, "no such parameter", "unknown"),
        (402, "", "limited"),
        (429, "", "limited"),
        (301, "", "unknown"),
        (404, "", "unknown"),
        (500, "Missing scopes", "unknown"),
        (529, "", "unknown"),
    ],
)
def test_an_answer_says_what_the_key_is_worth(status: int, body: str, result: str) -> None:
    """By status, and by the words of those that refuse a key with another one; the note holds nothing of the body."""
    found, note = verdict(status, body)
    assert found == result
    assert note in ("", str(status), "it may not list models")
