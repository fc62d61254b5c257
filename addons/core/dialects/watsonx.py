"""IBM watsonx text generation. (Its chat speaks OpenAI's dialect.)

https://cloud.ibm.com/apidocs/watsonx-ai#text-generation
"""

from __future__ import annotations

from typing import Any

from addons.core.call import RequestReading, Usage
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_completions import input_parts
from addons.core.dialects.parts import message, messages, text_part
from addons.core.jsonvalues import count, dig, label, objects, text

UNFINISHED = "not_finished"


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    return RequestReading(
        model=text(body, "model_id"),
        stream=path.partition("?")[0].endswith("_stream"),
        messages=messages([message("user", [text_part(dig(body, "input"))])]),
    )


def read_embed(path: str, body: dict[str, Any]) -> RequestReading:
    return RequestReading(model=text(body, "model_id"), messages=messages([message("user", input_parts(dig(body, "inputs")))]))


class WatsonxAnswer(AnswerDraft):
    """In a stream the input is counted in the first event and zero after it, the output grows: the maximum of each is right."""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        self.on_error(value)
        self.on_model(value, "model_id")
        self._count(value)  # of embeddings and rankings: beside the results
        for index, result in enumerate(objects(value, "results")):
            if piece := text(result, "generated_text"):
                self.message(index).add("text", piece)
            reason = label(result, "stop_reason")
            if reason and reason.lower() != UNFINISHED:
                self.finish_reason, self.finished = reason, True
            self._count(result)

    def _count(self, result: dict[str, Any]) -> None:
        given, made = count(result, "input_token_count"), count(result, "generated_token_count")
        if given is not None or made is not None:
            self.usage = Usage(
                input_tokens=_most(given, self.usage.input_tokens),
                output_tokens=_most(made, self.usage.output_tokens),
            )


def _most(first: int | None, second: int | None) -> int | None:
    return max((found for found in (first, second) if found is not None), default=None)
