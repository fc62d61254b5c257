"""What the proxy answers itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from addons.storage.statefile import StateFile
from tests.conftest import MakeJourney
from tests.rooms import CHAT, UPSTREAMS, Journey, Records, answered, base_url_call, call, code, exchange, new_key


def get(journey: Journey, path: str, method: str = "GET") -> tuple[int, object]:
    return answered(journey.send(base_url_call(path, method=method)))


def test_healthz_says_that_we_live(journey: Journey) -> None:
    """200, whatever else is wrong."""
    journey.state.config_error = "broken"
    assert get(journey, "/healthz") == (200, {"status": "ok"})


def test_ready_when_calls_can_be_served_and_recorded(make_journey: MakeJourney) -> None:
    """Each upstream with its state, its breaker and its keys."""
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": new_key(), "OPENAI_KEY_1": new_key()})
    no_keys = {"keys": 0, "free": 0, "cooling": 0, "locked": 0}
    status, body = get(journey, "/ready")
    assert (status, body) == (
        200,
        {
            "ready": True,
            "config": "ok",
            "database": "ok",
            "state": "ok",
            "upstreams": {
                "openai": {"state": "ok", "breaker": "closed", "keys": 2, "free": 2, "cooling": 0, "locked": 0},
                "anthropic": {"state": "ok", "breaker": "closed", **no_keys},
                "openrouter": {"state": "ok", "breaker": "closed", **no_keys},
            },
        },
    )


def test_a_state_file_that_cannot_be_written_is_told(journey: Journey, tmp_path: Path) -> None:
    """But calls are served and recorded: ready."""
    journey.state.statefile = StateFile(tmp_path / "state.db")
    journey.state.statefile.error = "disk full"
    status, body = answered(journey.send(base_url_call("/ready", method="GET")))
    assert (status, body["state"]) == (200, "disk full")


def test_quota_stats_show_how_each_key_stands(make_journey: MakeJourney) -> None:
    """Its breaker and its keys for each upstream; a key by its label and last characters, nowhere more of it."""
    key = new_key()
    flow = make_journey(UPSTREAMS, {"OPENAI_KEY": key}).send(base_url_call("/proxy/v1/quota-stats", method="GET"))
    first, *others = answered(flow)[1]["data"]
    assert first["upstream"] == "openai"
    assert first["breaker"] == {"state": "closed", "failures": 0, "last_failure": None, "until": None, "seconds_left": None}
    assert [(of["label"], of["hint"], of["cooldowns"]) for of in first["keys"]] == [("env OPENAI_KEY", key[-4:], [])]
    assert [(of["upstream"], of["keys"]) for of in others] == [("anthropic", []), ("openrouter", [])]
    assert flow.response
    assert key[-6:] not in (flow.response.text or "")


def test_not_ready_with_a_broken_configuration(journey: Journey) -> None:
    """503, and the line that the log has."""
    journey.state.config_error = "turnpike.yml: proxy.port …"
    status, body = answered(journey.send(base_url_call("/ready", method="GET")))
    assert (status, body["ready"], body["config"]) == (503, False, "turnpike.yml: proxy.port …")


def test_not_ready_when_the_database_cannot_be_written(journey: Journey) -> None:
    """503, and the writer's reason."""
    assert isinstance(journey.state.writer, Records)
    journey.state.writer.health = (False, "disk full")
    status, body = answered(journey.send(base_url_call("/ready", method="GET")))
    assert (status, body["database"]) == (503, "disk full")


def test_upstreams_are_listed_without_their_keys(make_journey: MakeJourney) -> None:
    """Name, provider and which one is the default."""
    key = new_key()
    flow = make_journey(UPSTREAMS, {"OPENAI_KEY": key}).send(base_url_call("/proxy/v1/upstreams", method="GET"))
    assert answered(flow)[1]["data"][:2] == [
        {"name": "openai", "provider": "openai", "default": True},
        {"name": "anthropic", "provider": "anthropic", "default": False},
    ]
    assert flow.response
    assert key[-6:] not in (flow.response.text or "")


def test_metrics_are_prometheus_text(journey: Journey) -> None:
    """With the content type of the exposition format."""
    flow = journey.send(base_url_call("/metrics", method="GET"))
    assert flow.response
    assert flow.response.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", CHAT), ("DELETE", "/healthz")])
def test_nothing_is_anywhere_else(method: str, path: str, journey: Journey) -> None:
    """404 that says where calls belong."""
    flow = journey.send(base_url_call(path, method=method))
    assert code(flow) == (404, "not_found")
    assert "/proxy/v1/" in answered(flow)[1]["error"]["message"]


def test_head_is_answered_like_get(journey: Journey) -> None:
    """Load balancers ask so."""
    flow = journey.send(base_url_call("/healthz", method="HEAD"))
    assert flow.response
    assert flow.response.status_code == 200


def test_a_long_body_makes_no_difference(journey: Journey) -> None:
    """Answered before it is read."""
    flow = base_url_call("/nothing")
    journey.hook("requestheaders", flow)
    journey.hook("request_stream", flow)
    assert code(flow) == (404, "not_found")


def test_local_answers_have_no_row_and_calls_no_local_answer(journey: Journey) -> None:
    """Neither is taken for the other."""
    local = journey.send(base_url_call("/healthz", method="GET"))
    assert exchange(local).kind == "local"
    assert not journey.recorder.live
    assert journey.send(call()).response is None


def test_keys_can_be_reset(make_journey: MakeJourney) -> None:
    """All, or one upstream's; an unknown one is named, and peers from elsewhere may not."""
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": new_key(), "ANTHROPIC_KEY": new_key()})
    for name in ("openai", "anthropic"):
        lease = journey.state.pools[name].lease(time.time(), "m")
        assert lease
        journey.state.pools[name].lock_out(lease, time.time())
        journey.state.pools[name].release(lease, time.time())
        journey.state.breakers[name].failed(time.time(), "connect")

    def reset(query: str) -> tuple[int, Any]:
        return answered(journey.send(base_url_call(f"/proxy/v1/quota-stats/reset{query}", body=b"")))

    assert reset("?upstream=nobody")[0] == 400
    assert reset("?upstream=openai") == (200, {"reset": ["openai"]})
    lease = journey.state.pools["openai"].lease(time.time(), "m")
    assert lease
    journey.state.pools["openai"].release(lease, time.time())
    assert journey.state.breakers["openai"].failures == 0
    assert journey.state.pools["anthropic"].lease(time.time(), "m") is None
    assert reset("") == (200, {"reset": ["openai", "anthropic", "openrouter"]})
    assert journey.state.pools["anthropic"].lease(time.time(), "m")
