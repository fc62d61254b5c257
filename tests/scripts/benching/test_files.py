"""What is written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import click
import pytest

from scripts.benching.files import as_csv, as_json, check_writable, write
from tests.scripts.benching.measured import report


def test_csv_has_a_line_per_measurement() -> None:
    """Cell, target, round and figures, empty where there is none."""
    rows = list(csv.DictReader(io.StringIO(as_csv(report(errors={"status 503": 2})))))
    assert len(rows) == 2 * 3 * 3
    first, last = rows[0], rows[-1]
    assert (first["target"], first["round"], first["requests_per_s"], first["added_latency_p50_ms"]) == ("direct", "1", "3000", "")
    assert (last["target"], last["round"], last["way"], last["chunks_per_s"]) == ("bare", "3", "connect", "6000")
    assert [row["errors"] for row in rows if row["target"] == "turnpike"] == ["0", "0", "2"] * 2
    assert rows[3]["added_latency_p50_ms"] == "4" and rows[3]["ttft_p50_ms"] == ""


def test_json_has_every_round() -> None:
    """With machine, load and settings."""
    saved = json.loads(as_json(report()))
    assert saved["format"] == "turnpike-bench" and saved["load"] == [0.5, 1.0]
    assert len(saved["results"][1]["rounds"]["bare"]) == 3


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    """And nothing else is left."""
    file = tmp_path / "new.json"
    for text in ("one", "two"):
        write(file, text)
        assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    """A run of minutes is not for nothing."""
    check_writable(tmp_path / "new.json")
    for path in (tmp_path, tmp_path / "missing" / "new.json"):
        with pytest.raises(click.ClickException, match="cannot be written"):
            check_writable(path)
    with pytest.raises(click.ClickException, match="cannot be written"):
        write(tmp_path / "missing" / "new.json", "")
