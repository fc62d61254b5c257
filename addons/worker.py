"""Which of several processes on one port this is: `turnpike run --workers N` says so to each, by a variable and a pipe."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

VARIABLE = "TURNPIKE_WORKER"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Worker:
    """`number` from 1, of `count`; `run` is the same for all of them and for nobody else.

    `placeholder_key` is the same for all too, so that prompts look the same whichever of them a client's connection reaches; it is in
    no file. `folder` is where they tell each other what they have counted, None for one that is alone.
    """

    number: int = 1
    count: int = 1
    run: str = field(default_factory=lambda: secrets.token_hex(6))
    placeholder_key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)
    folder: Path | None = None

    @property
    def name(self) -> str:
        """Of this process among all that use one state; one that takes the place of another has its name."""
        return f"{self.run}-{self.number}"

    @property
    def is_alone(self) -> bool:
        return self.count == 1


def told(worker: int, count: int, run: str, key_fd: int, folder: Path) -> Mapping[str, str]:
    """The variable that tells a process which it is; at `key_fd` it reads the key, once."""
    value = {"number": worker, "count": count, "run": run, "key_fd": key_fd, "folder": str(folder)}
    return {VARIABLE: json.dumps(value)}


def read_worker(environ: MutableMapping[str, str]) -> Worker:
    """What was told; takes the variable out, since it is for this process alone. Raises ValueError where it says nothing sensible."""
    text = environ.pop(VARIABLE, None)
    if text is None:
        return Worker()
    try:
        value: Any = json.loads(text)
        with os.fdopen(value["key_fd"], "rb") as pipe:
            key = pipe.read()
        worker = Worker(int(value["number"]), int(value["count"]), str(value["run"]), key, Path(value["folder"]))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f"{VARIABLE} is for `turnpike run --workers` to set: {type(error).__name__}") from error
    if len(key) != KEY_BYTES or not 1 <= worker.number <= worker.count:
        raise ValueError(f"{VARIABLE} is for `turnpike run --workers` to set")
    return worker


@cache
def this_worker() -> Worker:
    """Of this process; asked again (a script is loaded anew) it is the same. Ends the process with one line where it can't be told:
    mitmproxy would go on without our add-ons after any other error."""
    try:
        return read_worker(os.environ)
    except ValueError as error:
        raise SystemExit(f"turnpike: {error}") from error
