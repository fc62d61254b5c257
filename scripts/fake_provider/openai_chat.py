"""OpenAI chat completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from typing import Any

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.prompt import Prompt
from scripts.fake_provider.speech import ID, Speech, Usage
from scripts.fake_provider.wording import SSE_TYPE, Body, data, whole

FINGERPRINT = "fp_fa4e000000"
# OpenAI pads its events against length analysis, unless stream_options.include_obfuscation is false.
OBFUSCATION = "fake0pad"
DONE = b"data: [DONE]\n\n"


def answer(prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    return _stream(prompt, speech, knobs) if prompt.stream else _whole(speech)


def usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _tool_call(speech: Speech, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{ID}", "type": "function", "function": {"name": speech.tool, "arguments": arguments}}


def _whole(speech: Speech) -> Body:
    message: dict[str, Any] = {"role": "assistant", "content": speech.text}
    if speech.tool:
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(speech, speech.text)]}
    choice = {
        "index": 0,
        "message": message | {"refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": "tool_calls" if speech.tool else "stop",
    }
    value = {
        "id": f"chatcmpl-{ID}",
        "object": "chat.completion",
        "created": speech.created_s,
        "model": speech.model,
        "choices": [choice],
        "usage": usage_json(speech.usage),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
    return whole(value, indent=True)


def _stream(prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    options = prompt.body.get("stream_options") or {}
    asks_usage = bool(options.get("include_usage"))
    tail: dict[str, Any] = {"usage": None} if asks_usage else {}
    padding = {"obfuscation": OBFUSCATION} if options.get("include_obfuscation", True) else {}
    head = {
        "id": f"chatcmpl-{ID}",
        "object": "chat.completion.chunk",
        "created": speech.created_s,
        "model": speech.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data(head | {"choices": [choice]} | tail | padding)

    first: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    if speech.tool:
        first = {"role": "assistant", "content": None, "tool_calls": [{"index": 0} | _tool_call(speech, "")], "refusal": None}
    closing = chunk({}, "tool_calls" if speech.tool else "stop")
    if asks_usage:
        closing += data(head | {"choices": [], "usage": usage_json(speech.usage)} | padding)
    deltas = tuple(chunk(_delta(speech, piece)) for piece in speech.pieces)
    return Body(SSE_TYPE, deltas, chunk(first), closing + DONE, data(error_body("openai", 500, knobs)))


def _delta(speech: Speech, piece: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} if speech.tool else {"content": piece}
