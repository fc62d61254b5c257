"""addons/storage/staterows.py: what the state database keeps, and what several processes make of one another's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.storage.migrations import STATE, migrate
from addons.storage.staterows import Saved, SavedBreaker, SavedCooldown, load, store

NOW = 1_800_000_000.25
COOLING = SavedCooldown("openai", "a1b2", "gpt-4o", NOW + 60, 2, "rate_limit")
OPEN = SavedBreaker("openai", NOW + 45, 3, "timeout")
NOTHING = Saved()

TIMES = st.floats(NOW + 1, NOW + 9)
COOLDOWNS = st.builds(
    SavedCooldown,
    upstream=st.sampled_from(["a", "b"]),
    key_id=st.sampled_from(["k1", "k2"]),
    quota_group=st.sampled_from(["*", "m"]),
    until=TIMES,
    step=st.integers(0, 3),
    why=st.just("quota"),
)
BREAKERS = st.builds(SavedBreaker, upstream=st.sampled_from(["a", "b"]), until=TIMES, failures=st.integers(3, 9), why=st.just("server"))
STATES = st.lists(
    st.builds(
        Saved,
        cooldowns=st.lists(COOLDOWNS, unique_by=lambda row: row[:3]).map(tuple),
        breakers=st.lists(BREAKERS, unique_by=lambda row: row.upstream).map(tuple),
    ),
    max_size=6,
)


def new_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, STATE)
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """An empty state database in memory."""
    with closing(new_database()) as connection:
        yield connection


def test_all_columns_come_back(connection: sqlite3.Connection) -> None:
    """Times to the last bit."""
    store(connection, NOTHING, Saved((COOLING,), (OPEN,)))
    assert load(connection, NOW) == Saved((COOLING,), (OPEN,))


def test_what_has_expired_is_gone(connection: sqlite3.Connection) -> None:
    """From what is given and from the file."""
    store(connection, NOTHING, Saved((COOLING, COOLING._replace(key_id="c3")), (OPEN,)))
    assert load(connection, OPEN.until) == Saved((COOLING, COOLING._replace(key_id="c3")), ())
    assert load(connection, COOLING.until) == NOTHING
    assert [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("cooldowns", "breakers")] == [(0,), (0,)]


def test_what_is_taken_back_is_gone(connection: sqlite3.Connection) -> None:
    """A success resets a cooldown, a probe closes a breaker."""
    before = Saved((COOLING,), (OPEN,))
    store(connection, NOTHING, before)
    store(connection, before, NOTHING)
    assert load(connection, NOW) == NOTHING


def test_only_what_has_changed_is_written(connection: sqlite3.Connection) -> None:
    """Many keys may be cooling while one changes."""
    many = tuple(COOLING._replace(key_id=str(n)) for n in range(50))
    store(connection, NOTHING, Saved(many))
    before = connection.total_changes
    store(connection, Saved(many), Saved((*many[:-1], many[-1]._replace(until=NOW + 70))))
    assert connection.total_changes - before == 1


def test_of_two_processes_the_later_time_stays(connection: sqlite3.Connection) -> None:
    """Neither shortens what the other has written, nor takes it back."""
    later = COOLING._replace(until=NOW + 600, step=0, why="quota")
    store(connection, NOTHING, Saved((later,)))  # ours
    store(connection, NOTHING, Saved((COOLING,)))  # theirs, without having seen ours
    assert load(connection, NOW).cooldowns == (later,)
    store(connection, Saved((COOLING,)), NOTHING)  # they take theirs back
    assert load(connection, NOW).cooldowns == (later,)


def test_one_process_may_shorten_its_own(connection: sqlite3.Connection) -> None:
    """A reset and a new cooldown between two commits look like a shorter one."""
    store(connection, NOTHING, Saved((COOLING,)))
    shorter = COOLING._replace(until=NOW + 10, step=0)
    store(connection, Saved((COOLING,)), Saved((shorter,)))
    assert load(connection, NOW).cooldowns == (shorter,)


@given(STATES)
def test_alone_the_file_holds_the_last_state(states: list[Saved]) -> None:
    """Whatever came before it."""
    with closing(new_database()) as connection:
        before = NOTHING
        for after in states:
            store(connection, before, after)
            before = after
        found = load(connection, NOW)
        assert (set(found.cooldowns), set(found.breakers)) == (set(before.cooldowns), set(before.breakers))
