"""Is this an LLM call, and which? By the host and path of known providers, else by the end of the path, else by the shape of the bodies.

    api_of(method, host, path, request_body, response_body, content_type) -> (provider, api) or None

For recorded traffic of any host (`turnpike import`): gateways and local servers have the same paths behind a prefix of their own, and some
have paths that say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from addons.core.decoders import BOM, SSEDecoder
from addons.core.dialects.bedrock_invoke import chunk_value
from addons.core.dialects.hosts import provider_of
from addons.core.eventstream import EventStreamDecoder
from addons.core.eventstream import Message as FramedMessage
from addons.core.jsonvalues import count, dig, items, obj, objects, parse, parse_cut, text
from addons.core.providers import PROVIDERS, identify

LOOKED_AT_BYTES = 256 * 1024  # of an answer: its first events, or the keys of a body
INVOKED = "bedrock invoke"  # a name that no event has
MAX_EVENTS = 8  # the first ones of a stream may be pings, roles or notices of the server

# The end of the path, and the api. Sure on any host.
_SURE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), api)
    for pattern, api in (
        (r"/messages/count_tokens$", "other"),
        (r"/responses/input_tokens$", "other"),
        (r"/model/[^/]+/count-tokens$", "other"),
        (r":countTokens$", "other"),
        (r"/v1\w*/(?:.+/)?cachedContents$", "other"),  # what is kept is paid by the hour
        (r"/chat/completions$", "openai.chat"),
        (r"/v1/responses$", "openai.responses"),
        (r"/v1/responses/(?:compact|resp_\w+)$", "openai.responses"),
        (r"/v1/messages$", "anthropic.messages"),
        (r"/v1/messages/batches/[^/]+/results$", "anthropic.batches"),
        (r"/publishers/anthropic/models/[^/]+:(?:streamR|r)awPredict$", "anthropic.messages"),
        (r"/models/[^/]+:(?:generateContent|streamGenerateContent)$", "gemini.generate"),
        (r"/v1internal:(?:generateContent|streamGenerateContent)$", "gemini.generate"),
        (r"/models/[^/]+:(?:embedContent|batchEmbedContents)$", "gemini.embed"),
        (r"/v1\w*/interactions$", "gemini.interactions"),
        (r"/model/[^/]+/converse(?:-stream)?$", "bedrock.converse"),
        (r"/model/[^/]+/invoke(?:-with-response-stream)?$", "bedrock.invoke"),
        (r"/ml/v[\w-]+/text/chat(?:_stream)?$", "openai.chat"),
        (r"/ml/v[\w-]+/text/(?:embeddings|rerank)$", "watsonx.embed"),
        (r"/ml/v[\w-]+/(?:text/generation(?:_stream)?|generation/text(?:_stream)?)$", "watsonx.generate"),
    )
)
# The same where the request has to name a model as well: others have such paths too.
_LIKELY: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), api)
    for pattern, api in (
        (r"/completions$", "openai.completions"),
        (r"/responses$", "openai.responses"),
        (r"/embeddings$", "openai.embeddings"),
        (r"/rerank$", "openai.rerank"),
        (r"/images/(?:generations|edits|variations)$", "openai.images"),
        (r"/audio/(?:speech|transcriptions|translations)$", "openai.audio"),
        (r"/api/chat$", "ollama.chat"),
        (r"/api/generate$", "ollama.generate"),
        (r"/api/embed$", "ollama.embed"),
    )
)


def api_of(  # noqa: PLR0917 - the two ends of one recorded call, as an archive has them
    method: str, host: str, path: str, request_body: bytes, response_body: bytes, content_type: str | None
) -> tuple[str | None, str] | None:
    """The provider (None: not known) and the `api` of a call, None for what is no LLM call. Bodies come content-decoded; `content_type` is
    the answer's."""
    provider = provider_of(host)
    bare = re.sub(r"^/{2,}", "/", path.partition("?")[0])  # clients that join a base URL badly ask for `//openai/…`
    if provider is not None and provider in PROVIDERS and (known := identify(provider, method, bare)):
        return provider, known.name
    request = _value(request_body)
    api = _by_path(method, bare, request, request_body)
    if api in _GENERAL:
        api = api_of_shape(bare, request_body, response_body, content_type) or api
    elif api is None and method != "GET":
        api = api_of_shape(bare, request_body, response_body, content_type)
    return (provider, api) if api else None


