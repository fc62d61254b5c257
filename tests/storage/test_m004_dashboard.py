"""addons/storage/m004_dashboard.py: the dashboard's sums come from one index."""

from __future__ import annotations

from contextlib import closing

import pytest

from addons.storage.database import open_reader
from addons.storage.store import Store
from addons.views.figures import FAILURES, SQL

VALUES = {"lo": 0, "hi": 1, "mask": 0, "limit": 5}


def plan(store: Store, sql: str) -> list[str]:
    """How SQLite would do it, step by step."""
    with closing(open_reader(store.path)) as connection:
        return [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql.format(where='')}", VALUES)]


@pytest.mark.parametrize("name", SQL)
def test_sums_do_not_read_the_table(store: Store, name: str) -> None:
    """A statement over many calls finds all that it needs of them in the index."""
    assert "SEARCH calls USING COVERING INDEX calls_dashboard (ts_ms>? AND ts_ms<?)" in plan(store, SQL[name])


def test_failures_begin_with_the_calls_of_the_time(store: Store) -> None:
    """And not with all attempts there ever were."""
    assert "INDEX calls_dashboard (ts_ms>? AND ts_ms<?)" in plan(store, FAILURES)[0]
