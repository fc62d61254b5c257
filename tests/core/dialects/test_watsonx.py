"""IBM watsonx."""

from __future__ import annotations

from addons.core.call import Message, Part
from tests.core.dialects.feeding import asked, stream, whole


def event(text: str, made: int, given: int, reason: str = "not_finished") -> dict[str, object]:
    result = {"generated_text": text, "generated_token_count": made, "input_token_count": given, "stop_reason": reason}
    return {"model_id": "google/flan-ul2", "results": [result]}


def test_streamed_and_whole_read_the_same() -> None:
    """The input stands in the first event alone, the output grows."""
    streamed = stream("watsonx.generate", event("", 0, 8), event("Hel", 1, 0), event("lo", 2, 0), event("", 2, 0, "eos_token"))
    for found in (streamed, whole("watsonx.generate", event("Hello", 2, 8, "eos_token"))):
        assert found.messages == (Message("assistant", (Part("text", "Hello"),)),)
        assert (found.usage.input_tokens, found.usage.output_tokens) == (8, 2)
        assert (found.model, found.finish_reason, found.finished) == ("google/flan-ul2", "eos_token", True)


def test_a_cut_stream_is_not_finished() -> None:
    """Without a reason to stop."""
    assert not stream("watsonx.generate", event("Hel", 1, 8)).finished


def test_request() -> None:
    """The path says whether it streams."""
    found = asked("watsonx.generate", {"model_id": "m", "input": "Hi"}, "/ml/v1/text/generation_stream?version=1")
    assert (found.model, found.stream, found.messages) == ("m", True, (Message("user", (Part("text", "Hi"),)),))


def test_embeddings_have_input_alone() -> None:
    """Counted beside the vectors."""
    found = whole("watsonx.embed", {"model_id": "m", "results": [{"embedding": [0.1]}], "input_token_count": 10})
    assert (found.usage.input_tokens, found.usage.output_tokens, found.messages) == (10, None, ())
    assert asked("watsonx.embed", {"inputs": ["a", "b"]}).messages == (Message("user", (Part("text", "a"), Part("text", "b"))),)
