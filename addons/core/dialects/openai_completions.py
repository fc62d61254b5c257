"""OpenAI's older text completions, still spoken by vLLM, llama.cpp and others.

https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

from typing import Any

from addons.core.call import Part, RequestReading
from addons.core.dialects.openai_chat import ChatAnswer
from addons.core.dialects.parts import message, messages, text_part
from addons.core.jsonvalues import count, dig, flag, items, text


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """Each prompt is a user's message (one string, several, or tokens)."""
    return RequestReading(
        model=text(body, "model"),
        stream=flag(body, "stream"),
        messages=messages([message("user", input_parts(dig(body, "prompt")))]),
    )


def input_parts(value: Any) -> list[Part | None]:
    """A string, a list of strings, a list of tokens, or a list of lists of tokens: also what embeddings take."""
    if isinstance(value, list) and value and isinstance(value[0], int):
        return [Part("other", None, {"type": "tokens", "tokens": len(value)})]
    if not isinstance(value, list):
        return [text_part(value)]
    return [text_part(item) or text_part(text(item, "text")) or _tokens(item) for item in value]


def _tokens(item: Any) -> Part | None:
    return Part("other", None, {"type": "tokens", "tokens": len(items(item))}) if items(item) else None


class CompletionAnswer(ChatAnswer):
    """As chat, but a choice has `text`."""

    def _on_choice(self, choice: dict[str, Any]) -> None:
        piece = text(choice, "text")
        if piece:
            self.message(count(choice, "index") or 0).add("text", piece)
        super()._on_choice(choice)
