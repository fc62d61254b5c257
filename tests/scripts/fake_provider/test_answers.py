"""Every dialect says the same thing in its own words: usage from the request, errors in the provider's shape, knobs obeyed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from scripts.fake_provider.answers import Reply, Responder
from scripts.fake_provider.http1 import ID_MARK, Headers, Request
from scripts.fake_provider.speech import DEFAULT_TEXT

WORDS = len(DEFAULT_TEXT.split())
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "one two three"}]
CONTENTS = [{"role": "user", "parts": [{"text": "one two three"}]}]
GEMINI = "/v1beta/models/gemini-2.5-flash"


def ask(path: str, body: Any = None, headers: Headers = (), *, method: str = "POST", to: Responder | None = None) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (to or Responder()).respond(Request(method, path, headers, content), 1)


def body_of(reply: Reply) -> bytes:
    return b"".join((reply.answer.opening, *reply.answer.deltas, reply.answer.closing))


def json_of(reply: Reply) -> Any:
    return json.loads(body_of(reply))


def events(reply: Reply) -> list[Any]:
    lines = body_of(reply).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


Counts = Callable[[Any], tuple[int, int]]

WHOLE: list[tuple[str, Any, Counts]] = [
    (CHAT, {"messages": MESSAGES}, lambda b: (b["usage"]["prompt_tokens"], b["usage"]["completion_tokens"])),
    ("/chat/completions", {"messages": MESSAGES}, lambda b: (b["usage"]["prompt_tokens"], b["usage"]["completion_tokens"])),
    ("/api/v1/chat/completions", {"messages": MESSAGES}, lambda b: (b["usage"]["prompt_tokens"], b["usage"]["completion_tokens"])),
    ("/v1/responses", {"input": "one two three"}, lambda b: (b["usage"]["input_tokens"], b["usage"]["output_tokens"])),
    ("/v1/responses", {"instructions": "one", "input": MESSAGES}, lambda b: (b["usage"]["input_tokens"] - 1, b["usage"]["output_tokens"])),
    ("/v1/completions", {"prompt": "one two three"}, lambda b: (b["usage"]["prompt_tokens"], b["usage"]["completion_tokens"])),
    ("/v1/messages?beta=true", {"messages": MESSAGES}, lambda b: (b["usage"]["input_tokens"], b["usage"]["output_tokens"])),
    (
        f"{GEMINI}:generateContent",
        {"contents": CONTENTS},
        lambda b: (b["usageMetadata"]["promptTokenCount"], b["usageMetadata"]["candidatesTokenCount"]),
    ),
    ("/api/chat", {"messages": MESSAGES, "stream": False}, lambda b: (b["prompt_eval_count"], b["eval_count"])),
    ("/api/generate", {"prompt": "one two three", "stream": False}, lambda b: (b["prompt_eval_count"], b["eval_count"])),
]


@pytest.mark.parametrize(("path", "body", "counts"), WHOLE, ids=[f"{path} {next(iter(body))}" for path, body, _ in WHOLE])
def test_usage_is_words(path: str, body: Any, counts: Counts) -> None:
    """Whole answers: input tokens are the prompt's words, output tokens the answer's."""
    reply = ask(path, {"model": "m"} | body)
    assert reply.answer.status == 200
    assert reply.answer.whole
    assert counts(json_of(reply)) == (3, WORDS)
    assert DEFAULT_TEXT in body_of(reply).decode()


def test_chat_stream_says_usage_only_when_asked() -> None:
    """Without stream_options there is no usage anywhere; with include_usage each chunk has null and the one before [DONE] the counts."""
    plain = ask(CHAT, {"model": "m", "stream": True, "messages": MESSAGES})
    assert all("usage" not in event for event in events(plain))
    asked = events(ask(CHAT, {"model": "m", "stream": True, "messages": MESSAGES, "stream_options": {"include_usage": True}}))
    assert [event["usage"] for event in asked[:-1]] == [None] * (WORDS + 2)
    assert (asked[-1]["choices"], asked[-1]["usage"]["total_tokens"]) == ([], 3 + WORDS)
    assert body_of(plain).endswith(b"data: [DONE]\n\n")
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events(plain)) == DEFAULT_TEXT


def test_anthropic_stream_order_and_cumulative_usage() -> None:
    """message_start … message_stop in order; message_delta repeats the input and has the whole output."""
    told = events(ask("/v1/messages", {"model": "m@fake:chunks=2,cached=1,reasoning=4", "stream": True, "messages": MESSAGES}))
    kinds = [event["type"] for event in told]
    block = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert [kind for kind in kinds if kind != "ping"] == ["message_start", *block, *block, "message_delta", "message_stop"]
    assert told[0]["message"]["usage"]["output_tokens"] == 1
    usage = told[-2]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (2, 1, 6)


def test_responses_stream_is_numbered() -> None:
    """The events of a response are numbered from 0 without a gap, and end with the response in full."""
    told = events(ask("/v1/responses", {"model": "m@fake:reasoning=4", "stream": True, "input": "one two three"}))
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert (told[0]["type"], told[-1]["type"]) == ("response.created", "response.completed")
    assert told[-1]["response"]["usage"]["output_tokens"] == WORDS + 4


@pytest.mark.parametrize("query", ["", "?alt=sse"])
def test_gemini_streams_both_ways(query: str) -> None:
    """With alt=sse events, without it one JSON array; thoughts are counted apart, cached tokens within the prompt."""
    headers = (("x-fake-reasoning", "2"), ("x-fake-cached", "1"))
    reply = ask(f"{GEMINI}:streamGenerateContent{query}", {"contents": CONTENTS}, headers)
    parts = events(reply) if query else json_of(reply)
    last = parts[-1]["usageMetadata"]
    assert (last["candidatesTokenCount"], last["thoughtsTokenCount"], last["totalTokenCount"]) == (WORDS, 2, 3 + WORDS + 2)
    assert last["cachedContentTokenCount"] == 1
    assert "".join(part["candidates"][0]["content"]["parts"][0]["text"] for part in parts) == DEFAULT_TEXT


def test_ollama_streams_lines_unless_told_not_to() -> None:
    """Without `stream` the answer is NDJSON whose last line has the counts."""
    lines = [json.loads(line) for line in body_of(ask("/api/chat", {"model": "m", "messages": MESSAGES})).splitlines()]
    assert [line["done"] for line in lines] == [False] * WORDS + [True]
    assert (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (3, WORDS)


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}
USE = [{"role": "user", "content": "Please use the tool"}]
TOOLS: list[tuple[str, Any, Callable[[Any], Any]]] = [
    (
        CHAT,
        {"messages": USE, "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
        lambda b: json.loads(b["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]),
    ),
    (
        "/v1/responses",
        {"input": USE, "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
        lambda b: json.loads(b["output"][0]["arguments"]),
    ),
    ("/v1/messages", {"messages": USE, "tools": [{"name": "f", "input_schema": SCHEMA}]}, lambda b: b["content"][0]["input"]),
    (
        f"{GEMINI}:generateContent",
        {"contents": [{"parts": [{"text": "use the tool"}]}], "tools": [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}]},
        lambda b: b["candidates"][0]["content"]["parts"][0]["functionCall"]["args"],
    ),
    (
        "/api/chat",
        {"stream": False, "messages": USE, "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
        lambda b: b["message"]["tool_calls"][0]["function"]["arguments"],
    ),
]


@pytest.mark.parametrize(("path", "body", "arguments"), TOOLS, ids=[row[0] for row in TOOLS])
def test_tools_are_called(path: str, body: Any, arguments: Callable[[Any], Any]) -> None:
    """A user who says "use the tool" gets a call with arguments that fit the schema."""
    assert arguments(json_of(ask(path, {"model": "m"} | body))) == {"city": "text", "days": 1}


def test_a_tool_result_is_answered_with_text() -> None:
    """After the result of the call the model talks again."""
    result = [*USE, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "use the tool"}]}]
    reply = ask("/v1/messages", {"model": "m", "messages": result, "tools": [{"name": "f", "input_schema": SCHEMA}]})
    assert json_of(reply)["content"][0]["text"] == DEFAULT_TEXT


ERRORS: list[tuple[str, Callable[[Any], Any], Any]] = [
    (CHAT, lambda b: (b["error"]["type"], b["error"]["code"]), ("requests", "rate_limit_exceeded")),
    ("/v1/messages", lambda b: (b["type"], b["error"]["type"]), ("error", "rate_limit_error")),
    (f"{GEMINI}:generateContent", lambda b: (b["error"]["status"], b["error"]["details"][0]["retryDelay"]), ("RESOURCE_EXHAUSTED", "2s")),
    ("/api/chat", lambda b: "Rate limit" in b["error"], True),
]


@pytest.mark.parametrize(("path", "read", "expected"), ERRORS, ids=[row[0] for row in ERRORS])
def test_errors_have_the_providers_shape(path: str, read: Callable[[Any], Any], expected: Any) -> None:
    """A status of 400 or more is told in the dialect's own JSON, with the headers asked for."""
    reply = ask(path, {"model": "m", "messages": MESSAGES}, (("x-fake-status", "429"), ("x-fake-retry-after", "2")))
    assert reply.answer.status == 429
    assert read(json_of(reply)) == expected
    assert ("Retry-After", "2") in reply.answer.headers


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}"])
def test_bad_bodies_are_refused(body: bytes) -> None:
    """A body that no provider would take is a 400 in the dialect."""
    reply = ask("/v1/messages", body)
    assert (reply.answer.status, json_of(reply)["error"]["type"]) == (400, "invalid_request_error")


