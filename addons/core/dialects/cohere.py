"""Cohere's chat (v1 and v2), embed and rerank.

https://docs.cohere.com/v2/reference/chat, https://docs.cohere.com/v1/reference/chat-v1. Its `tokens` are what the model read and wrote;
`billed_units` are what is paid: without the tokens that Cohere itself puts around a prompt, and searches in place of tokens for rerank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from addons.core.call import Message, Part, RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_chat import chat_message, grow_call
from addons.core.dialects.openai_completions import input_parts
from addons.core.dialects.parts import message, messages, openai_parts, role_of, text_part, tool_call, tool_result
from addons.core.jsonvalues import count, dig, flag, items, label, obj, objects, text


def read_chat(path: str, body: dict[str, Any]) -> RequestReading:
    """v2 has `messages` as OpenAI has; v1 one `message` with a `chat_history` and a `preamble` before it."""
    turns = [_v2_message(turn) for turn in objects(body, "messages")] if items(body, "messages") else _v1_turns(body)
    return RequestReading(
        model=text(body, "model"),
        stream=flag(body, "stream"),
        messages=messages(turns),
        session=text(body, "conversation_id"),
        tools=len(items(body, "tools")),
    )


def _v2_message(turn: dict[str, Any]) -> Message | None:
    made = chat_message(turn)
    plan = text_part(dig(turn, "tool_plan"), "reasoning")
    if plan is None:
        return made
    return Message(made.role, (plan, *made.parts)) if made else message(role_of(turn), [plan])


def _v1_turns(body: dict[str, Any]) -> list[Message | None]:
    history = [
        message(role_of(turn), [text_part(dig(turn, "message")), *_v1_calls(turn), *_v1_results(turn)])
        for turn in objects(body, "chat_history")
    ]
    return [
        message("system", [text_part(dig(body, "preamble"))]),
        *history,
        message("tool", _v1_results(body)),
        message("user", [text_part(dig(body, "message"))]),
    ]


def _v1_calls(value: dict[str, Any]) -> list[Part | None]:
    return [tool_call(dig(call, "parameters"), label(call, "id"), text(call, "name")) for call in objects(value, "tool_calls")]


def _v1_texts(value: dict[str, Any]) -> list[Part | None]:
    """Of chat, of generate, of summarize."""
    made = [text_part(dig(one, "text")) for one in objects(value, "generations")]
    return [text_part(dig(value, "text")), *made, text_part(dig(value, "summary"))]


def _v1_results(value: dict[str, Any]) -> list[Part | None]:
    return [tool_result(dig(result, "outputs"), text(result, "call", "name")) for result in objects(value, "tool_results")]


def read_embed(path: str, body: dict[str, Any]) -> RequestReading:
    """`texts`, or `inputs` of content blocks; all are parts of one user's message."""
    blocks = [part for entry in objects(body, "inputs") for part in openai_parts(dig(entry, "content"))]
    given = [*(input_parts(items(body, "texts"))), *blocks, *(openai_parts(_pictures(body)))]
    return RequestReading(model=text(body, "model"), messages=messages([message("user", given)]))


def _pictures(body: dict[str, Any]) -> list[Any]:
    return [{"type": "image_url", "image_url": {"url": image}} for image in items(body, "images")]


def usage_of(found: dict[str, Any]) -> Usage:
    """Of `usage` (v2) or `meta` (v1): tokens where they are said, else the billed ones."""
    tokens, billed = obj(found, "tokens"), obj(found, "billed_units")
    counted = tokens or billed
    return Usage(
        input_tokens=count(counted, "input_tokens"),
        output_tokens=count(counted, "output_tokens"),
        cache_read_tokens=count(found, "cached_tokens"),
        reasoning_tokens=count(tokens, "reasoning_tokens"),
        billed_input_tokens=count(billed, "input_tokens"),
        billed_output_tokens=count(billed, "output_tokens"),
    )


class CohereAnswer(AnswerDraft):
    """v2 streams events with a `type`, v1 JSON lines with an `event_type`; both end with one that has the usage."""

    lines: ClassVar[bool] = True
    tail_keys: ClassVar[tuple[str, ...]] = ("usage", "meta", "finish_reason")

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        handler = _EVENTS.get(text(value, "type") or text(value, "event_type") or name)
        if handler:
            handler(self, value)
        elif "event_type" not in value and "type" not in value:
            self.finished = self.finished or "finish_reason" in value  # a whole answer on one line
            self._on_whole(value)
        else:
            self.on_error(value)

    def on_body(self, value: dict[str, Any]) -> None:
        self._on_whole(value)

    def _on_whole(self, value: dict[str, Any]) -> None:
        """v2 has a `message`; v1 stands at the top. Embeddings and rankings have a `meta` alone."""
        self.on_error(value)
        self._on_end_of(value)
        said = obj(value, "message")
        self._put([text_part(dig(said, "tool_plan"), "reasoning"), *openai_parts(items(said, "content")), *_v1_texts(value)])
        turn = chat_message({"role": "assistant", "tool_calls": items(said, "tool_calls")})
        self._put([*(turn.parts if turn else ()), *_v1_calls(value)])

    def _put(self, parts: list[Part | None]) -> None:
        kept = [part for part in parts if part is not None]
        if kept:
            self.message().put(kept)

    def _on_end_of(self, value: dict[str, Any]) -> None:
        self.on_model(value)
        self.on_finish(value, "finish_reason")
        usage = usage_of(obj(value, "usage") or obj(value, "meta"))
        if usage.known:
            self.usage = usage

    def _on_content(self, value: dict[str, Any]) -> None:
        content = obj(value, "delta", "message", "content")
        for key, kind in (("thinking", "reasoning"), ("text", "text")):
            if piece := text(content, key):
                self.message().add("reasoning" if kind == "reasoning" else "text", piece)

    def _on_plan(self, value: dict[str, Any]) -> None:
        if piece := text(value, "delta", "message", "tool_plan"):
            self.message().add("reasoning", piece)

    def _on_call(self, value: dict[str, Any]) -> None:
        call = obj(value, "delta", "message", "tool_calls")
        grow_call(self.message(), ("call", count(value, "index") or 0), call)

    def _on_message_end(self, value: dict[str, Any]) -> None:
        self._on_end_of(obj(value, "delta"))
        if problem := text(value, "delta", "error"):
            self.error_type, self.error = self.error_type or self.finish_reason, self.error or problem
        self.finished = True

    def _on_v1_text(self, value: dict[str, Any]) -> None:
        if piece := text(value, "text"):
            self.message().add("text", piece)

    def _on_v1_calls(self, value: dict[str, Any]) -> None:
        self._put(_v1_calls(value))

    def _on_v1_end(self, value: dict[str, Any]) -> None:
        """The whole answer once more, in an older form the finish reason beside it."""
        response = obj(value, "response")
        self._on_end_of(response)
        self.on_finish(value, "finish_reason")
        if not self.has_content:
            self._put([text_part(dig(response, "text")), *_v1_calls(response)])
        self.finished = True


_EVENTS: dict[str, Callable[[CohereAnswer, dict[str, Any]], None]] = {
    "content-start": CohereAnswer._on_content,
    "content-delta": CohereAnswer._on_content,
    "tool-plan-delta": CohereAnswer._on_plan,
    "tool-call-start": CohereAnswer._on_call,
    "tool-call-delta": CohereAnswer._on_call,
    "message-end": CohereAnswer._on_message_end,
    "text-generation": CohereAnswer._on_v1_text,
    "tool-calls-generation": CohereAnswer._on_v1_calls,
    "stream-end": CohereAnswer._on_v1_end,
}
