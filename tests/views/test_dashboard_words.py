"""addons/views/dashboard_words.py: what the numbers read like."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from addons.views.dashboard_words import NOT_KNOWN, UNNAMED, Numbers, figures, local_time
from addons.views.figures import Block, End, Failure, ModelSums, Reading, Sample, Spend
from addons.views.filters import Query, parse

NOW_MS = 1_795_255_653_000
HOSTILE = '</script><img src=x onerror="alert(1)">'
LATEST = {"id": "a/b?c", "started_at": "2026-11-21T10:07:33.123Z", "input_tokens": None, "output_tokens": 1234, "cost_usd": 0.0123}
TIMES = {"ttft_ms": None, "duration_ms": 61_000.0, "outcome": "ok", "status": 200, "prompt": HOSTILE}


def asked(**parameters: str) -> Query:
    return parse({name: [value] for name, value in parameters.items()}, NOW_MS)[0]


def told(query: Query | None = None, **changes: Any) -> dict[str, Any]:
    """The words for a step with two models, one of them unnamed and of unknown cost."""
    edge = (NOW_MS - 3000, NOW_MS + 3000)
    named = ModelSums(HOSTILE, 2, 1000, 500, 400, 1000, 1.5, 0, 2000.0, 1, NOW_MS, "ok")
    unnamed = ModelSums(None, 1, None, None, None, None, None, 1, None, 2, NOW_MS, "error")
    spend = {"client": (Spend("a&b", 3, 1000, 500, 1.5, 1),), "project": (), "key": (), "tag": (Spend(None, 3, None, None, None, 3),)}
    end = End("error", 429, None, 1, 10.0, 3, NOW_MS, None)
    block = Block(edge, (named, unnamed), spend, (end,), (Failure("rate_limit", None, 1200),))
    sample = Sample(1, NOW_MS, HOSTILE, "ok", 1, 1000.0, 2000.0, 250)
    fields: dict[str, Any] = {"token": "t", "blocks": (block,), "steps": 2, "samples": (sample,), "stride": 4}
    fields |= {"latest": (LATEST | TIMES,), "names": {}, "newest_ms": NOW_MS}
    numbers = Numbers.of(Reading(**fields | changes))
    return figures(query or asked(), numbers, {1: "one", 3: "a/b?c"}, lambda call_id: f"/call/{call_id}")


def test_tiles_say_how_much_and_of_what() -> None:
    """The exact value beside the words; what is not known is in a note, and what is not known at all is a dash."""
    tiles = {tile["key"]: tile for tile in told()["tiles"]}
    assert {key: (tile["value"], tile["exact"]) for key, tile in tiles.items()} == {
        "calls": ("3", 3),
        "cost_usd": ("$1.50", 1.5),
        "input_tokens": ("1,000", 1000),
        "output_tokens": ("500", 500),
        "cache_read_tokens": ("400", 400),
        "cache_share": ("40.0 %", 0.4),
        "errors": ("1", 1),
    }
    assert "1 call whose cost is not known" in tiles["cost_usd"]["note"]
    assert "33.3 % of calls · 1 error" in tiles["errors"]["note"]
    nothing = {tile["key"]: tile["value"] for tile in told(blocks=(), samples=(), steps=0)["tiles"]}
    assert (nothing["calls"], nothing["cost_usd"], nothing["cache_share"]) == ("0", NOT_KNOWN, NOT_KNOWN)


def test_what_is_no_error_is_told_apart() -> None:
    """A client that left is told, and not counted."""
    ends = (End("error", 500, None, 3, 1.0, 1, NOW_MS, "m"), End("cancelled", None, None, 2, 1.0, 2, NOW_MS, "m"))
    models = (ModelSums("m", 10, 1, 1, None, None, 0.1, 0, 1.0, 1, NOW_MS, "ok"),)
    tiles = {tile["key"]: tile for tile in told(blocks=(Block((0, NOW_MS + 1), models, ends=ends),), samples=())["tiles"]}
    assert (tiles["errors"]["exact"], tiles["errors"]["note"]) == (3, "30.0 % of calls · 3 error; not counted: 2 cancelled")


def test_projects_are_told_where_there_are_any() -> None:
    """They come with client tokens: a table of "not known" alone says nothing."""
    assert "project" not in told()["spend"]
    models = (ModelSums("m", 1, 1, 1, None, None, 0.1, 0, 1.0, 1, NOW_MS, "ok"),)
    block = Block((0, NOW_MS + 1), models, {"project": (Spend("p", 1, 1, 1, 0.1, 0),)})
    assert "project" in told(blocks=(block,), samples=())["spend"]


def test_values_for_the_script_are_plain() -> None:
    """Null for what is not known, also for an infinite price, which JSON does not have."""
    values = told()["charts"]
    assert values["series"] == [HOSTILE, UNNAMED]
    assert values["cost"] == [[1.5], [None]]
    assert values["tokens"] == [[1500], [None]]
    assert values["ttft"] == [[1000], [1000]]
    assert values["speeds"]["tokens_per_s"] == [250]
    assert [point[4] for point in values["points"]] == ["one", "a/b?c"]
    infinite = ModelSums("m", 1, 1, 1, None, None, float("inf"), 0, float("inf"), 1, NOW_MS, "ok")
    found = told(blocks=(Block((0, NOW_MS + 1), (infinite,)),), samples=())
    assert json.loads(json.dumps(found["charts"], allow_nan=False))["cost"] == [[None]]
    assert found["models"][0]["cost"] == NOT_KNOWN


def test_rows_lead_to_their_calls() -> None:
    """A value to the same range with that filter, not known to calls without one, an end to its outcome and status."""
    found = told(asked(range="1h", client="codex"))
    [client] = found["spend"]["client"]
    assert parse_qs(client["href"].removeprefix("?")) == {"range": ["1h"], "client": ["a&b"]}
    [tag] = found["spend"]["tag"]
    assert (tag["label"], tag["cost"], tag["tokens"]) == (UNNAMED, NOT_KNOWN, NOT_KNOWN)
    assert parse_qs(tag["href"].removeprefix("?"))["none"] == ["tag"]
    [ending] = found["endings"]
    assert parse_qs(ending["href"].removeprefix("?")) == {"range": ["1h"], "client": ["codex"], "outcome": ["error"], "status": ["429"]}


def test_calls_read_like_cells() -> None:
    """As elsewhere: units, dashes, and a link of the call's own."""
    [call] = told()["latest"]
    assert (call["at"], call["input"], call["output"], call["cost"]) == ("2026-11-21 10:07:33", NOT_KNOWN, "1,234", "$0.0123")
    assert (call["ttft"], call["duration"], call["href"]) == (NOT_KNOWN, "1 min 01 s", "/call/a/b?c")
    assert [row["duration"] for row in told()["slowest"]] == ["2.00 s", "10 ms"]


