"""What the two endpoints accept, and what they say of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.core.call import Usage
from addons.core.estimate_requests import MalformedField, read_cost, read_count, read_object

USER = {"role": "user", "content": "hello"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("body", "api", "roles"),
    [
        ({"messages": [USER]}, "openai.chat", ["user"]),
        ({"messages": [{"role": "system", "content": "s"}, USER]}, "openai.chat", ["system", "user"]),
        ({"messages": [USER], "system": "s"}, "anthropic.messages", ["system", "user"]),
        ({"messages": [USER], "tools": [TOOL]}, "anthropic.messages", ["user"]),
        ({"messages": [USER], "model": "claude-sonnet-4-5"}, "anthropic.messages", ["user"]),
        ({"input": "hello", "instructions": "s"}, "openai.responses", ["system", "user"]),
        ({"input": [USER]}, "openai.responses", ["user"]),
        ({"input": ["hello", "world"]}, "openai.embeddings", ["user"]),
        ({"prompt": "hello"}, "openai.completions", ["user"]),
        ({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}, "gemini.generate", ["user"]),
        ({"contents": {"parts": [{"text": "hello"}]}}, "gemini.generate", ["user"]),
    ],
)
def test_requests_of_every_dialect_are_read(body: dict[str, Any], api: str, roles: list[str]) -> None:
    """The dialect is told by the fields, and its own reader reads it."""
    found = read_count(body)
    assert (found.api, [message.role for message in found.request.messages], found.body) == (api, roles, body)


def test_plain_text_is_plain() -> None:
    """Or several, which are counted together."""
    assert read_count({"text": "hello", "model": "gpt-4o"}).text == "hello"
    assert read_count({"text": ["a", "b"]}).text == "a\nb"
    assert read_count({"text": ""}).text == ""


BAD_COUNTS: list[tuple[Any, str, str]] = [
    ({}, "text", "nothing to count"),
    ({"text": None}, "text", "nothing to count"),
    ({"text": "a", "messages": [USER]}, "messages", "of text and messages only one"),
    ({"text": 5}, "text", "should be a string or a list of strings, not 5"),
    ({"text": ["a", 5]}, "text[1]", "should be a string, not 5"),
    ({"text": "a", "model": 5}, "model", "should be a string, not 5"),
    ({"text": "a", "model": ""}, "model", "should be a string"),
    ({"messages": "hello"}, "messages", 'should be a list, not "hello"'),
    ({"messages": []}, "messages", "at least one message"),
    ({"messages": [USER, "x"]}, "messages[1]", "should be an object"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "should be a string, not null"),
    ({"messages": [{"role": 1}]}, "messages[0].role", "should be a string, not 1"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "a list of parts, not 5"),
    ({"messages": [USER], "tools": {}}, "tools", "should be a list, not an object"),
    ({"messages": [USER], "system": 5}, "system", "should be a string or a list, not 5"),
    ({"input": {}}, "input", "should be a string or a list, not an object"),
    ({"input": [None]}, "input[0]", "not null"),
    ({"contents": [5]}, "contents[0]", "should be an object, not 5"),
]


@pytest.mark.parametrize(("body", "field", "said"), BAD_COUNTS)
def test_what_cannot_be_counted_is_named(body: dict[str, Any], field: str, said: str) -> None:
    """The field, what is wrong with it, and what would be right."""
    with pytest.raises(MalformedField) as raised:
        read_count(body)
    assert raised.value.field == field
    assert said in str(raised.value) and str(raised.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not JSON"), (b"{", "not JSON"), (b"\xff{}", "not JSON"), (b"[" * 5000, "not JSON"), (b"[]", "not a list"), (b"5", "not 5")],
)
def test_a_body_that_is_no_object_is_refused(content: bytes, said: str) -> None:
    """No field is to blame."""
    with pytest.raises(MalformedField, match=said) as raised:
        read_object(content)
    assert raised.value.field == ""


def test_long_values_are_not_repeated() -> None:
    """An error is a line, whatever was sent."""
    with pytest.raises(MalformedField) as raised:
        read_count({"messages": "x" * 10_000})
    assert len(str(raised.value)) < 100


def test_usage_is_priced_as_given() -> None:
    """All counts that have prices of their own."""
    body = {"model": "m", "provider": "openai", "input_tokens": 9, "output_tokens": 4, "cache_read_tokens": 3, "reasoning_tokens": 2}
    found = read_cost(body)
    assert (found.model, found.provider, found.count) == ("m", "openai", None)
    assert found.usage == Usage(input_tokens=9, output_tokens=4, cache_read_tokens=3, reasoning_tokens=2)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_limit_stands_for_the_output(limit: str) -> None:
    """A request body can be priced as it is; what is given for the output goes before its limit."""
    body = json.loads(json.dumps({"model": "m", "messages": [USER], limit: 100}))
    found = read_cost(body)
    assert found.usage == Usage(output_tokens=100)
    assert found.count and found.count.request.messages
    assert read_cost(body | {"output_tokens": 0}).usage.output_tokens == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input_tokens": 1}, "model"),
        ({"model": 5, "input_tokens": 1}, "model"),
        ({"model": "m"}, "input_tokens"),
        ({"model": "m", "output_tokens": 5}, "input_tokens"),
        ({"model": "m", "input_tokens": -1}, "input_tokens"),
        ({"model": "m", "input_tokens": 1.5}, "input_tokens"),
        ({"model": "m", "input_tokens": "1"}, "input_tokens"),
        ({"model": "m", "input_tokens": True}, "input_tokens"),
        ({"model": "m", "input_tokens": 2**60}, "input_tokens"),
        ({"model": "m", "input_tokens": 1, "output_tokens": -5}, "output_tokens"),
        ({"model": "m", "input_tokens": 1, "max_tokens": "x"}, "max_tokens"),
        ({"model": "m", "input_tokens": 1, "provider": 3}, "provider"),
        ({"model": "m", "input_tokens": 1, "cache_read_tokens": 2}, "input_tokens"),
        ({"model": "m", "messages": {}}, "messages"),
    ],
)
def test_what_cannot_be_priced_is_named(body: dict[str, Any], field: str) -> None:
    """The field that is missing or wrong."""
    with pytest.raises(MalformedField) as raised:
        read_cost(body)
    assert raised.value.field == field
