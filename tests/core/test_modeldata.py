"""What is known of models, and that the rest is not known rather than false."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core import modeldata
from addons.core.modeldata import Entry, ModelData, bare_name, read_entries

ENTRIES = (
    Entry(("seer-blind*",), lacks=frozenset({"vision"})),
    Entry(("seer*", "gpt-4o"), frozenset({"vision"}), frozenset({"audio"}), context_window=5000),
)


def loaded() -> ModelData:
    data = ModelData()
    data.adopt(ENTRIES)
    return data


@pytest.mark.parametrize(
    ("model", "capability", "can"),
    [
        ("seer-1", "vision", True),
        ("seer-1", "audio", False),
        ("seer-1", "tools", None),
        ("seer-blind-1", "vision", False),
        ("seer-blind-1", "audio", None),
        ("reseller/Seer-1:free", "vision", True),
        ("other", "vision", None),
    ],
)
def test_capabilities_are_those_of_the_first_entry_that_matches(model: str, capability: str, can: bool | None) -> None:
    """Whatever stands around the maker's own name; what is in neither list is not known."""
    assert loaded().can(model, capability) is can


def test_context_windows_are_those_of_genai_prices() -> None:
    """Our own table fills in where it has none; without a provider, or where users run the model themselves, none is known."""
    data = loaded()
    assert data.context_window("openai", "gpt-4o") == 128_000
    assert data.context_window("openai", "seer-1") == 5000
    assert data.context_window("openai", "no-such-model") is None
    assert data.context_window(None, "gpt-4o") is None
    assert data.context_window("ollama", "seer-1") is None


def test_who_offers_a_model() -> None:
    """As far as genai-prices knows."""
    data = loaded()
    found = {provider: data.offers(provider, "gpt-4o") for provider in ("openai", "azure", "anthropic", "ollama")}
    assert found == {"openai": True, "azure": True, "anthropic": False, "ollama": False}
    assert not data.offers("openai", "seer-1")


def test_nothing_is_known_before_the_tables_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody waits for them; what was asked too early is not remembered."""

    def find(provider: str | None, model: str) -> None:
        raise AssertionError("this would load the table")

    def known(data: ModelData) -> tuple[int | None, bool, bool | None]:
        return data.context_window("openai", "gpt-4o"), data.offers("openai", "gpt-4o"), data.can("seer-1", "vision")

    data = ModelData()
    with monkeypatch.context() as patch:
        patch.setattr(modeldata, "find_in_table", find)
        assert not data.loaded
        assert known(data) == (None, False, None)
    data.adopt(ENTRIES)
    assert data.loaded
    assert known(data) == (128_000, True, True)


def test_each_model_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is bounded, since clients name the models."""
    asked: list[str] = []
    monkeypatch.setattr(modeldata, "find_in_table", lambda provider, model: asked.append(model))
    monkeypatch.setattr(modeldata, "_REMEMBERED", 2)
    data = loaded()
    for model in ("a", "a", "b", "b", "c", "a"):
        data.context_window("openai", model)
    assert asked == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("openai/GPT-4o", "gpt-4o"),
        ("meta-llama/llama-3.3-70b:free", "llama-3.3-70b"),
        ("accounts/fireworks/models/llama-v3p1-8b", "llama-v3p1-8b"),
        ("llama3.1:8b", "llama3.1"),
        ("ft:gpt-4o-mini:org::id", "gpt-4o-mini"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307-v1"),
        ("eu.anthropic.claude-sonnet-4-5-v1:0", "claude-sonnet-4-5-v1"),
        ("gpt-4.1", "gpt-4.1"),
        ("qwen.qwen3-32b", "qwen3-32b"),
        ("", ""),
    ],
)
def test_bare_names(model: str, name: str) -> None:
    """As resellers, Bedrock, Ollama and fine-tunes write them."""
    assert bare_name(model) == name


def test_entries_are_read() -> None:
    """All but the models may be left out."""
    given = [{"models": ["a*"], "has": ["tools"], "lacks": ["audio"], "context_window": 8}, {"models": ["b"]}]
    assert read_entries(given) == (Entry(("a*",), frozenset({"tools"}), frozenset({"audio"}), 8), Entry(("b",)))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "a list of entries"),
        (["x"], "entry 1"),
        ([{"models": ["a"]}, {"models": ["b"], "had": []}], "entry 2: should have no other names"),
        ([{"has": []}], "entry 1: needs models"),
        ([{"models": "a"}], "entry 1.models: should be a list of texts"),
        ([{"models": ["a"], "has": [1]}], "entry 1.has: should be a list of texts"),
        ([{"models": ["a"], "has": ["sight"]}], "entry 1: sight should be of tools, vision"),
        ([{"models": ["a"], "has": ["tools"], "lacks": ["tools"]}], "entry 1: tools should be of"),
        ([{"models": ["a"], "context_window": "8k"}], "entry 1: needs models, and as context_window"),
        ([{"models": ["a"], "context_window": 0}], "entry 1: needs models, and as context_window"),
    ],
)
def test_a_wrong_entry_is_named(document: Any, says: str) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match=r"should|needs") as caught:
        read_entries(document)
    assert says in str(caught.value)
