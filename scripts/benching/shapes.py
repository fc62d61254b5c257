"""What is measured: the cells of the table, and the load of one measurement."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from typing import Any, Literal, Self

Way = Literal["base", "connect"]
Answers = Literal["whole", "stream"]
Connections = Literal["kept", "new"]
Kind = Literal["chat", "agent", "embeddings"]

KB, MB = 1000, 1000_000
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(k|kb|m|mb|b|)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": KB, "kb": KB, "m": MB, "mb": MB}


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the result. `prompt_bytes`: of the request's body, with the kind `agent` the most of it; `rate`: intended
    requests per second of an open loop, None for a closed one."""

    way: Way
    answers: Answers
    connections: Connections
    prompt_bytes: int
    concurrency: int
    rate: float | None = None

    @property
    def group(self) -> str:
        """What it has in common with the cells that differ in concurrency only."""
        way = "base URL" if self.way == "base" else "CONNECT and TLS"
        answers = "streamed" if self.answers == "stream" else "not streamed"
        connections = "kept connections" if self.connections == "kept" else "a new connection per call"
        loop = "closed loop" if self.rate is None else f"open loop, {self.rate:g} requests/s"
        return f"{way}, {answers}, prompts of {size_text(self.prompt_bytes)}, {connections}, {loop}"

    @property
    def short(self) -> str:
        """For a line of 80 columns."""
        return f"{self.way} {self.answers} {self.connections} {size_text(self.prompt_bytes)} x{self.concurrency}"

    @property
    def name(self) -> str:
        return f"{self.group}, concurrency {self.concurrency}"


@dataclass(frozen=True, slots=True)
class Settings:
    """All of a run that changes what is measured; kept in the saved file, and compared. Seconds; gap and delay in milliseconds.

    `requests` ends a measurement of a closed loop after so many, instead of `duration_s`.
    """

    kind: Kind = "chat"
    ways: tuple[Way, ...] = ("base",)
    answers: tuple[Answers, ...] = ("whole", "stream")
    connections: tuple[Connections, ...] = ("kept",)
    prompt_bytes: tuple[int, ...] = (KB,)
    concurrency: tuple[int, ...] = (1, 32)
    rate: float | None = None
    duration_s: float = 5.0
    requests: int | None = None
    warmup_s: float = 1.0
    rounds: int = 3
    chunks: int = 40
    chunk_gap_ms: float = 0.0
    delay_ms: float = 0.0
    answer_bytes: int = 400
    model: str = "gpt-4o-mini"
    timeout_s: float = 30.0
    pinned: bool = True
    workers: int | None = None

    @property
    def cells(self) -> list[Cell]:
        """In the order in which they are measured and shown."""
        several = product(self.ways, self.answers, self.connections, self.prompt_bytes, self.concurrency)
        return [Cell(way, answers, connections, size, clients, self.rate) for way, answers, connections, size, clients in several]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


PROFILES: dict[str, dict[str, Any]] = {
    "chat": {"answers": ("stream",), "chunks": 40, "prompt_bytes": (2 * KB,)},
    "agent": {"kind": "agent", "answers": ("stream",), "chunks": 20, "prompt_bytes": (200 * KB,), "concurrency": (4,)},
    "embeddings": {
        "kind": "embeddings",
        "answers": ("whole",),
        "prompt_bytes": (KB,),
        "concurrency": (32,),
        "model": "text-embedding-3-small",
    },
}
"""Name → what it sets; what the command line says wins."""


def settings_of(profile: str | None, given: dict[str, Any]) -> Settings:
    """The defaults, with the profile's values and then the given ones in their place (None: not given)."""
    values = (PROFILES[profile] if profile else {}) | {name: value for name, value in given.items() if value is not None}
    return replace(Settings(), **values)


@dataclass(frozen=True, slots=True)
class Door:
    """How a target is reached: `path` stands before the provider's own (`/v1/…` begins there); `tunnel` is asked for by CONNECT."""

    host: str
    port: int
    path: str = ""
    tunnel: str | None = None
    ca_file: str | None = None
    server_name: str | None = None  # with it: TLS, through the tunnel where there is one


@dataclass(frozen=True, slots=True)
class Job:
    """What the process that makes the load is told."""

    cell: Cell
    door: Door
    kind: Kind
    model: str
    duration_s: float
    requests: int | None
    warmup_s: float
    timeout_s: float
    headers: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises KeyError and TypeError for what is no job."""
        values = json.loads(text)
        return cls(**values | {"cell": Cell(**values["cell"]), "door": Door(**values["door"])})


def same_cell(saved: dict[str, Any]) -> Cell:
    """A cell as it was saved. Raises TypeError where a newer version saved more of it."""
    return Cell(**{item.name: saved[item.name] for item in fields(Cell) if item.name in saved})


def parse_size(text: str) -> int:
    """Bytes, of `2kB`, `1 MB`, `400`. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size; write it as 400, 2kB or 1MB")
    return round(float(found[1]) * _UNITS[found[2].lower()])


def size_text(size: int) -> str:
    """As people write it."""
    for unit, name in ((MB, "MB"), (KB, "kB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def parse_list(text: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Several of the allowed words, separated by commas, each once. Raises ValueError."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in words:
        if word not in allowed:
            raise ValueError(f"{word!r} is none of {', '.join(allowed)}")
    return words
