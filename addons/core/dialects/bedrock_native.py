"""Models on Bedrock that answer in a form of their own through invoke: Titan, Llama, Mistral's and Cohere's first, AI21's first, Claude 1.

One table of where the text, the end and the counts stand; a path's `*` is every item of an array.
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addons.core.call import Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.jsonvalues import count, dig, items, label, text

TEXTS = (
    ("outputText",),  # Titan, streamed
    ("results", "*", "outputText"),  # Titan
    ("generation",),  # Llama
    ("outputs", "*", "text"),  # Mistral
    ("generations", "*", "text"),  # Cohere
    ("completion",),  # Claude 1 and 2
    ("completions", "*", "data", "text"),  # AI21 Jurassic
    ("text",),  # Cohere, streamed
)
ENDS = (
    ("completionReason",),
    ("results", "*", "completionReason"),
    ("stop_reason",),
    ("outputs", "*", "stop_reason"),
    ("generations", "*", "finish_reason"),
    ("completions", "*", "finishReason", "reason"),
    ("finish_reason",),
)
INPUTS = (("inputTextTokenCount",), ("prompt_token_count",))
OUTPUTS = (("totalOutputTextTokenCount",), ("generation_token_count",))
RESULTS = ("results", "*", "tokenCount")  # Titan: one for each text that was made


def found_at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """What stands at a path of the tables; nothing where it leads nowhere."""
    if not path:
        yield value
    elif path[0] == "*":
        for item in items(value):
            yield from found_at(item, path[1:])
    elif (inner := dig(value, path[0])) is not None:
        yield from found_at(inner, path[1:])


class NativeAnswer(AnswerDraft):
    """Streams and whole answers have the same keys; counts may come in any chunk and never shrink."""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        self.on_error(value)
        for path in TEXTS:
            for piece in found_at(value, path):
                if text(piece):
                    self.message().add("text", piece)
        for path in ENDS:
            for reason in found_at(value, path):
                self.finish_reason = label(reason) or self.finish_reason
        self.finished = self.finished or self.finish_reason is not None
        self._count(value)

    def _count(self, value: dict[str, Any]) -> None:
        given = [number for path in INPUTS if (number := count(value, *path)) is not None]
        made = [number for path in OUTPUTS if (number := count(value, *path)) is not None]
        single = [number for found in found_at(value, RESULTS) if (number := count(found)) is not None]
        made += [sum(single)] if single else []
        known = self.usage
        self.usage = Usage(
            input_tokens=max([*given, known.input_tokens or 0]) if given else known.input_tokens,
            output_tokens=max([*made, known.output_tokens or 0]) if made else known.output_tokens,
        )
