"""What an upstream may be asked for, and under which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from addons.core.providers import Api
from addons.core.terms import Terms
from tests.core.configured import CHAT, MESSAGES, Filter, Models, Require, Upstream

DEPLOYED = Api("openai.chat", "openai", "/deployments/mine/chat/completions", "mine", (13, 17))


MODELS = Models({("openai", "m"): 8192}, {("m", "tools"): True, ("m", "vision"): False})


def terms(name: str = "u", *, allow: Sequence[str] = ("*",), deny: Sequence[str] = (), aliases: Mapping[str, str] | None = None) -> Terms:
    return Terms(name, Upstream(models=Filter(allow, deny), aliases=aliases or {}))


def test_an_alias_is_another_name_for_a_model() -> None:
    """Compared as it is written, and not followed further; an unknown model stays unknown."""
    found = terms(aliases={"fast": "gpt-4o-mini", "gpt-4o-mini": "gpt-4.1"})
    assert [found.sent(model) for model in ("fast", "Fast", "gpt-4o-mini", "o3", None)] == ["gpt-4o-mini", "Fast", "gpt-4.1", "o3", None]


@pytest.mark.parametrize(
    ("allow", "deny", "model", "refused"),
    [
        (["*"], [], "gpt-4o", None),
        (["gpt-*"], [], "gpt-4o", None),
        (["gpt-*"], [], "o3", "model o3 is not allowed on u (upstreams.u.models)"),
        ([], [], "o3", "model o3 is not allowed on u (upstreams.u.models)"),
        (["*"], ["gpt-4o*"], "gpt-4o", "model gpt-4o is denied on u (upstreams.u.models)"),
        (["gpt-4o"], ["gpt-*"], "gpt-4o", "model gpt-4o is denied on u (upstreams.u.models)"),
        (["*"], ["GPT-4o"], "gpt-4O", "model gpt-4O is denied on u (upstreams.u.models)"),
        (["Llama-*"], [], "llama-3", None),
        (["gpt-*"], ["o3"], None, None),
    ],
)
def test_model_filters(allow: list[str], deny: list[str], model: str | None, refused: str | None) -> None:
    """Deny wins; neither cares for case; a call whose model is not known is not held back."""
    assert terms(allow=allow, deny=deny).refusal(model) == refused


def test_who_looks_at_models() -> None:
    """Only who has filters or aliases."""
    found = [terms(), terms(deny=["x"]), terms(allow=["x"]), terms(aliases={"a": "b"})]
    assert [each.looks_at_models for each in found] == [False, True, True, True]


@pytest.mark.parametrize(
    ("provider", "api", "reason"),
    [
        ("openai", CHAT, None),
        ("mistral", MESSAGES, "mistral has no anthropic API"),
        ("openai", DEPLOYED, "openai has no Azure deployments"),
        ("azure", DEPLOYED, None),
    ],
)
def test_what_it_does_not_speak(provider: str, api: Api, reason: str | None) -> None:
    """In words."""
    assert Terms("u", Upstream(provider=provider)).no_api(api) == reason


@pytest.mark.parametrize(
    ("upstream", "model", "listed", "offers"),
    [
        (Upstream(), "m", (), True),
        (Upstream(), "other", (), False),
        (Upstream(), "other", {"other"}, True),
        (Upstream(aliases={"other": "x"}), "other", (), True),
        (Upstream(base_url=None), "m", (), True),
        (Upstream(base_url="https://llm.example.com/v1"), "m", (), False),
        (Upstream(kind="local"), "m", (), False),
    ],
)
def test_who_is_known_to_offer_a_model(upstream: Upstream, model: str, listed: Sequence[str], offers: bool) -> None:
    """By alias, by its own list, and by genai-prices only at the provider's own hosts: elsewhere `openai` names the wire alone."""
    assert Terms("u", upstream).offers(model, MODELS, listed) is offers


@pytest.mark.parametrize(
    ("require", "model", "reason", "unknown"),
    [
        (Require(), "m", None, ()),
        (Require(8192, ("tools",)), "m", None, ()),
        (Require(32000), "m", "context of 8192 is under min_context 32000", ()),
        (Require(None, ("tools", "vision")), "m", "model m lacks vision", ()),
        (Require(1, ("tools", "audio")), "m", None, ("audio",)),
        (Require(1, ("tools",)), "other", None, ("min_context", "tools")),
        (Require(1, ("tools",)), None, None, ("min_context", "tools")),
        (Require(), None, None, ()),
    ],
)
def test_requirements(require: Require, model: str | None, reason: str | None, unknown: tuple[str, ...]) -> None:
    """What is known to be missing passes over; what is not known does not, and is named."""
    assert Terms("u", Upstream()).unmet(require, model, MODELS) == (reason, unknown)


def test_a_context_window_of_ones_own_machine_is_not_known() -> None:
    """Whoever runs the model there sets it; what the model can do is the same."""
    local = Terms("u", Upstream(kind="local"))
    assert local.unmet(Require(32000, ("tools",)), "m", MODELS) == (None, ("min_context",))
    assert local.unmet(Require(None, ("vision",)), "m", MODELS) == ("model m lacks vision", ())
