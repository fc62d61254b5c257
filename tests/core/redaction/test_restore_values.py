"""Strings of a JSON text: where they stand, what they are, and others in their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.restore_values import JsonText, Mode, Path, form_of, leaves, nesting_of

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=6)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_every_string_is_found_where_it_is_written(value: Any, indent: int | None, plain: bool) -> None:
    """Keys and values, in any spacing, escaped or not; unchanged the text is the same byte for byte."""
    raw = json.dumps(value, indent=indent, ensure_ascii=plain).encode()
    text = JsonText.read(raw, raw)
    assert text is not None or value is None
    if text is not None:
        assert text.changed({}) == raw
        for number, (path, is_key), inside in text.holding(b""):
            found = value
            for step in path:
                found = found[step]
            read = json.loads(b'"' + inside + b'"')
            assert read in found if is_key else read == found
            assert json.loads(text.changed({number: inside})) == value


def test_a_string_is_changed_by_its_path() -> None:
    """Nothing else is written anew; a path that leads nowhere changes nothing."""
    raw = b'data: { "a" : ["x", {"b":"y\\n"}], "n": 1.0e3 }\n\n'
    text = JsonText.read(raw, raw[6:])
    assert text is not None
    assert text[("a", 1, "b")] == b"y\\n" and text[("a", 2)] == text[("n",)] == text[("a", 1)] == b""
    assert text.changed({("a", 1, "b"): b"z", ("gone",): b"?"}) == raw.replace(b"y\\n", b"z")


@pytest.mark.parametrize("raw", [b"", b"[DONE]", b'{"a":', b'{"a":"x","a":"y"}', b"null", b"[" * 100_000])
def test_what_cannot_be_read_is_none(raw: bytes) -> None:
    """No JSON, cut, nested beyond reason, or with a key twice: which string is which would be a guess."""
    assert JsonText.read(raw, raw) is None


def test_odd_json_is_read() -> None:
    """Half a surrogate pair, broken UTF-8, numbers that are none, and a nesting of some hundred."""
    for raw in (
        b'{"a":"\\ud83d","b":"x"}',
        b'{"a":"\xff","b":"x"}',
        b'{"a":NaN,"b":"x"}',
        b'{"a":' + b"[" * 400 + b"]" * 400 + b',"b":"x"}',
    ):
        text = JsonText.read(raw, raw)
        assert text is not None and text.changed({("b",): b"y"}) == raw.replace(b'"x"', b'"y"')


def test_strings_come_in_their_order() -> None:
    """A key before its value."""
    assert leaves({"a": ["x", 1], "b": {"c": "y"}}) == [
        ((), True),
        (("a", 0), False),
        ((), True),
        (("b",), True),
        (("b", "c"), False),
    ]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (("choices", 0, "message", "content"), "text"),
        (("choices", 0, "message", "tool_calls", 0, "function", "arguments"), "tool_json"),
        (("choices", 0, "message", "tool_calls", 0, "custom", "input"), "tool"),
        (("choices", 0, "message", "function_call", "arguments"), "tool_json"),
        (("choices", 0, "logprobs", "content", 0, "token"), "opaque"),
        (("message", "tool_calls", 0, "function", "arguments", "arguments"), "tool"),
        (("message", "tool_calls", 0, "function", "arguments", "signature"), "tool"),
        (("candidates", 0, "content", "parts", 0, "functionCall", "args", "a", 0), "tool"),
        (("candidates", 0, "content", "parts", 0, "thoughtSignature"), "opaque"),
        (("candidates", 0, "content", "parts", 0, "inlineData", "data"), "opaque"),
        (("content", 1, "input", "arguments"), "tool"),
        (("content", 0, "signature"), "opaque"),
        (("content", 0, "thinking"), "text"),
        (("delta", "partial_json"), "tool_json"),
        (("response", "output", 1, "arguments"), "tool_json"),
        (("response", "output", 0, "encrypted_content"), "opaque"),
        (("item", "action", "command", 0), "tool"),
        (("response", "instructions"), "text"),
        ((), "text"),
    ],
)
def test_a_place_says_what_a_string_is(path: Path, form: str) -> None:
    """Within a tool's input, names mean nothing any more."""
    assert form_of(path) == form


@pytest.mark.parametrize(("mode", "nestings"), [("text_and_tools", [1, 1, 2, 0]), ("text", [1, 0, 0, 0]), ("off", [0, 0, 0, 0])])
def test_the_mode_says_what_is_restored(mode: Mode, nestings: list[int]) -> None:
    """Text and tools, text only, nothing; opaque values never."""
    assert [nesting_of(form, mode) for form in ("text", "tool", "tool_json", "opaque")] == nestings
