"""The dialects that requests and answers are read in: one table from `api` to its two readers.

    read_request(api, path, body)                      -> RequestReading
    answer_reader(api, content_type, status, headers)  -> AnswerReader: feed, resume, finish -> AnswerReading
    session_reader(api)                                -> AnswerReader, fed with the server's WebSocket messages

Bodies come content-decoded. Nothing here raises because of what a body holds: what can't be read is None or empty.
A dialect is a module with a request function and an `AnswerDraft`; a new one is a line in `DIALECTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from addons.core.call import Headers, RequestReading
from addons.core.dialects import (
    anthropic,
    anthropic_more,
    bedrock_converse,
    bedrock_invoke,
    cohere,
    fallback,
    gemini,
    gemini_embed,
    gemini_interactions,
    gemini_live,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_media,
    openai_realtime,
    openai_responses,
    openai_runs,
    watsonx,
)
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.forms import fields_of
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
    "openai.images": Dialect(openai_media.read_image, openai_media.ImagesAnswer),
    "openai.audio": Dialect(openai_media.read_audio, openai_media.AudioAnswer),
    "openai.realtime": Dialect(openai_realtime.read_request, openai_realtime.RealtimeAnswer),
    "openai.rerank": Dialect(openai_media.read_ranking, openai_media.UsageAnswer),
    "openai.moderations": Dialect(openai_media.read_input, openai_media.UsageAnswer),
    "openai.conversations": Dialect(openai_media.read_input, openai_media.ConversationAnswer),
    "openai.runs": Dialect(openai_runs.read_request, openai_runs.RunAnswer),
    "anthropic.messages": Dialect(anthropic.read_request, anthropic.MessagesAnswer),
    "anthropic.batches": Dialect(anthropic_more.read_nothing, anthropic_more.BatchResultsAnswer),
    "anthropic.complete": Dialect(anthropic_more.read_completion, anthropic_more.CompletionAnswer),
    "gemini.generate": Dialect(gemini.read_request, gemini.GeminiAnswer),
    "gemini.embed": Dialect(gemini_embed.read_request, gemini.GeminiAnswer),
    "gemini.interactions": Dialect(gemini_interactions.read_request, gemini_interactions.InteractionAnswer),
    "gemini.live": Dialect(gemini_live.read_request, gemini_live.LiveAnswer),
    "bedrock.converse": Dialect(bedrock_converse.read_request, bedrock_converse.ConverseAnswer),
    "bedrock.invoke": Dialect(bedrock_invoke.read_request, bedrock_invoke.InvokeAnswer),
    "cohere.chat": Dialect(cohere.read_chat, cohere.CohereAnswer),
    "cohere.generate": Dialect(openai_completions.read_request, cohere.CohereAnswer),
    "cohere.embed": Dialect(cohere.read_embed, cohere.CohereAnswer),
    "cohere.rerank": Dialect(openai_media.read_ranking, cohere.CohereAnswer),
    "watsonx.generate": Dialect(watsonx.read_request, watsonx.WatsonxAnswer),
    "watsonx.embed": Dialect(watsonx.read_embed, watsonx.WatsonxAnswer),
    "ollama.chat": Dialect(ollama.read_chat, ollama.OllamaAnswer),
    "ollama.generate": Dialect(ollama.read_generate, ollama.OllamaAnswer),
    "ollama.embed": Dialect(ollama.read_embed, ollama.OllamaAnswer),
    "openai.other": Dialect(fallback.read_request, openai_media.UsageAnswer),  # an answer with a usage, whatever else it is
    "other": OTHER,
}


def read_request(api: str, path: str, body: bytes) -> RequestReading:
    """What a request says. A body that is cut gives what stands before the cut; one that is no JSON object what the path says."""
    value = parse(body)
    if value is None:
        value = parse_cut(body) or fields_of(body)
    return DIALECTS.get(api, OTHER).request(path, value if isinstance(value, dict) else {})


def answer_reader(api: str, content_type: str | None, status: int | None, headers: Headers = ()) -> AnswerReader:
    """A reader for one answer; an `api` without a dialect gets the one that reads errors only. `headers` are the answer's."""
    draft = DIALECTS.get(api, OTHER).answer()
    draft.on_headers(headers)
    return AnswerReader(draft, content_type, status)


def session_reader(api: str) -> AnswerReader:
    """A reader for a WebSocket session (`openai.realtime`, `gemini.live`, `openai.responses`): feed it each of the server's messages."""
    return AnswerReader(DIALECTS.get(api, OTHER).answer(), None, None, session=True)


__all__ = ["DIALECTS", "AnswerReader", "Dialect", "answer_reader", "read_request", "session_reader"]
