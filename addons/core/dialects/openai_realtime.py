"""OpenAI's realtime API, also Azure's and its voice agents': messages of a WebSocket session.

https://platform.openai.com/docs/api-reference/realtime-server-events
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from addons.core.call import Part, RequestReading
from addons.core.dialects.draft import AnswerDraft
from addons.core.dialects.openai_responses import item_parts
from addons.core.dialects.openai_usage import usage_of
from addons.core.dialects.parts import text_part
from addons.core.dialects.totals import together
from addons.core.jsonvalues import dig, label, obj, objects, text

BEGINS = frozenset(
    {"text", "audio_transcript", "output_text", "output_audio_transcript", "output_audio", "audio", "function_call_arguments"}
)


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """The handshake: `?model=…`, Azure's older ones `?deployment=…`."""
    query = parse_qs(urlsplit(path).query)
    model = next((query[key][0] for key in ("model", "deployment") if query.get(key)), None)
    return RequestReading(model=model or text(body, "session", "model"), stream=True)


class RealtimeAnswer(AnswerDraft):
    """Each `response.done` is an answer of its own with a usage of its own; the session's usage is their sum. What transcribes the user's
    speech is another model, billed apart: its usage is left out."""

    lines: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    @property
    def has_content(self) -> bool:
        return self._begun or super().has_content

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        kind = text(value, "type") or name
        self.on_model(obj(value, "session"))
        if kind == "response.done":
            self._on_response(obj(value, "response"))
        elif kind == "error":
            self.on_error(value)
        elif kind.startswith("response.") and kind.endswith(".delta") and kind[len("response.") : -len(".delta")] in BEGINS:
            self._begun = True

    def _on_response(self, response: dict[str, Any]) -> None:
        self.usage = together(self.usage, usage_of(obj(response, "usage")))
        self.on_finish(response, "status")
        self.finished = True
        failure = obj(response, "status_details", "error")
        if failure:
            self.error_type, self.error = self.error_type or label(failure, "code"), self.error or text(failure, "message")
        draft = self.message(len(self.choices))
        for item in objects(response, "output"):
            draft.put(_parts(item))


def _parts(item: dict[str, Any]) -> list[Part]:
    """As an item of the responses dialect, except that speech is a block with a transcript."""
    if (text(item, "type") or "message") != "message":
        return item_parts(item)[1]
    made = [text_part(dig(block, "transcript")) or text_part(dig(block, "text")) for block in objects(item, "content")]
    return [part for part in made if part is not None]
