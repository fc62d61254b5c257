"""Paths of what stands in a JSON text."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.paths import MAX_PATH_LENGTH, paths

KEY = st.text(alphabet="abc_", min_size=1, max_size=3)
VALUES = st.recursive(st.just("X") | st.integers() | st.none(), lambda v: st.lists(v, max_size=3) | st.dictionaries(KEY, v, max_size=3))


def expected(value: object, path: str = "") -> list[str]:
    if value == "X":
        return [path]
    if isinstance(value, dict):
        return [found for key, child in value.items() for found in expected(child, f"{path}.{key}")]
    return [found for n, child in enumerate(value) for found in expected(child, f"{path}[{n}]")] if isinstance(value, list) else []


@given(VALUES, st.sampled_from([None, 1]))
def test_paths_lead_there(value: object, indent: int | None) -> None:
    """To every marked string, through objects and arrays, indented or not."""
    text = json.dumps(value, indent=indent).encode()
    spans = [(at, at + 1) for at in range(len(text)) if text[at : at + 1] == b"X"]
    assert paths(text, spans) == expected(value)


def test_keys_that_are_not_told() -> None:
    """Secrets, and what no path could hold; a finding in a key is told of its object."""
    text = b'{"a":{"SECRET":{"b":"X"}},"two words":"X","' + b"k" * 300 + b'":"X"}'
    at, first, second = text.index(b"SECRET"), text.index(b"X"), text.index(b"X", 35)
    last = text.rindex(b"X")
    assert paths(text, [(at, at + 6), (first, first + 1), (second, second + 1), (last, last + 1)]) == [".a", ".a.*.b", ".*", ".*"]


def test_numbers_and_broken_text() -> None:
    """A number is told by its key; nothing raises on what is no JSON."""
    assert paths(b'{"a": [0, 12345678]}', [(10, 18)]) == [".a[1]"]
    assert paths(b"]}},,::{", [(3, 4)]) == [""]
    assert paths(b"", []) == []


def test_paths_are_bounded() -> None:
    """However deep it is."""
    [path] = paths(b"[" * 1000 + b'"X"', [(1001, 1002)])
    assert len(path) == MAX_PATH_LENGTH
