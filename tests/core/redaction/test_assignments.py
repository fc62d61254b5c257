"""A value is found by its name, however a language writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.assignments import begins_word, find_assignment, name_end, name_start

VALUE = b"v4lue-0f/it"

WRITTEN = [
    "my_token = '{}'",
    'myToken="{}"',
    "MY_TOKEN={}\n",
    "token: {}\n",
    '"token": "{}"',
    '{{\\"token\\": \\"{}\\"}}',
    '  "token" => "{}"',
    "token := `{}`",
    "token ::= '{}'",
    "token ?= {}",
    "$token .= '{}'",
    'var token string = "{}"',
    'const token: &str = "{}"',
    'token: string = "{}"',
    "<token>\n    {}\n</token>",
    'setProperty("token", "{}")',
    'setToken("{}")',
    '<add key="token" value="{}"/>',
    "- name: TOKEN\n  value: {}\n",
    "https://host/?a=1&token={}&b=2",
    "curl --token {} x",
    "export TOKEN={}; x",
    'os.environ["TOKEN"] = "{}"',
    "token of yesterday: {}",
    "a\\ntoken={}\\nb",
    "token = b'{}'",
    "the token is here, token: {}.",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_the_value_is_found(text: str) -> None:
    """Whole, and without what stands around it."""
    data = text.format(VALUE.decode()).encode()
    at = data.lower().rindex(b"token", 0, data.index(VALUE))
    found = find_assignment(data, at, name_end(data, at + 5))
    assert found
    assert data[found.start : found.end] == VALUE == data[found.start : found.full_end]


@pytest.mark.parametrize(
    "text",
    [
        "the token was read",
        "token = ${TOKEN}",
        "token = <your token>",
        "token = {{ token }}",
        "token = ***abcd",
        "token:\n  nested: value",
        "token = abc",
        "token = ",
        "token",
        "token value here",
    ],
)
def test_no_value_is_found(text: str) -> None:
    """Where there is none, only a stand-in, or too little."""
    data = text.encode()
    assert find_assignment(data, 0, name_end(data, 5)) is None


def test_how_it_stands() -> None:
    """In quotes or not, after a mere comma, as a call; with a `=` inside."""
    quoted = find_assignment(b'token = "abcdefgh"', 0, 5)
    listed = find_assignment(b"'token', 'abcdefgh'", 1, 6)
    called = find_assignment(b"token = make_token(x)", 0, 5)
    equals = find_assignment(b"token=abcdef=ghijkl x", 0, 5)
    assert quoted and listed and called and equals
    assert (quoted.quoted, quoted.weak, quoted.code) == (True, False, False)
    assert (listed.weak, called.code) == (True, True)
    assert (equals.end - equals.start, equals.full_end - equals.start) == (7, 13)


def test_an_ampersand_ends_a_parameter_only() -> None:
    """Elsewhere it is part of the value."""
    for text, value in (("pwd=abcdef&g7 x", "abcdef&g7"), ("pwd=abcdef&g=7", "abcdef"), ("pwd=abcdef&", "abcdef&")):
        found = find_assignment(text.encode(), 0, 3)
        assert found and text[found.start : found.end] == value


def test_words_of_a_name() -> None:
    """Begin after something else, with a capital after a small letter, or after an escape."""
    for text, begins in (("adobe", 1), ("my_adobe", 1), ("myAdobe", 1), ("SetSysctl", 0), ("\\nadobe", 1), ("a%3Dadobe", 1), ("glob", 0)):
        at = max(text.lower().find(word) for word in ("adobe", "etsy", "lob"))
        assert begins_word(text.encode(), at) == bool(begins), text


def test_a_name_has_two_ends() -> None:
    """Both are found from a word within it."""
    data = b"x my.big_TOKEN_name = 1"
    at = data.index(b"TOKEN")
    assert data[name_start(data, at) : name_end(data, at + 5)] == b"my.big_TOKEN_name"


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 20))
def test_anything_may_stand_there(data: bytes, start: int, length: int) -> None:
    """Nothing raises, and what is found lies in the data."""
    start = min(start, len(data))
    end = min(start + length, len(data))
    found = find_assignment(data, start, name_end(data, end))
    assert found is None or start <= found.name_end <= found.start <= found.end <= found.full_end <= len(data)
