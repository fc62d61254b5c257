"""One top-level string found and replaced in JSON bytes."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.jsonbytes import find_value, read_string, replace_string

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["model", "x", 'q"', "\\"]) | st.text(), inner, max_size=4),
    max_leaves=20,
)


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
    assert orjson.loads(replace_string(body, "model", name)) == value | {"model": name}


def test_leaves_the_bytes_around_alone() -> None:
    """Blanks, order and escapes stay letter for letter."""
    body = b'{ "b":1.0,\n "model" :\t"old" , "a":"\\u00e9" }'
    assert replace_string(body, "model", 'n"w') == b'{ "b":1.0,\n "model" :\t"n\\"w" , "a":"\\u00e9" }'
    assert replace_string(b"no json", "model", "x") == b"no json"


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
        assert replace_string(body, "model", "m") == body
        assert find_value(body, "model") is None


def test_the_right_one_of_several_keys_is_replaced() -> None:
    """First or last, whatever tools and messages hold."""
    tool = b'"tools":[{"properties":{"model":{"type":"string"},"x":{"model":"y"}}}]'
    for body in (b'{"model":"a",' + tool + b"}", b"{" + tool + b',"model":"a"}'):
        assert replace_string(body, "model", "b") == body.replace(b'"model":"a"', b'"model":"b"')