_GENERAL = frozenset({"openai.completions", "openai.responses", "openai.embeddings", "openai.rerank"})
"""Paths that others use with bodies of their own; the answer decides."""


def _by_path(method: str, path: str, request: Any, body: bytes) -> str | None:
    if method not in ("POST", "GET", "WS"):
        return None
    found = _match(_SURE, path)
    if found and (method == "POST" or found in ("openai.responses", "anthropic.batches")):
        return found
    named = text(request, "model") or body.lstrip().startswith(b"--")  # a form: audio and images travel so
    return _match(_LIKELY, path) if named and method == "POST" else None


def _match(rules: tuple[tuple[re.Pattern[str], str], ...], path: str) -> str | None:
    return next((api for pattern, api in rules if pattern.search(path)), None)


def _value(body: bytes) -> Any:
    value = parse(body)
    return value if value is not None else parse_cut(body[:LOOKED_AT_BYTES])


def api_of_shape(path: str, request_body: bytes, response_body: bytes, content_type: str | None) -> str | None:
    """The api that the bodies speak; the answer goes before the request. `path` tells apart what has the same shape."""
    for name, value in _samples(response_body, content_type or ""):
        if (api := _of_answer(name, value, path)) is not None:
            return api
    request = _value(request_body)
    return _of_request(request) if isinstance(request, dict) else None


def _samples(body: bytes, content_type: str) -> list[tuple[str, dict[str, Any]]]:
    """The first events of an answer, with their names; of a whole body itself."""
    start = body[:LOOKED_AT_BYTES]
    if "amazon.eventstream" in content_type or start[:4].startswith(b"\0\0"):
        return [_frame(event) for event in EventStreamDecoder().feed(start)[:MAX_EVENTS]]
    shown = start.removeprefix(BOM).lstrip()
    if shown[:1] == b"[":
        return [("", found) for found in objects(_value(body))[:MAX_EVENTS]]
    if shown[:1] == b"{":
        whole = parse(body)
        first = whole if whole is not None else parse(shown.partition(b"\n")[0])
        found = first if first is not None else parse_cut(start)
        return [("", found)] if isinstance(found, dict) else []
    decoder = SSEDecoder()
    events = [*decoder.feed(start), *decoder.flush()]
    values = [(name, parse(data)) for name, data in events[:MAX_EVENTS]]
    return [(name, value) for name, value in values if isinstance(value, dict)]


def _frame(event: FramedMessage) -> tuple[str, dict[str, Any]]:
    """Of a chunk that holds JSON the JSON itself; agents' chunks hold plain text."""
    value = obj(parse(event.payload))
    return (INVOKED, value) if event.kind == "chunk" and chunk_value(value) else (event.kind, value)


def _of_answer(name: str, value: dict[str, Any], path: str) -> str | None:
    by_name = _of_name(text(value, "type") or text(value, "event_type") or name)
    if by_name:
        return by_name
    by_object = next((api for start, api in _OBJECTS.items() if (text(value, "object") or "").startswith(start)), None)
    return by_object or next((api for api, test in _SHAPES.items() if test(value)), None)


def _of_name(name: str) -> str | None:
    return _NAMES.get(name) or next((api for start, api in _NAME_STARTS.items() if name.startswith(start)), None)


