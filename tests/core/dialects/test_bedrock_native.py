"""Models on Bedrock with a form of their own."""

from __future__ import annotations

from addons.core.dialects.bedrock_native import NativeAnswer, found_at


def test_paths_lead_through_arrays() -> None:
    """`*` is every item; what leads nowhere gives nothing."""
    value = {"results": [{"text": "a"}, {"other": 1}, {"text": "b"}, 3]}
    assert list(found_at(value, ("results", "*", "text"))) == ["a", "b"]
    assert list(found_at({"results": "x"}, ("results", "*", "text"))) == []


def test_counts_never_shrink() -> None:
    """A later chunk that repeats nothing, or zero, takes nothing away; several results are one output."""
    draft = NativeAnswer()
    draft.on_event("", {"generation": "a", "prompt_token_count": 5, "generation_token_count": 1})
    draft.on_event("", {"generation": "b", "generation_token_count": 2, "prompt_token_count": None})
    assert (draft.usage.input_tokens, draft.usage.output_tokens) == (5, 2)
    draft.on_event("", {"results": [{"tokenCount": 3, "outputText": "c"}, {"tokenCount": 4}], "inputTextTokenCount": 0})
    assert (draft.usage.input_tokens, draft.usage.output_tokens) == (5, 7)


def test_jurassic() -> None:
    """AI21's first models nest everything."""
    draft = NativeAnswer()
    draft.on_event("", {"completions": [{"data": {"text": "Hi"}, "finishReason": {"reason": "length"}}]})
    assert (draft.message().parts()[0].text, draft.finish_reason, draft.finished) == ("Hi", "length", True)
