"""Gemini's Live API: messages of a WebSocket session.

https://ai.google.dev/api/live
"""

from __future__ import annotations

from typing import Any, ClassVar

from addons.core.call import RequestReading
from addons.core.dialects.gemini import GeminiAnswer, part_of
from addons.core.dialects.parts import tool_call
from addons.core.jsonvalues import flag, items, label, obj, objects, text


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """The handshake has no body; the first message of the client's is `{"setup": {"model": …}}`."""
    model = text(body, "setup", "model") or ""
    return RequestReading(model=model.rpartition("/")[2] or None, stream=True, tools=len(items(body, "setup", "tools")))


class LiveAnswer(GeminiAnswer):
    """The usage of each message replaces the one before, as in Gemini's other streams. Of audio its transcript is in the message."""

    lines: ClassVar[bool] = True

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        said = obj(value, "serverContent")
        super().on_event(name, {key: found for key, found in value.items() if key in ("usageMetadata", "error")})
        for part in items(said, "modelTurn", "parts"):
            self._on_turn_part(part)
        if spoken := text(said, "outputTranscription", "text"):
            self.message().add("text", spoken)
        calls = objects(value, "toolCall", "functionCalls")
        if calls:
            self.message().put([tool_call(call.get("args"), label(call, "id"), text(call, "name")) for call in calls])
        if flag(said, "turnComplete"):
            self.finished = True
            self.finish_reason = label(said, "turnCompleteReason") or self.finish_reason or "turnComplete"

    def _on_turn_part(self, value: Any) -> None:
        part = part_of(value)
        if part is not None and part.kind in ("text", "reasoning") and part.text:
            self.message().add(part.kind, part.text)
