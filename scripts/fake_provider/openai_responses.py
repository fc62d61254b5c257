"""OpenAI responses (https://platform.openai.com/docs/api-reference/responses, …/responses-streaming)."""

from __future__ import annotations

from itertools import count
from typing import Any

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.prompt import Json, Prompt
from scripts.fake_provider.speech import ID, Speech
from scripts.fake_provider.wording import SSE_TYPE, Body, event, whole

ECHOED: Json = {  # what a response repeats of its request, and what it says when the request does not
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}


def answer(prompt: Prompt, speech: Speech, knobs: Knobs) -> Body:
    return _Stream(prompt, speech).body(knobs) if prompt.stream else whole(_response(prompt, speech, done=True), indent=True)


def input_tokens(prompt: Prompt, speech: Speech, _knobs: Knobs) -> Body:
    return whole({"object": "response.input_tokens", "input_tokens": speech.usage.input}, indent=True)


def _response(prompt: Prompt, speech: Speech, *, done: bool) -> Json:
    value: Json = {
        "id": f"resp_{ID}",
        "object": "response",
        "created_at": speech.created_s,
        "status": "completed" if done else "in_progress",
        "background": False,
        "completed_at": speech.created_s if done else None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "model": speech.model,
        "output": _output(speech) if done else [],
        "presence_penalty": 0.0,
        "reasoning": {"effort": "medium" if speech.usage.reasoning else None, "summary": None},
        "service_tier": "default" if done else "auto",
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "usage": _usage(speech) if done else None,
    }
    # A null in the request means the default, which is what the answer then says.
    return value | {name: default if prompt.body.get(name) is None else prompt.body[name] for name, default in ECHOED.items()}


def _usage(speech: Speech) -> Json:
    usage = speech.usage
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def _reasoning() -> Json:
    return {"id": f"rs_{ID}", "type": "reasoning", "summary": []}


def _text_part(text: str) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _item(speech: Speech, *, done: bool) -> Json:
    status = "completed" if done else "in_progress"
    if speech.tool:
        arguments = speech.text if done else ""
        call = {"type": "function_call", "status": status, "arguments": arguments, "call_id": f"call_{ID}", "name": speech.tool}
        return {"id": f"fc_{ID}"} | call
    content = [_text_part(speech.text)] if done else []
    return {"id": f"msg_{ID}", "type": "message", "status": status, "content": content, "role": "assistant"}


def _output(speech: Speech) -> list[Json]:
    return [*([_reasoning()] if speech.usage.reasoning else []), _item(speech, done=True)]


class _Stream:
    """The events in their order; each has the next `sequence_number`."""

    def __init__(self, prompt: Prompt, speech: Speech) -> None:
        self.prompt, self.speech = prompt, speech
        self.numbers = count()
        self.index = 1 if speech.usage.reasoning else 0
        self.item_id = _item(speech, done=False)["id"]

    def body(self, knobs: Knobs) -> Body:
        opening = self._opening()
        deltas = tuple(self._delta(piece) for piece in self.speech.pieces)
        error = error_body("openai", 500, knobs)["error"]
        failing = event(
            {"type": "error", "code": error["code"] or error["type"], "message": error["message"], "param": None, "sequence_number": 0}
        )
        return Body(SSE_TYPE, deltas, opening, self._closing(), failing)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return event({"type": kind, **fields, "sequence_number": next(self.numbers)})

    def _part_event(self, kind: str, **fields: Any) -> bytes:
        return self._event(kind, content_index=0, item_id=self.item_id, output_index=self.index, **fields)

    def _opening(self) -> bytes:
        response = _response(self.prompt, self.speech, done=False)
        events = [self._event("response.created", response=response), self._event("response.in_progress", response=response)]
        if self.speech.usage.reasoning:
            events += [self._event(f"response.output_item.{word}", item=_reasoning(), output_index=0) for word in ("added", "done")]
        events.append(self._event("response.output_item.added", item=_item(self.speech, done=False), output_index=self.index))
        if not self.speech.tool:
            events.append(self._part_event("response.content_part.added", part=_text_part("")))
        return b"".join(events)

    def _delta(self, piece: str) -> bytes:
        if self.speech.tool:
            return self._event("response.function_call_arguments.delta", delta=piece, item_id=self.item_id, output_index=self.index)
        return self._part_event("response.output_text.delta", delta=piece, logprobs=[])

    def _closing(self) -> bytes:
        text = self.speech.text
        if self.speech.tool:
            done = {"arguments": text, "item_id": self.item_id, "name": self.speech.tool, "output_index": self.index}
            events = [self._event("response.function_call_arguments.done", **done)]
        else:
            events = [self._part_event("response.output_text.done", logprobs=[], text=text)]
            events.append(self._part_event("response.content_part.done", part=_text_part(text)))
        events.append(self._event("response.output_item.done", item=_item(self.speech, done=True), output_index=self.index))
        events.append(self._event("response.completed", response=_response(self.prompt, self.speech, done=True)))
        return b"".join(events)