def test_what_is_unfinished_or_approximate_is_said() -> None:
    """How many steps were counted, and of which part of the calls percentiles are."""
    found = told()
    assert found["unfinished"] == "1 of 2"
    assert told(steps=1)["unfinished"] == ""
    assert found["stride"] == 4


@pytest.mark.parametrize(
    ("ago_s", "href"), [(60, "?range=15m"), (86_400 * 20, "?range=30d"), (86_400 * 365, "?from=2025-11-21&to=2025-11-22")]
)
def test_a_range_without_calls_leads_to_some(ago_s: int, href: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortest range that holds the newest call, else its day; without the filters that leave nothing."""
    monkeypatch.setattr("time.time", lambda: NOW_MS / 1000)
    found = told(asked(client="nobody"), blocks=(), samples=(), newest_ms=NOW_MS - ago_s * 1000)
    assert found["elsewhere"]["href"] == href
    assert told()["elsewhere"] is None
    assert told(blocks=(), samples=(), newest_ms=None)["elsewhere"] is None


@pytest.mark.parametrize(
    ("query", "label", "step"),
    [(asked(range="15m"), "10:07:30", "10 s"), (asked(range="7d"), "11-21 10:07", "2 hours"), (asked(range="90d"), "2026-11-21", "1 day")],
)
def test_steps_are_named_by_their_beginning(query: Query, label: str, step: str) -> None:
    """No longer than their length asks for."""
    found = told(query)
    assert found["charts"]["labels"] == [label]
    assert found["span"]["step"] == step


def test_times_fit_the_fields_of_a_form() -> None:
    """Without seconds where there are none."""
    assert local_time(NOW_MS) == "2026-11-21T10:07:33"
    assert local_time(NOW_MS - 33_000) == "2026-11-21T10:07"


def test_a_name_without_end_is_cut() -> None:
    """In tables and values; it is no link, and no suggestion."""
    endless = "x" * 1_000_000
    spend = {"client": (Spend(endless, 1, 1, 1, 1.0, 0),), "project": (), "key": (), "tag": ()}
    sums = ModelSums(endless, 1, 1, 1, None, None, 1.0, 0, 5.0, 1, NOW_MS, "ok")
    block = Block(
        (0, NOW_MS + 1), (sums,), spend, (End("error", None, endless, 1, 1.0, 1, NOW_MS, endless),), (Failure("auth", endless, 1),)
    )
    latest = LATEST | TIMES | dict.fromkeys(("client", "model", "upstream"), endless)
    found = told(blocks=(block,), latest=(latest,), names={"client": (endless, "y")})
    assert len(json.dumps(found)) < 20_000
    assert found["spend"]["client"][0]["href"] is None
    assert found["names"] == {"client": ["y"]}
