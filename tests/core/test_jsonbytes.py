"""One top-level string found and replaced in JSON bytes."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.jsonbytes import find_string, find_value, put_string, read_string

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["model", "x", 'q"', "\\"]) | st.text(), inner, max_size=4),
    max_leaves=20,
)


def replaced(body: bytes, model: str) -> bytes:
    """As attempts do it: only where a parser has found one."""
    return body if read_string(body, "model") is None else put_string(body, "model", model)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"model":"gpt"}', "gpt"),
        (b'  { "a" : [{"model":"inner"}] , "model" : "outer" }', "outer"),
        (b'{"messages":[{"content":"say \\"model\\":\\"x\\""}],"model":"m"}', "m"),
        (b'{"a":"model","model":"m"}', "m"),
        (b'{"model":"first","model":"last"}', "last"),
        (b'{"metadata":{"model":"inner"}}', None),
        (b'{"model":null}', None),
        (b'{"model":["x"]}', None),
        (b'["model","x"]', None),
        (b"not json", None),
        (b"", None),
        ('{"model":"gp\\u0074 é"}'.encode(), "gpt é"),
    ],
)
def test_read(body: bytes, value: str | None) -> None:
    """Only a string under that key of the outermost object counts; the last of several wins, as in JSON parsers."""
    assert read_string(body, "model") == value


@given(st.dictionaries(st.sampled_from(["model", "x"]) | st.text(), JSON, max_size=6))
def test_reads_as_a_parser_does(value: dict[str, object]) -> None:
    """For any object the value is what a parser finds."""
    expected = value.get("model")
    assert read_string(orjson.dumps(value), "model") == (expected if isinstance(expected, str) else None)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.text(min_size=1))
def test_replaces_nothing_else(value: dict[str, object], name: str) -> None:
    """After a replacement a parser sees the new name and everything else as it was."""
    body = orjson.dumps(value | {"model": "old"})
    assert orjson.loads(replaced(body, name)) == value | {"model": name}


def test_leaves_the_bytes_around_alone() -> None:
    """Blanks, order and escapes stay letter for letter."""
    body = b'{ "b":1.0,\n "model" :\t"old" , "a":"\\u00e9" }'
    assert replaced(body, 'n"w') == b'{ "b":1.0,\n "model" :\t"n\\"w" , "a":"\\u00e9" }'
    assert replaced(b"no json", "x") == b"no json"


@given(st.dictionaries(st.sampled_from(["model", "x"]) | st.text(), JSON, max_size=6))
def test_finds_any_value_whole(value: dict[str, object]) -> None:
    """Objects, lists and literals too."""
    body = orjson.dumps(value)
    span = find_value(body, "model")
    assert (span is not None) is ("model" in value)
    assert span is None or orjson.loads(body[span[0] : span[1]]) == value["model"]


def test_hostile_bodies_take_no_time_of_note() -> None:
    """An unterminated string of escapes, deep nesting, many keys of the same name: each byte is looked at once."""
    for body in (b'{"x":"' + b'\\"' * 400_000, b"[" * 400_000, b'{"a":{"model":1},' * 50_000):
        assert replaced(body, "m") == body
        assert find_value(body, "model") is None


def test_the_right_one_of_several_keys_is_replaced() -> None:
    """First or last, whatever tools and messages hold."""
    tool = b'"tools":[{"properties":{"model":{"type":"string"},"x":{"model":"y"}}}]'
    for body in (b'{"model":"a",' + tool + b"}", b"{" + tool + b',"model":"a"}'):
        assert replaced(body, "b") == body.replace(b'"model":"a"', b'"model":"b"')


TEXTS = st.sampled_from(['x"model', '"model"', "mod\\u0065l", "model", "é", "a\\", '\\"model\\":\\"x\\"']) | st.text(max_size=4)
KEYS = st.sampled_from(["model", "x", 'x"model', "model\\", "é"])
OBJECTS = st.dictionaries(KEYS, TEXTS | st.dictionaries(KEYS, TEXTS, max_size=2) | st.lists(TEXTS, max_size=2), max_size=4)


@given(OBJECTS, st.booleans(), st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", " :\t")]), st.booleans())
def test_the_short_way_finds_what_the_walk_finds(
    value: dict[str, object], ascii_only: bool, separators: tuple[str, str], twice: bool
) -> None:
    """Whatever strings look like the key, however it is spaced and escaped, and where it stands twice."""
    body = json.dumps(value | {"model": "old"}, ensure_ascii=ascii_only, separators=separators).encode()
    if twice:
        body = b'{"model":"before",' + body[1:]
    span = find_string(body, "model")
    assert span is not None
    assert put_string(body, "model", "new") == body[: span[0]] + b'"new"' + body[span[1] :]


def test_an_escaped_key_is_not_taken_for_another() -> None:
    """It is the model for a parser; the one written plainly is not."""
    body = b'{"tools":{"model":"inner"},"mod\\u0065l":"outer"}'
    assert read_string(body, "model") == "outer"
    assert put_string(body, "model", "new") == body
