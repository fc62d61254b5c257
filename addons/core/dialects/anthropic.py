"""Anthropic messages, also as Vertex and gateways pass it on.

https://docs.anthropic.com/en/api/messages, https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from addons.core.call import Message, Part, PartKind, RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_usage import cost_of
from addons.core.dialects.parts import media, message, messages, named_file, other, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import compact, count, dig, flag, items, label, obj, objects, parse, text

_SESSION = re.compile(r"_session_([0-9A-Za-z-]{8,})$")


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    return RequestReading(
        model=text(body, "model") or _model_in(path),
        stream=flag(body, "stream") or path.partition("?")[0].endswith(":streamRawPredict"),
        messages=messages([message("system", _content(dig(body, "system"))), *(_message(item) for item in objects(body, "messages"))]),
        session=session_of(dig(body, "metadata", "user_id")),
        tools=len(items(body, "tools")),
    )


def session_of(user_id: Any) -> str | None:
    """Claude Code's session: `user_id` is a JSON string with `session_id`, in older versions `user_…_account_…_session_<uuid>`."""
    if not isinstance(user_id, str):
        return None
    if user_id.startswith("{"):
        return text(parse(user_id.encode("utf-8", "replace")), "session_id")
    match = _SESSION.search(user_id)
    return match[1] if match else None


def _model_in(path: str) -> str | None:
    """Vertex: `…/publishers/anthropic/models/MODEL:rawPredict`."""
    match = re.search(r"/models/([^/:?]+)", path)
    return match[1] if match else None


def _message(value: dict[str, Any]) -> Message | None:
    return message(role_of(value), _content(dig(value, "content")))


def _content(content: Any) -> list[Part | None]:
    if not isinstance(content, list):
        return [text_part(content)]
    return [part for block in content for part in block_parts(block)]


def block_parts(block: Any) -> list[Part | None]:
    """A content block of a request or an answer; a tool result's images follow it as parts of their own."""
    if isinstance(block, str):
        return [text_part(block)]
    kind = text(block, "type") or ""
    if kind.endswith("tool_use"):  # tool_use, server_tool_use, mcp_tool_use
        return [tool_call(dig(block, "input"), label(block, "id"), text(block, "name"))]
    if kind.endswith("tool_result"):  # tool_result, web_search_tool_result, mcp_tool_result …
        content = dig(block, "content")
        media_blocks = [inner for inner in objects(content) if text(inner, "type") in _MEDIA]
        return [tool_result(content, label(block, "tool_use_id")), *(_media(inner) for inner in media_blocks)]
    if kind in _MEDIA:
        return [_media(block)]
    return [_TEXTS[kind](block) if kind in _TEXTS else other(block)]


_TEXTS: dict[str, Callable[[Any], Part | None]] = {
    "text": lambda block: text_part(dig(block, "text")),
    "thinking": lambda block: text_part(dig(block, "thinking"), "reasoning"),
    "redacted_thinking": lambda block: None,  # encrypted: nothing to read
}
_MEDIA: dict[str | None, PartKind] = {"image": "image", "document": "file"}
_KINDS: dict[str, PartKind] = {"text": "text", "thinking": "reasoning", "partial_json": "tool_call"}


def _media(block: Any) -> Part:
    kind = _MEDIA[text(block, "type")]
    source = obj(block, "source")
    if text(source, "type") == "file":
        return named_file(kind, source)
    if text(source, "type") == "text":
        size = len((text(source, "data") or "").encode("utf-8", "replace"))
        return Part(kind, None, {"media_type": text(source, "media_type") or "text/plain", "bytes": size})
    content = dig(source, "url") if text(source, "type") == "url" else dig(source, "data")
    return media(kind, content, text(source, "media_type"))


_COUNTS = {
    "input": ("input_tokens",),
    "output": ("output_tokens",),
    "read": ("cache_read_input_tokens",),
    "write": ("cache_creation_input_tokens",),
    "write_1h": ("cache_creation", "ephemeral_1h_input_tokens"),
    "reasoning": ("output_tokens_details", "thinking_tokens"),
    "searches": ("server_tool_use", "web_search_requests"),
}


