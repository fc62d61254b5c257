"""addons/storage/values.py: what SQLite is given."""

from __future__ import annotations

import json

from addons.storage.values import iso_time, json_text, sql_value


def test_values_that_sqlite_cannot_hold_are_made_harmless() -> None:
    """Half surrogates become "?", integers over 64 bits and foreign types unknown, all else stays."""
    given = ["é\ud83d", 2**63 - 1, 2**63, -(2**63), 1.5, None, True, {"a": 1}]
    assert [sql_value(value) for value in given] == ["é?", 2**63 - 1, None, -(2**63), 1.5, None, True, None]


def test_json_is_made_of_anything_json_can_say() -> None:
    """Equal values give equal texts; what orjson refuses is written all the same."""
    assert json_text({"b": 1, "a": [2]}) == '{"a":[2],"b":1}'
    assert json.loads(json_text({"big": 2**70, "half": "\ud83d"})) == {"big": 2**70, "half": "\ud83d"}


def test_times_are_utc_with_milliseconds() -> None:
    """The form of started_at and stored_at."""
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
