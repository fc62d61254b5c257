"""What a configuration becomes when it is taken into use."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.config import load
from addons.core.call import CallRecord, CapturedBody
from tests.conftest import MakeJourney
from tests.rooms import CHAT, CHAT_BODY, UPSTREAMS, call, exchange, make_state, new_key

KEYS = {"OPENAI_KEY": new_key(), "OPENAI_KEY_1": new_key()}


NOW = 1_800_000_000.0


def test_each_upstream_has_a_pool_of_its_own_keys(tmp_path: Path) -> None:
    """In the order of the file, with the hint that rows may show."""
    state = make_state(tmp_path, UPSTREAMS, {**KEYS, "ANTHROPIC_KEY": new_key()})
    assert [key.value for key in state.pools["openai"].keys] == list(KEYS.values())
    assert [key.hint for key in state.pools["openai"].keys] == [key[-4:] for key in KEYS.values()]
    assert [len(state.pools[name].keys) for name in ("anthropic", "openrouter")] == [1, 0]
    assert state.config.providers == {"openai": "openai", "anthropic": "anthropic", "openrouter": "openrouter"}


def test_a_pool_keeps_its_turns_over_a_reload(tmp_path: Path) -> None:
    """Also the leases that run, and what cools; another change in the file does not touch that."""
    state = make_state(tmp_path, UPSTREAMS, KEYS)
    lease = state.pools["openai"].lease(NOW)
    (tmp_path / "other.yml").write_text(f"{UPSTREAMS}proxy: {{prefix: /llm}}\n")
    state.adopt(load(tmp_path / "other.yml", KEYS))
    assert state.config.proxy.prefix == "/llm"
    assert lease
    pool = state.pools["openai"]
    assert pool.lease(NOW) is not None
    assert [(key.used, key.in_flight) for key in pool.keys] == [(1, 1), (1, 1)]
    pool.release(lease, NOW)
    assert [key.in_flight for key in pool.keys] == [0, 1]


def test_changed_keys_or_rotation_make_a_new_pool(tmp_path: Path) -> None:
    """Neither an old key nor an old order is used after the change."""
    state = make_state(tmp_path, UPSTREAMS, KEYS)
    pool = state.pools["openai"]
    state.adopt(load(tmp_path / "turnpike.yml", {**KEYS, "OPENAI_KEY_1": new_key()}))
    changed = state.pools["openai"]
    assert changed is not pool
    (tmp_path / "turnpike.yml").write_text(UPSTREAMS.replace("default: true", "default: true, rotation: sequential"))
    state.adopt(load(tmp_path / "turnpike.yml", {**KEYS, "OPENAI_KEY_1": changed.keys[1].value}))
    assert state.pools["openai"].rotation == "sequential"


def test_a_lease_of_a_pool_that_is_gone_can_be_given_back(make_journey: MakeJourney) -> None:
    """A call that runs over a reload ends as any other."""
    journey = make_journey(UPSTREAMS, KEYS)
    flow = journey.send(call())
    old = journey.state.pools["openai"]
    journey.state.adopt(load(journey.state.config.source, {}))
    journey.answer(flow)
    assert exchange(flow).tries is None
    assert [key.in_flight for key in old.keys] == [0, 0]


def test_what_is_stored_holds_no_key_and_none_of_the_users_strings(make_journey: MakeJourney) -> None:
    """The digest knows the values of the configuration that is valid, wherever they stand."""
    secret = "a plain word or two"
    text = f"{UPSTREAMS}redaction: {{strings: [{{env: MY_SECRET}}]}}\n"
    journey = make_journey(text, {**KEYS, "MY_SECRET": secret})
    key = KEYS["OPENAI_KEY"]
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "%s and %s"}]}' % (key.encode(), secret.encode())
    flow = journey.send(call(headers={"X-Odd": key}, body=body))
    journey.answer(flow, 200, [body])
    stored = repr(journey.state.digest_record(exchange(flow).record))
    assert key not in stored
    assert secret not in stored
    assert "gpt-4o" in stored


def test_no_key_is_in_a_repr(tmp_path: Path) -> None:
    """Of the pools, which a traceback might show."""
    state = make_state(tmp_path, UPSTREAMS, KEYS)
    assert not [key for key in KEYS.values() if key in repr(state.pools["openai"].keys) + repr(state.pools) + repr(vars(state))]


@pytest.mark.parametrize(
    ("routes", "wanted"),
    [
        ("", False),
        ("routes: [{to: [{upstream: openai}]}]\n", False),
        ("routes: [{to: [{upstream: openai}]}, {name: Minimum Cost}]\n", True),
        ("routes: [{to: [{upstream: openai}], strategy: lowest_cost}]\n", True),
    ],
)
def test_tables_of_models_are_loaded_where_a_route_asks_for_them(routes: str, wanted: bool, tmp_path: Path) -> None:
    """When the configuration is taken into use, so that no call has to wait; otherwise never."""
    assert (make_state(tmp_path, f"{UPSTREAMS}{routes}").models.loading is not None) is wanted


def test_usage_that_was_not_reported_is_estimated(tmp_path: Path) -> None:
    """The digest that a configuration makes has the shipped ranks, and the configuration's own prices."""
    state = make_state(tmp_path, f"{UPSTREAMS}prices: {{gpt-4o: {{input: 1000000, output: 0}}}}\n")
    answer = b'{"model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello world"}}]}'
    bodies = CapturedBody(content=CHAT_BODY, size=len(CHAT_BODY)), CapturedBody(content=answer, size=len(answer))
    record = CallRecord("01A", 0, "POST", "api.openai.com", CHAT, "openai.chat", status=200, request=bodies[0], response=bodies[1])
    row = state.digest_record(record).row
    assert [row[name] for name in ("input_tokens", "output_tokens", "tokens_source", "cost_usd")] == [8, 2, "estimated", 8.0]
