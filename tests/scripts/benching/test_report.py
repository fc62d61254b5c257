"""Saved runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.benching.files import as_json
from scripts.benching.report import ReportError, describe_machine, read
from tests.scripts.benching.measured import report


def test_a_saved_run_is_read_as_it_was(tmp_path: Path) -> None:
    """Cells, rounds, settings, machine and load."""
    file = tmp_path / "old.json"
    file.write_text(as_json(report()))
    assert read(file) == report()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "har"}, "was not written by"),
        ({"version": 99}, "newer turnpike"),
        ({"results": [{"cell": {}, "rounds": {}}]}, "no whole run"),
        ({"machine": None, "load": None, "settings": None, "results": None}, "no whole run"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """In one line that names the file."""
    file = tmp_path / "old.json"
    file.write_text(json.dumps(report().to_json() | change))
    with pytest.raises(ReportError, match=reason) as caught:
        read(file)
    assert str(file) in str(caught.value)


def test_what_is_no_json_or_missing_is_refused(tmp_path: Path) -> None:
    """Likewise."""
    with pytest.raises(ReportError, match="No such file"):
        read(tmp_path / "missing.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ReportError, match="is no JSON"):
        read(tmp_path / "x.json")


def test_the_machine_is_described() -> None:
    """By what a figure depends on."""
    machine = describe_machine()
    assert machine["cores"] >= 1 and machine["mitmproxy"] and machine["python"]
