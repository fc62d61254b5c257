"""addons/storage/retention_plan.py: a plan says what a round then does."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from addons.storage.database import open_reader
from addons.storage.retention import Limits
from addons.storage.retention_plan import Plan, due, plan
from addons.storage.store import Store
from tests.storage.support import body, full_call, rows, stored_call
from tests.storage.test_retention import NOW_MS, age, conversation, prune


def planned(store: Store, limits: Limits) -> Plan:
    """Read by a reader."""
    with closing(open_reader(store.path)) as connection:
        return plan(connection, limits, NOW_MS)


@pytest.fixture
def filled(store: Store) -> Store:
    """Forty calls of a day each, some pinned, some of one conversation."""
    rng = random.Random(1)
    calls = conversation(10, rng) + [stored_call(bodies=(body(rng.randbytes(60_000)),)) for _ in range(30)]
    store.write(calls)
    for n, call in enumerate(calls):
        age(store, call, 60.5 - n)
    for n in (3, 20):
        store.set_pinned(str(calls[n].row["id"]), True)
    return store


@pytest.mark.parametrize("limits", [Limits(30, None), Limits(None, 1_000_000), Limits(50, 1_500_000)])
def test_a_round_does_what_was_planned(filled: Store, limits: Limits) -> None:
    """The same calls by days, as many within two by size; the bytes within a quarter."""
    found = planned(filled, limits)
    [(before,)] = rows(filled, "SELECT count(*) FROM calls")
    gone = prune(filled.path, limits, spare=0)
    assert gone == found.calls if limits.max_bytes is None else abs(gone - found.calls) <= 2
    assert (found.kept + found.calls, found.pinned) == (before, 2)
    freed = found.space.total - planned(filled, limits).space.total
    assert 0.75 * freed < found.bytes < 1.25 * freed


def test_nothing_due_is_nothing_planned(store: Store) -> None:
    """No times, no bytes."""
    call = full_call()
    store.write([call])
    age(store, call, 1)
    found = planned(store, Limits(30, 10**9))
    assert (found.calls, found.oldest, found.newest, found.bytes, found.kept) == (0, None, None, 0, 1)


def test_how_much_is_due_is_told_beforehand(filled: Store) -> None:
    """Exactly by days, about by size."""
    with closing(open_reader(filled.path)) as connection:
        assert due(connection, Limits(30, None), NOW_MS) == planned(filled, Limits(30, None)).calls
        assert 10 < due(connection, Limits(None, 1_000_000), NOW_MS) < 38
        assert due(connection, Limits(None, None), NOW_MS) == 0
