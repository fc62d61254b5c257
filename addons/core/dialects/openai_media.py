"""OpenAI's images and audio, ranking and moderation, and those who follow them: little more than usage to read.

Images and newer transcriptions are billed in tokens; older transcriptions in seconds and speech in characters: no tokens are known then.
https://platform.openai.com/docs/api-reference/images, https://platform.openai.com/docs/api-reference/audio
"""

from __future__ import annotations

from typing import Any

from addons.core.call import Part, RequestReading
from addons.core.dialects.openai_completions import input_parts
from addons.core.dialects.openai_embeddings import EmbeddingsAnswer
from addons.core.dialects.parts import media, message, messages, openai_parts, text_part
from addons.core.jsonvalues import dig, flag, items, objects, text

PICTURE_KEYS = ("b64_json", "url")
DOCUMENT_PARTS = 100  # of a ranking; the rest is told by number


def read_image(path: str, body: dict[str, Any]) -> RequestReading:
    """`prompt`, and for edits the pictures where the body is JSON."""
    pictures = [_picture(entry) for entry in items(body, "images")]
    return _asked(body, [text_part(dig(body, "prompt")), *pictures])


def _picture(entry: Any) -> Part:
    return media("image", entry if isinstance(entry, str) else dig(entry, "image_url") or dig(entry, "url"))


def read_audio(path: str, body: dict[str, Any]) -> RequestReading:
    """Speech has the text to say in `input`; a transcription may have a `prompt` beside its file."""
    return _asked(body, [text_part(dig(body, "input")), text_part(dig(body, "prompt"))])


def read_ranking(path: str, body: dict[str, Any]) -> RequestReading:
    """The question is the user's message, the documents are parts of it."""
    given = items(body, "documents")
    shown = [text_part(entry) or text_part(text(entry, "text")) for entry in given[:DOCUMENT_PARTS]]
    rest = len(given) - DOCUMENT_PARTS
    more = [Part("other", None, {"type": "documents", "documents": rest})] if rest > 0 else []
    return _asked(body, [text_part(dig(body, "query")), *shown, *more])


def read_input(path: str, body: dict[str, Any]) -> RequestReading:
    """`input` as text, texts, content blocks or (Mistral) turns with a `content`; Mistral's agents are asked like this too."""
    given = dig(body, "input") if "input" in body else dig(body, "inputs")
    turns = [part for turn in objects(given) for part in openai_parts(dig(turn, "content"))]
    blocks = openai_parts(given) if isinstance(given, list) and not turns else []
    return _asked(body, turns or blocks or input_parts(given))


def _asked(body: dict[str, Any], parts: list[Part | None]) -> RequestReading:
    model = text(body, "model") or text(body, "agent_id")
    return RequestReading(model=model, stream=flag(body, "stream"), messages=messages([message("user", parts)]))


class UsageAnswer(EmbeddingsAnswer):
    """Model, usage and error."""

    def relevant(self, content: bytes) -> bytes:
        """All of it: other than vectors, rankings are short."""
        return content


class ImagesAnswer(UsageAnswer):
    """`data` of a whole answer; a stream's `image_generation.completed` is one picture, its partial pictures are not counted."""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        super().on_event(name, value)
        kind = text(value, "type") or name
        if kind.endswith(".partial_image"):
            return
        self.finished = self.finished or kind.endswith(".completed")
        for picture in [*objects(value, "data"), value]:
            content = next((picture[key] for key in PICTURE_KEYS if isinstance(picture.get(key), str)), None)
            if content is not None:
                declared = text(picture, "mime_type") or f"image/{text(value, 'output_format') or 'png'}"
                self.message().put([media("image", content, declared)])


class AudioAnswer(UsageAnswer):
    """What was heard, as text. A stream says it in deltas, then whole."""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        super().on_event(name, value)
        kind = text(value, "type") or name
        if kind == "transcript.text.delta":
            self._say(text(value, "delta"))
        elif kind in ("transcript.text.done", "") and not self.has_content:
            self._say(text(value, "text"))
        self.finished = self.finished or kind.endswith(".done")

    def on_body(self, value: dict[str, Any]) -> None:
        super().on_event("", value)
        self._say(text(value, "text"))

    def _say(self, piece: str | None) -> None:
        if piece:
            self.message().add("text", piece)


class ConversationAnswer(UsageAnswer):
    """Mistral's agents: `outputs` of a whole answer; a stream has `message.output.delta` and at its end `conversation.response.done`."""

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        super().on_event(name, value)
        kind = text(value, "type") or name
        if kind == "message.output.delta":
            content = dig(value, "content")
            for part in openai_parts([content] if isinstance(content, dict) else content):
                if part is not None and part.text and part.data is None:
                    self.message().add(part.kind, part.text)
        self.finished = self.finished or kind == "conversation.response.done"

    def on_body(self, value: dict[str, Any]) -> None:
        super().on_event("", value)
        for entry in objects(value, "outputs"):
            self.message().put([part for part in openai_parts(dig(entry, "content")) if part is not None])
            self.on_model(entry)
