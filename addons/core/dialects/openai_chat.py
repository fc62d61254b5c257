"""OpenAI chat completions, and all who speak it: Azure, OpenRouter, Mistral, DeepSeek, xAI, Groq, Perplexity, vLLM, llama.cpp …

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Any

from addons.core.call import Message, Part, RequestReading
from addons.core.dialects.draft import AnswerDraft, MessageDraft
from addons.core.dialects.openai_usage import better, usage_in, usage_of
from addons.core.dialects.parts import flat_text, media, message, messages, openai_parts, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import compact, count, dig, flag, items, label, obj, objects, text

_PLAIN = {"role", "content"}
"""What most messages have, and nothing else."""

_SPOKEN = frozenset({"user", "assistant", "system"})
"""Roles that are called here as they are there, and say texts."""

REASONING_KEYS = ("reasoning_content", "reasoning")  # DeepSeek, Qwen, vLLM; OpenRouter, Groq. Some send both with the same text


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """`path` is not needed: model and streaming stand in the body."""
    return RequestReading(
        model=text(body, "model"),
        stream=flag(body, "stream"),
        messages=messages([chat_message(item) for item in objects(body, "messages")]),
        tools=len(items(body, "tools")) or len(items(body, "functions")),
    )


def chat_message(value: dict[str, Any]) -> Message | None:
    """A message of a request or of a whole answer."""
    said, content = value.get("role"), value.get("content")
    if isinstance(said, str) and said in _SPOKEN and isinstance(content, str) and content and len(value) == len(_PLAIN):
        return Message(said, (Part("text", content),))
    role = role_of(value)
    if role == "tool":
        call_id = label(value, "tool_call_id") or text(value, "name")
        return message("tool", [tool_result(dig(value, "content"), call_id)])
    return message(role, chat_parts(value))


def chat_parts(value: dict[str, Any]) -> list[Part | None]:
    """Reasoning, content, refusal, media and tool calls, in the order in which a stream brings them."""
    if value.keys() <= _PLAIN and isinstance(content := value.get("content"), str):
        return [text_part(content)]
    parts = [text_part(_reasoning(value), "reasoning"), *openai_parts(dig(value, "content")), text_part(dig(value, "refusal"), "refusal")]
    audio = obj(value, "audio")
    if audio:
        parts += [text_part(dig(audio, "transcript")), media("audio", dig(audio, "data"))]
    parts += openai_parts(items(value, "images")) if items(value, "images") else []
    return parts + tool_calls(value)


def tool_calls(value: dict[str, Any]) -> list[Part | None]:
    calls = [*objects(value, "tool_calls"), *([{"function": obj(value, "function_call")}] if obj(value, "function_call") else [])]
    return [tool_call(_arguments(call), label(call, "id"), _name(call)) for call in calls]


def _reasoning(value: dict[str, Any]) -> str | None:
    for key in REASONING_KEYS:
        found = dig(value, key)
        if found:
            return flat_text(found) if isinstance(found, str | list) else None
    return None


def _name(call: dict[str, Any]) -> str | None:
    return text(call, "function", "name") or text(call, "custom", "name")


def _arguments(call: dict[str, Any]) -> Any:
    found = dig(call, "function", "arguments")
    return found if found is not None else dig(call, "custom", "input")


_COMMON = {"role", "content", "refusal", *REASONING_KEYS}


class ChatAnswer(AnswerDraft):
    """The end is `[DONE]` or a finish reason for every choice (several providers leave out `[DONE]`). Usage may come in the last chunk,
    in one before it, in all of them, with or without choices beside it."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()  # choices that have begun and not ended
        self._whole = False

    def on_body(self, value: dict[str, Any]) -> None:
        self._whole = True
        self.on_event("", value)

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        if "error" in value or "type" in value:
            self.on_error(value)
        if self.model is None:
            self.on_model(value)
        if found := usage_in(value):
            self.usage = better(self.usage, usage_of(found))
        choices = value.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._on_choice(choice)

    def _on_choice(self, choice: dict[str, Any]) -> None:
        index = count(choice.get("index")) or 0
        self._open.add(index)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = {}
        if delta and not self._whole:
            self._on_delta(self.message(index), delta)
        elif (
            index not in self.choices
        ):  # Perplexity sends both: in a stream `message` repeats all so far, in a whole answer `delta` is empty
            self.message(index).put([part for part in chat_parts(obj(choice, "message")) if part is not None])
        if choice.get("finish_reason"):
            self.on_finish(choice, "finish_reason")
            self._open.discard(index)
            self.finished = self.finished or not self._open

    def _on_delta(self, draft: MessageDraft, delta: dict[str, Any]) -> None:
        if delta.keys() <= _PLAIN and isinstance(content := delta.get("content"), str):
            if content:
                draft.add("text", content)
            return
        reasoning = _reasoning(delta)
        if reasoning:
            draft.add("reasoning", reasoning)
        content = dig(delta, "content")
        if isinstance(content, str):
            if content:
                draft.add("text", content)
        elif content:
            add_parts(draft, openai_parts(content))
        if refusal := text(delta, "refusal"):
            draft.add("refusal", refusal)
        if not delta.keys() <= _COMMON:
            self._on_rare(draft, delta)

    def _on_rare(self, draft: MessageDraft, delta: dict[str, Any]) -> None:
        for place, call in enumerate(objects(delta, "tool_calls")):
            grow_call(draft, ("call", _call_key(call, place)), call)
        if obj(delta, "function_call"):
            grow_call(draft, "function_call", {"function": obj(delta, "function_call")})
        if transcript := text(delta, "audio", "transcript"):
            draft.add("text", transcript)
        add_parts(draft, openai_parts(items(delta, "images")))


def _call_key(call: dict[str, Any], place: int) -> int | str:
    """`index`; where a provider leaves it out each chunk holds whole calls with ids of their own."""
    index = count(call, "index")
    return index if index is not None else label(call, "id") or place


def grow_call(draft: MessageDraft, key: Any, call: dict[str, Any]) -> None:
    part = draft.keyed(key, "tool_call")
    known = part.data or {"id": None, "name": None}
    part.data = {"id": known["id"] or label(call, "id"), "name": known["name"] or _name(call)}
    arguments = _arguments(call)
    if arguments:
        part.pieces.append(arguments if isinstance(arguments, str) else compact(arguments))


def add_parts(draft: MessageDraft, parts: list[Part | None]) -> None:
    for part in parts:
        if part is not None and part.data is None and part.text:
            draft.add(part.kind, part.text)
        elif part is not None:
            draft.put([part])
