"""OpenAI responses, as Codex and newer SDKs speak it; also Azure, OpenRouter, xAI and local servers.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from addons.core.call import Message, Part, PartKind, RequestReading
from addons.core.dialects.draft import AnswerDraft, MessageDraft
from addons.core.dialects.openai_usage import better, usage_of
from addons.core.dialects.parts import flat_text, media, message, messages, openai_parts, other, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import count, dig, flag, items, label, obj, objects, parse, text

MIME_PNG = "image/png"  # what image_generation_call gives unless told otherwise


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """`instructions` are the system's; items of the assistant that follow each other are one message."""
    given = dig(body, "input")
    entries = [{"role": "user", "content": given}] if isinstance(given, str) else objects(given)
    return RequestReading(
        model=text(body, "model"),
        stream=flag(body, "stream"),
        messages=messages([message("system", [text_part(dig(body, "instructions"))]), *_joined(entries)]),
        session=text(body, "prompt_cache_key"),
        previous=text(body, "previous_response_id"),
        tools=len(items(body, "tools")),
    )


def _joined(entries: Iterable[dict[str, Any]]) -> list[Message | None]:
    turns: list[tuple[str, list[Part]]] = []
    for entry in entries:
        role, parts = item_parts(entry)
        if role == "assistant" and turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, parts))
    return [message(role, parts) for role, parts in turns]


def item_parts(item: dict[str, Any]) -> tuple[str, list[Part]]:
    """Role and parts of one item of `input` or `output`."""
    kind = text(item, "type") or "message"
    if kind == "message":
        return role_of(item), _kept(openai_parts(dig(item, "content")))
    if kind == "reasoning":
        return "assistant", _reasoning(item)
    if kind.endswith("_call_output") or kind == "mcp_approval_response":
        return "tool", [tool_result(dig(item, "output"), _call_id(item))]
    if kind == "image_generation_call":
        return "assistant", [media("image", dig(item, "result"), MIME_PNG)]
    if kind.endswith("_call"):
        return "assistant", _call(item, kind)
    return "assistant", [other(item)]


def _kept(parts: Iterable[Part | None]) -> list[Part]:
    return [part for part in parts if part is not None]


def _reasoning(item: dict[str, Any]) -> list[Part]:
    """The summary, or (open models) the reasoning itself; encrypted reasoning leaves no part."""
    said = flat_text(items(item, "summary")) or flat_text(items(item, "content"))
    return _kept([text_part(said, "reasoning")])


def _call(item: dict[str, Any], kind: str) -> list[Part]:
    """A call of the client's function (function_call, custom_tool_call, local_shell_call …) or of a tool of the provider's."""
    given = next((item[key] for key in ("arguments", "input", "action", "code", "queries") if item.get(key) is not None), None)
    name = text(item, "name") or kind.removesuffix("_call")
    made = [tool_call(given, _call_id(item), name)]
    return [*made, tool_result(item["output"], _call_id(item))] if item.get("output") is not None else made


def _call_id(item: dict[str, Any]) -> str | None:
    return label(item, "call_id") or label(item, "id")


_TYPE = re.compile(rb'"type"\s*:\s*"(response\.[a-z_.]+|error)"')
_TERMINAL = {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
UNFINISHED = frozenset({"queued", "in_progress"})  # of a response in the background, asked for before it is done
_ITEM_DONE = "response.output_item.done"
_ITEM_ADDED = "response.output_item.added"
_REPEATS = ("response.in_progress", "response.queued", "response.content_part.", "response.reasoning_summary_part.")
_DELTAS: dict[str, PartKind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
}


class ResponsesAnswer(AnswerDraft):
    """Everything is said three times: in deltas, in the finished item, and in the last event. Only the last two are parsed; deltas are kept
    unparsed, for a stream that breaks off within an item."""

    tail_keys: ClassVar[tuple[str, ...]] = ("usage", "model", "status", "id")

    def __init__(self) -> None:
        super().__init__()
        self._deltas: list[bytes] = []  # of the item that has not ended
        self._items: list[dict[str, Any]] = []
        self._output: list[dict[str, Any]] = []  # as the last event gives it; ChatGPT's backend leaves it empty
        self._begun = False

    @property
    def has_content(self) -> bool:
        return self._begun or bool(self._items)

    def take(self, name: str, data: bytes) -> None:
        kind = name if name.startswith("response.") else self._kind_of(data)
        if kind.endswith(".delta") or kind == _ITEM_ADDED:
            self._deltas.append(data)
            self._begun = self._begun or kind != _ITEM_ADDED
        elif kind.startswith(_REPEATS):
            return
        elif kind == _ITEM_DONE or kind in _TERMINAL or not kind.endswith(".done"):
            super().take(kind, data)

    @staticmethod
    def _kind_of(data: bytes) -> str:
        match = _TYPE.search(data)
        return match[1].decode() if match else ""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        kind = text(value, "type") or name
        if kind == _ITEM_DONE:
            self._items.append(obj(value, "item"))
            self._deltas.clear()
        elif isinstance(value.get("response"), dict):
            self._on_response(value["response"], kind in _TERMINAL)
        else:
            self.on_error(value)

    def on_body(self, value: dict[str, Any]) -> None:
        self._on_response(value, terminal=True, whole=self.finished)

    def _on_response(self, response: dict[str, Any], terminal: bool, whole: bool = True) -> None:
        self.on_error(response)
        self.on_model(response)
        self.on_id(response)
        if text(response, "status") in UNFINISHED:
            return
        self.usage = better(self.usage, usage_of(obj(response, "usage")))
        if terminal:
            self.finished = whole
            self._output = objects(response, "output") or self._output
            self.on_finish(response, "status")
            self.finish_reason = label(response, "incomplete_details", "reason") or self.finish_reason

    def on_end(self) -> None:
        draft = self.message()
        for item in self._output or self._items:
            draft.put(item_parts(item)[1])
        if not self._output:
            for data in self._deltas:
                self._grow(draft, parse(data))

    @staticmethod
    def _grow(draft: MessageDraft, value: Any) -> None:
        kind, index, piece = text(value, "type") or "", count(value, "output_index"), text(value, "delta")
        if kind == _ITEM_ADDED and (text(value, "item", "type") or "").endswith("_call"):
            item = obj(value, "item")
            draft.keyed(index, "tool_call").data = {"id": _call_id(item), "name": text(item, "name") or text(item, "type")}
        elif piece and kind in _DELTAS:
            draft.add(_DELTAS[kind], piece)
        elif piece and ("arguments" in kind or "input" in kind):
            draft.keyed(index, "tool_call").pieces.append(piece)
