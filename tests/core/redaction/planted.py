"""For tests of bodies: a scanner that finds given values and nothing else, and values as a test would plant them."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Sequence

from addons.core.redaction.findings import Finding

LETTERS = string.ascii_letters + string.digits


def token(count: int = 20, seed: int | None = None) -> str:
    """Letters and digits that nothing else has."""
    rng = random.Random(seed) if seed is not None else random.SystemRandom()
    return "".join(rng.choices(LETTERS, k=count - 1)) + "7"


class Values:
    """Finds the given values in a text, as they are; `shapes` are those that are secrets by their shape."""

    looks_at_edges = False

    def __init__(self, values: Iterable[str], rule: str = "planted", shapes: Iterable[str] = ()) -> None:
        self.values = [value.encode("utf-8", "surrogatepass") for value in values]
        self.shapes = [value.encode() for value in shapes]
        self.rule = rule
        self.looked_at = 0
        self.scanned: list[bytes] = []

    def find(self, data: bytes, cut: bool = False) -> Sequence[Finding]:
        self.looked_at += len(data)
        self.scanned.append(data)
        return _occurrences(data, [*self.values, *self.shapes], self.rule)

    def find_shapes(self, data: bytes) -> Sequence[Finding]:
        return _occurrences(data, self.shapes, self.rule)

    def find_exact(self, data: bytes) -> Sequence[Finding]:
        return _occurrences(data, self.values, "exact") if self.rule == "exact" else []


def _occurrences(data: bytes, values: Iterable[bytes], rule: str) -> list[Finding]:
    found = []
    for value in values:
        at = data.find(value)
        while at >= 0:
            found.append(Finding(at, at + len(value), rule))
            at = data.find(value, at + len(value))
    return sorted(found, key=lambda finding: finding.start)
