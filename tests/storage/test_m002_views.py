"""addons/storage/m002_views.py: what the views say."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.call import AttemptRecord, StoredCall
from addons.storage.store import Store
from tests.storage.support import rows, stored_call

VIEWS = ("traffic", "conversations", "daily", "by_model", "by_key", "latency", "errors", "replays")


def varied(n: int) -> StoredCall:
    """The n-th of a hundred calls: TTFT n + 1 ms, every tenth an error, the last a replay of the first."""
    columns: dict[str, Any] = {"id": f"id{n:03}", "ttft_ms": n + 1.0, "outcome": "error" if n % 10 == 9 else "ok"}
    failure: Any = "rate_limit" if n % 10 == 9 else None
    if n == 98:
        columns["replay_of"] = "id000"
    return stored_call(columns=columns, attempts=(AttemptRecord(1, "openai", "h", "gpt-4o", "abcd", 200, failure),))


def test_every_view_answers_on_a_filled_database(store: Store) -> None:
    """One hundred calls: counts, sums, percentiles by nearest rank, failures per key, replays beside their originals."""
    store.write([varied(n) for n in range(100)])
    counts = {view: rows(store, f"SELECT count(*) FROM {view}")[0][0] for view in VIEWS}
    assert counts == {"traffic": 100, "conversations": 1, "daily": 1, "by_model": 1, "by_key": 1, "latency": 1, "errors": 10, "replays": 1}
    assert rows(store, "SELECT calls, ttft_p50_ms, ttft_p95_ms, ttft_p99_ms, duration_p50_ms FROM latency") == [
        (90, 49.0, 95.0, 99.0, 120.0)
    ]
    assert rows(store, "SELECT attempts, successes, rate_limit, input_tokens FROM by_key") == [(100, 90, 10, 1000)]
    assert rows(store, "SELECT day, calls, errors, round(cost_usd, 6) FROM daily") == [("2026-11-21", 100, 10, 1.0)]
    assert rows(store, "SELECT replay_of, original_model FROM replays") == [("id000", "gpt-4o")]
    assert rows(store, "SELECT DISTINCT failures FROM errors") == [("rate_limit",)]


def plan_of(store: Store, sql: str) -> str:
    """What SQLite would do."""
    return " ".join(row[3] for row in rows(store, f"EXPLAIN QUERY PLAN {sql}"))


def test_traffic_is_paged_by_an_index(store: Store) -> None:
    """Newest first does not sort the whole table."""
    plan = plan_of(store, "SELECT * FROM traffic ORDER BY started_at DESC LIMIT 101")
    assert "calls_traffic" in plan and "TEMP B-TREE" not in plan


BROWSED = ("model", "upstream", "outcome", "client", "status", "api", "project", "tag")


@pytest.mark.parametrize("column", BROWSED)
@pytest.mark.parametrize("where", ["", *(f"WHERE {column} = 'x'" for column in BROWSED), "WHERE upstream = 'x' AND outcome = 'ok'"])
def test_traffic_is_counted_without_reading_rows(store: Store, column: str, where: str) -> None:
    """As Datasette counts it, in all and by each of its facets, filtered or not: an index holds all that people browse by."""
    assert "COVERING INDEX" in plan_of(store, f"SELECT count(*) FROM traffic {where}")
    facet = (
        f"SELECT {column} AS value, count(*) AS n FROM (SELECT * FROM traffic {where}) "
        f"WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY n DESC"
    )
    assert "USING COVERING INDEX calls_traffic" in plan_of(store, facet)


def test_models_are_counted_in_the_order_of_their_index(store: Store) -> None:
    """The facet that every page of traffic has sorts none of its calls."""
    facet = "SELECT model AS value, count(*) AS n FROM (SELECT * FROM traffic) WHERE model IS NOT NULL GROUP BY model ORDER BY n DESC"
    plan = plan_of(store, facet)
    assert "COVERING INDEX calls_traffic_model" in plan and "GROUP BY" not in plan


@pytest.mark.parametrize("column", BROWSED)
def test_filtered_traffic_is_in_the_order_of_its_index(store: Store, column: str) -> None:
    """The newest that fit are found from the index's end on, by what stands in it, and nothing is sorted."""
    plan = plan_of(store, f"SELECT * FROM traffic WHERE {column} = 'x' ORDER BY started_at DESC LIMIT 51")
    by_model = "SEARCH calls USING INDEX calls_traffic_model (<expr>=?)"
    assert plan == (by_model if column == "model" else "SCAN calls USING INDEX calls_traffic")
