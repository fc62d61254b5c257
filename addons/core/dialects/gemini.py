"""Gemini's generateContent and streamGenerateContent, on the Gemini API and Vertex, and as gemini-cli wraps it for Code Assist.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from addons.core.call import Message, Part, RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft, MessageDraft
from addons.core.dialects.parts import media, message, messages, other, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import count, dig, flag, items, label, obj, objects, text

_PATH = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:?]+):([A-Za-z]+)")
_METHOD = re.compile(r":([A-Za-z]+)(?:\?|$)")


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """Model and streaming stand in the path. Code Assist has them in the body, with the request itself under `request`."""
    in_path = _PATH.search(path)
    method = _METHOD.search(path)
    request = obj(body, "request") or body
    system = _either(request, "systemInstruction", "system_instruction")
    return RequestReading(
        model=in_path[1] if in_path else (text(body, "model") or "").rpartition("/")[2] or None,
        stream=bool(method and method[1].startswith("stream")),
        messages=messages([message("system", _parts(system)), *_contents(dig(request, "contents"))]),
        tools=_tools(request),
    )


def _either(value: Any, camel: str, snake: str) -> Any:
    found = dig(value, camel)
    return found if found is not None else dig(value, snake)


def _contents(contents: Any) -> list[Message | None]:
    """A list of turns; also a single turn or a string, which some clients send."""
    if isinstance(contents, dict | str):
        contents = [contents]
    return [message(role_of(turn), _parts(turn)) for turn in items(contents)]


def _parts(turn: Any) -> list[Part | None]:
    if isinstance(turn, str):
        return [text_part(turn)]
    found = dig(turn, "parts")
    return [part_of(part) for part in ([found] if isinstance(found, dict) else items(found))]


def _tools(request: dict[str, Any]) -> int:
    """Functions one by one, and the provider's own tools (search, code execution)."""
    return sum(len(items(_either(tool, "functionDeclarations", "function_declarations"))) or 1 for tool in objects(request, "tools"))


def part_of(value: Any) -> Part | None:
    """One part of a turn; its one key says what it is."""
    if isinstance(value, str):
        return text_part(value)
    if isinstance(dig(value, "text"), str):
        return text_part(value["text"], "reasoning" if flag(value, "thought") else "text")
    for (camel, snake), reader in _PARTS.items():
        inner = _either(value, camel, snake)
        if isinstance(inner, dict):
            return reader(inner)
    return other({"type": next(iter(value), None)}) if isinstance(value, dict) and set(value) - _SILENT else None


def _blob(inner: dict[str, Any]) -> Part:
    media_type = text(_either(inner, "mimeType", "mime_type"))
    return media(_media_kind(media_type), dig(inner, "data"), media_type)


def _file(inner: dict[str, Any]) -> Part:
    media_type = text(_either(inner, "mimeType", "mime_type"))
    return media(_media_kind(media_type), _either(inner, "fileUri", "file_uri"), media_type)


def _media_kind(media_type: str | None) -> Any:
    family = (media_type or "").partition("/")[0]
    return family if family in ("image", "audio") else "file"


def _response(inner: dict[str, Any]) -> Part:
    """The result itself where it is wrapped as `{"result": "…"}` or `{"output": "…"}`, as the SDKs do."""
    given = obj(inner, "response")
    only = next(iter(given.values())) if len(given) == 1 and next(iter(given)) in ("result", "output", "content") else given
    return tool_result(only, label(inner, "id") or text(inner, "name"))


_SILENT = {"thought", "thoughtSignature", "thought_signature"}  # a part with these alone carries nothing to read
_PARTS: dict[tuple[str, str], Callable[[dict[str, Any]], Part | None]] = {
    ("functionCall", "function_call"): lambda inner: tool_call(dig(inner, "args"), label(inner, "id"), text(inner, "name")),
    ("functionResponse", "function_response"): _response,
    ("inlineData", "inline_data"): _blob,
    ("fileData", "file_data"): _file,
    ("executableCode", "executable_code"): lambda inner: tool_call(dig(inner, "code"), label(inner, "id"), "code_execution"),
    ("codeExecutionResult", "code_execution_result"): lambda inner: tool_result(dig(inner, "output"), label(inner, "id")),
}


