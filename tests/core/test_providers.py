"""The table of providers: what is an API call, and where it lies at another provider."""

import pytest

from addons.core.providers import PROVIDERS, identify, path_at


@pytest.mark.parametrize(
    ("provider", "method", "path", "api"),
    [
        ("openai", "POST", "/v1/chat/completions", "openai.chat"),
        ("openai", "POST", "/v1/chat/completions?x=1", "openai.chat"),
        ("openai", "POST", "/v1/responses", "openai.responses"),
        ("openai", "GET", "/v1/responses/resp_1", "openai.responses"),
        ("openai", "POST", "/v1/embeddings", "openai.embeddings"),
        ("openai", "GET", "/v1/models", "other"),
        ("openai", "POST", "/v1/responses/input_tokens", "other"),
        ("openai", "POST", "/v1/responses/compact", "openai.responses"),
        ("openai", "POST", "/v1/responses/resp_1/cancel", "openai.responses"),
        ("openai", "GET", "/v1/responses/resp_1/input_items", "other"),
        ("openai", "DELETE", "/v1/responses/resp_1", "other"),
        ("openai", "POST", "/v1/threads/thread_1/runs", "openai.runs"),
        ("openai", "POST", "/v1/threads/runs", "openai.runs"),
        ("openai", "GET", "/v1/threads/thread_1/runs/run_1", "openai.runs"),
        ("openai", "GET", "/v1/threads/thread_1/messages", "other"),
        ("mistral", "POST", "/v1/chat/moderations", "openai.moderations"),
        ("mistral", "POST", "/v1/ocr", "other"),
        ("mistral", "POST", "/v1/conversations", "openai.conversations"),
        ("voyage", "POST", "/v1/rerank", "openai.rerank"),
        ("anthropic", "POST", "/v1/complete", "anthropic.complete"),
        ("anthropic", "GET", "/v1/messages/batches/b/results", "anthropic.batches"),
        ("anthropic", "POST", "/v1/messages/batches", "other"),
        ("gemini", "POST", "/v1beta/models/m:embedContent", "gemini.embed"),
        ("gemini", "POST", "/v1beta/models/m:batchEmbedContents", "gemini.embed"),
        ("gemini", "POST", "/v1beta/models/m:batchGenerateContent", "other"),
        ("gemini", "POST", "/v1beta/interactions", "gemini.interactions"),
        ("gemini", "GET", "/v1beta/interactions/v1_x", "gemini.interactions"),
        ("gemini", "POST", "/v1beta/cachedContents", "other"),
        ("gemini", "GET", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", "gemini.live"),
        ("vertex", "POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict", "anthropic.messages"),
        ("vertex", "POST", "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict", "other"),
        ("vertex", "POST", "/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict", "openai.chat"),
        ("vertex", "POST", "/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "openai.chat"),
        ("cohere", "POST", "/v2/embed", "cohere.embed"),
        ("cohere", "POST", "/v1/rerank", "cohere.rerank"),
        ("bedrock", "POST", "/model/m/invoke-with-response-stream", "bedrock.invoke"),
        ("bedrock", "POST", "/model/m/count-tokens", "other"),
        ("openai", "POST", "/backend-api/codex/responses", "openai.responses"),
        ("openai", "POST", "/backend-api/telemetry", None),
        ("openai", "GET", "/v1/chat/completionsX", None),
        ("anthropic", "POST", "/v1/messages?beta=true", "anthropic.messages"),
        ("anthropic", "POST", "/v1/messages/count_tokens", "other"),
        ("anthropic", "POST", "/api/event_logging/v2/batch", None),
        ("anthropic", "GET", "/mcp-registry/v0/servers", None),
        ("gemini", "POST", "/v1beta/models/gemini-2.5-pro:generateContent", "gemini.generate"),
        ("gemini", "POST", "/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini.generate"),
        ("gemini", "POST", "/v1beta/models/gemini-2.5-pro:countTokens", "other"),
        ("gemini", "POST", "/v1beta/openai/chat/completions", "openai.chat"),
        ("vertex", "POST", "/v1/projects/p/locations/l/publishers/google/models/m:generateContent", "gemini.generate"),
        ("ollama", "POST", "/api/chat", "ollama.chat"),
        ("ollama", "POST", "/v1/chat/completions", "openai.chat"),
        ("azure", "POST", "/openai/deployments/gpt/chat/completions?api-version=1", "openai.chat"),
        ("azure", "POST", "/openai/v1/responses", "openai.responses"),
        ("openrouter", "POST", "/api/v1/chat/completions", "openai.chat"),
        ("openrouter", "POST", "/v1/chat/completions", None),
        ("deepseek", "POST", "/chat/completions", "openai.chat"),
        ("deepseek", "POST", "/anthropic/v1/messages", "anthropic.messages"),
        ("groq", "POST", "/openai/v1/chat/completions", "openai.chat"),
        ("bedrock", "POST", "/model/anthropic.claude/converse-stream", "bedrock.converse"),
        ("cohere", "POST", "/v2/chat", "cohere.chat"),
    ],
)
def test_identify(provider: str, method: str, path: str, api: str | None) -> None:
    """Method and path decide what is a call; everything else on the host is a side call (DESIGN §2b)."""
    found = identify(provider, method, path)
    assert (found and found.name) == api


def test_path_names_the_model() -> None:
    """Gemini and Azure have the model in the path."""
    gemini = identify("gemini", "POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent")
    azure = identify("azure", "POST", "/openai/deployments/mine/chat/completions")
    assert gemini and gemini.model == "gemini-2.5-pro"
    assert azure and azure.model == "mine"


@pytest.mark.parametrize(
    ("source", "path", "target", "base_path", "expected"),
    [
        ("openai", "/v1/chat/completions", "openrouter", "/api/v1", "/api/v1/chat/completions"),
        ("openai", "/v1/chat/completions", "ollama", "", "/v1/chat/completions"),
        ("openai", "/v1/responses", "groq", "/openai/v1/", "/openai/v1/responses"),
        ("anthropic", "/v1/messages", "anthropic", "", "/v1/messages"),
        ("anthropic", "/v1/messages", "openrouter", "/api/v1", "/api/v1/messages"),
        ("deepseek", "/v1/chat/completions", "openai", "/v1", "/v1/chat/completions"),
        ("gemini", "/v1beta/models/m:generateContent", "gemini", "", "/v1beta/models/m:generateContent"),
        ("ollama", "/api/chat", "openai", "/v1", None),
    ],
)
def test_path_at_another_provider(source: str, path: str, target: str, base_path: str, expected: str | None) -> None:
    """Root and prefix are swapped (DESIGN §3); a family that the target does not speak has no path there."""
    api = identify(source, "POST", path)
    assert api is not None
    assert path_at(target, base_path, api) == expected


def test_every_provider_finds_its_own_way_back() -> None:
    """A call at a provider's own root and prefix is identified there as the family that was meant."""
    examples = {
        "openai": "/chat/completions",
        "anthropic": "/messages",
        "gemini": "/v1beta/models/m:generateContent",
        "ollama": "/chat",
        "cohere": "/v2/chat",
        "bedrock": "/model/m/converse",
    }
    for provider in PROVIDERS.values():
        for family, surface in provider.speaks.items():
            api = identify(provider.name, "POST", provider.root + surface.prefix + examples[family])
            assert api and api.family == family, provider.name


def test_a_deployment_is_nobody_elses_path() -> None:
    """A name in an Azure account says nothing to another provider."""
    api = identify("azure", "POST", "/openai/deployments/mine/chat/completions")
    assert api is not None
    assert path_at("openai", "/v1", api) is None
    assert path_at("azure", "/openai", api) == "/openai/deployments/mine/chat/completions"
