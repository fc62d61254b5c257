"""Python values as SQLite takes them, whatever a client or an upstream sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from addons.core.call import SqlValue

INTEGER_MAX = 2**63 - 1


def sql_value(value: object) -> SqlValue:
    """The value itself, or what is left of one that SQLite cannot hold.

    Half a surrogate pair (JSON's escapes allow it) becomes "?"; an integer over 64 bits is unknown (None), and so is a value
    of any other type.
    """
    if isinstance(value, str):
        return sql_text(value)
    if isinstance(value, int):
        return value if -INTEGER_MAX - 1 <= value <= INTEGER_MAX else None
    return value if isinstance(value, float) else None


def sql_values(values: Iterable[Any]) -> list[SqlValue]:
    """`sql_value` of each; most are of a kind that needs no more than to be seen."""
    return [
        value
        if value is None
        or (kind := type(value)) is float
        or (kind is str and value.isascii())
        or (kind is int and -INTEGER_MAX <= value <= INTEGER_MAX)
        else sql_value(value)
        for value in values
    ]


def sql_text(text: str) -> str:
    """Text that has a UTF-8 form."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def json_text(value: object) -> str:
    """JSON with sorted keys, so that equal values have equal texts."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # half surrogates, integers over 64 bits: what orjson refuses and the standard library escapes
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def json_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """Headers as JSON, their text as `sql_text` makes it."""
    try:
        return orjson.dumps(pairs).decode()
    except TypeError:  # half surrogates
        return json_text([(sql_text(name), sql_text(value)) for name, value in pairs])


def iso_time(unix_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-11-21T11:29:00.123Z`."""
    second, milliseconds = divmod(unix_ms, 1000)
    return f"{_iso_second(second)}.{milliseconds:03d}Z"


@lru_cache(maxsize=64)
def _iso_second(unix_s: int) -> str:
    """Times that are written are mostly of the same few seconds."""
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
