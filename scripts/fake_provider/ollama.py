"""Ollama (https://github.com/ollama/ollama/blob/main/docs/api.md). Streams unless `stream` is false, as lines of JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.prompt import Json, Prompt
from scripts.fake_provider.speech import Speech
from scripts.fake_provider.wording import NDJSON_TYPE, Body, line, whole

JSON_TYPE = "application/json; charset=utf-8"
MODELS = ("llama3.2:latest", "qwen3:8b")


def chat(prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    def message(text: str) -> Json:
        said: dict[str, Any] = {"role": "assistant", "content": text}
        if speech.tool and text:
            call = {"function": {"name": speech.tool, "arguments": orjson.loads(speech.text)}}
            said = {"role": "assistant", "content": "", "tool_calls": [call]}
        return {"message": said}

    pieces = (speech.text,) if speech.tool else speech.pieces
    return _body(prompt, speech, knobs, answer=message(speech.text), pieces=[message(piece) for piece in pieces], last=message(""))


def generate(prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    pieces: list[Json] = [{"response": piece} for piece in speech.pieces]
    return _body(prompt, speech, knobs, answer={"response": speech.text}, pieces=pieces, last={"response": ""})


def embed(prompt: Prompt, speech: Speech, _knobs: Knobs) -> Body:
    given = prompt.body.get("input")
    count = len(given) if isinstance(given, list) else 1
    value = {
        "model": speech.model,
        "embeddings": [[0.6, 0.8]] * count,
        "total_duration": 1_000_000,
        "prompt_eval_count": speech.usage.input,
    }
    return whole(value, JSON_TYPE)


def tags() -> Body:
    details = {"format": "gguf", "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
    common = {"modified_at": "2025-01-01T00:00:00Z", "size": 2019393189, "digest": "0" * 64, "details": details}
    return whole({"models": [{"name": name, "model": name} | common for name in MODELS]}, JSON_TYPE)


def _body(prompt: Prompt, speech: Speech, knobs: Knobs, *, answer: Json, pieces: list[Json], last: Json) -> Body:
    created = datetime.fromtimestamp(speech.created_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = {"model": speech.model, "created_at": created}
    if prompt.body.get("stream") is False:
        return whole(head | answer | _end(speech), JSON_TYPE)
    deltas = tuple(line(head | piece | {"done": False}) for piece in pieces)
    return Body(NDJSON_TYPE, deltas, b"", line(head | last | _end(speech)), line(error_body("ollama", 500, knobs)))


def _end(speech: Speech) -> Json:
    """Durations are nanoseconds."""
    usage = speech.usage
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 1_200_000_000,
        "load_duration": 100_000_000,
        "prompt_eval_count": usage.input,
        "prompt_eval_duration": 100_000_000,
        "eval_count": usage.output,
        "eval_duration": 1_000_000_000,
    }
