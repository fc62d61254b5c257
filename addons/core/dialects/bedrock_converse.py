"""Bedrock's converse and converse-stream; also what Amazon's Nova models speak through invoke.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from addons.core.call import Part, PartKind, RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.parts import media, message, messages, other, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import compact, count, dig, items, label, obj, objects, text

_MODEL = re.compile(r"/model/([^/?]+)/([a-z-]+)")


def model_in(path: str) -> str | None:
    """`/model/MODEL/converse`; the model's name or ARN is percent-encoded."""
    match = _MODEL.search(path)
    return unquote(match[1]) if match else None


def streams(path: str) -> bool:
    """Does the path ask for a stream (`converse-stream`, `invoke-with-response-stream`)?"""
    match = _MODEL.search(path)
    return bool(match and match[2].endswith("-stream"))


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    turns = [message(role_of(turn), _parts(dig(turn, "content"))) for turn in objects(body, "messages")]
    return RequestReading(
        model=model_in(path),
        stream=streams(path),
        messages=messages([message("system", _parts(dig(body, "system"))), *turns]),
        tools=len(items(body, "toolConfig", "tools")),
    )


def _parts(content: Any) -> list[Part | None]:
    if not isinstance(content, list):
        return [text_part(content)]
    return [part for block in content for part in block_parts(block)]


def block_parts(block: Any) -> list[Part | None]:
    """A content block; its one key says what it is. A tool result's images follow it as parts of their own."""
    if isinstance(block, str):
        return [text_part(block)]
    for key, reader in _BLOCKS.items():
        if isinstance(block, dict) and key in block:
            return reader(block[key])
    return [other({"type": next(iter(block), None)})] if isinstance(block, dict) else []


def _media(kind: PartKind) -> Callable[[Any], list[Part | None]]:
    def read(inner: Any) -> list[Part | None]:
        place = text(inner, "source", "s3Location", "uri")
        declared = text(inner, "format")
        return [media(kind, place or dig(inner, "source", "bytes"), f"{_FAMILIES[kind]}/{declared}" if declared else None)]

    return read


def _result(inner: Any) -> list[Part | None]:
    blocks = objects(inner, "content")
    said = [dig(block, "text") if "text" in block else compact(block["json"]) for block in blocks if "text" in block or "json" in block]
    pictures = [part for block in blocks if "image" in block for part in block_parts(block)]
    return [tool_result("\n".join(filter(None, said)) or None, label(inner, "toolUseId")), *pictures]


def _reasoning(inner: Any) -> list[Part | None]:
    return [text_part(dig(inner, "reasoningText", "text"), "reasoning")]  # redacted reasoning is encrypted: nothing to read


_FAMILIES: dict[PartKind, str] = {"image": "image", "audio": "audio", "file": "application"}
_BLOCKS: dict[str, Callable[[Any], list[Part | None]]] = {
    "text": lambda inner: [text_part(inner)],
    "toolUse": lambda inner: [tool_call(dig(inner, "input"), label(inner, "toolUseId"), text(inner, "name"))],
    "toolResult": _result,
    "reasoningContent": _reasoning,
    "image": _media("image"),
    "audio": _media("audio"),
    "document": _media("file"),
    "video": _media("file"),
    "guardContent": lambda inner: [text_part(dig(inner, "text", "text"))],
    "cachePoint": lambda inner: [],
}


def usage_of(found: dict[str, Any]) -> Usage:
    """Cached tokens lie outside `inputTokens`. Invoke calls them `…TokenCount`; converse has them under both names."""
    read = _either(found, "cacheReadInputTokens", "cacheReadInputTokenCount")
    write = _either(found, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    plain = count(found, "inputTokens")
    hour = [count(detail, "inputTokens") or 0 for detail in objects(found, "cacheDetails") if text(detail, "ttl") == "1h"]
    return Usage(
        input_tokens=None if plain is None else plain + (read or 0) + (write or 0),
        output_tokens=count(found, "outputTokens"),
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=sum(hour) if hour else None,
    )


def _either(found: dict[str, Any], name: str, older: str) -> int | None:
    said = count(found, name)
    return count(found, older) if said is None else said


class ConverseAnswer(AnswerDraft):
    """The usage comes in `metadata`, after `messageStop` has said that the message is whole. Events are named by the frame's header, or
    (Nova through invoke, proxies that make SSE of them) by their one key."""

    tail_keys = ("usage", "stopReason")

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        kind = name if name in _EVENTS else next((key for key in value if key in _EVENTS), None)
        if kind is None:
            self.on_error(value)
        else:
            _EVENTS[kind](self, obj(value, kind) or value)

    def on_body(self, value: dict[str, Any]) -> None:
        self.on_error(value)
        self._on_stop(value, ended=self.finished)
        self._on_metadata(value)
        for block in items(value, "output", "message", "content"):
            self.message().put([part for part in block_parts(block) if part is not None])

    def _on_start(self, value: dict[str, Any]) -> None:
        """Only the role."""

    def _on_block(self, value: dict[str, Any]) -> None:
        index, use = count(value, "contentBlockIndex") or 0, obj(value, "start", "toolUse")
        if use:
            self.message().keyed(index, "tool_call").data = {"id": label(use, "toolUseId"), "name": text(use, "name")}

    def _on_delta(self, value: dict[str, Any]) -> None:
        index, delta = count(value, "contentBlockIndex") or 0, obj(value, "delta")
        pieces: tuple[tuple[PartKind, str | None], ...] = (
            ("text", text(delta, "text")),
            ("reasoning", text(delta, "reasoningContent", "text")),
            ("tool_call", text(delta, "toolUse", "input")),
        )
        for kind, piece in pieces:
            if piece:
                self.message().keyed(index, kind).pieces.append(piece)

    def _on_stop(self, value: dict[str, Any], ended: bool = True) -> None:
        self.on_finish(value, "stopReason")
        self.finished = ended

    def _on_metadata(self, value: dict[str, Any]) -> None:
        usage = usage_of(obj(value, "usage"))
        if usage.known:
            self.usage = usage


_EVENTS: dict[str, Callable[[ConverseAnswer, dict[str, Any]], None]] = {
    "messageStart": ConverseAnswer._on_start,
    "contentBlockStart": ConverseAnswer._on_block,
    "contentBlockDelta": ConverseAnswer._on_delta,
    "contentBlockStop": ConverseAnswer._on_start,
    "messageStop": ConverseAnswer._on_stop,
    "metadata": ConverseAnswer._on_metadata,
}
