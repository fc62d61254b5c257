"""Which dialect answers which path: one table per way of naming things."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from scripts.fake_provider import anthropic, gemini, ollama, openai_chat, openai_more, openai_responses
from scripts.fake_provider.http1 import Request
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.known_errors import Dialect
from scripts.fake_provider.prompt import Prompt
from scripts.fake_provider.speech import Speech
from scripts.fake_provider.wording import Body

Talk = Callable[[Prompt, Speech, Knobs], Body]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a request: `talk` to a prompt, or a `fixed` body. `model` and `stream` where the path says them."""

    dialect: Dialect
    talk: Talk | None = None
    fixed: Callable[[], Body] | None = None
    model: str | None = None
    stream: bool | None = None


OPENAI_ROOTS = ("/api/v1", "/openai/v1", "/v1", "")
"""Roots under which OpenAI's paths are answered: OpenRouter's, Groq's, its own, none; the longest first."""

POSTS: dict[str, Route] = {
    "/chat/completions": Route("openai", openai_chat.answer),
    "/responses": Route("responses", openai_responses.answer),
    "/responses/input_tokens": Route("responses", openai_responses.input_tokens),
    "/completions": Route("openai", openai_more.completion),
    "/embeddings": Route("openai", openai_more.embeddings),
    "/messages": Route("anthropic", anthropic.answer),
    "/messages/count_tokens": Route("anthropic", anthropic.count_tokens),
    "/api/chat": Route("ollama", ollama.chat),
    "/api/generate": Route("ollama", ollama.generate),
    "/api/embed": Route("ollama", ollama.embed),
}
GETS: dict[str, Route] = {
    "/models": Route("openai", fixed=openai_more.models),
    "/api/tags": Route("ollama", fixed=ollama.tags),
}
ANTHROPIC_MODELS = Route("anthropic", fixed=anthropic.models)
GEMINI_MODELS = Route("gemini", fixed=gemini.models)

GEMINI_PATH = re.compile(r"^/(?:v1|v1beta)/models/(?P<model>.+):(?P<method>[A-Za-z]+)$")
GEMINI_TALKS: dict[str, Talk] = {
    "generateContent": gemini.generate,
    "streamGenerateContent": gemini.stream_array,
    "countTokens": gemini.count_tokens,
    "embedContent": gemini.embed,
    "batchEmbedContents": gemini.embed_batch,
}


def find_route(request: Request) -> Route | None:
    """The route of a request, None for a path or method that nobody here answers."""
    parts = urlsplit(request.target)
    if request.method == "GET":
        return _find_list(request, parts.path)
    if request.method != "POST":
        return None
    gemini_call = GEMINI_PATH.match(unquote(parts.path))
    if gemini_call is not None:
        return _gemini(gemini_call["model"], gemini_call["method"], parse_qs(parts.query))
    return POSTS.get(_without_root(parts.path))


def _find_list(request: Request, path: str) -> Route | None:
    name = _without_root(path)
    if name == "/models" and request.header("anthropic-version"):
        return ANTHROPIC_MODELS
    return GEMINI_MODELS if path == "/v1beta/models" else GETS.get(name)


def _gemini(model: str, method: str, query: dict[str, list[str]]) -> Route | None:
    talk = GEMINI_TALKS.get(method)
    if method == "streamGenerateContent" and query.get("alt") == ["sse"]:
        talk = gemini.stream_sse
    return Route("gemini", talk, model=model, stream=method.startswith("stream")) if talk else None


def _without_root(path: str) -> str:
    root = next(root for root in OPENAI_ROOTS if path.startswith(root + "/")) if path.startswith("/") else ""
    return path[len(root) :]


def dialect_of(request: Request) -> Dialect:
    """The dialect in which to refuse a request that has no route."""
    if request.header("anthropic-version"):
        return "anthropic"
    if request.header("x-goog-api-key") or request.target.startswith("/v1beta/"):
        return "gemini"
    return "ollama" if request.target.startswith("/api/") and not request.target.startswith("/api/v1/") else "openai"
