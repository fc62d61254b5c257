"""How each provider is asked for its models, and what its answer means."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.attempt import NONE, OWN, Credential
from addons.core.listing import LONGEST_ID, NO_LIST, Listed, NotAList, family_of, list_request, own_headers, read_list
from addons.core.providers import PROVIDER_NAMES

KEY = secrets.token_hex(16)

OPENAI = {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}]}
TOGETHER = [{"id": "meta-llama/Llama-3-8b", "object": "model", "created": 0, "type": "chat"}]
ANTHROPIC = {
    "data": [{"type": "model", "id": "claude-x", "display_name": "Claude X", "created_at": "2025-09-29T00:00:00Z"}],
    "has_more": False,
}
GEMINI = {"models": [{"name": "models/gemini-x", "displayName": "Gemini X", "supportedGenerationMethods": ["generateContent"]}]}
OLLAMA = {"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest", "modified_at": "2025-01-01T00:00:00.123456789+01:00"}]}
COHERE = {"models": [{"name": "command-r", "endpoints": ["chat"], "context_length": 128000}], "next_page_token": ""}


@pytest.mark.parametrize(
    ("provider", "base_url", "address", "header"),
    [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com:443/v1/models", "Authorization: Bearer "),
        ("openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai:443/api/v1/models", "Authorization: Bearer "),
        ("groq", "https://api.groq.com/openai/v1", "https://api.groq.com:443/openai/v1/models", "Authorization: Bearer "),
        ("openai", "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/models", "Authorization: Bearer "),
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com:443/v1/models?limit=1000", "x-api-key: "),
        ("gemini", "https://g.example", "https://g.example:443/v1beta/models?pageSize=1000", "x-goog-api-key: "),
        ("ollama", "http://localhost:11434", "http://localhost:11434/api/tags", "Authorization: Bearer "),
        ("cohere", "https://api.cohere.com", "https://api.cohere.com:443/v1/models?page_size=1000", "Authorization: Bearer "),
    ],
)
def test_each_provider_is_asked_in_its_way(provider: str, base_url: str, address: str, header: str) -> None:
    """At its own path, with the key where it wants it."""
    request = list_request(provider, base_url, Credential("key", KEY))
    assert (request.method, f"{request.scheme}://{request.host}:{request.port}{request.path}") == ("GET", address)
    assert f"{header}{KEY}" in [f"{name.decode()}: {value.decode()}" for name, value in request.headers]
    assert ((b"anthropic-version", b"2023-06-01") in request.headers) == (provider == "anthropic")
    assert KEY not in str(list_request(provider, base_url, NONE).headers)


def test_every_provider_is_asked_or_has_a_reason() -> None:
    """A new one must be thought of: its own wire is one that is asked, or it stands among those that are not."""
    asked = {"openai", "anthropic", "gemini", "ollama", "cohere"}
    assert [name for name in PROVIDER_NAMES if name not in NO_LIST and family_of(name) not in asked] == []


@pytest.mark.parametrize(
    ("provider", "answer", "listed"),
    [
        ("openai", OPENAI, Listed("gpt-4o", 1715367049, "system")),
        ("together", TOGETHER, Listed("meta-llama/Llama-3-8b")),
        ("anthropic", ANTHROPIC, Listed("claude-x", 1759104000, None, "Claude X")),
        ("gemini", GEMINI, Listed("gemini-x", None, None, "Gemini X")),
        ("ollama", OLLAMA, Listed("llama3.2:latest", 1735686000)),
        ("cohere", COHERE, Listed("command-r")),
    ],
)
def test_each_shape_is_read(provider: str, answer: Any, listed: Listed) -> None:
    """Into the same values."""
    assert read_list(provider, json.dumps(answer).encode()) == (listed,)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data": {}}', b'{"models": []}', b'"data"', b"null"])
def test_what_is_no_list_is_told(body: bytes) -> None:
    """A captive portal, say; an empty list is one."""
    with pytest.raises(NotAList):
        read_list("openai", body)
    assert read_list("openai", b'{"data": []}') == ()


def test_what_is_odd_in_a_list_is_left_out() -> None:
    """A model that is named twice stands once; what has no name, or an absurd one, does not; times that are none are unknown."""
    rows: list[Any] = [
        {"id": "a", "created": 5},
        {"id": "a", "created": 6},
        {"id": ""},
        {"id": 7},
        {"id": "x" * (LONGEST_ID + 1)},
        "b",
        None,
        {"id": "c", "created": "yesterday", "owned_by": 3},
        {"id": "d", "created": 1e300},
        {"id": "e", "created": "0001-01-01T00:00:00Z"},
        {"id": "f", "created": True},
    ]
    found = read_list("openai", json.dumps({"data": rows}).encode())
    assert found == (Listed("a", 5), Listed("c"), Listed("d"), Listed("e"), Listed("f"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "models", "id", "name", "created", "created_at"]), inner),
)


@given(JSON, st.sampled_from([name for name in PROVIDER_NAMES if name not in NO_LIST]))
def test_nothing_that_comes_is_an_error_of_ours(value: Any, provider: str) -> None:
    """It is a list or it is none."""
    try:
        found = read_list(provider, json.dumps(value).encode())
    except NotAList:
        return
    assert len({listed.id for listed in found}) == len(found)


@pytest.mark.parametrize("header", [b"Authorization", b"x-api-key", b"api-key", b"x-goog-api-key"])
def test_a_clients_own_credential_goes_as_it_came(header: bytes) -> None:
    """With what belongs to it; nothing else of what the client sent, least of all its cookies."""
    belonging = ((b"OpenAI-Organization", b"org"), (b"anthropic-beta", b"oauth-2025-04-20"))
    sent = ((header, KEY.encode()), *belonging, (b"Cookie", b"a=b"), (b"X-Team", b"t"), (b"Proxy-Authorization", b"Basic x"))
    own = own_headers(sent, "/proxy/v1/models", "openai")
    assert own == ((header, KEY.encode()), *belonging)
    request = list_request("openai", "https://api.openai.com/v1", OWN, own)
    assert set(own) <= set(request.headers)


def test_a_key_in_the_query_becomes_a_header() -> None:
    """As the provider wants it: the list's own query is ours."""
    assert own_headers((), f"/proxy/v1/models?key={KEY}", "gemini") == ((b"x-goog-api-key", KEY.encode()),)
    assert own_headers(((b"Authorization", b""),), f"/proxy/v1/models?key={KEY}", "openai") == (
        (b"Authorization", b"Bearer " + KEY.encode()),
    )


def test_without_a_credential_nothing_goes_along() -> None:
    """Not even the organization's name."""
    assert own_headers(((b"OpenAI-Organization", b"org"), (b"Cookie", b"a=b")), "/proxy/v1/models", "openai") == ()
