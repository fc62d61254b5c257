"""Models, breakers, probes and what outlives a restart, with real clients against real processes."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.e2e.harness import KEY_VARIABLES, Turnpike, fake_upstreams, new_key, refusing_port, wait_for

AT_ONCE = 1000
FILES = 4 * AT_ONCE
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
PROBE = {"path": "/v1/models", "every": 0.1, "timeout": 5}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """One that each test has for itself."""
    with running_fake_provider() as provider:
        yield provider


@pytest.fixture
def closed_port() -> Iterator[int]:
    with refusing_port() as port:
        yield port


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process, and the proxy that it starts, may have as many connections open as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard < 0 else min(FILES, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def no_retries(turnpike: Turnpike, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{turnpike.base_url}/v1", api_key=key, max_retries=0)


def ready(turnpike: Turnpike) -> dict[str, Any]:
    """Each upstream, as /ready has it."""
    upstreams: dict[str, Any] = httpx.get(f"{turnpike.proxy_url}/ready").json()["upstreams"]
    return upstreams


def test_sdks_list_the_models_of_all_upstreams(turnpike: Turnpike) -> None:
    """OpenAI's by its base URL, and Anthropic's by its own; each model with its upstreams, no row for any of it."""
    before = len(turnpike.rows())
    with no_retries(turnpike, "turnpike") as client:
        listed = client.models.list().data
    with anthropic.Anthropic(base_url=turnpike.base_url, api_key="turnpike") as claude:
        same = list(claude.models.list())
    assert [model.id for model in listed] == [model.id for model in same]
    upstreams = {model.id: model.model_extra["upstreams"] for model in listed if model.model_extra}
    assert upstreams["gpt-4o"] == ["openai"]
    assert upstreams["gemini-2.5-flash"] == ["gemini"]
    assert {"anthropic"} == {name for id, names in upstreams.items() if id.startswith("claude") for name in names}
    assert len(turnpike.rows()) == before


def test_a_client_with_its_own_key_lists_its_models(provider: FakeProvider, tmp_path: Path) -> None:
    """Where the proxy has none; a key that the provider refuses is refused to it."""
    config = {"version": 1, "upstreams": {"openai": {"base_url": f"{provider.url}/v1", "default": True}}}
    own, bad = new_key(), new_key()
    provider.knobs.set(bad, {"status": 401})
    with Turnpike(tmp_path / "proxy", config) as turnpike:
        with no_retries(turnpike, own) as client:
            assert "gpt-4o" in [model.id for model in client.models.list()]
        with no_retries(turnpike, bad) as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert [seen.key for seen in provider.requests] == [own, bad]


@pytest.mark.usefixtures("many_files")
@pytest.mark.slow
def test_a_thousand_at_once_cause_one_request_per_upstream(provider: FakeProvider, tmp_path: Path) -> None:
    """All connections are open before the first request is sent; the upstreams take a second to answer."""
    upstreams = fake_upstreams(provider)
    upstreams["ollama"]["kind"] = "local"
    provider.knobs.set("*", {"first_byte": 1})
    with Turnpike(
        tmp_path / "proxy", {"version": 1, "upstreams": upstreams}, env={name: new_key() for name in KEY_VARIABLES.values()}
    ) as turnpike:
        connections = [HTTPConnection("127.0.0.1", turnpike.port, timeout=60) for _ in range(AT_ONCE)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(HTTPConnection.connect, connections))
        for connection in connections:
            connection.request("GET", "/proxy/v1/models")
        answers = set()
        for connection in connections:
            with closing(connection):
                response = connection.getresponse()
                answers.add((response.status, response.read()))
    ((status, body),) = answers
    assert status == 200
    assert {name for model in json.loads(body)["data"] for name in model["upstreams"]} == {"openai", "anthropic", "gemini", "ollama"}
    paths = sorted(seen.path for seen in provider.requests)
    assert paths == ["/api/tags", "/v1/models", "/v1/models?limit=1000", "/v1beta/models?pageSize=1000"]


def test_a_probe_finds_out_that_an_upstream_is_down_and_up_again(provider: FakeProvider, tmp_path: Path) -> None:
    """Without any call; a lone upstream is tried all the same while its breaker is open."""
    upstream = {"base_url": f"{provider.url}/v1", "default": True, "keys": [{"env": "PROBED_KEY"}], "probe": PROBE}
    key = new_key()
    with Turnpike(tmp_path / "proxy", {"version": 1, "upstreams": {"openai": upstream}}, env={"PROBED_KEY": key}) as turnpike:
        wait_for(lambda: len(provider.requests) > 1, "two probes")
        assert {seen.key for seen in provider.requests} == {key}
        assert (ready(turnpike)["openai"]["state"], ready(turnpike)["openai"]["breaker"]) == ("ok", "closed")
        provider.knobs.set("*", {"status": 503})
        wait_for(lambda: ready(turnpike)["openai"]["breaker"] == "open", "an open breaker")
        assert ready(turnpike)["openai"]["state"] == "failing: overloaded"
        provider.knobs.set("*", {})
        wait_for(lambda: ready(turnpike)["openai"]["breaker"] == "closed", "a closed breaker")
        with no_retries(turnpike, "turnpike") as client:
            assert client.chat.completions.create(**CHAT).choices


def test_an_upstream_whose_breaker_is_open_is_tried_where_it_is_the_only_one(provider: FakeProvider, tmp_path: Path) -> None:
    """And a call that succeeds closes it."""
    upstream = {"base_url": f"{provider.url}/v1", "default": True}
    with Turnpike(tmp_path / "proxy", {"version": 1, "upstreams": {"openai": upstream}}) as turnpike:
        provider.knobs.set("*", {"reset": True})
        with no_retries(turnpike, new_key()) as client:
            while ready(turnpike)["openai"]["breaker"] == "closed":
                with pytest.raises(openai.APIStatusError):
                    client.chat.completions.create(**CHAT)
            provider.knobs.set("*", {})
            assert client.chat.completions.create(**CHAT).choices
        assert ready(turnpike)["openai"]["breaker"] == "closed"


def test_cooldowns_and_breakers_outlive_a_kill(provider: FakeProvider, tmp_path: Path, closed_port: int) -> None:
    """After SIGKILL and a new start: the cooled key is not used, the locked one neither, the breaker is still open."""
    cooled, locked, good = new_key(), new_key(), new_key()
    keys = [{"env": name, "priority": n} for n, name in enumerate(("COOLED_KEY", "LOCKED_KEY", "GOOD_KEY"), 1)]
    upstreams: dict[str, dict[str, Any]] = {
        "openai": {"base_url": f"{provider.url}/v1", "default": True, "keys": keys},
        "down": {"provider": "openai", "base_url": f"http://127.0.0.1:{closed_port}/v1", "probe": PROBE},
    }
    provider.knobs.set(cooled, {"status": 429, "retry_after": 600})
    provider.knobs.set(locked, {"status": 401})
    turnpike = Turnpike(
        tmp_path / "proxy", {"version": 1, "upstreams": upstreams}, env={"COOLED_KEY": cooled, "LOCKED_KEY": locked, "GOOD_KEY": good}
    )
    with turnpike:
        with no_retries(turnpike, "turnpike") as client:
            assert client.chat.completions.create(**CHAT).choices
        assert [seen.key for seen in provider.requests] == [cooled, locked, good]
        wait_for(lambda: ready(turnpike)["down"]["breaker"] == "open", "an open breaker")
        before = stats(turnpike)
        wait_for(lambda: b"auth" in state_bytes(turnpike) and b"connect" in state_bytes(turnpike), "the state on disk")
        turnpike.kill()
        upstreams["down"].pop("probe")
        turnpike.write_config({"version": 1, "upstreams": upstreams})
        provider.clear()
        turnpike.start()
        assert stats(turnpike) == before
        assert ready(turnpike)["down"]["breaker"] == "open"
        with no_retries(turnpike, "turnpike") as client:
            assert client.chat.completions.create(**CHAT).choices
        assert [seen.key for seen in provider.requests] == [good]
        assert not [key for key in (cooled, locked, good) if key.encode() in state_bytes(turnpike)]


def state_bytes(turnpike: Turnpike) -> bytes:
    return b"".join(path.read_bytes() for path in turnpike.folder.glob("state.db*"))


def stats(turnpike: Turnpike) -> list[tuple[str, list[tuple[str, str]]]]:
    """Of each key of openai, its label and its cooldowns: until when, and why."""
    openai_stats = httpx.get(f"{turnpike.base_url}/v1/quota-stats").json()["data"][0]
    return [(key["label"], [(cooldown["until"], cooldown["why"]) for cooldown in key["cooldowns"]]) for key in openai_stats["keys"]]
