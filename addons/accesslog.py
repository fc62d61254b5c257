"""The access log: a JSON object per call, without bodies or texts, of columns that are masked already."""

from __future__ import annotations

import orjson

from addons.core.call import StoredCall
from addons.storage.values import iso_time, sql_values

FILE = "access.jsonl"

COLUMNS = (
    "id",
    "client",
    "method",
    "host",
    "path",
    "upstream",
    "api",
    "model",
    "served_model",
    "stream",
    "status",
    "outcome",
    "error_type",
    "attempts",
    "key_hint",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "tokens_source",
    "cost_usd",
    "request_bytes",
    "response_bytes",
    "connect_ms",
    "ttfb_ms",
    "ttft_ms",
    "duration_ms",
    "conversation_id",
    "replay_of",
)
"""Columns of `calls` (DESIGN §6), under their own names and in this order, after `time`: when the call ended."""


_NAMES = ("time", *COLUMNS)
_TIMES = ("connect_ms", "ttfb_ms", "ttft_ms", "duration_ms")


def access_line(call: StoredCall) -> str:
    """One line, without its break. What is not known is null, as in the table."""
    line = dict(zip(_NAMES, sql_values(map(call.row.get, _NAMES)), strict=True))
    for name in _TIMES:
        if isinstance(value := line[name], float):
            line[name] = round(value, 3)
    ts_ms, duration_ms = call.row.get("ts_ms"), line["duration_ms"]
    line["time"] = iso_time(int(ts_ms or 0) + (round(duration_ms) if isinstance(duration_ms, (int, float)) else 0))
    return orjson.dumps(line).decode()
