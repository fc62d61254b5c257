"""What the events of each dialect's streams add to which text, and which texts they end. Data for `restore_lanes`.

    pieces(event) -> the strings that go on where an earlier event's left off, in the order in which a client puts them together
    ended(event)  -> the owners (choice, content block, output item, candidate) of which nothing more will come

A string that is none of these is whole in its event (`response.completed`, a Gemini function call) and needs no table.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator
from typing import Any, NamedTuple

from addons.core.jsonvalues import count, dig, flag, items, label, obj, objects, text
from addons.core.redaction.restore_values import Form, Path, leaves

CALL = "call"
"""The group of tool calls: several may grow by turns, and none is ended by what comes beside it."""


class Piece(NamedTuple):
    """`path` leads to the string; to nothing where an event only says that something else has begun. Pieces of equal `lane` are one
    text. One `owner` has one growing text at a time: a piece of another `group` ends it."""

    path: Path
    owner: Hashable
    group: Hashable
    form: Form = "text"
    sub: Hashable = None

    @property
    def lane(self) -> Hashable:
        return self.owner, self.group, self.sub


class _Every:
    """All owners."""

    def __contains__(self, owner: object) -> bool:
        return True


EVERY = _Every()
NONE: frozenset[Hashable] = frozenset()


class StreamDialect(NamedTuple):
    """`pieces` and `ended` as in the module's description."""

    pieces: Callable[[dict[str, Any]], Iterator[Piece]]
    ended: Callable[[dict[str, Any]], Container[Hashable]]


# OpenAI chat and completions: by choice; the end is a finish reason

_CHAT_TEXTS = {"reasoning_content": "reasoning", "reasoning": "reasoning", "content": "content", "refusal": "refusal"}
_CHAT_LISTS = {"reasoning_details": "reasoning", "content": "content"}
_LISTED = frozenset(("text", "thinking", "summary"))


def _chat_pieces(event: dict[str, Any]) -> Iterator[Piece]:
    for place, choice in enumerate(items(event, "choices")):
        owner, path = count(choice, "index") or 0, ("choices", place)
        if text(choice, "text"):  # completions
            yield Piece((*path, "text"), owner, "content")
        delta = obj(choice, "delta")
        yield from _chat_texts(delta, (*path, "delta"), owner)
        yield from _chat_calls(delta, (*path, "delta"), owner)


def _chat_texts(delta: dict[str, Any], path: Path, owner: int) -> Iterator[Piece]:
    for key, group in _CHAT_LISTS.items():  # OpenRouter's reasoning, Mistral's content
        for place, is_key in leaves(items(delta, key)):
            if not is_key and place[-1] in _LISTED:
                names = tuple(step for step in place if isinstance(step, str))
                yield Piece((*path, key, *place), owner, "reasoning" if "thinking" in names else group, sub=(key, names))
    for key, group in _CHAT_TEXTS.items():
        if text(delta, key):
            yield Piece((*path, key), owner, group, sub=key)
    if text(delta, "audio", "transcript"):
        yield Piece((*path, "audio", "transcript"), owner, "audio")


def _chat_calls(delta: dict[str, Any], path: Path, owner: int) -> Iterator[Piece]:
    for place, call in enumerate(items(delta, "tool_calls")):
        index = count(call, "index")
        sub = index if index is not None else label(call, "id") or place
        at = (*path, "tool_calls", place)
        yield Piece((), owner, CALL, sub=sub)
        yield Piece((*at, "function", "arguments"), owner, CALL, "tool_json", sub)
        yield Piece((*at, "custom", "input"), owner, CALL, "tool", sub)
    if obj(delta, "function_call"):
        yield Piece((), owner, CALL)
        yield Piece((*path, "function_call", "arguments"), owner, CALL, "tool_json")


def _chat_ended(event: dict[str, Any]) -> Container[Hashable]:
    if event.get("error"):
        return EVERY
    return {count(choice, "index") or 0 for choice in objects(event, "choices") if choice.get("finish_reason")}


# OpenAI responses: by output item; the end is a `….done` of the item, or the last event

_AUDIO = frozenset(("response.audio.delta", "response.output_audio.delta"))
_FORMS: tuple[tuple[str, Form], ...] = (("arguments", "tool_json"), ("input", "tool"), ("code_interpreter", "tool"), ("diff", "tool"))
_BEGINNING = frozenset(("response.created", "response.queued", "response.in_progress"))


def _item_of(event: dict[str, Any]) -> Hashable:
    index = count(event, "output_index")
    return index if index is not None else label(event, "item_id")


def _responses_pieces(event: dict[str, Any]) -> Iterator[Piece]:
    kind = text(event, "type") or ""
    if not kind.endswith(".delta") or kind in _AUDIO:
        return
    form: Form = next((form for word, form in _FORMS if word in kind), "text")
    sub = count(event, "content_index"), count(event, "summary_index")
    yield Piece(("delta",), _item_of(event), kind, form, sub)


def _responses_ended(event: dict[str, Any]) -> Container[Hashable]:
    kind = text(event, "type") or ""
    if kind.endswith(".done") and kind != "response.done":
        return {_item_of(event)}
    last = kind == "error" or (isinstance(event.get("response"), dict) and kind not in _BEGINNING)
    return EVERY if last else NONE


