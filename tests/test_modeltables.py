"""The tables of models as they are loaded, and what the shipped one says."""

from __future__ import annotations

import re
import threading
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from addons import modeltables
from addons.modeltables import FILE, ModelTables, read_file


def test_loading_begins_when_it_is_wanted_and_is_done_once() -> None:
    """In a thread of its own; until it ends nothing is known."""
    tables = ModelTables()
    assert tables.loading is None
    assert not tables.loaded
    tables.want()
    thread = tables.loading
    tables.want()
    assert thread is not None
    assert tables.loading is thread
    thread.join(20)
    assert tables.loaded
    assert tables.can("gpt-4o", "vision") is True
    assert tables.context_window("openai", "gpt-4o") == 128_000


@pytest.mark.parametrize("text", ["- {models: [x], hass: []}", "- [", None])
def test_a_table_that_cannot_be_read_is_told(text: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In one line; the rest is known all the same."""
    file = tmp_path / "models.yml"
    if text:
        file.write_text(text)
    tables = ModelTables(file)
    tables.want()
    assert tables.loading
    tables.loading.join(20)
    (line,) = caplog.messages
    assert line.startswith("capabilities of models are not known: ")
    assert "models.yml" in line
    assert "\n" not in line
    assert tables.context_window("openai", "gpt-4o") == 128_000
    assert tables.can("gpt-4o", "vision") is None


@pytest.fixture(scope="module")
def shipped() -> ModelTables:
    tables = ModelTables()
    tables.adopt(read_file(FILE))
    return tables


@pytest.mark.parametrize(
    ("model", "has", "lacks"),
    [
        ("gpt-4o-mini", "tools vision pdf json_schema", "audio reasoning"),
        ("openai/gpt-4o", "tools vision", "reasoning"),
        ("gpt-4o-audio-preview", "tools audio", "vision"),
        ("gpt-3.5-turbo-0125", "tools", "vision json_schema"),
        ("gpt-5-mini", "tools vision json_schema reasoning", "audio"),
        ("o3-mini", "tools reasoning", "vision"),
        ("text-embedding-3-small", "", "tools reasoning"),
        ("claude-sonnet-4-20250514", "tools vision reasoning", "json_schema"),
        ("claude-sonnet-4-5-20250929", "tools vision reasoning json_schema", "audio"),
        ("anthropic/claude-3.5-sonnet", "tools vision", "reasoning"),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "tools vision reasoning", ""),
        ("claude-haiku-4-5@20251001", "tools reasoning json_schema", ""),
        ("gemini-2.5-flash", "tools vision audio pdf json_schema reasoning", ""),
        ("gemini-2.0-flash", "tools audio", "reasoning"),
        ("gemini-2.5-flash-preview-tts", "", "tools"),
        ("mistral-large-2411", "tools", "vision"),
        ("deepseek-r1", "reasoning", "vision"),
        ("grok-3", "tools", "vision reasoning"),
        ("command-r-plus-08-2024", "tools", "vision"),
        ("llama3.1:8b", "tools", "vision reasoning"),
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "tools", "vision"),
    ],
)
def test_what_the_shipped_table_says(model: str, has: str, lacks: str, shipped: ModelTables) -> None:
    """Under the names by which the models are asked for: the special ones of a family come before the family."""
    assert {name: shipped.can(model, name) for name in has.split()} == dict.fromkeys(has.split(), True)
    assert {name: shipped.can(model, name) for name in lacks.split()} == dict.fromkeys(lacks.split(), False)


def test_no_entry_of_the_shipped_table_is_out_of_reach() -> None:
    """A glob that an earlier one swallows whole would never be asked."""
    entries = read_file(FILE)
    for number, entry in enumerate(entries):
        for glob in entry.models:
            name = re.sub(r"\[(.).*?\]", r"\1", glob).replace("*", "zz").replace("?", "0")
            first = next(n for n, other in enumerate(entries) if any(fnmatchcase(name, each) for each in other.models))
            assert first == number, (glob, entries[first].models)


def test_loading_does_not_stop_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`want` returns before anything is loaded."""
    go, begun = threading.Event(), threading.Event()

    def slow(provider: str | None, model: str) -> None:
        begun.set()
        go.wait(20)

    monkeypatch.setattr(modeltables, "find_in_table", slow)
    tables = ModelTables()
    tables.want()
    assert begun.wait(20)
    assert not tables.loaded
    go.set()
    assert tables.loading
    tables.loading.join(20)
    assert tables.loaded
