"""Gemini's Live sessions."""

from __future__ import annotations

from addons.core.call import Message, Part
from tests.core.dialects.feeding import session, stream

MESSAGES = (
    {"setupComplete": {"sessionId": "s"}},
    {
        "serverContent": {
            "modelTurn": {"parts": [{"text": "Hm", "thought": True}, {"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}}]}
        }
    },
    {"toolCall": {"functionCalls": [{"id": "f", "name": "weather", "args": {"city": "London"}}]}},
    {"serverContent": {"outputTranscription": {"text": "It is "}}, "usageMetadata": {"promptTokenCount": 24, "totalTokenCount": 29}},
    {"serverContent": {"outputTranscription": {"text": "sunny."}}},
    {
        "serverContent": {"turnComplete": True},
        "usageMetadata": {"promptTokenCount": 44, "responseTokenCount": 26, "thoughtsTokenCount": 24},
    },
)
CALL = Part("tool_call", '{"city":"London"}', {"id": "f", "name": "weather"})


def test_a_session_reads_the_same_as_messages_and_as_events() -> None:
    """The last usage counts; of audio its transcript is kept."""
    for found in (session("gemini.live", *MESSAGES), stream("gemini.live", *MESSAGES)):
        assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (44, 50, 24)
        assert found.messages == (Message("assistant", (Part("reasoning", "Hm"), CALL, Part("text", "It is sunny."))),)
        assert found.finished
