"""Cohere: two versions of chat, tokens and billed units, embeddings, rankings."""

from __future__ import annotations

from typing import Any

from addons.core.call import Message, Part
from tests.core.dialects.feeding import asked, lines, stream, whole

USAGE = {
    "billed_units": {"input_tokens": 12, "output_tokens": 7},
    "tokens": {"input_tokens": 507, "output_tokens": 10},
    "cached_tokens": 448,
}
CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}
ANSWER = (
    Message(
        "assistant", (Part("reasoning", "I look."), Part("text", "Hello"), Part("tool_call", '{"zone":"UTC"}', {"id": "c1", "name": "now"}))
    ),
)


def delta(kind: str, message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "delta": {"message": message}, **more}


V2_EVENTS = (
    {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant", "content": []}}},
    delta("tool-plan-delta", {"tool_plan": "I "}),
    delta("tool-plan-delta", {"tool_plan": "look."}),
    delta("content-start", {"content": {"type": "text", "text": ""}}, index=0),
    delta("content-delta", {"content": {"text": "Hel"}}, index=0),
    delta("content-delta", {"content": {"text": "lo"}}, index=0),
    {"type": "content-end", "index": 0},
    delta("tool-call-start", {"tool_calls": {"id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}}}, index=0),
    delta("tool-call-delta", {"tool_calls": {"function": {"arguments": '{"zone": '}}}, index=0),
    delta("tool-call-delta", {"tool_calls": {"function": {"arguments": '"UTC"}'}}}, index=0),
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
)


def test_v2_reads_the_same_streamed_and_whole() -> None:
    """Plan, text and calls; tokens are what was read and written, cached ones among them, the billed ones beside."""
    message = {"role": "assistant", "tool_plan": "I look.", "content": [{"type": "text", "text": "Hello"}], "tool_calls": [CALL]}
    streamed = stream("cohere.chat", *V2_EVENTS, name="type")
    at_once = whole("cohere.chat", {"id": "m", "message": message, "finish_reason": "TOOL_CALL", "usage": USAGE})
    assert streamed.messages == at_once.messages == ANSWER
    assert streamed.usage == at_once.usage
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens, streamed.usage.cache_read_tokens) == (507, 10, 448)
    assert (streamed.usage.billed_input_tokens, streamed.usage.billed_output_tokens) == (12, 7)
    assert streamed.finish_reason == at_once.finish_reason == "TOOL_CALL"
    assert streamed.finished and at_once.finished and streamed.first_content == 1


def test_v1_reads_the_same_streamed_and_whole() -> None:
    """JSON lines; the last one repeats the whole answer. Without tokens the billed units are all that is known."""
    answer = {"text": "Hi you", "meta": {"billed_units": {"input_tokens": 23, "output_tokens": 2}}, "finish_reason": "COMPLETE"}
    streamed = lines(
        "cohere.chat",
        {"event_type": "stream-start", "is_finished": False},
        {"event_type": "text-generation", "text": "Hi "},
        {"event_type": "text-generation", "text": "you"},
        {"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE", "response": answer},
    )
    at_once = whole("cohere.chat", answer)
    on_one_line = lines("cohere.chat", answer)
    assert streamed.messages == at_once.messages == on_one_line.messages == (Message("assistant", (Part("text", "Hi you"),)),)
    assert streamed.usage == at_once.usage == on_one_line.usage
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (23, 2)
    assert streamed.finished and at_once.finished and on_one_line.finished


def test_an_error_is_no_message() -> None:
    """`message` is a string in errors."""
    found = whole("cohere.chat", {"id": "x", "message": "model not found"}, status=404)
    assert (found.error, found.messages) == ("model not found", ())


def test_embeddings_and_rankings() -> None:
    """Embeddings are billed in tokens, rankings in searches: no tokens are known of these."""
    embedded = whole("cohere.embed", {"embeddings": [[0.1]], "texts": ["a"], "meta": {"billed_units": {"input_tokens": 9}}})
    ranked = whole("cohere.rerank", {"results": [{"index": 0, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 1}}})
    assert (embedded.usage.input_tokens, embedded.usage.output_tokens, embedded.messages) == (9, None, ())
    assert not ranked.usage.known and ranked.finished


def test_requests() -> None:
    """v2's messages, v1's history, the texts to embed, the documents to rank."""
    v2 = asked("cohere.chat", {"model": "command-r", "stream": True, "messages": [{"role": "user", "content": "Hi"}], "tools": [{}]})
    v1 = asked(
        "cohere.chat",
        {"preamble": "Be kind", "chat_history": [{"role": "USER", "message": "a"}, {"role": "CHATBOT", "message": "b"}], "message": "c"},
    )
    assert (v2.model, v2.stream, v2.tools, v2.messages) == ("command-r", True, 1, (Message("user", (Part("text", "Hi"),)),))
    assert [message.role for message in v1.messages] == ["system", "user", "assistant", "user"]
    assert asked("cohere.embed", {"texts": ["a", "b"]}).messages == (Message("user", (Part("text", "a"), Part("text", "b"))),)
    assert asked("cohere.rerank", {"query": "q", "documents": ["d"]}).messages == (Message("user", (Part("text", "q"), Part("text", "d"))),)


def test_generate_and_summarize() -> None:
    """Cohere's first APIs: texts and billed units."""
    meta = {"billed_units": {"input_tokens": 3, "output_tokens": 4}}
    for answer in ({"generations": [{"text": "Hi"}], "meta": meta}, {"summary": "Hi", "meta": meta}):
        found = whole("cohere.generate", answer)
        assert found.messages == (Message("assistant", (Part("text", "Hi"),)),)
        assert (found.usage.input_tokens, found.usage.output_tokens) == (3, 4)
