"""Typed values out of untrusted JSON."""

from __future__ import annotations

import math

import pytest

from addons.core.jsonvalues import (
    compact,
    compact_text,
    count,
    dig,
    flag,
    items,
    label,
    number,
    obj,
    objects,
    parse,
    parse_cut,
    tail_values,
    text,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (0, 0),
        (3.0, 3),
        ("12", 12),
        (-1, None),
        (1.5, None),
        (True, None),
        (None, None),
        ("x", None),
        ("", None),
        ([], None),
        (2**63, None),
        ("9" * 5000, None),
        (math.nan, None),
        (math.inf, None),
        ("²", None),
    ],
)
def test_count_takes_only_counts(value: object, expected: int | None) -> None:
    """Whole numbers in any form a provider writes them; everything else is unknown."""
    assert count({"n": value}, "n") == expected


def test_wrong_types_on_the_way_lead_nowhere() -> None:
    """A path through null, a string or a list's end gives None or nothing, never an error."""
    value = {"usage": "x", "choices": None, "list": [1, {"a": "b"}]}
    assert dig(value, "usage", "prompt_tokens") is None
    assert dig(value, "list", 1, "a") == "b"
    assert dig(value, "list", 7) is None
    assert objects(value, "choices") == []
    assert objects(value, "list") == [{"a": "b"}]
    assert items(value, "usage") == []
    assert obj(value, "usage") == {}
    assert text(value, "list") is None
    assert flag(value, "usage") is False


def test_label_and_number() -> None:
    """A finish reason may be a number, money may be a whole one."""
    assert label({"r": 2}, "r") == "2"
    assert label({"r": True}, "r") is None
    assert number({"c": 1}, "c") == 1.0
    assert number({"c": -0.1}, "c") is None


@pytest.mark.parametrize("data", [b"", b"{", b"nothing", b"[" * 100_000, b'{"a":' * 5000, b"\xff\xfe", b"{'a': 1}"])
def test_what_is_no_json_is_none(data: bytes) -> None:
    """Garbage and nesting without end give None."""
    assert parse(data) is None


def test_json_of_careless_writers_is_read() -> None:
    """A lone surrogate, NaN, a BOM and broken UTF-8 lose no more than themselves."""
    assert parse(b'{"a": "x\\ud83dy", "b": "\\ud83d\\ude00"}') == {"a": "x\ufffdy", "b": "\U0001f600"}
    assert math.isnan(parse(b'{"a": NaN}')["a"])
    assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse(b'{"a": "\xff"}') == {"a": "\ufffd"}


def test_a_cut_body_gives_what_stands_before_the_cut() -> None:
    """Cut at any byte, the beginning of a JSON text parses, and never says what the whole does not."""
    body = b'{"model": "m-1", "n": [1, 23, {"role": "us\\"er"}], "messages": [{"role": "user", "content": "hi, {x}: [y]"}], "stream": true}'
    for end in range(1, len(body)):
        found = parse_cut(body[:end])
        assert isinstance(found, dict)
        assert found.get("model") in (None, "m-1")
    assert parse_cut(body[:-8]) == {
        "model": "m-1",
        "n": [1, 23, {"role": 'us"er'}],
        "messages": [{"role": "user", "content": "hi, {x}: [y]"}],
    }
    assert parse_cut(b"no json") is None


def test_values_at_the_end_of_a_body_are_found() -> None:
    """The last `usage` counts, a cut one does not."""
    tail = b'0.25]}],"usage":{"a":1},"model":"m","usage":{"prompt_tokens":7}}'
    assert tail_values(tail, ("usage", "model", "id")) == {"usage": {"prompt_tokens": 7}, "model": "m"}
    assert tail_values(b'"usage":{"prompt', ("usage",)) == {}


def test_equal_arguments_give_equal_texts() -> None:
    """Spaces fall away; what is no JSON, or would change in a float, stays as it came."""
    assert compact_text('{ "a": 1,\n "b": "é" }') == compact({"a": 1, "b": "é"}) == '{"a":1,"b":"é"}'
    assert compact_text('{"a": ') == '{"a": '
    assert compact_text('{"id": 123456789012345678901234}') == '{"id": 123456789012345678901234}'
    assert compact(2**70) == str(2**70)
