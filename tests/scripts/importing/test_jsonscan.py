"""Walking JSON without parsing it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.importing.jsonscan import NotJSON, elements, members, start_of, value_end

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\{}[],: \n\u00e9'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='a"\\{}[]', max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1]))
def test_elements_are_those_of_the_parser(values: list[Any], indent: int | None) -> None:
    """Whatever stands in strings, and however it is spaced, each element is cut where the parser sees it."""
    text = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    assert [json.loads(text[begin:end]) for begin, end in elements(text, 0)] == values


@given(st.dictionaries(st.text(alphabet='ab"\\{}', max_size=3), VALUES, max_size=5))
def test_members_are_those_of_the_parser(value: dict[str, Any]) -> None:
    """Keys and the places of their values."""
    text = json.dumps(value).encode()
    found = {json.loads(b'"' + key + b'"'): json.loads(text[at : value_end(text, at)]) for key, at in members(text, 0)}
    assert found == value


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_a_cut_text_gives_what_stands_before_the_cut(values: list[Any], data: st.DataObject) -> None:
    """Whole elements come out, then NotJSON; never a part of one."""
    text = json.dumps([[value] for value in values]).encode()
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    found = []
    with pytest.raises(NotJSON):
        for begin, end in elements(cut, 0):
            found.append(json.loads(cut[begin:end]))
    assert found == [[value] for value in values][: len(found)]


def test_the_mark_and_spaces_before_the_text_are_passed_over() -> None:
    """Fiddler writes a byte order mark."""
    assert start_of(b"\xef\xbb\xbf \n{}") == 5


def test_a_long_string_full_of_escapes_is_one_step() -> None:
    """Megabytes of JSON inside JSON cost no stack."""
    text = b'["' + rb"\"\\" * 1_000_000 + b'", 1]'
    assert len(list(elements(text, 0))) == 2


@pytest.mark.parametrize("text", [b"", b"[", b"[1", b"[1 2]", b"[,]", b'["', b"{}"])
def test_what_is_no_array_is_said(text: bytes) -> None:
    """NotJSON, wherever it breaks."""
    with pytest.raises(NotJSON):
        list(elements(text, 0))
