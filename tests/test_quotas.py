"""What is shown of upstreams and their keys."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from addons.quotas import details, summary
from addons.state import State
from tests.rooms import UPSTREAMS, make_state, new_key

NOW = 1_795_260_540.123


@pytest.fixture
def state(tmp_path: Path) -> State:
    """One key of openai cools for a model, one is locked out, one is in use and one is free."""
    environ = {f"OPENAI_KEY_{n}": new_key() for n in range(1, 5)} | {"ANTHROPIC_KEY": secrets.token_hex(3)}
    text = UPSTREAMS.replace("default: true", "default: true, rotation: round_robin").replace(
        "OPENAI_KEY*}", "OPENAI_KEY*, max_concurrent: 2}"
    )
    state = make_state(tmp_path, text, environ)
    pool = state.pools["openai"]
    cooling, locked, _in_use = (pool.lease(NOW, "gpt-4o") for _ in range(3))
    assert cooling and locked
    pool.cool(cooling, NOW, 60)
    pool.lock_out(locked, NOW)
    for lease in (cooling, locked):
        pool.release(lease, NOW)
    for _ in range(3):
        state.breakers["openrouter"].failed(NOW, "timeout")
    state.breakers["anthropic"].failed(NOW, "connect")
    return state


def test_a_summary_counts(state: State) -> None:
    """Keys by how they stand; whether the last calls failed, and the breaker."""
    assert summary(state, NOW) == {
        "openai": {"state": "ok", "breaker": "closed", "keys": 4, "free": 2, "cooling": 1, "locked": 1},
        "anthropic": {"state": "failing: connect", "breaker": "closed", "keys": 1, "free": 1, "cooling": 0, "locked": 0},
        "openrouter": {"state": "failing: timeout", "breaker": "open", "keys": 0, "free": 0, "cooling": 0, "locked": 0},
    }
    assert summary(state, NOW + 60)["openai"]["free"] == 3
    assert summary(state, NOW + 60)["openrouter"]["breaker"] == "half_open"


def test_details_say_until_when_and_why(state: State) -> None:
    """In ISO 8601 and in seconds, by the group that it is for; `*` is the whole key."""
    openai, anthropic, openrouter = details(state, NOW + 20)
    shown = [(key["in_flight"], key["limit"], key["used"], key["cooldowns"]) for key in openai["keys"]]
    assert shown == [
        (0, 2, 1, [{"group": "gpt-4o", "why": "rate_limit", "until": "2026-11-21T11:30:00.123Z", "seconds_left": 40.0}]),
        (0, 2, 1, [{"group": "*", "why": "auth", "until": "2026-11-21T11:34:00.123Z", "seconds_left": 280.0}]),
        (1, 2, 1, []),
        (0, 2, 0, []),
    ]
    assert openrouter["breaker"] == {
        "state": "open",
        "failures": 3,
        "last_failure": "timeout",
        "until": "2026-11-21T11:30:00.123Z",
        "seconds_left": 40.0,
    }
    assert [key["hint"] for key in anthropic["keys"]] == [None]


def test_no_key_is_shown(state: State) -> None:
    """Not even a part of one beyond its last four characters."""
    values = [key.value for pool in state.pools.values() for key in pool.keys]
    told = str(details(state, NOW)) + str(summary(state, NOW))
    assert not [value for value in values if value[-6:] in told or value[:8] in told]
