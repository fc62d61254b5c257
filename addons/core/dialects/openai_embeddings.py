"""OpenAI embeddings and those who follow them (Mistral, Voyage, OpenRouter …). N inputs in one request have one usage.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

from typing import Any

from addons.core.call import RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_completions import input_parts
from addons.core.dialects.openai_usage import usage_in, usage_of
from addons.core.dialects.parts import message, messages
from addons.core.jsonvalues import count, dig, text

LONG_BYTES = 64 * 1024


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """All inputs are parts of one user's message."""
    return RequestReading(model=text(body, "model"), messages=messages([message("user", input_parts(dig(body, "input")))]))


class EmbeddingsAnswer(AnswerDraft):
    """Only model and usage: the vectors are no message."""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        self.on_error(value)
        self.on_model(value)
        found = usage_in(value)
        if found:
            usage = usage_of(found)
            self.usage = usage if usage.known else Usage(input_tokens=count(found, "total_tokens"), cost_usd=usage.cost_usd)

    def relevant(self, content: bytes) -> bytes:
        """The body without its vectors: parsing 2048 of them takes 100 ms, in which no other thread runs."""
        start, end = content.find(b"["), content.rfind(b"]")
        if len(content) < LONG_BYTES or not 0 <= start < end:
            return content
        return content[:start] + b"[]" + content[end + 1 :]
