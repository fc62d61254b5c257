"""OpenAI's smaller endpoints: legacy completions, embeddings, the list of models.

https://platform.openai.com/docs/api-reference/completions, …/embeddings, …/models
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.openai_chat import DONE, usage_json
from scripts.fake_provider.prompt import Json, Prompt
from scripts.fake_provider.speech import ANSWERED_MODELS, ID, Speech
from scripts.fake_provider.wording import SSE_TYPE, Body, data, whole

DIMENSIONS = 1536


def completion(prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    head: dict[str, Any] = {"id": f"cmpl-{ID}", "object": "text_completion", "created": speech.created_s}

    def chunk(text: str, finish: str | None = None) -> Json:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return head | {"choices": [choice], "model": speech.model}

    plain = {name: count for name, count in usage_json(speech.usage).items() if name.endswith("_tokens")}
    if not prompt.stream:
        return whole(chunk(speech.text, "stop") | {"usage": plain}, indent=True)
    asks_usage = bool((prompt.body.get("stream_options") or {}).get("include_usage"))
    tail: Json = {"usage": None} if asks_usage else {}
    closing = data(chunk("", "stop") | tail)
    if asks_usage:
        closing += data(head | {"choices": [], "model": speech.model, "usage": plain})
    deltas = tuple(data(chunk(piece) | tail) for piece in speech.pieces)
    return Body(SSE_TYPE, deltas, b"", closing + DONE, data(error_body("openai", 500, knobs)))


def embeddings(prompt: Prompt, speech: Speech, _knobs: Knobs) -> Body:
    """One vector per input (a list of numbers is one input in tokens, each number a token)."""
    given = prompt.body.get("input")
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    tokens = prompt.words + sum(len(item) for item in inputs if isinstance(item, list))
    as_base64 = prompt.body.get("encoding_format") == "base64"
    dimensions = prompt.body.get("dimensions") or DIMENSIONS
    rows = [
        {"object": "embedding", "index": n, "embedding": _encode(vector(repr(item), dimensions), as_base64)}
        for n, item in enumerate(inputs)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return whole({"object": "list", "data": rows, "model": speech.model, "usage": usage}, indent=True)


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    seed = hashlib.sha256(text.encode()).digest()
    raw = [seed[n % len(seed)] - 127.5 for n in range(dimensions)]
    length = math.sqrt(sum(number * number for number in raw))
    return [number / length for number in raw]


def _encode(values: list[float], as_base64: bool) -> str | list[float]:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode() if as_base64 else values


def models() -> Body:
    names = [name for pair in ANSWERED_MODELS.items() for name in pair if name.startswith("gpt-")]
    rows = [{"id": name, "object": "model", "created": 1721172741, "owned_by": "system"} for name in names]
    return whole({"object": "list", "data": rows}, indent=True)
