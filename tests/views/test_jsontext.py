"""addons/views/jsontext.py: JSON of other people becomes text that can be sent, and no more of it than came."""

from __future__ import annotations

import json

import pytest

from addons.views.jsontext import indent_json, indented, parse_json


@pytest.mark.parametrize("text", ["[" * 100_000, "{}" + " " * 300_000, "nothing", "", "3", '"text"', "{broken"])
def test_what_is_no_json_or_too_long_is_left(text: str) -> None:
    """Without an error, however deep."""
    assert indent_json(text) is None


@pytest.mark.parametrize("text", ['{"a": ["\\ud83d"]}', '{"\\uDE00": "東"}', '["\\ud83d\\ud83d\\ude00"]'])
def test_half_a_surrogate_pair_is_a_question_mark(text: str) -> None:
    """Wherever it stands; whole pairs stay."""
    told = indent_json(text)
    assert told is not None
    told.encode()
    assert "?" in told
    assert json.dumps(parse_json(text)).count("?") == 1


def test_whole_pairs_and_other_text_stay() -> None:
    """As they were written, or as what they mean."""
    assert parse_json('["\\ud83d\\ude00", "東京", "\\\\ud83d"]') == ["😀", "東京", "\\ud83d"]


def test_it_does_not_grow_much() -> None:
    """Lists within lists would take a line and blanks for each bracket: the text stays as it came."""
    deep = "[" + ",".join(["[" * 400 + "]" * 400] * 200) + "]"
    assert indent_json(deep) is None
    assert indent_json("[" * 60 + "]" * 60) is not None
    assert indented([[1]], 5) is None


def test_fields_in_order() -> None:
    """Where two are to be compared."""
    assert indent_json('{"b":1,"a":[2]}', indent=1, sort_keys=True) == '{\n "a": [\n  2\n ],\n "b": 1\n}'