class MessagesAnswer(AnswerDraft):
    """Usage comes first in `message_start` and again in each `message_delta`, cumulative; the later ones may repeat some keys, leave out
    others, or end in zeros: the maximum of each key is right, a sum never."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}
        self._cost: float | None = None
        self._inputs: dict[int, Any] = {}  # of tool calls, as their block began: all there is when no delta follows

    def take(self, name: str, data: bytes) -> None:
        if name != "ping":
            super().take(name, data)

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        handler = _EVENTS.get(text(value, "type") or name)
        if handler:
            handler(self, value)
        else:
            self.on_error(value)

    def on_body(self, value: dict[str, Any]) -> None:
        self.on_error(value)
        self._on_message(value)

    def _on_start(self, value: dict[str, Any]) -> None:
        self._on_message(obj(value, "message"))

    def _on_message(self, found: dict[str, Any]) -> None:
        self.on_model(found)
        self._count(obj(found, "usage"))
        self.on_finish(found, "stop_reason")
        for block in items(found, "content"):
            self.message().put([part for part in block_parts(block) if part is not None])

    def _on_block(self, value: dict[str, Any]) -> None:
        index, block = count(value, "index") or 0, obj(value, "content_block")
        kind = text(block, "type") or ""
        if kind.endswith("tool_use"):
            self.message().keyed(index, "tool_call").data = {"id": label(block, "id"), "name": text(block, "name")}
            self._inputs[index] = dig(block, "input")
        elif kind in ("text", "thinking"):
            self._grow(index, kind, text(block, kind))
        else:
            self.message().put([part for part in block_parts(block) if part is not None])

    def _on_delta(self, value: dict[str, Any]) -> None:
        index, delta = count(value, "index") or 0, obj(value, "delta")
        for key in ("text", "thinking", "partial_json"):
            self._grow(index, key, text(delta, key))

    def _grow(self, index: int, key: str, piece: str | None) -> None:
        if piece:
            self.message().keyed(index, _KINDS[key]).pieces.append(piece)

    def _on_message_delta(self, value: dict[str, Any]) -> None:
        self.on_finish(obj(value, "delta"), "stop_reason")
        self._count(obj(value, "usage"))
        self.finished = self.finished or self.finish_reason is not None

    def _on_stop(self, value: dict[str, Any]) -> None:
        self.finished = True

    def _count(self, usage: dict[str, Any]) -> None:
        for key, path in _COUNTS.items():
            found = count(usage, *path)
            if found is not None:
                self._counts[key] = max(found, self._counts.get(key, 0))
        cost = cost_of(usage)  # OpenRouter
        self._cost = cost if cost is not None else self._cost

    def on_end(self) -> None:
        for index, given in self._inputs.items():
            part = self.message().keyed(index, "tool_call")
            if not part.pieces and given is not None:
                part.pieces.append(compact(given))
        known = self._counts
        inputs = [known[key] for key in ("input", "read", "write") if key in known]
        self.usage = Usage(
            input_tokens=sum(inputs) if inputs else None,  # Anthropic's own excludes what went through the cache
            output_tokens=known.get("output"),
            cache_read_tokens=known.get("read"),
            cache_write_tokens=known.get("write"),
            cache_write_1h_tokens=known.get("write_1h"),
            reasoning_tokens=known.get("reasoning"),
            cost_usd=self._cost,
            web_searches=known.get("searches"),
        )


_EVENTS = {
    "message_start": MessagesAnswer._on_start,
    "content_block_start": MessagesAnswer._on_block,
    "content_block_delta": MessagesAnswer._on_delta,
    "message_delta": MessagesAnswer._on_message_delta,
    "message_stop": MessagesAnswer._on_stop,
    "message": MessagesAnswer._on_message,
}
