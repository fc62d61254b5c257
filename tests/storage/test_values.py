"""addons/storage/values.py: what SQLite is given."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from addons.storage.values import INTEGER_MAX, iso_time, json_pairs, json_text, sql_text, sql_value, sql_values


class Kind(StrEnum):
    """A text that is more."""

    TEXT = "ä"


VALUES: list[Any] = [None, "", "ascii", "é", "é\ud83d", "a\0b", 0, -1, INTEGER_MAX, -INTEGER_MAX, -INTEGER_MAX - 1, INTEGER_MAX + 1]
VALUES += [-INTEGER_MAX - 2, 2**70, 1.5, float("inf"), float("nan"), True, False, b"bytes", ["list"], {"a": 1}, HTTPStatus.OK, Kind.TEXT]


def test_values_that_sqlite_cannot_hold_are_made_harmless() -> None:
    """Half surrogates become "?", integers over 64 bits and foreign types unknown, all else stays."""
    given = ["é\ud83d", 2**63 - 1, 2**63, -(2**63), 1.5, None, True, {"a": 1}]
    assert [sql_value(value) for value in given] == ["é?", 2**63 - 1, None, -(2**63), 1.5, None, True, None]


def test_many_values_at_once_are_as_each_alone() -> None:
    """Also those of derived types."""
    assert repr(sql_values(VALUES)) == repr([sql_value(value) for value in VALUES])
    assert sql_values(iter(())) == []


def test_headers_are_json_of_clean_text() -> None:
    """The same text as that of pairs that were cleaned before."""
    for pairs in ((), (("a", "b"), ("a", "é\0\u2028")), (("x", "\udcff"), ("\ud83d", 'q"'))):
        assert json_pairs(pairs) == json_text([(sql_text(name), sql_text(value)) for name, value in pairs])


def test_json_is_made_of_anything_json_can_say() -> None:
    """Equal values give equal texts; what orjson refuses is written all the same."""
    assert json_text({"b": 1, "a": [2]}) == '{"a":[2],"b":1}'
    assert json.loads(json_text({"big": 2**70, "half": "\ud83d"})) == {"big": 2**70, "half": "\ud83d"}


def test_times_are_utc_with_milliseconds() -> None:
    """The form of started_at and stored_at."""
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    rng = random.Random(1)
    for unix_ms in (-1, -1000, 999, 1000, *(rng.randrange(-(10**12), 4 * 10**12) for _ in range(2000))):
        moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
        assert iso_time(unix_ms) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
