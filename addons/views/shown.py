"""A row's columns as words beside their labels. What is unknown is shown as a dash, never as 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from addons.views.cells import TIME, UNITS

UNKNOWN = "\N{EN DASH}"
YES_NO = frozenset({"stream", "pinned"})
LONGEST = 2000
"""Characters of a value that are shown: a model's name, or a header, may be a megabyte of somebody's."""


class Fact(NamedTuple):
    """A label, and the column that it is for."""

    label: str
    column: str


class Shown(NamedTuple):
    """`text` for people, `exact` the value itself, `column` for ids and tests."""

    label: str
    column: str
    text: str
    exact: Any


def facts_of(row: Mapping[str, Any], listed: Sequence[Fact]) -> list[Shown]:
    """These columns of a row, in this order."""
    return [Shown(label, column, value_of(row.get(column), column), clipped(row.get(column))) for label, column in listed]


def when(iso: object) -> str:
    """A moment as all pages have it: `2026-11-27 02:21:26 UTC`; any other text as it is."""
    found = TIME.match(str(iso))
    return f"{found[1]} {found[2]} UTC" if found else str(iso)


def value_of(value: object, column: str) -> str:
    """The value in the unit that its column's name ends with (see `cells.UNITS`)."""
    if value is None or value == "":
        return UNKNOWN
    if column.endswith("_at") and isinstance(value, str):
        return when(value)
    if column in YES_NO:
        return "yes" if value else "no"
    if isinstance(value, int | float) and not isinstance(value, bool):
        words = next((words for unit, words in UNITS if unit.search(column)), None)
        return words(value) if words else str(value)
    return clipped(str(value))


def clipped[T](value: T, longest: int = LONGEST) -> T | str:
    """A text short enough for a page, with what was left out; any other value as it is."""
    if not isinstance(value, str) or len(value) <= longest:
        return value
    return f"{value[:longest]}… ({len(value) - longest:,} more characters)"
