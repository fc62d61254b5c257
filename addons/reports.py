"""What the processes on one port have counted, told by each to the others in a small file, so that any of them can answer for all.

The files are in the folder that `turnpike run --workers` has made for this run; they hold figures and labels of keys, never a key.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from addons.worker import Worker

EVERY_S = 1.0
STALE_S = 5.0
"""A report that is older is of a process that has ended, or hangs."""

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (.+)")


@dataclass(frozen=True, slots=True)
class Report:
    """Of one process: `metrics` in Prometheus' text form, `keys`: upstream → (calls in flight, calls so far) of each of its keys."""

    number: int
    pid: int
    metrics: str
    keys: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)


class Reports:
    """Writes our report, and reads those of the others."""

    def __init__(self, folder: Path, worker: Worker, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._worker, self._clock = folder, worker, clock

    def write(self, report: Report) -> None:
        """In one step. Raises OSError."""
        file = self._file(report.number)
        new = file.with_suffix(".new")
        new.write_bytes(orjson.dumps(asdict(report)))
        os.replace(new, file)

    def others(self) -> list[Report]:
        """Those of the other processes that run, by their number."""
        numbers = (number for number in range(1, self._worker.count + 1) if number != self._worker.number)
        return [report for number in numbers if (report := self._read(self._file(number)))]

    def remove(self) -> None:
        """We end."""
        self._file(self._worker.number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"worker-{number}.json"

    def _read(self, file: Path) -> Report | None:
        try:
            if self._clock() - file.stat().st_mtime > STALE_S:
                return None
            value: dict[str, Any] = orjson.loads(file.read_bytes())
            return Report(**value)
        except (OSError, ValueError, TypeError):  # not there yet, or not any more
            return None


def merged(texts: Iterable[tuple[int, str]]) -> str:
    """One text of metrics from one per process (its number, its text): each sample has the label `worker`, each family stands once."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for number, text in texts:
        head: list[str] = []
        samples: list[str] = []
        name = ""
        for line in text.splitlines():
            if line.startswith("#"):
                parts = line.split(maxsplit=3)
                if len(parts) > 2 and parts[2] != name:
                    name = parts[2]
                    head, samples = families.setdefault(name, ([], []))
                if line not in head:
                    head.append(line)
            elif found := _SAMPLE.fullmatch(line):
                labels = f'{found[2]},worker="{number}"' if found[2] else f'worker="{number}"'
                if not name:
                    head, samples = families.setdefault(found[1], ([], []))
                samples.append(f"{found[1]}{{{labels}}} {found[3]}")
    return "".join(f"{line}\n" for head, samples in families.values() for line in (*head, *samples))
