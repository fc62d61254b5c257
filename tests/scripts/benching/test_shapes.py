"""What is measured."""

from __future__ import annotations

import dataclasses

import pytest

from scripts.benching.shapes import (
    PROFILES,
    Cell,
    Door,
    Job,
    Settings,
    parse_list,
    parse_size,
    same_cell,
    settings_of,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "size"), [("400", 400), ("1kB", 1000), ("1.5 k", 1500), ("1MB", 1_000_000), (" 2m ", 2_000_000), ("7 B", 7)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    """With and without a unit, which counts in thousands."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "kB", "-1", "1GB", "1,5kB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """The error quotes it."""
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_sizes_are_written_as_they_are_read() -> None:
    """Shortest unit that leaves no needless zeros."""
    assert [size_text(size) for size in (400, 1000, 1500, 200_000, 1_000_000)] == ["400 B", "1 kB", "1.5 kB", "200 kB", "1 MB"]


def test_lists_hold_each_word_once() -> None:
    """An unknown word is named with what is known."""
    assert parse_list("base, connect,base", ("base", "connect")) == ("base", "connect")
    with pytest.raises(ValueError, match="'socks' is none of base, connect"):
        parse_list("base,socks", ("base", "connect"))


def test_cells_are_all_combinations() -> None:
    """Concurrency changes quickest, so that cells of one group stand together."""
    settings = Settings(ways=("base", "connect"), answers=("whole", "stream"), prompt_bytes=(1, 2), concurrency=(1, 8, 32))
    cells = settings.cells
    assert len(set(cells)) == len(cells) == 24
    assert [cell.concurrency for cell in cells[:3]] == [1, 8, 32]
    assert len({cell.group for cell in cells}) == 8


def test_what_is_given_wins_over_the_profile() -> None:
    """None is not given."""
    settings = settings_of("agent", {"concurrency": (2,), "chunks": None, "rounds": 7})
    assert (settings.kind, settings.concurrency, settings.chunks, settings.rounds) == ("agent", (2,), 20, 7)
    assert settings_of(None, {}) == Settings()


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_make_cells(profile: str) -> None:
    """Each names fields that there are."""
    assert settings_of(profile, {}).cells


def test_jobs_survive_the_command_line() -> None:
    """What the process that makes the load is told is what was meant."""
    cell = Cell("connect", "stream", "new", 1000, 8, 12.5)
    job = Job(cell, Door("h", 1, "/v1", "localhost:2", "ca.pem", "localhost"), "chat", "m", 1.5, None, 0.5, 30, {"X-A": "b"})
    assert Job.from_json(job.to_json()) == job


def test_saved_cells_are_equal_to_new_ones() -> None:
    """A field of a later version is no hindrance."""
    cell = Cell("base", "whole", "kept", 1000, 8)
    assert same_cell({**dataclasses.asdict(cell), "later": 1}) == cell
