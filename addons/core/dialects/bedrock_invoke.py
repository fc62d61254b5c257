"""Bedrock's invoke: every model's own dialect inside AWS's frames, its first event or its body telling which.

A stream's chunks are `{"bytes": base64 of one JSON event}`. Usage is what the model itself says; where it says none, what AWS adds: headers
(`x-amzn-bedrock-…-token-count`) on whole answers, `amazon-bedrock-invocationMetrics` in a stream's last event. The two are not mixed: for
Claude the metrics were seen to disagree with the usage that is billed.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from addons.core.call import Headers, RequestReading, Usage
from addons.core.dialects import anthropic, bedrock_converse, openai_chat
from addons.core.dialects.bedrock_converse import ConverseAnswer, model_in, streams, usage_of
from addons.core.dialects.bedrock_native import NativeAnswer
from addons.core.dialects.cohere import CohereAnswer
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_completions import CompletionAnswer, input_parts
from addons.core.dialects.parts import message, messages
from addons.core.jsonvalues import count, dig, obj, objects, parse, text

METRICS = "amazon-bedrock-invocationMetrics"
_HEADERS = {
    "x-amzn-bedrock-input-token-count": "inputTokens",
    "x-amzn-bedrock-output-token-count": "outputTokens",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokens",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokens",
}
_METRICS = {
    "inputTokenCount": "inputTokens",
    "outputTokenCount": "outputTokens",
    "cacheReadInputTokenCount": "cacheReadInputTokens",
    "cacheWriteInputTokenCount": "cacheWriteInputTokens",
}
PROMPTS = ("prompt", "inputText", "texts", "inputs")  # of models with a form of their own


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """Read as the dialect that the body is in; model and streaming stand in the path."""
    return replace(_read_body(path, body), model=model_in(path) or text(body, "model"), stream=streams(path))


def _read_body(path: str, body: dict[str, Any]) -> RequestReading:
    if "anthropic_version" in body:
        return anthropic.read_request(path, body)
    turns = objects(body, "messages")
    if "schemaVersion" in body or any("type" not in block for turn in turns for block in objects(turn, "content")):
        return bedrock_converse.read_request(path, body)
    if turns:
        return openai_chat.read_request(path, body)
    prompt = next((body[key] for key in PROMPTS if key in body), None)
    return RequestReading(messages=messages([message("user", input_parts(prompt))]))


def chunk_value(value: dict[str, Any]) -> dict[str, Any]:
    """The event in a chunk's frame; empty where there is none."""
    try:
        found = parse(b64decode(text(value, "bytes") or "", validate=True))
    except binascii.Error:  # no base64: no event of a model's
        return {}
    return obj(found)


_FORMS: tuple[tuple[Callable[[dict[str, Any]], bool], Callable[[], AnswerDraft]], ...] = (
    (lambda value: text(value, "type") in ("message_start", "message", "error"), anthropic.MessagesAnswer),
    (lambda value: dig(value, "choices", 0, "text") is not None, CompletionAnswer),
    (lambda value: "choices" in value, openai_chat.ChatAnswer),
    (lambda value: "messageStart" in value or "output" in value, ConverseAnswer),
    (lambda value: "event_type" in value or "chat_history" in value or text(value, "type") == "message-start", CohereAnswer),
    (lambda value: True, NativeAnswer),
)


class InvokeAnswer(AnswerDraft):
    """Hands every event to the draft of the dialect that the first one is in."""

    def __init__(self) -> None:
        super().__init__()
        self._inner: AnswerDraft | None = None
        self._metered = Usage()

    def on_headers(self, headers: Headers) -> None:
        counts = {_HEADERS[name.lower()]: value for name, value in headers if name.lower() in _HEADERS}
        if counts:
            self._metered = usage_of(counts)

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        event = chunk_value(value) if "bytes" in value else value
        metrics = obj(event, METRICS)
        if metrics:
            self._metered = usage_of({_METRICS[key]: count(metrics, key) for key in metrics if key in _METRICS})
        if event.keys() - {METRICS}:
            self._draft(event).on_event("", event)

    def on_body(self, value: dict[str, Any]) -> None:
        self.on_error(value)
        inner = self._draft(value)
        inner.finished = self.finished
        inner.on_body(value)

    def _draft(self, value: dict[str, Any]) -> AnswerDraft:
        if self._inner is None:
            self._inner = next(make for fits, make in _FORMS if fits(value))()
            self._inner.choices = self.choices
        return self._inner

    @property
    def has_content(self) -> bool:
        return self._inner is not None and self._inner.has_content

    def on_end(self) -> None:
        if inner := self._inner:
            inner.on_end()
            self.usage, self.model, self.finish_reason = inner.usage, inner.model, inner.finish_reason
            self.finished = self.finished or inner.finished
            self.error_type, self.error = self.error_type or inner.error_type, self.error or inner.error
        if not self.usage.known:
            self.usage = self._metered
