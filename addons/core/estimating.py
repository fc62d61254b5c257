"""Usage where the provider reported none, or not all: what is missing is counted from the request and from what was seen of the answer.

What nothing can be said about stays None: an answer without content, a body whose middle was not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from addons.core.call import AnswerReading, CallRecord, RequestReading, Usage
from addons.core.captured import Answer
from addons.core.dialects.errors import FIRST_ERROR_STATUS
from addons.core.jsonvalues import obj, parse
from addons.core.tokens import Counter, Encoder, encoding_for

INPUT_ONLY = frozenset({"openai.embeddings", "gemini.embed", "cohere.embed"})
"""APIs whose answers are numbers: nothing is written, so that no output is to be expected."""

TEXT_APIS = INPUT_ONLY | {
    "openai.chat",
    "openai.responses",
    "openai.completions",
    "anthropic.messages",
    "anthropic.complete",
    "gemini.generate",
    "gemini.interactions",
    "ollama.chat",
    "ollama.generate",
    "bedrock.converse",
    "bedrock.invoke",
    "cohere.chat",
    "watsonx.generate",
}
"""Those whose requests and answers are text; images and audio are billed by measures that their bytes do not tell."""

FIRST_OUTPUT_IS_A_GUESS = frozenset({"anthropic.messages", "bedrock.invoke"})
"""Streams that begin with an output count (`message_start`) that only their end makes right."""

KEPT_ELSEWHERE = ("previous_response_id", "conversation", "previous_interaction_id", "cachedContent", "cached_content")
"""Fields of a request that name input which the provider has and the request does not hold."""


class Estimator(Protocol):
    """`estimate(record, model, request, sent, answer)`: the usage with what was missing, or None where nothing was added.

    `sent` is the decoded request body.
    """

    def __call__(self, record: CallRecord, model: str | None, request: RequestReading, sent: bytes, answer: Answer) -> Usage | None: ...


class UsageEstimator:
    """An Estimator. `encoders` gives an encoding by its name, and raises LookupError where it cannot be loaded."""

    def __init__(self, encoders: Callable[[str], Encoder]) -> None:
        self._encoders = encoders

    def __call__(self, record: CallRecord, model: str | None, request: RequestReading, sent: bytes, answer: Answer) -> Usage | None:
        """Nothing is counted, and no encoding loaded, where the answer says all."""
        said = answer.reading
        if not _was_answered(record, said):
            return None
        lacks_input, lacks_output = said.usage.input_tokens is None, _lacks_output(record, said)
        if not (lacks_input or lacks_output):
            return None
        value = parse(sent) if lacks_input else None
        body = value if isinstance(value, dict) else {}
        wants_input = lacks_input and _is_whole(record, request, body)
        wants_output = lacks_output and _is_there(record, answer)
        if not (wants_input or wants_output):
            return None
        try:
            counter = Counter(self._encoders(encoding_for(model)), model)
        except LookupError:  # said in the log by whoever could not load it
            return None
        usage = said.usage
        if wants_input:
            usage = replace(usage, input_tokens=counter.input(record.api, request, body))
        if wants_output:
            usage = replace(usage, output_tokens=max(counter.output(said.messages), usage.output_tokens or 0))
        return usage


def _was_answered(record: CallRecord, said: AnswerReading) -> bool:
    """With content, whether or not it came to its end, for the first time, and without the provider's own word on what it cost?"""
    if record.api not in TEXT_APIS or record.status is None or record.status >= FIRST_ERROR_STATUS or said.repeated:
        return False
    if said.usage.known and said.finished:
        return False  # the provider has said what it counts; Ollama leaves out a prompt that it had in its cache
    return bool(said.messages) or (record.api in INPUT_ONLY and said.finished)


def _lacks_output(record: CallRecord, said: AnswerReading) -> bool:
    if record.api in INPUT_ONLY:
        return False
    return said.usage.output_tokens is None or (record.api in FIRST_OUTPUT_IS_A_GUESS and not said.finished)


def _is_whole(record: CallRecord, request: RequestReading, body: dict[str, Any]) -> bool:
    """Is all that the model was given to read in the request that we have?"""
    inner = obj(body, "request") or body
    return bool(request.messages) and not record.request.truncated and not any(inner.get(name) for name in KEPT_ELSEWHERE)


def _is_there(record: CallRecord, answer: Answer) -> bool:
    """Was the answer kept without a gap?"""
    body = record.response
    return answer.whole and len(body.content) + len(body.tail) >= body.size