def test_unknown_paths_and_knobs_are_told() -> None:
    """A path that nobody answers is 404, a knob that does not exist is 400 and named."""
    assert ask("/v1/nothing", {}).answer.status == 404
    reply = ask(CHAT, {"model": "fake:wrong=1", "messages": MESSAGES})
    assert reply.answer.status == 400
    assert "wrong" in json_of(reply)["error"]["message"]


def test_text_knobs() -> None:
    """Echo, size and chunks decide about the text and its pieces."""
    assert json_of(ask(CHAT, {"model": "fake:echo", "messages": MESSAGES}))["choices"][0]["message"]["content"] == "one two three"
    assert len(json_of(ask(CHAT, {"model": "fake:size=1000", "messages": MESSAGES}))["choices"][0]["message"]["content"]) == 1000
    for model in ("fake:chunks=20", "fake:chunks=20,size=1000"):
        assert len(ask(CHAT, {"model": model, "stream": True, "messages": MESSAGES}).answer.deltas) == 20


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": MESSAGES}),
        ("/v1/responses", {"input": "a"}),
        ("/v1/messages", {"messages": MESSAGES}),
        ("/api/chat", {"messages": MESSAGES}),
        (f"{GEMINI}:streamGenerateContent", {"contents": CONTENTS}),
    ],
)
def test_streams_can_fail(path: str, body: Any) -> None:
    """With fail_after the stream says an error in its dialect after so many chunks, and nothing of an end."""
    reply = ask(path, {"model": "m", "stream": True} | body, (("x-fake-fail-after", "2"),))
    assert len(reply.answer.deltas) == 2
    assert b'"error"' in reply.answer.closing
    assert not any(mark in reply.answer.closing for mark in (b"[DONE]", b"message_stop", b"response.completed", b'"done"'))


