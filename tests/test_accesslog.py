"""The line of a call."""

from __future__ import annotations

import json

from addons.accesslog import COLUMNS, access_line
from addons.core.call import SqlValue, StoredCall

ROW: dict[str, SqlValue] = {
    "id": "01J",
    "ts_ms": 1_800_000_000_000,
    "duration_ms": 1500.12345,
    "path": "/v1/chat/completions",
    "status": 200,
}


def test_a_line_is_one_json_object() -> None:
    """The time is that of the call's end; what is not known is null, and everything is under its column's name."""
    line = access_line(StoredCall(row={**ROW, "client": "a\nb", "input_tokens": 3}))
    assert "\n" not in line
    told = json.loads(line)
    assert list(told) == ["time", *COLUMNS]
    assert told["time"] == "2027-01-15T08:00:01.500Z"
    assert (told["id"], told["client"], told["duration_ms"], told["input_tokens"]) == ("01J", "a\nb", 1500.123, 3)
    assert told["cost_usd"] is None


def test_no_text_of_a_call_is_in_it() -> None:
    """Neither prompt nor answer, nor what an upstream wrote into an error."""
    line = access_line(StoredCall(row={**ROW, "prompt": "secret", "response": "secret", "error": "secret"}))
    assert "secret" not in line


def test_what_json_cannot_hold_is_replaced() -> None:
    """Half a surrogate pair, an integer over 64 bits."""
    told = json.loads(access_line(StoredCall(row={**ROW, "client": "\ud800", "input_tokens": 2**70})))
    assert (told["client"], told["input_tokens"]) == ("?", None)