# Anthropic messages: by content block; the end is content_block_stop


def _anthropic_pieces(event: dict[str, Any]) -> Iterator[Piece]:
    if text(event, "type") != "content_block_delta":
        return
    owner = count(event, "index") or 0
    for key, given in obj(event, "delta").items():
        if isinstance(given, str) and key not in ("type", "signature"):
            yield Piece(("delta", key), owner, key, "tool_json" if key == "partial_json" else "text")


def _anthropic_ended(event: dict[str, Any]) -> Container[Hashable]:
    kind = text(event, "type")
    if kind == "content_block_stop" or text(event, "delta", "type") == "signature_delta":
        return {count(event, "index") or 0}
    return EVERY if kind in ("message_delta", "message_stop", "error") else NONE


# Gemini: by candidate; the end is a finish reason, or a part of another kind


def _gemini_root(event: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Code Assist wraps each response."""
    inner = obj(event, "response")
    return (("response",), inner) if inner else ((), event)


def _gemini_pieces(event: dict[str, Any]) -> Iterator[Piece]:
    root, response = _gemini_root(event)
    for place, candidate in enumerate(items(response, "candidates")):
        owner = count(candidate, "index") or 0
        for number, part in enumerate(items(candidate, "content", "parts")):
            yield from _gemini_part(part, (*root, "candidates", place, "content", "parts", number), owner)


def _gemini_part(part: Any, path: Path, owner: int) -> Iterator[Piece]:
    if text(part, "text"):
        yield Piece((*path, "text"), owner, "thought" if flag(part, "thought") else "text")
        return
    pieces = items(part, "functionCall", "partialArgs")
    if not isinstance(dig(part, "text"), str) and not pieces:
        yield Piece((), owner, "part")  # a function call, an image: the text before it has ended
    for number, piece in enumerate(pieces):
        name = text(piece, "jsonPath")
        yield Piece((*path, "functionCall", "partialArgs", number, "stringValue"), owner, ("args", name), "tool")
        if not flag(piece, "willContinue"):
            yield Piece((), owner, "argument's end")


def _gemini_ended(event: dict[str, Any]) -> Container[Hashable]:
    response = _gemini_root(event)[1]
    if event.get("error") or obj(response, "promptFeedback"):
        return EVERY
    return {count(candidate, "index") or 0 for candidate in objects(response, "candidates") if candidate.get("finishReason")}


# Ollama: one text and one reasoning; the end is `done`


def _ollama_pieces(event: dict[str, Any]) -> Iterator[Piece]:
    path: Path = ("message",) if obj(event, "message") else ()
    for key, group in (("thinking", "reasoning"), ("content" if path else "response", "content")):
        yield Piece((*path, key), 0, group)
    if items(event, "message", "tool_calls"):
        yield Piece((), 0, CALL)


def _ollama_ended(event: dict[str, Any]) -> Container[Hashable]:
    return EVERY if event.get("error") or flag(event, "done") else NONE


# Cohere chat, v2 by content block and tool call, v1 one text; the end is an event of its own


def _cohere_kind(event: dict[str, Any]) -> str:
    return text(event, "type") or text(event, "event_type") or ""


def _cohere_pieces(event: dict[str, Any]) -> Iterator[Piece]:
    at: Path = ("delta", "message")
    said, index = obj(event, "delta", "message"), count(event, "index") or 0
    for key in ("thinking", "text"):
        if text(said, "content", key):
            yield Piece((*at, "content", key), ("content", index), key)
    if text(said, "tool_plan"):
        yield Piece((*at, "tool_plan"), "plan", "plan")
    if text(said, "tool_calls", "function", "arguments"):
        yield Piece((*at, "tool_calls", "function", "arguments"), (CALL, index), CALL, "tool_json")
    if _cohere_kind(event) == "text-generation":
        yield Piece(("text",), "v1", "text")


def _cohere_ended(event: dict[str, Any]) -> Container[Hashable]:
    kind, index = _cohere_kind(event), count(event, "index") or 0
    if kind in ("content-end", "tool-call-end"):
        return {("content" if kind == "content-end" else CALL, index)}
    if kind == "tool-call-start":
        return {"plan"}
    return EVERY if kind in ("message-end", "stream-end", "tool-calls-generation") or event.get("error") else NONE


def _no_pieces(event: dict[str, Any]) -> Iterator[Piece]:
    yield from ()


def _never(event: dict[str, Any]) -> Container[Hashable]:
    return NONE


_CHAT = StreamDialect(_chat_pieces, _chat_ended)
_OLLAMA = StreamDialect(_ollama_pieces, _ollama_ended)

STREAMS: dict[str, StreamDialect] = {
    "openai.chat": _CHAT,
    "openai.completions": _CHAT,
    "openai.responses": StreamDialect(_responses_pieces, _responses_ended),
    "anthropic.messages": StreamDialect(_anthropic_pieces, _anthropic_ended),
    "gemini.generate": StreamDialect(_gemini_pieces, _gemini_ended),
    "ollama.chat": _OLLAMA,
    "ollama.generate": _OLLAMA,
    "cohere.chat": StreamDialect(_cohere_pieces, _cohere_ended),
}

OTHER = StreamDialect(_no_pieces, _never)
"""Placeholders that stand whole in an event are restored, cut ones are not."""
