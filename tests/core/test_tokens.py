"""Counting: the encoding of each model, text in windows, messages, tools, images."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

from addons.core import tokens
from addons.core.call import Message, Part, RequestReading
from addons.core.dialects import DIALECTS
from addons.core.tokens import Counter, count_text, encoding_for, family_of, windows
from addons.tokenizer import Tokenizer

TOKENIZER = Tokenizer()
O200K = "o200k_base"
WORDS = "The quick brown fox jumps over the lazy dog. "
WEATHER = {
    "name": "get_weather",
    "description": "Get weather",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}


def counter(model: str = "gpt-4o") -> Counter:
    return Counter(TOKENIZER(encoding_for(model)), model)


def chat(*contents: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents], **more}


def counted(body: dict[str, Any], model: str = "gpt-4o", api: str = "openai.chat") -> int:
    return counter(model).input(api, DIALECTS[api].request("", body), body)


def test_encodings_are_those_of_tiktoken() -> None:
    """By tiktoken's own table; its oldest encodings, which do not ship, become cl100k."""
    prefixed = {f"{prefix}x" if prefix.endswith("-") else prefix: name for prefix, name in MODEL_PREFIX_TO_ENCODING.items()}
    for model, name in (MODEL_TO_ENCODING | prefixed).items():
        assert encoding_for(model) == (O200K if name.startswith("o200k") else "cl100k_base"), model


@pytest.mark.parametrize("model", [None, "", "claude-sonnet-4-5", "llama3.2", "gpt-4o-mini", "gpt-4.1", "gpt-7", "openai/gpt-4o"])
def test_newer_and_unknown_models_have_o200k(model: str | None) -> None:
    """Whatever is not one of the older ones."""
    assert encoding_for(model) == O200K


@pytest.mark.parametrize("model", ["gpt-4", "GPT-4-turbo", "gpt-3.5-turbo-0125", "openai/gpt-4", "ft:gpt-4:me::1", "gpt-35-turbo"])
def test_older_models_have_cl100k(model: str) -> None:
    """Also behind a gateway's prefix, fine-tuned, and in Azure's spelling."""
    assert encoding_for(model) == "cl100k_base"


def test_special_tokens_are_text() -> None:
    """What a user types is no control token, and no error."""
    assert count_text(TOKENIZER(O200K), "<|endoftext|>") > 1


