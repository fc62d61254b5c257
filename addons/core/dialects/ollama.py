"""Ollama's own API: chat and generate. Streams JSON lines unless `stream` is false.

https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Any, ClassVar

from addons.core.call import Message, Part, RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_completions import input_parts
from addons.core.dialects.parts import media, message, messages, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import count, dig, flag, items, label, obj, objects, text


def read_chat(path: str, body: dict[str, Any]) -> RequestReading:
    return RequestReading(
        model=text(body, "model"),
        stream=dig(body, "stream") is not False,
        messages=messages(_message(item) for item in objects(body, "messages")),
        tools=len(items(body, "tools")),
    )


def read_generate(path: str, body: dict[str, Any]) -> RequestReading:
    return RequestReading(
        model=text(body, "model"),
        stream=dig(body, "stream") is not False,
        messages=messages(
            [
                message("system", [text_part(dig(body, "system"))]),
                message("user", [text_part(dig(body, "prompt")), *_images(body)]),
            ]
        ),
    )


def read_embed(path: str, body: dict[str, Any]) -> RequestReading:
    """`input` is a text or a list of them."""
    return RequestReading(model=text(body, "model"), messages=messages([message("user", input_parts(dig(body, "input")))]))


def _message(value: dict[str, Any]) -> Message | None:
    role = role_of(value)
    if role == "tool":
        return message("tool", [tool_result(dig(value, "content"), text(value, "tool_call_id") or text(value, "tool_name"))])
    return message(
        role, [text_part(dig(value, "thinking"), "reasoning"), text_part(dig(value, "content")), *_images(value), *_calls(value)]
    )


def _images(value: dict[str, Any]) -> list[Part | None]:
    return [media("image", image) for image in items(value, "images")]


def _calls(value: dict[str, Any]) -> list[Part]:
    return [
        tool_call(dig(call, "function", "arguments"), label(call, "id"), text(call, "function", "name"))
        for call in objects(value, "tool_calls")
    ]


class OllamaAnswer(AnswerDraft):
    """Counts stand in the last line; `prompt_eval_count` is left out when the whole prompt was cached (older versions)."""

    lines: ClassVar[bool] = True
    tail_keys: ClassVar[tuple[str, ...]] = ("model", "done", "done_reason", "prompt_eval_count", "eval_count")

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        self.on_error(value)
        self.on_model(value)
        said = obj(value, "message") or {"content": dig(value, "response"), "thinking": dig(value, "thinking")}
        if thinking := text(said, "thinking"):
            self.message().add("reasoning", thinking)
        if content := text(said, "content"):
            self.message().add("text", content)
        calls = _calls(said)
        if calls:
            self.message().put(calls)
        if "done" in value:
            self.finished = flag(value, "done")
            self.on_finish(value, "done_reason")
        self._count(value)

    def _count(self, value: dict[str, Any]) -> None:
        given, made = count(value, "prompt_eval_count"), count(value, "eval_count")
        if given is not None or made is not None:
            self.usage = Usage(input_tokens=given, output_tokens=made)
