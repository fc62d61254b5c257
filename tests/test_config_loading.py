"""From text to plain values."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.config_errors import ConfigError
from addons.config_loading import expand, read_document


def read(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> dict[str, object]:
    """The expanded values of a file with this text."""
    path = tmp_path / "t.yml"
    path.write_text(text)
    return expand(read_document(path, "t.yml", environ or {}), environ or {}) | {"capture": None}


def test_yaml_1_2_words(tmp_path: Path) -> None:
    """`off`, `on`, `yes` are words; 010 is ten."""
    assert read(tmp_path, "a: off\nb: {on: yes}\nc: 010")["a"] == "off"
    assert read(tmp_path, "b: {on: yes}")["b"] == {"on": "yes"}
    assert read(tmp_path, "c: 010")["c"] == 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "t.yml: not YAML (line"),
        ("a: {b: ${X}}", 'put quotes around "${…}"'),
        ("a: !!python/object:os.system x", "t.yml: not YAML (line 1): could not determine a constructor"),
        ("- a", "t.yml: a list where sections belong"),
        ("just words", "t.yml: 'just words' where sections belong"),
        ("a: 1\n---\nb: 2", "t.yml: not YAML (line"),
        ("a: &x [*x]", "refers to itself"),
        ("a: \x01", "t.yml: not YAML"),
        ("a: '${NOPE}'", "t.yml: a (line 1): environment variable NOPE is not set; set it, or write ${NOPE:-default}"),
        ("a: ['x', 'b${NOPE}c']", "t.yml: a.1 (line 1): environment variable NOPE"),
        ("a: '${1x}'", "'${1x}' is no reference; write ${NAME}"),
        ("a: '${X'", "is no reference"),
        ("'${X}': 1", "stands in a name"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, says: str) -> None:
    """The file, the line, the remedy; one line."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_defaults_of_references(tmp_path: Path) -> None:
    """A default may be empty or have signs of its own; $ alone is itself."""
    assert read(tmp_path, "a: ['${X:-}', '${X:-a:-b}', '$X', 'p${A}s${A}']", {"A": "1"})["a"] == ["", "a:-b", "$X", "p1s1"]
