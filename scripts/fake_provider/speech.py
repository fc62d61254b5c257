"""What is said in answer to a prompt: the text or tool call, its pieces, and the usage. The dialects only word it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import cycle, islice, pairwise

import orjson

from scripts.fake_provider.http1 import ID_MARK
from scripts.fake_provider.knobs import Knobs
from scripts.fake_provider.prompt import Prompt, sample_arguments

DEFAULT_TEXT = "Hello from the fake provider, which says the same to everybody."
ID = ID_MARK.decode()

ANSWERED_MODELS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "gpt-3.5-turbo-instruct": "gpt-3.5-turbo-instruct:20230824-v2",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-3-5-haiku-latest": "claude-3-5-haiku-20241022",
}
"""Model as asked → as answered: providers resolve an alias to a snapshot. Others are answered as they were asked."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input` and `output` are totals; `cached` and `cache_write` are part of the input, `reasoning` of the output."""

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Speech:
    """`pieces` joined are `text`, which is the JSON of the arguments when `tool` names one. `created_s` is Unix time."""

    model: str
    text: str
    pieces: tuple[str, ...]
    usage: Usage
    created_s: int
    tool: str | None = None


def make_speech(prompt: Prompt, knobs: Knobs) -> Speech:
    text = _text(prompt, knobs)
    pieces = _pieces(text, knobs)
    cached = min(knobs.cached, prompt.words)
    written = min(knobs.cache_write, prompt.words - cached)
    usage = Usage(prompt.words, max(1, len(text.split())) + knobs.reasoning, cached, written, knobs.reasoning)
    model = ANSWERED_MODELS.get(prompt.model, prompt.model)
    return Speech(model, text, pieces, usage, int(time.time()), prompt.tool.name if prompt.tool else None)


def _text(prompt: Prompt, knobs: Knobs) -> str:
    """The first that is set of: a tool call, the knobs text, echo, size, chunks (so many words); else the usual sentence."""
    if prompt.tool is not None:
        return orjson.dumps(sample_arguments(prompt.tool.schema)).decode()
    if knobs.text is not None:
        return knobs.text
    if knobs.echo:
        return prompt.last_user
    if knobs.size is not None:
        return (DEFAULT_TEXT + " ") * (knobs.size // (len(DEFAULT_TEXT) + 1)) + DEFAULT_TEXT[: knobs.size % (len(DEFAULT_TEXT) + 1)]
    if knobs.chunks is not None:
        return " ".join(islice(cycle(DEFAULT_TEXT.split()), knobs.chunks))
    return DEFAULT_TEXT


def _pieces(text: str, knobs: Knobs) -> tuple[str, ...]:
    """`chunks` pieces of about equal length (never empty ones, so fewer when the text is shorter); else a piece per word."""
    if knobs.chunks is None:
        words = text.split(" ")
        return tuple(word if n == 0 else " " + word for n, word in enumerate(words) if n or word)
    count = min(knobs.chunks, len(text))
    if count and len(words := text.split(" ")) == count and all(words):
        return tuple(word if n == 0 else " " + word for n, word in enumerate(words))
    edges = [len(text) * n // count for n in range(count + 1)] if count else []
    return tuple(text[start:end] for start, end in pairwise(edges))
