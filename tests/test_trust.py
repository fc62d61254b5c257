"""Clients that do not trust the proxy's certificate."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from addons.storage.database import open_reader
from addons.storage.store import Store
from addons.trust import FIX, Trust
from tests.rooms import Journey


def test_a_refused_certificate_is_noted_with_its_remedy(journey: Journey, tmp_path: Path) -> None:
    """Counted, and written by the writer's thread: who, for which host, why, and what helps."""
    actions: list[Any] = []
    journey.state.writer.do = actions.append  # type: ignore[method-assign, assignment]
    context = SimpleNamespace(layers=[], server=SimpleNamespace(address=("api.openai.com", 443)))
    data: Any = SimpleNamespace(conn=SimpleNamespace(sni="api.openai.com", error="unknown ca"), context=context)
    for _ in range(2):
        Trust(journey.state).tls_failed_client(data)
    assert journey.state.counts["tls_failures"] == 2
    with closing(Store(tmp_path / "t.db")) as store, closing(open_reader(tmp_path / "t.db")) as captures:
        for action in actions:
            action(store)
        rows = captures.execute("select client, host, reason, fix, count from tls_failures").fetchall()
    assert [tuple(row) for row in rows] == [("unknown", "api.openai.com", "unknown ca", FIX, 2)]
