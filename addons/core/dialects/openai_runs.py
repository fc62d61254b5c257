"""Runs of OpenAI's assistants (threads).

https://platform.openai.com/docs/api-reference/runs, https://platform.openai.com/docs/api-reference/assistants-streaming/events
"""

from __future__ import annotations

from typing import Any

from addons.core.call import RequestReading
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_chat import chat_message, tool_calls
from addons.core.dialects.openai_usage import usage_of
from addons.core.dialects.parts import message, messages, text_part, tool_result
from addons.core.jsonvalues import count, dig, flag, items, label, obj, objects, text

UNFINISHED = frozenset({"queued", "in_progress", "cancelling"})


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """The thread's earlier messages are the provider's; here are those that the request adds."""
    turns = [*objects(body, "thread", "messages"), *objects(body, "additional_messages")]
    results = [tool_result(dig(result, "output"), label(result, "tool_call_id")) for result in objects(body, "tool_outputs")]
    return RequestReading(
        model=text(body, "model"),
        stream=flag(body, "stream"),
        messages=messages([message("system", [text_part(dig(body, "instructions"))]), *map(chat_message, turns), message("tool", results)]),
        tools=len(items(body, "tools")),
    )


class RunAnswer(AnswerDraft):
    """A run is said again and again; its usage is there once it has ended. Steps have usages of their own, parts of the run's."""

    tail_keys = ("usage", "status", "model", "id")

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        kind = text(value, "object")
        if kind == "thread.run":
            self._on_run(value)
        elif kind == "thread.message.delta":
            self._on_delta(value)
        else:
            self.on_error(value)

    def on_body(self, value: dict[str, Any]) -> None:
        self.on_error(value)
        self._on_run(value)

    def _on_run(self, run: dict[str, Any]) -> None:
        self.on_model(run)
        self.on_id(run)
        status = text(run, "status") or "in_progress"
        if status in UNFINISHED:
            return
        self.finished = True
        self.on_finish(run, "status")
        usage = usage_of(obj(run, "usage"))
        self.usage = usage if usage.known else self.usage
        failure = obj(run, "last_error")
        self.error_type, self.error = self.error_type or text(failure, "code"), self.error or text(failure, "message")
        wanted = obj(run, "required_action", "submit_tool_outputs")
        self.message().put([part for part in tool_calls(wanted) if part is not None])

    def _on_delta(self, value: dict[str, Any]) -> None:
        for block in objects(value, "delta", "content"):
            if piece := text(block, "text", "value"):
                key = (label(value, "id"), count(block, "index"))
                self.message().keyed(key, "text").pieces.append(piece)
