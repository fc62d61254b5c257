"""Python values as SQLite takes them, whatever a client or an upstream sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

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


def sql_text(text: str) -> str:
    """Text that has a UTF-8 form."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def json_text(value: object) -> str:
    """JSON with sorted keys, so that equal values have equal texts."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # half surrogates, integers over 64 bits: what orjson refuses and the standard library escapes
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def iso_time(unix_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-11-21T11:29:00.123Z`."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