_NAMES: Mapping[str, str] = {
    INVOKED: "bedrock.invoke",
    "message_start": "anthropic.messages",
    "message": "anthropic.messages",
    "completion": "anthropic.complete",
    "message-start": "cohere.chat",
    "stream-start": "cohere.chat",
    "messageStart": "bedrock.converse",
    "transcript.text.delta": "openai.audio",
}
_NAME_STARTS: Mapping[str, str] = {
    "response.": "openai.responses",
    "interaction.": "gemini.interactions",
    "thread.run": "openai.runs",
    "transcript.text.": "openai.audio",
    "image_generation.": "openai.images",
    "image_edit.": "openai.images",
}
_OBJECTS: Mapping[str, str] = {
    "text_completion": "openai.completions",
    "chat.completion": "openai.chat",
    "response.compaction": "openai.responses",
    "response.input_tokens": "other",
    "interaction": "gemini.interactions",
    "thread.run": "openai.runs",
}


def _has_usage(value: Any) -> bool:
    return bool(obj(value, "usage"))


def _is_used(value: Any) -> bool:
    """OpenAI's or Anthropic's counts in a `usage`, beside something that we have no name for."""
    usage = obj(value, "usage")
    return any(count(usage, key) is not None for key in ("prompt_tokens", "input_tokens")) and len(usage) > 1


def _is_vectors(value: Any) -> bool:
    return dig(value, "data", 0, "embedding") is not None or dig(value, "data", 0, "data", 0, "embedding") is not None


def _is_ranking(value: Any) -> bool:
    return any(dig(value, key, 0, "relevance_score") is not None for key in ("results", "data"))


_CONVERSE = ("messageStart", "contentBlockStart", "contentBlockDelta")
_SHAPES: Mapping[str, Callable[[dict[str, Any]], bool]] = {
    "openai.chat": lambda value: dig(value, "choices", 0, "message") is not None or dig(value, "choices", 0, "delta") is not None,
    "openai.completions": lambda value: dig(value, "choices", 0, "text") is not None,
    "openai.responses": lambda value: text(value, "object") == "response",
    "gemini.generate": lambda value: any(bool(items(part, "candidates")) for part in (value, obj(value, "response"))),
    "bedrock.converse": lambda value: bool(obj(value, "output", "message")) or any(bool(obj(value, key)) for key in _CONVERSE),
    "gemini.live": lambda value: any(key in value for key in ("setupComplete", "serverContent")),
    "cohere.chat": lambda value: (
        bool(obj(value, "usage", "billed_units")) or (bool(obj(value, "meta", "billed_units")) and text(value, "text") is not None)
    ),
    "cohere.embed": lambda value: bool(obj(value, "meta", "billed_units")) and "embeddings" in value,
    "cohere.rerank": lambda value: bool(obj(value, "meta", "billed_units")) and "results" in value,
    "cohere.generate": lambda value: bool(obj(value, "meta", "billed_units")),
    "openai.embeddings": _is_vectors,
    "openai.rerank": lambda value: _is_ranking(value) and _has_usage(value),
    "watsonx.generate": lambda value: dig(value, "results", 0, "generated_token_count") is not None,
    "bedrock.invoke": lambda value: "inputTextTokenCount" in value or ("generation" in value and "prompt_token_count" in value),
    "ollama.chat": lambda value: "done" in value and bool(obj(value, "message")) and text(value, "model") is not None,
    "ollama.generate": lambda value: "done" in value and "response" in value and text(value, "model") is not None,
    "openai.audio": lambda value: isinstance(value.get("text"), str) and _has_usage(value),
    "openai.images": lambda value: bool(objects(value, "data")) and any(dig(value, "data", 0, key) for key in ("b64_json", "url")),
    "openai.other": _is_used,
}


def _of_request(request: dict[str, Any]) -> str | None:
    """For answers that tell nothing (errors, breaks): what the request alone says for sure."""
    if objects(request, "contents") and dig(request, "contents", 0, "parts") is not None:
        return "gemini.generate"
    turns = objects(request, "messages")
    if turns and all(text(turn, "role") for turn in turns) and text(request, "model"):
        return "anthropic.messages" if "anthropic_version" in request else "openai.chat"
    return None
