"""A run with all that was measured: written as JSON, read again, and compared."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from scripts.benching import processes
from scripts.benching.rounds import Result
from scripts.benching.shapes import Settings, same_cell

FORMAT = "turnpike-bench"
VERSION = 1


@dataclass(slots=True)
class Report:
    """`machine`: where it ran; `load`: its load average over a minute at the start and the end, apart since it always differs."""

    made_at: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    results: list[Result] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    complete: bool = False

    @property
    def errors(self) -> int:
        return sum(result.errors for result in self.results)

    def note_load(self) -> None:
        self.load.append(round(os.getloadavg()[0], 2))

    def to_json(self) -> dict[str, Any]:
        results = [{"cell": asdict(result.cell), "rounds": result.rounds} for result in self.results]
        head = {"format": FORMAT, "version": VERSION, "made_at": self.made_at, "complete": self.complete}
        return head | {"machine": self.machine, "load": self.load, "settings": self.settings, "results": results}


class ReportError(Exception):
    """A file that is no saved run."""


def read(path: Path) -> Report:
    """Raises ReportError, which names the file and what is wrong with it."""
    try:
        saved = json.loads(path.read_bytes())
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(f"{path} is no JSON: {error}") from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise ReportError(f"{path} was not written by `turnpike bench --json`")
    if saved["version"] > VERSION:
        raise ReportError(f"{path} was written by a newer turnpike (version {saved['version']} of the format, {VERSION} is known here)")
    try:
        results = [Result(same_cell(one["cell"]), one["rounds"]) for one in saved["results"]]
        return Report(saved["made_at"], saved["machine"], saved["settings"], results, saved["load"], saved["complete"])
    except (KeyError, TypeError) as error:
        raise ReportError(f"{path} is no whole run: {error}") from error


def describe_machine() -> dict[str, Any]:
    """What a figure depends on beside the settings."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(processes.cores()) or os.cpu_count(),
        "python": platform.python_version(),
        "mitmproxy": metadata.version("mitmproxy"),
        "turnpike": metadata.version("turnpike"),
    }


def _cpu() -> str:
    if sys.platform.startswith("linux"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor()


def settings_record(settings: Settings, **more: Any) -> dict[str, Any]:
    """As JSON gives it back, so that what was saved can be compared with what is."""
    record: dict[str, Any] = json.loads(json.dumps(settings.to_json() | more))
    return record
