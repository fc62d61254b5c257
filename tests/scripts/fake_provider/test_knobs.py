"""Knobs are read alike from headers, model names and the table, and mistakes are named."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fake_provider.knobs import DEFAULT, KnobError, KnobTable, from_headers, from_model, read_knobs


def test_headers_set_knobs() -> None:
    """`X-Fake-*` headers are knobs; further response headers are named by X-Fake-Header and X-Fake-Retry-After."""
    given = (
        ("x-fake-status", "429"),
        ("x-fake-first-byte", "0.5"),
        ("x-fake-retry-after", "2"),
        ("x-fake-header", "X-A: b"),
        ("host", "h"),
    )
    knobs = read_knobs(from_headers(given))
    assert (knobs.status, knobs.first_byte) == (429, 0.5)
    assert set(knobs.headers) == {("Retry-After", "2"), ("X-A", "b")}


@pytest.mark.parametrize(
    ("asked", "model", "settings"),
    [
        ("fake:chunks=20,delay=0.2", "fake", {"chunks": "20", "delay": "0.2"}),
        ("gpt-4o@fake:echo,retry-after=1", "gpt-4o", {"echo": "", "retry_after": "1"}),
        ("fakery:8b", "fakery:8b", {}),
    ],
)
def test_model_names_hold_knobs(asked: str, model: str, settings: dict[str, str]) -> None:
    """What follows `fake:` is knobs, what stands before `@` is the model that answers; other names stay as they are."""
    assert from_model(asked) == (model, settings)


def test_json_values_are_taken() -> None:
    """The table's values may be JSON's own numbers and booleans, and headers an object."""
    knobs = read_knobs({"echo": True, "chunks": 3, "headers": {"X-A": "b"}})
    assert (knobs.echo, knobs.chunks, knobs.headers) == (True, 3, (("X-A", "b"),))
    assert read_knobs({}) is DEFAULT


@pytest.mark.parametrize(
    "settings",
    [
        {"statuss": 1},
        {"status": "x"},
        {"status": 100},
        {"delay": "-1"},
        {"delay": "inf"},
        {"drop_after": "soon"},
        {"echo": "perhaps"},
        {"headers": 3},
        {"headers": {"": "no name"}},
        {"headers": {"X-A\n": "b"}},
        {"headers": {"X-A": "two\r\nlines"}},
    ],
)
def test_mistakes_are_named(settings: dict[str, Any]) -> None:
    """A knob that does not exist or cannot be read is an error with its name."""
    with pytest.raises(KnobError, match=next(iter(settings))):
        read_knobs(settings)


def test_the_table_counts_down() -> None:
    """Entries with `times` hold first, in order, then the lasting one; `*` is for keys without entries."""
    table = KnobTable({"*": {"status": 401}, "k": {"status": 200}})
    table.set("k", {"status": 429}, times=2)
    table.set("k", {"status": 500}, times=1)
    assert [table.take("k")["status"] for _ in range(5)] == [429, 429, 500, 200, 200]
    assert table.take("other") == {"status": 401}


def test_a_bad_entry_changes_nothing() -> None:
    """Settings that cannot be read are refused when they are set, not when they are used."""
    table = KnobTable()
    with pytest.raises(KnobError):
        table.set("k", {"nonsense": 1})
    assert table.take("k") == {}


@pytest.mark.parametrize("settings", [{"first_byte": 1}, {"delay": 1}, {"hang": True}, {"reset": True}, {"cut": 0}])
def test_what_makes_an_answer_wait(settings: dict[str, Any]) -> None:
    """Waits and breaks are paced; what is said, and what comes after the answer, is not."""
    assert read_knobs(settings).is_paced
    assert not read_knobs({"status": 429, "chunks": 3, "goaway": True, "stale": True, "drop_after": 1}).is_paced
