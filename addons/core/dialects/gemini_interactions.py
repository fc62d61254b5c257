"""Gemini's interactions: a thread of steps in place of turns, streamed step by step.

https://ai.google.dev/api/interactions-api
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from addons.core.call import Message, Part, PartKind, RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.parts import flat_text, media, message, messages, other, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import count, dig, flag, items, label, obj, objects, text

UNFINISHED = frozenset({"in_progress", "queued"})
_MEDIA: dict[str, PartKind] = {"image": "image", "audio": "audio", "video": "file", "document": "file"}


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """`input` is a string, a content block, a list of blocks, of turns or of steps."""
    return RequestReading(
        model=text(body, "model") or text(body, "agent"),
        stream=flag(body, "stream"),
        messages=messages([message("system", [text_part(flat_text(dig(body, "system_instruction")))]), *_input(dig(body, "input"))]),
        previous=text(body, "previous_interaction_id"),
        tools=len(items(body, "tools")),
    )


def _input(given: Any) -> list[Message | None]:
    entries = given if isinstance(given, list) else [given]
    made: list[Message | None] = []
    loose: list[Part | None] = []  # content blocks that no turn or step is around
    for entry in entries:
        kind = text(entry, "type") or ""
        if text(entry, "role"):
            content = dig(entry, "content")
            made.append(message(role_of(entry), _blocks(content)))
        elif kind.endswith(("_input", "_output", "_call")) or kind == "thought":
            made.append(message("user" if kind == "user_input" else "assistant", step_parts(entry)))
        else:
            loose += step_parts(entry) if kind.endswith("_result") else _blocks([entry])
    return [*made, message("user", loose)]


def _blocks(content: Any) -> list[Part | None]:
    if not isinstance(content, list):
        return [text_part(content)]
    return [_block(block) for block in content]


def _block(block: Any) -> Part | None:
    if isinstance(block, str):
        return text_part(block)
    kind = text(block, "type") or "text"
    if kind == "text":
        return text_part(dig(block, "text"))
    if kind in _MEDIA:
        found = dig(block, "uri")
        return media(_MEDIA[kind], dig(block, "data") if found is None else found, text(block, "mime_type"))
    parts = step_parts(block) if isinstance(block, dict) else []
    return parts[0] if parts else None


def step_parts(step: dict[str, Any]) -> list[Part | None]:
    """What one step (or, in older answers, one output) says."""
    kind = text(step, "type") or ""
    if kind in ("model_output", "user_input"):
        return _blocks(dig(step, "content"))
    if kind == "thought":
        return [text_part(flat_text(dig(step, "summary")), "reasoning")]
    if kind.endswith("_call"):
        name = text(step, "name") or kind.removesuffix("_call")
        return [tool_call(dig(step, "arguments"), label(step, "id") or label(step, "call_id"), name)]
    if kind.endswith("_result"):
        return [tool_result(dig(step, "result"), label(step, "call_id") or label(step, "id"))]
    if kind == "text" or kind in _MEDIA:
        return [_block(step)]
    return [other(step)]


def usage_of(found: dict[str, Any]) -> Usage:
    """Output = output + thoughts, input = input + what tools gave the model to read."""
    given, tools = count(found, "total_input_tokens"), count(found, "total_tool_use_tokens")
    made, thoughts = count(found, "total_output_tokens"), count(found, "total_thought_tokens")
    return Usage(
        input_tokens=None if given is None else given + (tools or 0),
        output_tokens=None if made is None and thoughts is None else (made or 0) + (thoughts or 0),  # a zero is left out
        cache_read_tokens=count(found, "total_cached_tokens"),
        reasoning_tokens=thoughts,
    )


class InteractionAnswer(AnswerDraft):
    """The last event has the usage, but not the steps again."""

    tail_keys = ("usage", "status", "model", "id")

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        kind = text(value, "event_type") or name
        handler = _EVENTS.get(kind.rpartition(".")[2])
        if isinstance(value.get("interaction"), dict):
            self._on_interaction(value["interaction"])
            self.finished = self.finished or self._ended(value["interaction"])
        elif handler and kind.startswith(("step.", "content.")):
            handler(self, value)
        else:
            self.on_error(value)

    def on_body(self, value: dict[str, Any]) -> None:
        self._on_interaction(value)
        for step in [*objects(value, "steps"), *objects(value, "outputs")]:
            self._put(step)

    def _on_interaction(self, found: dict[str, Any]) -> None:
        self.on_error(found)
        self.on_model(found)
        self.on_id(found)
        if self._ended(found):
            self.on_finish(found, "status")
            usage = usage_of(obj(found, "usage"))
            self.usage = usage if usage.known else self.usage

    @staticmethod
    def _ended(found: dict[str, Any]) -> bool:
        return (text(found, "status") or "in_progress") not in UNFINISHED or bool(obj(found, "usage") and not text(found, "status"))

    def _put(self, step: dict[str, Any]) -> None:
        if (text(step, "type") or "") != "user_input":
            self.message().put([part for part in step_parts(step) if part is not None])

    def _on_start(self, value: dict[str, Any]) -> None:
        step = obj(value, "step") or obj(value, "content")
        kind, index = text(step, "type") or "", count(value, "index") or 0
        if kind == "function_call":
            self.message().keyed(index, "tool_call").data = {"id": label(step, "id"), "name": text(step, "name")}
        elif kind.endswith(("_call", "_result")):
            self._put(step)
        elif content := text(step, "text"):
            self.message().keyed(index, "text").pieces.append(content)

    def _on_delta(self, value: dict[str, Any]) -> None:
        index, delta = count(value, "index") or 0, obj(value, "delta")
        kind = text(delta, "type") or ""
        if kind in _MEDIA:
            self.message().put([part for part in [_block(delta)] if part is not None])
        elif kind == "arguments_delta" or isinstance(delta.get("arguments"), str):
            self.message().keyed(index, "tool_call").pieces.append(text(delta, "arguments") or "")
        elif kind.startswith("thought"):
            said = flat_text(dig(delta, "content")) if isinstance(dig(delta, "content"), list) else text(delta, "content", "text")
            self._grow(index, "reasoning", said or text(delta, "text"))
        else:
            self._grow(index, "text", text(delta, "text"))

    def _grow(self, index: int, kind: PartKind, piece: str | None) -> None:
        if piece:
            self.message().keyed(index, kind).pieces.append(piece)


_EVENTS: dict[str, Callable[[InteractionAnswer, dict[str, Any]], None]] = {
    "start": InteractionAnswer._on_start,
    "delta": InteractionAnswer._on_delta,
}
