"""Strings of a JSON text are found, decoded as a parser would, and traced back to their bytes."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.jsonstrings import _STRING, _STRING_FAST, JsonStrings, _split, escaped, raw_span, unescaped

TEXT = st.text(alphabet=st.sampled_from('ab"\\/\n\t\x01é😀\ud800\udc00 {[:,'), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT, lambda x: st.lists(x) | st.dictionaries(TEXT, x)
)


def strings_of(value: object) -> list[str]:
    """In the order of the text, keys too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, child in value.items() for text in (key, *strings_of(child))]
    return [text for child in value for text in strings_of(child)] if isinstance(value, list) else []


def same(text: str) -> bytes:
    """Halves of a surrogate pair that stand side by side mean the pair."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_strings_are_those_of_a_parser(value: object, ascii_only: bool, indent: int | None) -> None:
    """Whatever the JSON and however it is written; each starts where it says."""
    text = same(json.dumps(value, ensure_ascii=ascii_only, indent=indent))
    strings = JsonStrings(text)
    assert strings.clean and strings.closed
    assert strings.decoded() == [same(string) for string in strings_of(value)]
    assert [text[start - 1 : start + len(raw) + 1] for start, raw in zip(strings.starts(), strings.raws, strict=True)] == [
        b'"' + raw + b'"' for raw in strings.raws
    ]


@given(TEXT, st.booleans(), st.data())
def test_a_span_goes_back_to_the_bytes(text: str, ascii_only: bool, data: st.DataObject) -> None:
    """What stands there decodes to what was asked for."""
    text = same(text).decode("utf-8", "surrogatepass")
    raw = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogatepass")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = (len(text[:at].encode("utf-8", "surrogatepass")) for at in (start, end))
    low, high = raw_span(raw, first, last)
    assert unescaped(raw) == text.encode("utf-8", "surrogatepass")
    if start < end:
        assert unescaped(raw[low:high]) == text[start:end].encode("utf-8", "surrogatepass")


def test_part_of_an_escape_is_all_of_it() -> None:
    """A span within the four bytes of a pair covers both of its escapes."""
    raw = rb"a\ud83d\ude00b"
    assert raw_span(raw, 2, 3) == (1, 13)
    assert raw_span(raw, 0, 2) == (0, 13)


@pytest.mark.parametrize("count", range(12))
def test_backslashes_before_a_quote(count: int) -> None:
    """An odd number of them escapes it, however many there are."""
    text = b'["' + b"\\" * count + (b'"' if count % 2 else b"") + b'","z"]'
    assert JsonStrings(text).raws == [b"\\" * count + (b'"' if count % 2 else b""), b"z"]


@pytest.mark.parametrize("text", [b'{"a": sk-x}', b"{'a': 1}", b'hello "x"', b'{"a": 1} // "x"', b"{a: 1}"])
def test_what_is_no_json_is_not_clean(text: bytes) -> None:
    """Anything else between the strings."""
    assert not JsonStrings(text).clean


@pytest.mark.parametrize("text", [b"", b"[1, -2.5e3, true, false, null]", b'{"a": NaN}', b'{"a": tru', b'{"a":1}\n{"b":2}', b"[[[["])
def test_what_may_be_json_is_clean(text: bytes) -> None:
    """Numbers, literals, JSON lines, a text that is cut."""
    assert JsonStrings(text).clean


@pytest.mark.parametrize(("text", "closed"), [(b'["a"', True), (b'["a', False), (b'["a\\"', False), (b'["a\\', False), (b'["', False)])
def test_a_string_without_end(text: bytes, closed: bool) -> None:
    """It goes on to the end of the text, and is known to."""
    strings = JsonStrings(text)
    assert strings.closed is closed and len(strings.raws) == 1


def test_values_belong_to_keys() -> None:
    """Of a value, and of the first element of an array, the key is known; others have none."""
    strings = JsonStrings(b'{"a" : "b", "c": ["d", "e"], "f": {"g": 1}}')
    assert [(i, strings.key_of(i)) for i in range(len(strings.raws)) if strings.key_of(i) is not None] == [(1, 0), (3, 2)]
    assert [strings.raws[i] for i in range(len(strings.raws)) if strings.is_key(i)] == [b"a", b"c", b"f", b"g"]


def test_long_numbers_are_known() -> None:
    """Whole ones from eight digits on."""
    text = b'{"a": 12345678, "b": [1234567, -123456789012], "c": 1.23456789, "d": "12345678", "e": 123456789e5}'
    assert [text[start:end] for start, end in JsonStrings(text).numbers()] == [b"12345678", b"-123456789012"]
    assert JsonStrings(text).number_texts() == [b"12345678", b"-123456789012"]


@given(
    st.lists(st.sampled_from(["1", "12345678", "-", ".", "e", "E", "+", ",", " ", "\n", "true", '"', "9" * 40, "0"]), max_size=12).map(
        "".join
    )
)
def test_numbers_are_told_as_they_stand(text: str) -> None:
    """Whatever stands beside them: the texts are those at the spans."""
    strings = JsonStrings(text.encode())
    assert strings.number_texts() == [text.encode()[start:end] for start, end in strings.numbers()]


@given(st.lists(st.sampled_from([b'"', b"\\", b"a", b",", b"\n", b"\xff"]), max_size=20).map(b"".join))
def test_quotes_without_escapes_are_read_faster(text: bytes) -> None:
    """And to the same end as with the expression for all texts."""
    parts = _STRING.split(text)
    plain = text.replace(b'\\"', b'"')
    assert _split(plain) == _STRING_FAST.split(plain)
    if b"\\" not in text:
        assert _split(text) == parts


@given(TEXT)
def test_escaped_text_stands_in_json(text: str) -> None:
    """And comes out of it again, lone surrogates as question marks."""
    assert json.loads(f'"{escaped(text)}"') == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    "text", [b'["' + b'\\" ' * 300_000, b'"' * 900_000, b'["' + b"\\" * 900_000, b"[" * 900_000, b'["' + b'\\\\"' * 300_000]
)
def test_time_is_linear(text: bytes) -> None:
    """Also where a string has no end (generous: machines are busy)."""
    started = time.perf_counter()
    JsonStrings(text).decoded()
    assert time.perf_counter() - started < 2
