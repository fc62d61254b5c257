"""Gemini (https://ai.google.dev/api/generate-content). Streams are event streams with `alt=sse`, else a JSON array."""

from __future__ import annotations

from typing import Any

import orjson

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.openai_more import vector
from scripts.fake_provider.prompt import Json, Prompt
from scripts.fake_provider.speech import ID, Speech, Usage
from scripts.fake_provider.wording import Body, data, pretty, whole

JSON_TYPE = "application/json; charset=UTF-8"
EMBEDDING_DIMENSIONS = 768
MODELS = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.0-flash")


def generate(_prompt: Prompt, speech: Speech, _knobs: Knobs) -> Body:
    value = _response(speech, _parts(speech, speech.text), speech.usage.output, finish="STOP")
    return whole(value, JSON_TYPE, indent=True)


def stream_sse(_prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    events = tuple(data(item, b"\r\n") for item in _responses(speech))
    return Body("text/event-stream", events, failing=data(error_body("gemini", 503, knobs), b"\r\n"))


def stream_array(_prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    first, *others = (pretty(item) for item in _responses(speech))
    comma = b",\r\n" if knobs.fail_after else b""
    failing = comma + pretty(error_body("gemini", 503, knobs)) + b"]\n"
    return Body(JSON_TYPE, (first, *(b",\r\n" + item for item in others)), b"[", b"]\n", failing)


def count_tokens(_prompt: Prompt, speech: Speech, _knobs: Knobs) -> Body:
    return whole({"totalTokens": speech.usage.input, "promptTokensDetails": _modality(speech.usage.input)}, JSON_TYPE, indent=True)


def embed(prompt: Prompt, _speech: Speech, _knobs: Knobs) -> Body:
    return whole({"embedding": _embedding(prompt.body)}, JSON_TYPE, indent=True)


def embed_batch(prompt: Prompt, _speech: Speech, _knobs: Knobs) -> Body:
    return whole({"embeddings": [_embedding(item) for item in prompt.body.get("requests", [])]}, JSON_TYPE, indent=True)


def models() -> Body:
    methods = ["generateContent", "countTokens"]
    rows = [{"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods} for name in MODELS]
    return whole({"models": rows}, JSON_TYPE, indent=True)


def _embedding(body: Json) -> Json:
    return {"values": vector(repr(body.get("content")), body.get("outputDimensionality") or EMBEDDING_DIMENSIONS)}


def _modality(tokens: int) -> list[Json]:
    return [{"modality": "TEXT", "tokenCount": tokens}]


def _usage(usage: Usage, output: int) -> Json:
    """Gemini counts thoughts apart from the candidates; the total has both. Cached tokens are part of the prompt's."""
    value: Json = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": output - usage.reasoning,
        "totalTokenCount": usage.input + output,
        "promptTokensDetails": _modality(usage.input),
    }
    if usage.cached:
        value |= {"cachedContentTokenCount": usage.cached, "cacheTokensDetails": _modality(usage.cached)}
    if usage.reasoning:
        value["thoughtsTokenCount"] = usage.reasoning
    return value


def _parts(speech: Speech, text: str) -> list[Json]:
    return [{"functionCall": {"name": speech.tool, "args": orjson.loads(text)}}] if speech.tool else [{"text": text}]


def _response(speech: Speech, parts: list[Json], output: int, finish: str | None = None) -> Json:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate | {"index": 0}],
        "usageMetadata": _usage(speech.usage, output),
        "modelVersion": speech.model,
        "responseId": ID,
    }


def _responses(speech: Speech) -> list[Json]:
    """One response per piece (a function call is never cut up); the usage grows, and the last one is the sum."""
    pieces = (speech.text,) if speech.tool else speech.pieces or ("",)
    last = len(pieces) - 1
    outputs = [min(n + 1 + speech.usage.reasoning, speech.usage.output) for n in range(last)] + [speech.usage.output]
    return [
        _response(speech, _parts(speech, piece), output, "STOP" if n == last else None)
        for n, (piece, output) in enumerate(zip(pieces, outputs, strict=True))
    ]