@pytest.mark.parametrize("run", [" ", "a", "^", "\n", "中", " a", "\ud800"])
def test_long_runs_neither_break_nor_stall(run: str) -> None:
    """A million characters without a word's end make tiktoken's regex run out of stack (a panic) where they are encoded at once."""
    assert count_text(TOKENIZER(O200K), run * (1_000_000 // len(run))) > 0


@given(st.text(alphabet="ab \n\t.中é", max_size=300), st.integers(2, 40))
def test_windows_are_the_text(text: str, limit: int) -> None:
    """Cut anywhere, nothing is lost, and no window is longer than allowed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "WINDOW_CHARACTERS", limit)
        pieces = list(windows(text))
    assert "".join(pieces) == text
    assert all(len(piece) <= limit for piece in pieces)


def test_windows_cut_where_tokens_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prose and indented code count the same in small windows."""
    text = (WORDS + "\n    def f(x):\n        return  x\n") * 30
    whole = len(TOKENIZER(O200K).encode_ordinary(text))
    monkeypatch.setattr(tokens, "WINDOW_CHARACTERS", 100)
    assert count_text(TOKENIZER(O200K), text) == whole


def test_what_is_endless_goes_on_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the beginning stands for the rest."""
    text = WORDS * 1000
    whole = count_text(TOKENIZER(O200K), text)
    monkeypatch.setattr(tokens, "MAX_CHARACTERS", len(WORDS) * 100)
    assert count_text(TOKENIZER(O200K), text) == pytest.approx(whole, rel=0.01)


def test_messages_have_an_overhead() -> None:
    """OpenAI: 7 for one message and 4 for each further one; its reasoning models one less."""
    plain = count_text(TOKENIZER(O200K), WORDS)
    assert counted(chat(WORDS)) == plain + 7
    assert counted(chat(WORDS, WORDS)) == 2 * plain + 11
    assert counted(chat(WORDS), "o4-mini") == counted(chat(WORDS), "gpt-5-mini") == plain + 6


def test_tools_cost_what_openai_counts() -> None:
    """A recorded call of gpt-4 with one tool: 46 tokens."""
    body = chat("What's the weather in London?", tools=[{"type": "function", "function": WEATHER}])
    assert counted(body, "gpt-4") == pytest.approx(46, abs=3)


@pytest.mark.parametrize(
    ("api", "tool"),
    [
        ("openai.chat", {"type": "function", "function": WEATHER}),
        ("openai.responses", {"type": "function", **WEATHER}),
        ("anthropic.messages", {"name": WEATHER["name"], "description": "Get weather", "input_schema": WEATHER["parameters"]}),
        ("gemini.generate", {"functionDeclarations": [WEATHER]}),
        (
            "bedrock.converse",
            {"toolSpec": {"name": "get_weather", "description": "Get weather", "inputSchema": {"json": WEATHER["parameters"]}}},
        ),
    ],
)
def test_tools_of_every_dialect_count_the_same(api: str, tool: dict[str, Any]) -> None:
    """The definition is found wherever the dialect puts it."""
    outer = {"toolConfig": {"tools": [tool]}} if api == "bedrock.converse" else {"tools": [tool]}
    added = counter().input(api, RequestReading(), outer) - counter().input(api, RequestReading(), {})
    assert added == counter().input("openai.chat", RequestReading(), {"tools": [WEATHER]}) - 3


def test_nested_and_enumerated_parameters_count() -> None:
    """Below objects and arrays, and each value of an enum."""
    deep = {"a": {"type": "object", "properties": {"b": {"type": "array", "items": {"properties": {"c": {"enum": ["x", "y"]}}}}}}}
    flat = {"a": {"type": "object"}}
    one, other = ({"tools": [{"name": "f", "parameters": {"properties": properties}}]} for properties in (deep, flat))
    assert counter().input("openai.chat", RequestReading(), one) > counter().input("openai.chat", RequestReading(), other) + 10


def test_a_hostile_schema_ends() -> None:
    """Nested deeper than any tool, or of wrong types: counted as far as it goes."""
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"properties": {"a": schema, "b": 5}}
    assert counter().input("openai.chat", RequestReading(), {"tools": [{"name": "f", "parameters": schema}, 3, {"name": 4}]}) > 0


def test_images_are_rough_and_files_left_out() -> None:
    """A figure per image by dialect; audio and files, whose length is not read, add nothing."""
    plain = RequestReading(messages=(Message("user", (Part("text", "hi"),)),))
    shown = RequestReading(messages=(Message("user", (Part("text", "hi"), Part("image"), Part("audio"), Part("file"))),))
    for api, image in (("openai.chat", 765), ("gemini.generate", 258), ("anthropic.messages", 1600)):
        assert counter().input(api, shown, {}) - counter().input(api, plain, {}) == image


def test_a_schema_for_the_answer_counts() -> None:
    """It is part of what the model reads."""
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    for more in ({"response_format": {"json_schema": {"schema": schema}}}, {"text": {"format": {"schema": schema}}}):
        assert counted(chat("hi", **more)) > counted(chat("hi")) + 8


def test_bare_prompts_have_no_overhead() -> None:
    """Completions and embeddings: the text alone, or as many tokens as were given."""
    body = {"prompt": WORDS}
    assert counted(body, "davinci-002", "openai.completions") == count_text(TOKENIZER("cl100k_base"), WORDS)
    assert counted({"input": [1, 2, 3]}, "text-embedding-3-small", "openai.embeddings") == 3


def test_answers_count_text_reasoning_and_tool_calls() -> None:
    """Everything that the model wrote."""
    parts = (Part("reasoning", WORDS), Part("text", WORDS), Part("tool_call", '{"a":1}', {"id": "1", "name": "f"}))
    plain = count_text(TOKENIZER(O200K), WORDS)
    assert counter().output([Message("assistant", parts[:2])]) == 2 * plain
    assert counter().output([Message("assistant", parts)]) > 2 * plain + 5


def test_families_scale_the_text() -> None:
    """Anthropic's tokens are shorter than OpenAI's, of the newest models yet shorter; names that are not known are as OpenAI's."""
    older, newer = counter("claude-sonnet-4-5-20250929"), counter("claude-opus-4-8")
    assert counter("no-such").text(WORDS) < older.text(WORDS) < newer.text(WORDS)
    assert family_of("us.anthropic.claude-3-7-sonnet-20250219-v1:0") == family_of("claude-haiku-4-5")
    assert family_of("claude-sonnet-5") == family_of("anthropic/claude-haiku-5-20260101") != family_of("claude-sonnet-4-5")
