"""The models of all upstreams as one list."""

from __future__ import annotations

import json
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.config import Models, Upstream
from addons.core.catalogue import (
    AGAIN_S,
    KEYS,
    NOBODY,
    OWN_LISTS,
    Model,
    ModelLists,
    Problem,
    Source,
    anthropic_list,
    merged,
    openai_list,
    owner_of,
)
from addons.core.listing import Listed
from addons.core.terms import Terms

NOW, TTL = 1000.0, 300.0
OPENAI = Source("openai", "openai", "https://api.openai.com/v1", KEYS)
LOCAL = Source("local", "ollama", "http://127.0.0.1:11434", NOBODY)
CREDENTIAL = ((b"Authorization", secrets.token_hex(8).encode()),)
MODELS = (Listed("gpt-4o", 5, "system"), Listed("o3"))


def terms(**upstreams: Upstream) -> dict[str, Terms]:
    return {name: Terms(name, upstream) for name, upstream in upstreams.items()}


def own(number: int = 0) -> Source:
    return OPENAI._replace(owner=owner_of(((b"x-api-key", str(number).encode()),)))


def test_a_list_is_new_enough_for_the_ttl() -> None:
    """Then it is asked for again; with a ttl of 0 each time."""
    lists = ModelLists()
    assert lists.due(OPENAI, NOW, TTL)
    lists.came(OPENAI, MODELS, NOW)
    assert [lists.due(OPENAI, NOW + s, TTL) for s in (0, 299, 300)] == [False, False, True]
    assert lists.due(OPENAI, NOW, 0)
    assert lists.due(LOCAL, NOW, TTL)


def test_what_failed_keeps_its_old_list_and_is_asked_again_soon() -> None:
    """Marked as stale, until a list comes."""
    lists = ModelLists()
    lists.came(OPENAI, MODELS, NOW)
    lists.failed(OPENAI, Problem("answered 500", 500), NOW + TTL)
    kept = lists.get(OPENAI)
    assert (kept.models, kept.stale, kept.problem) == (MODELS, True, Problem("answered 500", 500))
    assert [lists.due(OPENAI, NOW + TTL + s, TTL) for s in (0, AGAIN_S - 1, AGAIN_S)] == [False, False, True]
    assert [lists.due(OPENAI, NOW + TTL + s, 5) for s in (4, 5)] == [False, True]
    lists.came(OPENAI, (), NOW + 2 * TTL)
    assert (lists.get(OPENAI).models, lists.get(OPENAI).stale, lists.get(OPENAI).problem) == ((), False, None)


def test_what_never_came_is_not_stale() -> None:
    """There is nothing old to be shown."""
    lists = ModelLists()
    lists.failed(OPENAI, Problem("refused"), NOW)
    assert (lists.get(OPENAI).models, lists.get(OPENAI).stale) == ((), False)


def test_only_shared_lists_are_for_routing() -> None:
    """What one client may see tells nothing of what others may use; an upstream without a list is not in it."""
    lists = ModelLists()
    lists.came(OPENAI, MODELS, NOW)
    lists.came(own(), (Listed("secret-model"),), NOW)
    lists.failed(LOCAL, Problem("refused"), NOW)
    assert lists.listed() == {"openai": frozenset({"gpt-4o", "o3"})}
    lists.came(OPENAI._replace(owner=NOBODY), (Listed("free"),), NOW)
    assert lists.listed() == {"openai": frozenset({"gpt-4o", "o3", "free"})}


def test_lists_of_single_clients_are_bounded() -> None:
    """The one that was not asked for longest goes; shared ones stay."""
    lists = ModelLists()
    lists.came(OPENAI, MODELS, NOW)
    for number in range(OWN_LISTS):
        lists.came(own(number), MODELS, NOW)
    lists.came(own(0), MODELS, NOW)
    lists.came(own(OWN_LISTS), MODELS, NOW)
    assert [bool(lists.get(source).models) for source in (own(0), own(1), own(2), OPENAI)] == [True, False, True, True]


def test_an_owner_is_no_credential() -> None:
    """It tells credentials apart, also where the same value came in another header, and holds none."""
    assert CREDENTIAL[0][1].decode() not in owner_of(CREDENTIAL)
    other = ((b"x-api-key", CREDENTIAL[0][1]),)
    assert len({owner_of(CREDENTIAL), owner_of(other), owner_of((*CREDENTIAL, *other)), KEYS, NOBODY}) == 5
    assert not own().shared


