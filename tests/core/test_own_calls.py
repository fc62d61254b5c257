"""Calls that nobody has made: with which key, and where they go."""

from __future__ import annotations

import secrets

import pytest

from addons.core.keypool import KeyPool, PooledKey
from addons.core.own_calls import probe_request, spare_key

NOW = 1_800_000_000.0


def pool(*priorities: int) -> KeyPool:
    return KeyPool([PooledKey(secrets.token_hex(8), None, f"key {n}", 1.0, priority) for n, priority in enumerate(priorities)], "balanced")


def chosen(keys: KeyPool) -> str | None:
    key = spare_key(keys.keys, NOW)
    return key.label if key else None


def test_the_best_priority_is_taken_the_first_in_the_file_among_equals() -> None:
    """And nothing is leased: calls are not held up by it."""
    keys = pool(2, 1, 1)
    assert chosen(keys) == "key 1"
    assert [(state.in_flight, state.used) for state in keys.states(NOW)] == [(0, 0)] * 3


def test_a_key_that_is_locked_out_is_not_taken() -> None:
    """Until it is not any more; without another one there is none."""
    keys = pool(1, 1)
    for expected in ("key 1", None):
        lease = keys.lease(NOW, "m")
        assert lease
        keys.lock_out(lease, NOW)
        keys.release(lease, NOW)
        assert chosen(keys) == expected
    assert spare_key(keys.keys, NOW + 301) is keys.keys[0]
    assert spare_key((), NOW) is None


def test_a_key_that_rests_as_a_whole_is_the_last_choice() -> None:
    """One that only rests for a model is as good as any."""
    keys = pool(1, 2)
    lease = keys.lease(NOW, "m")
    assert lease
    keys.cool(lease, NOW, 60)
    assert chosen(keys) == "key 0"
    keys.cool(lease, NOW, 60, "*")
    assert chosen(keys) == "key 1"
    assert chosen(pool(1)) == "key 0"


@pytest.mark.parametrize(
    ("provider", "base_url", "path", "address", "header"),
    [
        ("openai", "https://api.openai.com/v1", "/v1/models", "https://api.openai.com:443/v1/models", b"Authorization"),
        ("openai", "http://[::1]:8000/v1", "/health", "http://::1:8000/v1/health", b"Authorization"),
        ("openrouter", "https://openrouter.ai/api/v1", "/v1/models", "https://openrouter.ai:443/api/v1/models", b"Authorization"),
        ("groq", "https://g.example/openai/v1", "/openai/v1/models", "https://g.example:443/openai/v1/models", b"Authorization"),
        ("anthropic", "https://api.anthropic.com", "/v1/models?limit=1", "https://api.anthropic.com:443/v1/models?limit=1", b"x-api-key"),
        ("gemini", "https://g.example", "/v1beta/models", "https://g.example:443/v1beta/models", b"x-goog-api-key"),
        ("ollama", "http://localhost:11434", "/api/tags", "http://localhost:11434/api/tags", b"Authorization"),
        ("ollama", "http://localhost:11434", "/", "http://localhost:11434/", b"Authorization"),
    ],
)
def test_a_probe_goes_where_a_base_url_call_would(provider: str, base_url: str, path: str, address: str, header: bytes) -> None:
    """The provider's root is taken off the path and the rest joined to the base URL; the key goes in as in any call."""
    key = PooledKey(secrets.token_hex(8), None, "key")
    request = probe_request(provider, base_url, path, key)
    assert f"{request.scheme}://{request.host}:{request.port}{request.path}" == address
    assert [name for name, value in request.headers if key.value.encode() in value] == [header]
    assert ((b"anthropic-version", b"2023-06-01") in request.headers) == (provider == "anthropic")


def test_without_a_key_a_probe_has_no_credential() -> None:
    """It still tells whether anybody answers."""
    assert probe_request("openai", "https://api.openai.com/v1", "/v1/models", None).headers == ()
