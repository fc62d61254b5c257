"""addons/storage/m007_failed.py: failed calls are counted as on the dashboard; chance is no speed."""

from __future__ import annotations

from addons.core.call import SqlValue, StoredCall
from addons.storage.store import Store
from tests.storage.support import new_id, rows, stored_call


def test_failed_counts_what_the_dashboard_counts(store: Store) -> None:
    """Error, partial and blocked; `errors` is the outcome error alone, and a client that left is neither."""
    outcomes = ("ok", "error", "error", "partial", "blocked", "cancelled")
    store.write([stored_call(new_id(), columns={"outcome": outcome}) for outcome in outcomes])
    for view in ("daily", "by_model"):
        assert rows(store, f"SELECT calls, ok, errors, failed FROM {view}") == [(6, 1, 2, 4)]
    assert rows(store, "SELECT count(*) FROM errors") == [(4,)]


def test_few_tokens_have_no_speed(store: Store) -> None:
    """Nor those that came all at once; calls and times count them all the same."""

    def call(tokens: int, ttft_ms: float, duration_ms: float) -> StoredCall:
        columns: dict[str, SqlValue] = {"output_tokens": tokens, "ttft_ms": ttft_ms, "duration_ms": duration_ms}
        return stored_call(new_id(), columns=columns)

    store.write([call(2, 100.0, 100.4), call(9, 100.0, 900.0), call(500, 100.0, 199.0)])
    assert rows(store, "SELECT calls, tokens_per_s_p50 FROM latency") == [(3, None)]
    store.write([call(10, 100.0, 200.0)])
    assert rows(store, "SELECT calls, tokens_per_s_p50 FROM latency") == [(4, 100.0)]
