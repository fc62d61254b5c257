"""Usage of several answers in one: batches, and the turns of a session."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from addons.core.call import Usage

COUNTS = tuple(field.name for field in fields(Usage))


def together(old: Usage, new: Usage) -> Usage:
    """The sum; what only one of them knows is that one's."""
    sums: dict[str, Any] = {name: _sum(getattr(old, name), getattr(new, name)) for name in COUNTS}  # all of them numbers or None
    return Usage(**sums)


def _sum(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second
