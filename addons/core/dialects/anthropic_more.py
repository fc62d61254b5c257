"""Anthropic's results of message batches, and the text completions that came before messages.

https://docs.anthropic.com/en/api/retrieving-message-batch-results, https://docs.anthropic.com/en/api/complete
"""

from __future__ import annotations

from typing import Any, ClassVar

from addons.core.call import RequestReading
from addons.core.dialects.anthropic import MessagesAnswer
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.parts import message, messages, text_part
from addons.core.dialects.totals import together
from addons.core.jsonvalues import dig, flag, obj, text


def read_completion(path: str, body: dict[str, Any]) -> RequestReading:
    """`prompt` holds the whole conversation as text."""
    return RequestReading(
        model=text(body, "model"), stream=flag(body, "stream"), messages=messages([message("user", [text_part(dig(body, "prompt"))])])
    )


class CompletionAnswer(AnswerDraft):
    """Pieces of text, whole or streamed; no usage."""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        self.on_error(value)
        self.on_model(value)
        if piece := text(value, "completion"):
            self.message().add("text", piece)
        self.on_finish(value, "stop_reason")
        self.finished = self.finished or self.finish_reason is not None


def read_nothing(path: str, body: dict[str, Any]) -> RequestReading:
    """Results are fetched with a bare GET."""
    return RequestReading()


class BatchResultsAnswer(AnswerDraft):
    """A line for each request of the batch, in any order; the usage is their sum, each answer a choice of its own."""

    lines: ClassVar[bool] = True

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        self.on_error(value)
        found = obj(value, "result", "message")
        if not found:
            self.on_error(obj(value, "result"))
            return
        inner = MessagesAnswer()
        inner.on_body(found)
        inner.on_end()
        self.on_model(found)
        self.usage = together(self.usage, inner.usage)
        self.finish_reason = inner.finish_reason or self.finish_reason
        self.finished = True
        self.choices[len(self.choices)] = inner.message()
