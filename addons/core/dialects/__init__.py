"""The dialects that requests and answers are read in: one table from `api` to its two readers.

    read_request(api, path, body)                 -> RequestReading
    answer_reader(api, content_type, status)      -> AnswerReader: feed, resume, finish -> AnswerReading

Bodies come content-decoded. Nothing here raises because of what a body holds: what can't be read is None or empty.
A dialect is a module with a request function and an `AnswerDraft`; a new one is a line in `DIALECTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from addons.core.call import RequestReading
from addons.core.dialects import anthropic, fallback, gemini, ollama, openai_chat, openai_completions, openai_embeddings, openai_responses
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.reader import AnswerReader
from addons.core.jsonvalues import parse, parse_cut


@dataclass(frozen=True, slots=True)
class Dialect:
    """`request` reads (path with query, body as JSON object); `answer` makes the draft that one answer is read into."""

    request: Callable[[str, dict[str, Any]], RequestReading]
    answer: Callable[[], AnswerDraft]


OTHER = Dialect(fallback.read_request, fallback.OtherAnswer)

DIALECTS: dict[str, Dialect] = {
    "openai.chat": Dialect(openai_chat.read_request, openai_chat.ChatAnswer),
    "openai.responses": Dialect(openai_responses.read_request, openai_responses.ResponsesAnswer),
    "openai.completions": Dialect(openai_completions.read_request, openai_completions.CompletionAnswer),
    "openai.embeddings": Dialect(openai_embeddings.read_request, openai_embeddings.EmbeddingsAnswer),
    "anthropic.messages": Dialect(anthropic.read_request, anthropic.MessagesAnswer),
    "gemini.generate": Dialect(gemini.read_request, gemini.GeminiAnswer),
    "ollama.chat": Dialect(ollama.read_chat, ollama.OllamaAnswer),
    "ollama.generate": Dialect(ollama.read_generate, ollama.OllamaAnswer),
    "other": OTHER,
}


def read_request(api: str, path: str, body: bytes) -> RequestReading:
    """What a request says. A body that is cut gives what stands before the cut; one that is no JSON object what the path says."""
    value = parse(body)
    if value is None:
        value = parse_cut(body)
    return DIALECTS.get(api, OTHER).request(path, value if isinstance(value, dict) else {})


def answer_reader(api: str, content_type: str | None, status: int | None) -> AnswerReader:
    """A reader for one answer; an `api` without a dialect gets the one that reads errors only."""
    return AnswerReader(DIALECTS.get(api, OTHER).answer(), content_type, status)


__all__ = ["DIALECTS", "AnswerReader", "Dialect", "answer_reader", "read_request"]