def test_what_another_upstream_said_is_forgotten() -> None:
    """A name may stand for another address after a reload."""
    lists = ModelLists()
    for source in (OPENAI, LOCAL, own()):
        lists.came(source, MODELS, NOW)
    lists.keep({"openai": ("openai", "https://elsewhere.example/v1"), "local": ("ollama", LOCAL.base_url)})
    assert [bool(lists.get(source).models) for source in (OPENAI, LOCAL, own())] == [False, True, False]
    lists.keep({})
    assert lists.listed() == {}


def test_a_model_that_several_have_stands_once() -> None:
    """With all that have it, in the order of the configuration; what the first does not say of it the second may."""
    lists = [("a", (Listed("m"), Listed("z", 1, "me"))), ("b", (Listed("m", 7, "meta", "M"), Listed("c"), Listed("z", 2, "you")))]
    assert merged(lists, terms(a=Upstream(name="a"), b=Upstream(name="b"))) == [
        Model("c", None, None, None, ("b",)),
        Model("m", 7, "meta", "M", ("a", "b")),
        Model("z", 1, "me", None, ("a", "b")),
    ]


def test_aliases_are_listed_also_of_upstreams_that_list_nothing() -> None:
    """Under their own name, with what is known of the model that they stand for."""
    upstreams = terms(a=Upstream(aliases={"fast": "m", "other": "n", "m": "n"}), b=Upstream(aliases={"fast": "x"}))
    assert merged([("a", (Listed("m", 7, "meta", "M"),))], upstreams) == [
        Model("fast", 7, "meta", None, ("a", "b")),
        Model("m", 7, "meta", "M", ("a",)),
        Model("other", None, None, None, ("a",)),
    ]


def test_what_may_not_be_asked_for_is_not_listed() -> None:
    """By the upstream's filters; nor an alias of it."""
    upstreams = terms(a=Upstream(models=Models(allow=("gpt-*",), deny=("*-preview",)), aliases={"new": "gpt-5-preview", "old": "gpt-4"}))
    listing = [Listed("gpt-4"), Listed("GPT-5-Preview"), Listed("whisper")]
    assert [model.id for model in merged([("a", listing)], upstreams)] == ["gpt-4", "old"]


LISTINGS = st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from("wxyz").map(Listed), unique=True), max_size=3)


@given(LISTINGS, st.randoms())
def test_the_order_is_stable(listings: dict[str, list[Listed]], random: st.DataObject) -> None:
    """However an upstream orders its list; every model is there once, with exactly those that have it."""
    of = terms(**{name: Upstream(name=name) for name in "abc"})
    models = merged(listings.items(), of)
    shuffled = {name: random.sample(listing, len(listing)) for name, listing in listings.items()}  # type: ignore[attr-defined]
    assert merged(shuffled.items(), of) == models
    assert [model.id for model in models] == sorted({listed.id for listing in listings.values() for listed in listing})
    assert all(set(model.upstreams) == {name for name, listing in listings.items() if Listed(model.id) in listing} for model in models)


def test_openais_shape() -> None:
    """What is unknown has a value of the right type; JSON can be made of it."""
    shown = openai_list([Model("m", 7, "meta", "M", ("a", "b")), Model("n", None, None, None, ("b",))])
    assert json.loads(json.dumps(shown)) == {
        "object": "list",
        "data": [
            {"id": "m", "object": "model", "created": 7, "owned_by": "meta", "upstreams": ["a", "b"]},
            {"id": "n", "object": "model", "created": 0, "owned_by": "b", "upstreams": ["b"]},
        ],
    }


def test_anthropics_shape() -> None:
    """One page, which is the last."""
    shown = anthropic_list([Model("m", 1759104000, None, "M", ("a",)), Model("n", None, None, None, ("b",))])
    assert json.loads(json.dumps(shown)) == {
        "data": [
            {"type": "model", "id": "m", "display_name": "M", "created_at": "2025-09-29T00:00:00Z", "upstreams": ["a"]},
            {"type": "model", "id": "n", "display_name": "n", "created_at": "1970-01-01T00:00:00Z", "upstreams": ["b"]},
        ],
        "has_more": False,
        "first_id": "m",
        "last_id": "n",
    }


@pytest.mark.parametrize("shape", [openai_list, anthropic_list])
def test_an_empty_list_is_one(shape: object) -> None:
    """Nobody has anything."""
    assert callable(shape)
    assert shape([])["data"] == []
