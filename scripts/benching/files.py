"""What is written: the whole run as JSON, its figures as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from dataclasses import asdict, fields
from pathlib import Path

import click

from scripts.benching.figures import ADDED, FIGURES
from scripts.benching.report import Report
from scripts.benching.shapes import Cell

COLUMNS = (*FIGURES, *(f"added_{name}" for name in FIGURES if name.startswith(ADDED)))


def as_json(report: Report) -> str:
    return json.dumps(report.to_json(), indent=1) + "\n"


def as_csv(report: Report) -> str:
    """A line per measurement (RFC 4180): the cell, the target, the round, the figures (empty where there is none), errors."""
    output = io.StringIO(newline="")
    writer = csv.writer(output)
    cell_names = [item.name for item in fields(Cell)]
    writer.writerow([*cell_names, "target", "round", "requests", "errors", *COLUMNS])
    for result in report.results:
        for target, rounds in result.rounds.items():
            for number, (measured, found) in enumerate(zip(rounds, result.flat(target), strict=True), start=1):
                figures = [f"{found[name]:.6g}" if name in found else "" for name in COLUMNS]
                counts = [measured["requests"], sum(measured["errors"].values())]
                writer.writerow([*asdict(result.cell).values(), target, number, *counts, *figures])
    return output.getvalue()


def check_writable(path: Path) -> None:
    """Before a run of minutes. Raises ClickException."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.ClickException(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'no such folder, or no right to'}")


def write(path: Path, text: str) -> None:
    """There whole or not at all. Raises ClickException."""
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline="") as file:
            temporary = file.name
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
