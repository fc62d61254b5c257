"""Calls of any host: by path, and by the shape of their bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.dialects import DIALECTS
from addons.core.dialects.shapes import api_of
from tests.core.dialects.feeding import chunk, frame

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
HOST = "gateway.example"


def found(path: str, request: Any = None, answer: Any = None, host: str = HOST, method: str = "POST") -> tuple[str | None, str] | None:
    sent = b"" if request is None else json.dumps(request).encode()
    got = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
    return api_of(method, host, path, sent, got, None)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("api.openai.com", "/v1/chat/completions?x=1", ("openai", "openai.chat")),
        ("api.mistral.ai", "/v1/chat/moderations", ("mistral", "openai.moderations")),
        ("mine.openai.azure.com", "//openai/deployments/d/embeddings?api-version=1", ("azure", "openai.embeddings")),
        ("mine.services.ai.azure.com", "/models/chat/completions", ("azure", "openai.chat")),
        ("bedrock-mantle.us-east-1.api.aws", "/v1/responses", ("bedrock", "openai.responses")),
        (HOST, "/proxy/openai/v1/chat/completions", (None, "openai.chat")),
        (HOST, "/router/v2/anthropic/v1/messages", (None, "anthropic.messages")),
        (HOST, "/google-vertex/v1/publishers/google/models/gemini:streamGenerateContent?alt=sse", (None, "gemini.generate")),
        (HOST, "/bedrock/model/amazon.nova-v1%3A0/converse", (None, "bedrock.converse")),
        (HOST, "/v1/messages/count_tokens", (None, "other")),
        (HOST, "/v1beta/models/m:countTokens", (None, "other")),
        (HOST, "/v1beta/projects/p/cachedContents", (None, "other")),
        ("us-south.ml.cloud.ibm.com", "/ml/v1/text/embeddings?version=1", ("watsonx", "watsonx.embed")),
        ("api.voyageai.com", "/v1/multimodalembeddings", ("voyage", "openai.embeddings")),
        ("api.cohere.com", "/v1/generate", ("cohere", "cohere.generate")),
        (HOST, "/embeddings", None),
        (HOST, "/v1/survey/responses", None),
        ("api.anthropic.com", "/api/event_logging/v2/batch", None),
    ],
)
def test_by_path(host: str, path: str, expected: tuple[str | None, str] | None) -> None:
    """Known hosts by their own table; on any other the end of the path, where nobody else has such a path."""
    assert found(path, host=host) == expected


@pytest.mark.parametrize(
    ("path", "request_body", "api"),
    [
        ("/embeddings", {"model": "m", "input": "x"}, "openai.embeddings"),
        ("/llm/rerank", {"model": "m", "query": "q"}, "openai.rerank"),
        ("/api/chat", {"model": "m"}, "ollama.chat"),
        ("/api/embed", {"model": "m"}, "ollama.embed"),
        ("/ask", CHAT, "openai.chat"),
        ("/ask", {"contents": [{"parts": [{"text": "Hi"}]}]}, "gemini.generate"),
        ("/ask", {"question": "Hi"}, None),
        ("/ask", {"messages": [{"id": 1}], "model": "m"}, None),
    ],
)
def test_by_request(path: str, request_body: dict[str, Any], api: str | None) -> None:
    """A path that others have too counts where the request names a model; without one, the turns of a conversation do."""
    assert found(path, request_body) == (api and (None, api))


def sse(value: dict[str, Any], name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("answer", "api"),
    [
        ({"choices": [{"message": {"content": "Hi"}}]}, "openai.chat"),
        (b": ping\n\n" + sse({"choices": [{"delta": {"content": "Hi"}}]}), "openai.chat"),
        ({"object": "text_completion", "choices": [{"text": "Hi"}]}, "openai.completions"),
        ({"object": "response", "output": []}, "openai.responses"),
        (sse({"type": "response.created", "response": {}}, "response.created"), "openai.responses"),
        ({"object": "list", "data": [{"object": "embedding", "embedding": [0.1]}]}, "openai.embeddings"),
        ({"data": [{"index": 0, "relevance_score": 0.1}], "usage": {"total_tokens": 5}}, "openai.rerank"),
        ({"data": [{"b64_json": "AAAA"}]}, "openai.images"),
        ({"text": "Hi", "usage": {"type": "tokens"}}, "openai.audio"),
        ({"object": "thread.run", "status": "queued"}, "openai.runs"),
        ({"type": "message", "role": "assistant", "content": []}, "anthropic.messages"),
        (sse({"type": "message_start", "message": {}}, "message_start"), "anthropic.messages"),
        ({"candidates": [{"content": {}}]}, "gemini.generate"),
        (b'[{"candidates": [{"content": {}}]}\n,\n{"candidates"', "gemini.generate"),
        ({"object": "interaction", "status": "completed"}, "gemini.interactions"),
        (sse({"serverContent": {}}), "gemini.live"),
        ({"model": "m", "message": {"content": "Hi"}, "done": True}, "ollama.chat"),
        (b'{"model": "m", "response": "H", "done": false}\n{"model"', "ollama.generate"),
        ({"output": {"message": {"content": []}}, "stopReason": "end_turn"}, "bedrock.converse"),
        (frame(b'{"role":"assistant"}', event_type="messageStart"), "bedrock.converse"),
        (chunk({"outputText": "Hi"}), "bedrock.invoke"),
        (frame(b'{"bytes": "SGVsbG8gYWdlbnQ="}', event_type="chunk"), None),  # an agent's text
        ({"text": "Hi", "meta": {"billed_units": {"input_tokens": 1}}}, "cohere.chat"),
        ({"embeddings": [[0.1]], "meta": {"billed_units": {"input_tokens": 1}}}, "cohere.embed"),
        ({"results": [{"relevance_score": 0.1}], "meta": {"billed_units": {"search_units": 1}}}, "cohere.rerank"),
        ({"results": [{"generated_text": "2", "generated_token_count": 2}]}, "watsonx.generate"),
        ({"generations": [{"text": "Hi"}], "meta": {"billed_units": {"input_tokens": 1}}}, "cohere.generate"),
        ({"data": [{"object": "list", "data": [{"embedding": [0.1]}]}], "usage": {"total_tokens": 3}}, "openai.embeddings"),
        ({"output": {"text": "Hi"}, "usage": {"input_tokens": 1, "output_tokens": 2}}, "openai.other"),
        ({"usage": {"input_tokens": "many", "output_tokens": 2}}, None),
        ({"usage": {"bytes": 5}}, None),
        ({"results": [{"relevanceScore": 0.5}]}, None),
        ({"text": "Hello"}, None),
        ({"url": "https://x.test", "data": [1, 2]}, None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_by_answer(answer: Any, api: str | None) -> None:
    """A path that says nothing: what the answer looks like decides, and what looks like nothing is no call."""
    assert found("/fixture", None, answer) == (api and (None, api))


def test_side_traffic_is_no_call() -> None:
    """Other methods, pages, and answers of other kinds on known hosts."""
    assert found("/fixture", None, {"choices": [{"message": {}}]}, method="GET") is None
    assert found("/api/repos/create", {"name": "x"}, {"url": "https://x.test", "id": "1"}, host="huggingface.co") is None


@given(st.binary(max_size=80), st.binary(max_size=80), st.sampled_from(["", "application/vnd.amazon.eventstream", "text/event-stream"]))
def test_any_bytes_are_judged(request: bytes, answer: bytes, kind: str) -> None:
    """Nothing raises; what is found has a reader."""
    got = api_of("POST", HOST, "/v1/completions", request, answer, kind)
    assert got is None or got[1] in DIALECTS
