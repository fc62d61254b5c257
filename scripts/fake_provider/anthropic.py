"""Anthropic messages (https://docs.anthropic.com/en/api/messages, …/messages-streaming)."""

from __future__ import annotations

from typing import Any

import orjson

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.prompt import Json, Prompt
from scripts.fake_provider.speech import ANSWERED_MODELS, ID, Speech
from scripts.fake_provider.wording import SSE_TYPE, Body, event, whole

THOUGHT = "The user wants an answer."
SIGNATURE = "ZmFrZSBzaWduYXR1cmU="


def answer(prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    return _stream(speech, knobs) if prompt.stream else whole(_message(speech, _content(speech), done=True))


def count_tokens(_prompt: Prompt, speech: Speech, _knobs: Knobs) -> Body:
    return whole({"input_tokens": speech.usage.input})


def models() -> Body:
    rows = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2025-09-29T00:00:00Z"}
        for name in ANSWERED_MODELS.values()
        if name.startswith("claude-")
    ]
    return whole({"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]})


def _counts(speech: Speech) -> Json:
    """Anthropic's `input_tokens` leaves out what came from or went to the cache."""
    usage = speech.usage
    return {
        "input_tokens": usage.input - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
    }


def _usage(speech: Speech, output: int) -> Json:
    lifetimes = {"ephemeral_5m_input_tokens": speech.usage.cache_write, "ephemeral_1h_input_tokens": 0}
    return _counts(speech) | {"cache_creation": lifetimes, "output_tokens": output, "service_tier": "standard"}


def _output(speech: Speech) -> Json:
    return {"output_tokens": speech.usage.output, "output_tokens_details": {"thinking_tokens": speech.usage.reasoning}}


def _message(speech: Speech, content: list[Json], *, done: bool) -> Json:
    stop = ("tool_use" if speech.tool else "end_turn") if done else None
    return {
        "model": speech.model,
        "id": f"msg_{ID}",
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _usage(speech, 1) | (_output(speech) if done else {}),
    }


def _content(speech: Speech) -> list[Json]:
    thinking = [{"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}] if speech.usage.reasoning else []
    said = {"type": "text", "text": speech.text}
    if speech.tool:
        said = {"type": "tool_use", "id": f"toolu_{ID}", "name": speech.tool, "input": orjson.loads(speech.text)}
    return [*thinking, said]


def _delta(index: int, kind: str, **fields: Any) -> bytes:
    return event({"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}})


def _start(index: int, block: Json) -> bytes:
    return event({"type": "content_block_start", "index": index, "content_block": block})


def _stop(index: int) -> bytes:
    return event({"type": "content_block_stop", "index": index})


def _stream(speech: Speech, knobs: Knobs) -> Body:
    index = 1 if speech.usage.reasoning else 0
    opening = event({"type": "message_start", "message": _message(speech, [], done=False)})
    if speech.usage.reasoning:
        opening += _start(0, {"type": "thinking", "thinking": "", "signature": ""})
        opening += _delta(0, "thinking_delta", thinking=THOUGHT) + _delta(0, "signature_delta", signature=SIGNATURE) + _stop(0)
    block: Json = {"type": "text", "text": ""}
    kind, name = "text_delta", "text"
    if speech.tool:
        block = {"type": "tool_use", "id": f"toolu_{ID}", "name": speech.tool, "input": {}}
        kind, name = "input_json_delta", "partial_json"
    opening += _start(index, block) + event({"type": "ping"})
    deltas = tuple(_delta(index, kind, **{name: piece}) for piece in speech.pieces)
    return Body(SSE_TYPE, deltas, opening, _stop(index) + _closing(speech), event(error_body("anthropic", 529, knobs)))


def _closing(speech: Speech) -> bytes:
    # The usage of message_delta is cumulative: it repeats the input and gives the whole output.
    usage = _counts(speech) | _output(speech)
    stop = {"stop_reason": "tool_use" if speech.tool else "end_turn", "stop_sequence": None}
    return event({"type": "message_delta", "delta": stop, "usage": usage}) + event({"type": "message_stop"})
