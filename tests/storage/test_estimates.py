"""addons/storage/estimates.py: what goes with a call, in whichever order calls go."""

from __future__ import annotations

import random
from contextlib import closing

from addons.storage.database import open_reader
from addons.storage.estimates import Freed, Planned, freed_now, pinned_bytes
from addons.storage.retention import read_space
from addons.storage.store import Store
from tests.storage.support import body, rows, say, stored_call
from tests.storage.test_retention import conversation


def test_looking_ahead_is_the_same_as_going(store: Store) -> None:
    """What calls would free one after the other is what they free, also where they share messages and bodies, in an order of its own."""
    rng = random.Random(1)
    calls = conversation(5, rng) + conversation(4, rng) + [stored_call(bodies=(body(rng.randbytes(9000)),)) for _ in range(3)]
    calls += [stored_call(bodies=calls[0].bodies, messages=calls[3].messages, answers=1)]
    store.write(calls)
    order = [str(call.row["id"]) for call in calls]
    rng.shuffle(order)
    planned = Planned()
    with closing(open_reader(store.path)) as connection:
        foretold = [planned.freed(connection, call_id) for call_id in order]
        used = read_space(connection).used
    went = []
    for call_id in order:
        went.append(freed_now(store._connection, call_id))
        store._connection.execute("PRAGMA foreign_keys = ON")
        store._connection.execute("DELETE FROM calls WHERE id = ?", (call_id,))
    assert foretold == went
    assert 0.5 * used < sum(freed.bytes for freed in went) < used
    assert planned == Planned()


def test_what_pinned_calls_have_is_counted_once(store: Store) -> None:
    """Nothing without any; what two of them share once; what others have not at all."""
    rng = random.Random(2)
    shared = (body(rng.randbytes(50_000)),)
    calls = [stored_call(bodies=shared, messages=(say("user", "word " * 2000),)) for _ in range(2)]
    store.write([*calls, stored_call(bodies=(body(rng.randbytes(90_000)),))])
    assert pinned_bytes(store._connection) == 0
    for call in calls:
        store.set_pinned(str(call.row["id"]), True)
    assert 67_000 < pinned_bytes(store._connection) < 80_000
    assert rows(store, "SELECT count(*) FROM calls WHERE pinned = 1") == [(2,)]


def test_a_call_without_content_is_its_rows(store: Store) -> None:
    """And leaves nothing in the search's index."""
    call = stored_call()
    store.write([call])
    assert freed_now(store._connection, str(call.row["id"])) == Freed(2500, 0)
