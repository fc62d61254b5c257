"""Images, audio, rankings, moderations and Mistral's conversations: what they used, where they say it."""

from __future__ import annotations

from typing import Any

from addons.core.call import Message, Part
from addons.core.dialects import answer_reader, read_request
from addons.core.dialects.openai_media import DOCUMENT_PARTS
from tests.core.dialects.feeding import asked, stream, whole

TOKENS = {"type": "tokens", "input_tokens": 37, "output_tokens": 12, "total_tokens": 49}
HEARD = (Message("assistant", (Part("text", "Ruby is fun"),)),)


def test_transcriptions_are_billed_in_tokens_or_seconds() -> None:
    """Seconds are no tokens: unknown, with the provider's own cost where it gives one."""
    tokens = whole("openai.audio", {"text": "Ruby is fun", "usage": TOKENS})
    seconds = whole("openai.audio", {"text": "Ruby is fun", "usage": {"type": "duration", "seconds": 6, "cost": 0.0006}})
    assert (tokens.usage.input_tokens, tokens.usage.output_tokens, tokens.messages) == (37, 12, HEARD)
    assert not seconds.usage.known and seconds.usage.cost_usd == 0.0006 and seconds.messages == HEARD


def test_a_streamed_transcription_reads_as_a_whole_one() -> None:
    """Deltas, or segments alone; the last event has all the text and the usage."""
    last: dict[str, Any] = {"type": "transcript.text.done", "text": "Ruby is fun", "usage": TOKENS}
    deltas: list[dict[str, Any]] = [{"type": "transcript.text.delta", "delta": piece} for piece in ("Ruby ", "is fun")]
    segment: dict[str, Any] = {"type": "transcript.text.segment", "text": "Ruby is fun", "speaker": "A"}
    for events in ([*deltas, last], [segment, last]):
        found = stream("openai.audio", *events)
        assert (found.messages, found.usage.input_tokens, found.finished) == (HEARD, 37, True)


def test_speech_is_bytes() -> None:
    """Neither usage nor message, and no error."""
    reader = answer_reader("openai.audio", "audio/mpeg", 200)
    reader.feed(b"ID3\4\0\0\xff\xfb\x90\xc4" * 100)
    found = reader.finish()
    assert (found.messages, found.usage.known, found.error) == ((), False, None)


def test_images() -> None:
    """Their size or address, never their content; a stream's partial pictures are none."""
    usage = {"input_tokens": 50, "output_tokens": 1056, "total_tokens": 1106}
    picture = Part("image", None, {"media_type": "image/webp", "bytes": 6})
    at_once = whole("openai.images", {"data": [{"b64_json": "AAAAAAAA"}], "output_format": "webp", "usage": usage})
    partial = {"type": "image_generation.partial_image", "b64_json": "AAAA", "output_format": "webp"}
    streamed = stream(
        "openai.images", partial, {"type": "image_generation.completed", "b64_json": "AAAAAAAA", "output_format": "webp", "usage": usage}
    )
    for found in (at_once, streamed):
        assert found.messages == (Message("assistant", (picture,)),)
        assert (found.usage.input_tokens, found.usage.output_tokens, found.finished) == (50, 1056, True)
    linked = whole("openai.images", {"data": [{"url": "https://x.test/a.png"}], "usage": {"cost_in_usd_ticks": 700000000}})
    assert linked.messages == (Message("assistant", (Part("image", None, {"url": "https://x.test/a.png"}),)),)
    assert not linked.usage.known and linked.usage.cost_usd == 0.07


def test_rankings_and_moderations() -> None:
    """A total alone is input; with a prompt count the total may hold more than the prompt."""
    ranked = whole("openai.rerank", {"data": [{"index": 0, "relevance_score": 0.5}], "model": "rerank-2.5", "usage": {"total_tokens": 12}})
    judged = whole("openai.moderations", {"results": [{}], "usage": {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 73}})
    assert (ranked.usage.input_tokens, ranked.usage.output_tokens, ranked.model) == (12, None, "rerank-2.5")
    assert (judged.usage.input_tokens, judged.usage.output_tokens) == (12, 0)


def test_conversations_of_mistral() -> None:
    """Streamed and whole the same."""
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    output = {"type": "message.output", "model": "mistral-large", "content": "Hello"}
    at_once = whole("openai.conversations", {"object": "conversation.response", "outputs": [output], "usage": usage})
    pieces = [{"type": "message.output.delta", "content": piece} for piece in ("Hel", "lo")]
    streamed = stream("openai.conversations", *pieces, {"type": "conversation.response.done", "usage": usage})
    for found in (at_once, streamed):
        assert found.messages == (Message("assistant", (Part("text", "Hello"),)),)
        assert (found.usage.input_tokens, found.usage.output_tokens, found.finished) == (9, 3, True)


def test_requests() -> None:
    """JSON and forms; a long list of documents is cut and counted."""
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--\r\n'
    assert read_request("openai.audio", "/v1/audio/transcriptions", form).model == "whisper-1"
    assert asked("openai.images", {"prompt": "A cat", "model": "m"}).messages == (Message("user", (Part("text", "A cat"),)),)
    parts = asked("openai.rerank", {"query": "q", "documents": ["d"] * (DOCUMENT_PARTS + 5)}).messages[0].parts
    assert parts[-1] == Part("other", None, {"type": "documents", "documents": 5})
    turns = asked("openai.moderations", {"input": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}).messages
    assert turns == (Message("user", (Part("text", "a"), Part("text", "b"))),)