class GeminiAnswer(AnswerDraft):
    """Usage is repeated in most chunks, growing: the last one counts. Zeros are left out (protobuf's JSON), so an answer that has ended
    without candidate tokens has none."""

    array: ClassVar[bool] = True
    tail_keys: ClassVar[tuple[str, ...]] = ("usageMetadata", "modelVersion")

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[str, Any] = {}
        self._growing: dict[int, dict[str, Any]] = {}  # a function call whose arguments are streamed, by candidate

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        self.on_error(value)
        found = obj(value, "response") or value
        self.on_model(found, "modelVersion")
        usage = obj(found, "usageMetadata")
        if any(count(usage, key) is not None for key in ("promptTokenCount", "totalTokenCount")):
            self._usage = usage
        for candidate in objects(found, "candidates"):
            self._on_candidate(candidate)
        if blocked := label(found, "promptFeedback", "blockReason"):
            self.finish_reason, self.finished = blocked, True

    def _on_candidate(self, candidate: dict[str, Any]) -> None:
        index = count(candidate, "index") or 0
        for part in items(candidate, "content", "parts"):
            self._on_part(index, part)
        if label(candidate, "finishReason"):
            self.on_finish(candidate, "finishReason")
            self.finished = True

    def _on_part(self, index: int, value: Any) -> None:
        call = dig(value, "functionCall")
        if isinstance(call, dict) and self._in_pieces(index, call):
            self._grow(index, call)
            return
        part = part_of(value)
        if part is None:
            return
        if part.kind in ("text", "reasoning") and part.text:
            self.message(index).add(part.kind, part.text)
        else:
            self.message(index).put([part])

    def _in_pieces(self, index: int, call: dict[str, Any]) -> bool:
        """An empty call ends the one that is growing."""
        return flag(call, "willContinue") or bool(items(call, "partialArgs")) or (index in self._growing and not text(call, "name"))

    def _grow(self, index: int, call: dict[str, Any]) -> None:
        """Arguments by JSON path, strings in pieces; a call without `willContinue` ends it."""
        if text(call, "name"):
            self._growing[index] = {"call": {"id": label(call, "id"), "name": text(call, "name")}, "args": obj(call, "args")}
        state = self._growing.setdefault(index, {"call": {"id": None, "name": None}, "args": {}})
        for piece in objects(call, "partialArgs"):
            _put(state["args"], text(piece, "jsonPath") or "$", piece)
        if not flag(call, "willContinue"):
            self._close(index)

    def _close(self, index: int) -> None:
        state = self._growing.pop(index)
        draft: MessageDraft = self.message(index)
        draft.put([tool_call(state["args"], state["call"]["id"], state["call"]["name"])])

    @property
    def has_content(self) -> bool:
        return super().has_content or bool(self._growing)

    def on_end(self) -> None:
        for index in list(self._growing):
            self._close(index)
        self.usage = _usage(self._usage, self.finished)


def _put(args: dict[str, Any], path: str, piece: dict[str, Any]) -> None:
    """Sets `$.a.b` or `$.a[0]` of the arguments; strings are appended to."""
    steps = re.findall(r"[^.\[\]$'\"]+", path)
    for step in steps[:-1]:
        inner = args.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        args = inner
    if not steps:
        return
    old = args.get(steps[-1])
    if isinstance(piece.get("stringValue"), str):
        args[steps[-1]] = (old if isinstance(old, str) else "") + piece["stringValue"]
    else:
        args[steps[-1]] = next((piece[key] for key in ("numberValue", "boolValue") if key in piece), None)


def _usage(found: dict[str, Any], ended: bool) -> Usage:
    """Output = candidates + thoughts, input = prompt (cached part included) + what tools gave the model to read."""
    prompt, tools = count(found, "promptTokenCount"), count(found, "toolUsePromptTokenCount")
    said = count(found, "candidatesTokenCount")
    said = count(found, "responseTokenCount") if said is None else said  # Live API
    thoughts = count(found, "thoughtsTokenCount")
    outputs = [part for part in (said, thoughts) if part is not None]
    none_made = 0 if ended and prompt is not None else None
    return Usage(
        input_tokens=prompt + (tools or 0) if prompt is not None else None,
        output_tokens=sum(outputs) if outputs else none_made,
        cache_read_tokens=count(found, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        input_audio_tokens=_audio(found, "promptTokensDetails"),
        output_audio_tokens=_audio(found, "candidatesTokensDetails"),
        cache_read_audio_tokens=_audio(found, "cacheTokensDetails"),
    )


def _audio(found: dict[str, Any], details: str) -> int | None:
    """Of `[{"modality": "AUDIO", "tokenCount": …}]`, which is priced apart; None for none."""
    return sum(count(item, "tokenCount") or 0 for item in objects(found, details) if text(item, "modality") == "AUDIO") or None
