"""What each provider's wire looks like: one table of providers, one of API paths.

A path that a client asks for is `root` (the part that the provider's own SDK has in its base URL) + the prefix of the
family (the wire that is spoken: OpenAI's, Anthropic's …) + the rest, which `FAMILIES` names. A call moves between
providers by swapping root and prefix: OpenAI's `/v1/chat/completions` is `/api/v1/chat/completions` at OpenRouter.

Sources: the providers' API references, and the base URLs of their own SDKs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

Family = Literal["openai", "anthropic", "gemini", "ollama", "cohere", "bedrock"]
AuthStyle = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key"]


@dataclass(frozen=True, slots=True)
class Surface:
    """Where a provider speaks a family below its root, and how it wants the key there."""

    prefix: str
    auth: AuthStyle


@dataclass(frozen=True, slots=True)
class Provider:
    """`root` is what `base_url` ends with by convention; `other_roots` are further ones that clients are seen to ask for."""

    name: str
    root: str
    speaks: Mapping[Family, Surface]
    other_roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Api:
    """One API call as the tables know it: `name` is the `api` column, `rest` the path below root and prefix, query taken off.

    `model` is the model where the path names it (Gemini, Azure, Bedrock), at the place `model_at` of `rest`.
    """

    name: str
    family: Family
    rest: str
    model: str | None = None
    model_at: tuple[int, int] = (0, 0)


def _openai(root: str, *other_roots: str, **more: str) -> tuple[str, dict[Family, Surface], tuple[str, ...]]:
    """An OpenAI-compatible provider; `more` names prefixes of other families that take Bearer keys too."""
    speaks: dict[Family, Surface] = {"openai": Surface("", "bearer")}
    for family in ("anthropic", "cohere"):
        if family in more:
            speaks[family] = Surface(more[family], "bearer")
    return root, speaks, other_roots


PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("openai", *_openai("/v1", "/backend-api/codex")),  # the second: Codex signed in with ChatGPT
        Provider("anthropic", "", {"anthropic": Surface("/v1", "x-api-key"), "openai": Surface("/v1", "bearer")}),
        Provider("gemini", "", {"gemini": Surface("", "x-goog-api-key"), "openai": Surface("/v1beta/openai", "bearer")}),
        Provider("vertex", "", {"gemini": Surface("", "bearer")}),
        Provider(
            "ollama",
            "",
            {"ollama": Surface("/api", "bearer"), "openai": Surface("/v1", "bearer"), "anthropic": Surface("/v1", "bearer")},
        ),
        Provider("azure", "/openai", {"openai": Surface("", "api-key")}, ("/openai/v1",)),
        Provider("bedrock", "", {"bedrock": Surface("", "bearer"), "openai": Surface("/openai/v1", "bearer")}),
        Provider("openrouter", *_openai("/api/v1", anthropic="")),
        Provider("mistral", *_openai("/v1")),
        Provider("deepseek", *_openai("", "/v1", anthropic="/anthropic/v1")),
        Provider("groq", *_openai("/openai/v1")),
        Provider("xai", *_openai("/v1", anthropic="")),
        Provider("cohere", "", {"cohere": Surface("", "bearer"), "openai": Surface("/compatibility/v1", "bearer")}),
        Provider("perplexity", *_openai("", "/v1")),
        Provider("voyage", *_openai("/v1")),
        Provider("together", *_openai("/v1")),
        Provider("fireworks", *_openai("/inference/v1")),
    )
}
PROVIDER_NAMES: tuple[str, ...] = tuple(PROVIDERS)

# Method, path below root and prefix, `api` column. The first match wins. A group named `model` is the model in the path.
_RULES: Mapping[Family, tuple[tuple[str, str, str], ...]] = {
    "openai": (
        ("POST", r"(?:/deployments/(?P<model>[^/]+))?/chat/completions", "openai.chat"),
        ("POST", r"/(?:fim|agents)/completions", "openai.chat"),  # Mistral
        ("POST", r"(?:/deployments/(?P<model>[^/]+))?/completions", "openai.completions"),
        ("POST", r"/responses/input_tokens", "other"),  # counts, spends nothing
        ("POST", r"/responses(?:/compact|/[^/]+/cancel)?", "openai.responses"),
        ("GET", r"/responses(?:/[^/]+)?", "openai.responses"),  # a WebSocket handshake; a response that is asked for again
        ("POST", r"(?:/deployments/(?P<model>[^/]+))?/embeddings", "openai.embeddings"),
        ("POST", r"/(?:multimodal|contextualized)embeddings", "openai.embeddings"),  # Voyage
        ("POST", r"(?:/deployments/(?P<model>[^/]+))?/images/\w+", "openai.images"),
        ("POST", r"(?:/deployments/(?P<model>[^/]+))?/audio/\w+", "openai.audio"),
        ("GET", r"/realtime", "openai.realtime"),
        ("POST", r"/(?:v2/)?rerank", "openai.rerank"),  # Voyage, Jina, OpenRouter, vLLM, llama.cpp
        ("POST", r"(?:/chat)?/moderations", "openai.moderations"),  # Mistral's use tokens
        ("POST", r"/threads(?:/[^/]+)?/runs(?:/[^/]+(?:/submit_tool_outputs|/cancel)?)?", "openai.runs"),
        ("GET", r"/threads/[^/]+/runs/[^/]+", "openai.runs"),
        ("POST", r"/conversations(?:/[^/]+(?:/restart)?)?", "openai.conversations"),  # Mistral's agents
        ("GET|DELETE", r"/models(?:/.*)?", "other"),  # not POST: Gemini's `/v1/models/…:generateContent` would be taken for it
        (
            "GET|POST|DELETE",
            r"/(?:responses|files|uploads|batches|moderations|fine_tuning|assistants|threads|vector_stores|conversations|"
            r"containers|evals|realtime|videos|ocr|generation|chat/completions|deployments/[^/]+)(?:/.*)?",
            "other",
        ),
    ),
    "anthropic": (
        ("POST", r"/messages", "anthropic.messages"),
        ("GET|DELETE", r"/models(?:/.*)?", "other"),
        ("GET", r"/messages/batches/[^/]+/results", "anthropic.batches"),
        ("POST", r"/complete", "anthropic.complete"),
        ("GET|POST|DELETE", r"/(?:messages/(?:count_tokens|batches.*)|files|skills)(?:/.*)?", "other"),
    ),
    "gemini": (
        ("POST", r"/v1\w*/(?:.+/)?(?:models|tunedModels)/(?P<model>[^/:]+):(?:stream)?[gG]enerateContent", "gemini.generate"),
        ("POST", r"/v1\w*/(?:.+/)?(?:models|tunedModels)/(?P<model>[^/:]+):(?:batchE|e)mbedContents?", "gemini.embed"),
        ("POST", r"/v1\w*/(?:.+/)?interactions(?:/[^/]+/cancel)?", "gemini.interactions"),
        ("GET", r"/v1\w*/(?:.+/)?interactions/[^/]+", "gemini.interactions"),
        ("GET", r"/ws/google\.(?:ai|cloud)\..+\.BidiGenerateContent(?:Constrained)?", "gemini.live"),
        ("POST", r"/v1\w*/.+/publishers/anthropic/models/count-tokens:rawPredict", "other"),
        ("POST", r"/v1\w*/.+/publishers/anthropic/models/(?P<model>[^/:]+):(?:streamR|r)awPredict", "anthropic.messages"),
        ("POST", r"/v1\w*/.+/publishers/mistralai/models/(?P<model>[^/:]+):(?:streamR|r)awPredict", "openai.chat"),
        ("POST", r"/v1\w*/.+/endpoints/openapi/chat/completions", "openai.chat"),
        (
            "GET|POST|PATCH|DELETE",
            r"/(?:upload/)?v1\w*/(?:.+/)?(?:models|tunedModels|files|cachedContents|batches|interactions)(?:[/:].*)?",
            "other",
        ),
    ),
    "ollama": (
        ("POST", r"/chat", "ollama.chat"),
        ("POST", r"/generate", "ollama.generate"),
        ("POST", r"/embed", "ollama.embed"),
        ("GET|POST|DELETE", r"/(?:embeddings|tags|show|ps|version|pull|create|copy|delete)", "other"),
    ),
    "cohere": (
        ("POST", r"/v[12]/chat", "cohere.chat"),
        ("POST", r"/v1/(?:generate|summarize)", "cohere.generate"),
        ("POST", r"/v[12]/embed", "cohere.embed"),
        ("POST", r"/v[12]/rerank", "cohere.rerank"),
        ("POST", r"/v2/audio/transcriptions", "openai.audio"),
        ("GET|POST|DELETE", r"/v[12]/(?:models|tokenize|detokenize|classify|datasets|embed-jobs)(?:/.*)?", "other"),
    ),
    "bedrock": (
        ("POST", r"/model/(?P<model>[^/]+)/converse(?:-stream)?", "bedrock.converse"),
        ("POST", r"/model/(?P<model>[^/]+)/invoke(?:-with-response-stream)?", "bedrock.invoke"),
        ("POST", r"/model/[^/]+/count-tokens", "other"),
    ),
}
FAMILIES: Mapping[Family, tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...]] = {
    family: tuple((re.compile(method), re.compile(path), api) for method, path, api in rules) for family, rules in _RULES.items()
}

STANDARD = ("openai", "anthropic", "gemini", "ollama", "cohere")
"""Whose paths a base-URL call may be written in, whichever upstream it goes to; in the order of trial."""


def identify(provider: str, method: str, path: str) -> Api | None:
    """Which API call of this provider is it? None: a side call. `path` may have a query, which is not looked at."""
    return _identify(provider, method, path.partition("?")[0])


def identify_any(providers: Iterable[str], method: str, path: str) -> Api | None:
    """The first reading of a path that one of these providers gives; for base-URL calls."""
    return next((api for name in providers if (api := identify(name, method, path))), None)


@lru_cache(4096)
def _identify(provider: str, method: str, path: str) -> Api | None:
    spec = PROVIDERS[provider]
    for root in (spec.root, *spec.other_roots):
        for family, surface in spec.speaks.items():
            start = root + surface.prefix
            if path.startswith(start) and (api := _below(family, method, path[len(start) :])):
                return api
    return None


def _below(family: Family, method: str, rest: str) -> Api | None:
    for methods, pattern, name in FAMILIES[family]:
        if methods.fullmatch(method) and (match := pattern.fullmatch(rest)):
            if "model" not in match.groupdict() or match["model"] is None:
                return Api(name, family, rest)
            return Api(name, family, rest, unquote(match["model"]), match.span("model"))
    return None


def path_at(provider: str, base_path: str, api: Api) -> str | None:
    """The path of this call at another provider, below its base URL's own path; None where it does not speak the family."""
    surface = PROVIDERS[provider].speaks.get(api.family)
    if api.rest.startswith("/deployments/") and provider != "azure":
        return None  # a deployment is a name in somebody's Azure account, and no model of anybody else
    return None if surface is None else base_path.rstrip("/") + surface.prefix + api.rest


def auth_style(provider: str, family: Family) -> AuthStyle:
    """How a key travels to this provider in this family's calls."""
    surface = PROVIDERS[provider].speaks.get(family)
    return surface.auth if surface else "bearer"