def test_bodies_may_be_compressed_both_ways() -> None:
    """A zstd request is read; with gzip the answer is compressed chunk by chunk, ids in place."""
    body = zstandard.compress(json.dumps({"model": "fake:gzip", "stream": True, "messages": MESSAGES}).encode())
    reply = ask(CHAT, body, (("content-encoding", "zstd"),))
    assert ("Content-Encoding", "gzip") in reply.answer.headers
    told = gzip.decompress(body_of(reply))
    assert told.endswith(b"data: [DONE]\n\n")
    assert ID_MARK not in told
    assert len(reply.answer.deltas) == WORDS


def test_equal_requests_share_one_answer() -> None:
    """What is asked again is built once, and the table still decides about each request."""
    responder = Responder({"*": {"status": 200}})
    body = {"model": "m", "messages": MESSAGES}
    first = ask(CHAT, body, to=responder)
    assert ask(CHAT, body, to=responder).answer is first.answer
    responder.knobs.set("*", {"status": 500})
    assert ask(CHAT, body, to=responder).answer.status == 500


def test_the_control_endpoints() -> None:
    """Knobs are set and the log is read and cleared over HTTP; neither is logged itself."""
    responder = Responder()
    ask("/_fake/knobs", {"key": "k", "knobs": {"status": 429}, "times": 1}, to=responder)
    body, key = {"model": "m", "messages": MESSAGES}, (("authorization", "Bearer k"),)
    assert [ask(CHAT, body, key, to=responder).answer.status for _ in range(2)] == [429, 200]
    assert [seen["key"] for seen in json_of(ask("/_fake/log", method="GET", to=responder))] == ["k", "k"]
    ask("/_fake/log", method="DELETE", to=responder)
    assert json_of(ask("/_fake/log", method="GET", to=responder)) == []
    assert ask("/_fake/knobs", {"knobs": {"nonsense": 1}}, to=responder).answer.status == 400


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/v1/models", (), "gpt-4o"),
        ("/v1/models", (("anthropic-version", "2023-06-01"),), "claude-haiku-4-5-20251001"),
        ("/v1beta/models", (), "models/gemini-2.5-flash"),
        ("/api/tags", (), "llama3.2:latest"),
    ],
)
def test_models_are_listed(path: str, headers: Headers, name: str) -> None:
    """Each provider's list of models has its own shape."""
    assert f'"{name}"' in body_of(ask(path, headers=headers, method="GET")).decode()


def test_embeddings_are_unit_vectors_of_their_text() -> None:
    """One vector per input, the same for the same text, of the dimensions asked for."""
    rows = json_of(ask("/v1/embeddings", {"model": "m", "input": ["a", "b", "a"], "dimensions": 8}))["data"]
    first, second, third = (row["embedding"] for row in rows)
    assert (len(first), first == third, first == second) == (8, True, False)
    assert sum(number * number for number in first) == pytest.approx(1)
