"""OpenAI chat: requests, whole answers and streams, and what providers who speak it do differently."""

from __future__ import annotations

import json
from typing import Any

from addons.core.call import AnswerReading, Message, Part, Usage
from addons.core.dialects import answer_reader, read_request

USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 4}}
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}


def stream(*events: dict[str, Any], done: bool = True) -> AnswerReading:
    reader = answer_reader("openai.chat", "text/event-stream", 200)
    for event in events:
        reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    if done:
        reader.feed(b"data: [DONE]\n\n")
    return reader.finish()


def whole(body: dict[str, Any], status: int = 200) -> AnswerReading:
    reader = answer_reader("openai.chat", "application/json", status)
    reader.feed(json.dumps(body).encode())
    return reader.finish()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **more}


def test_streamed_and_whole_read_the_same() -> None:
    """Reasoning, text and tool calls put together from deltas are those of the whole answer, arguments without their spaces."""
    streamed = stream(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"tool_calls": [CALL]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}, "tool_calls"),
        {"model": "m", "choices": [], "usage": USAGE},
    )
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    answer = {"role": "assistant", "content": "Hello", "reasoning_content": "hm", "tool_calls": [call]}
    at_once = whole({"model": "m", "choices": [{"index": 0, "message": answer, "finish_reason": "tool_calls"}], "usage": USAGE})
    parts = (Part("reasoning", "hm"), Part("text", "Hello"), Part("tool_call", '{"a":1}', {"id": "c1", "name": "f"}))
    assert streamed.messages == at_once.messages == (Message("assistant", parts),)
    assert streamed.usage == at_once.usage == Usage(input_tokens=10, output_tokens=3, cache_read_tokens=4)
    assert (streamed.finish_reason, streamed.finished, streamed.model) == ("tool_calls", True, "m")
    assert streamed.first_content == 1


def test_an_answer_reads_as_its_echo_in_the_next_request() -> None:
    """The next turn's assistant message equals the answer, so that conversations are found."""
    answer = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    request = json.dumps({"model": "m", "messages": [{"role": "user", "content": "q"}, answer]}).encode()
    assert read_request("openai.chat", "/v1/chat/completions", request).messages[1:] == whole({"choices": [{"message": answer}]}).messages


def test_usage_may_stand_in_any_chunk_and_done_may_be_missing() -> None:
    """Beside choices, before the last chunk, in every chunk; null and zeros afterwards take nothing away; a finish reason is an end."""
    expected = Usage(input_tokens=10, output_tokens=3, cache_read_tokens=4)
    zeros = {"prompt_tokens": 0, "completion_tokens": 0}
    beside = stream(chunk({"content": "x"}), chunk(finish="stop", usage=USAGE), done=False)
    followed = stream(
        chunk({"content": "x"}, usage={"prompt_tokens": 10, "completion_tokens": 1}), chunk(usage=USAGE), chunk(finish="stop", usage=None)
    )
    assert beside.usage == followed.usage == stream(chunk(usage=USAGE), chunk(usage=zeros)).usage == expected
    assert beside.finished
    assert not stream(chunk({"content": "x"}), done=False).finished


def test_groqs_second_copy_counts_once() -> None:
    """`x_groq.usage` is read where it is alone, and not added where `usage` stands too."""
    assert stream(chunk(x_groq={"usage": USAGE})).usage == stream(chunk(x_groq={"usage": USAGE}, usage=USAGE)).usage


def test_several_choices_end_when_all_have_ended() -> None:
    """n = 2: two messages in order; the stream is cut when one has no finish reason."""
    both = stream(
        chunk({"content": "b"}, index=1), chunk({"content": "a"}), chunk(finish="stop"), chunk(finish="stop", index=1), done=False
    )
    one = stream(chunk({"content": "b"}, index=1), chunk({"content": "a"}), chunk(finish="stop"), done=False)
    assert [message.parts[0].text for message in both.messages] == ["a", "b"]
    assert (both.finished, one.finished) == (True, False)


def test_perplexity_sends_delta_and_message() -> None:
    """In a stream the repeated `message` is not read again; in a whole answer the empty `delta` does not hide it."""
    both = {"delta": {"role": "assistant", "content": "a"}, "message": {"content": "a"}}
    assert [part.text for part in stream({"choices": [both]}, {"choices": [both]}).messages[0].parts] == ["aa"]
    assert (
        whole({"choices": [{"delta": {"role": "assistant", "content": ""}, "message": {"content": "a"}}]}).messages[0].parts[0].text == "a"
    )


def test_mistrals_blocks_and_refusals() -> None:
    """Content as a list with thinking; a refusal is a part of its own."""
    thinking = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}]}
    reading = stream(chunk(thinking), chunk(thinking), chunk({"content": "x"}), chunk({"refusal": "no"}))
    assert reading.messages[0].parts == (Part("reasoning", "tt"), Part("text", "x"), Part("refusal", "no"))


def test_errors_at_once_and_in_mid_stream() -> None:
    """A JSON error to a request for a stream, and an error event after content: what was said stays, the stream counts as cut."""
    error = {"error": {"message": "no more", "type": "insufficient_quota", "code": "x"}}
    refused = whole(error, 429)
    assert (refused.error_type, refused.error, refused.finished) == ("insufficient_quota", "no more", True)
    broken = stream(chunk({"content": "x"}), error, done=False)
    assert (broken.error, broken.finished, broken.messages[0].parts[0].text) == ("no more", False, "x")


def test_requests() -> None:
    """Roles, tool results, media without their content, tools and streaming."""
    body = {
        "model": "gpt",
        "stream": True,
        "tools": [{}, {}],
        "messages": [
            {"role": "developer", "content": "sys"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}],
            },
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "QUI=", "format": "mp3"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]},
        ],
    }
    reading = read_request("openai.chat", "/v1/chat/completions", json.dumps(body).encode())
    assert (reading.model, reading.stream, reading.tools, reading.session) == ("gpt", True, 2, None)
    assert reading.messages == (
        Message("system", (Part("text", "sys"),)),
        Message("user", (Part("text", "see"), Part("image", None, {"media_type": "image/png", "bytes": 3}))),
        Message("user", (Part("audio", None, {"media_type": "audio/mp3", "bytes": 2}),)),
        Message("tool", (Part("tool_result", "42", {"id": "c1"}),)),
    )
