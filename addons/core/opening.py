"""The beginning of a streamed answer: has content come, or an error in its place?

An error before the first content can still be mended by another attempt, since the client has seen nothing yet (DESIGN §5).
"""

from __future__ import annotations

import re
from typing import Literal

from addons.core.call import Headers
from addons.core.captured import STREAM_TYPES, header
from addons.core.dialects import answer_reader
from addons.core.encodings import UndecodableBody, decoder

Verdict = Literal["content", "error", "unknown"]

READ = frozenset(
    {
        "openai.chat",
        "openai.responses",
        "openai.completions",
        "anthropic.messages",
        "gemini.generate",
        "ollama.chat",
        "ollama.generate",
        "cohere.chat",
        "bedrock.converse",
    }
)
"""The APIs whose streams say text, reasoning or tool calls, so that their first content is known when it comes."""


_STEP = re.compile(rb"[^\r\n]+[\r\n]*|[\r\n]+")
"""A line and the blank ones after it: an event of server-sent events is whole with its blank line, a JSON line with its end."""


def opening_of(api: str, status: int, headers: Headers) -> Opening | None:
    """What reads the beginning of this answer; None for one that is no stream, or of which the first content can't be told."""
    kind = (header(headers, "content-type") or "").partition(";")[0].strip().lower()
    if api not in READ or kind not in STREAM_TYPES:
        return None
    try:
        return Opening(api, status, headers)
    except UndecodableBody:
        return None


class Opening:
    """Feed it the stream's bytes as they come (still content-encoded), until it knows. Raises UndecodableBody when it is made."""

    def __init__(self, api: str, status: int, headers: Headers) -> None:
        self._decoder = decoder(header(headers, "content-encoding"))
        self._reader = answer_reader(api, header(headers, "content-type"), status, headers)
        self.error: tuple[str | None, str | None] = (None, None)

    def feed(self, chunk: bytes) -> Verdict:
        """What is known with this chunk. What can't be read counts as content: it is the client's to judge.

        A chunk may hold a whole answer: it is read no further than it takes to know, so that what comes first decides, however it is cut.
        """
        try:
            text = self._decoder.feed(chunk)
        except UndecodableBody:
            return "content"
        for step in _STEP.finditer(text):
            self._reader.feed(step[0])
            if (verdict := self._verdict()) != "unknown":
                return verdict
        return "unknown"

    def finish(self) -> Verdict:
        """What is known at the end of the stream; "unknown": it said nothing at all."""
        try:
            self._reader.feed(self._decoder.flush())
        except UndecodableBody:
            return "content"
        self._reader.finish()
        return self._verdict()

    def _verdict(self) -> Verdict:
        if self._reader.has_content:
            return "content"
        self.error = self._reader.error
        return "error" if any(self.error) else "unknown"
