"""What an imported exchange is."""

from __future__ import annotations

import json

import pytest

from addons.config import Config
from addons.core.call import AttemptRecord, CallRecord, CapturedBody
from scripts.importing.records import add_client_facts, find_call
from scripts.running import load_config
from tests.scripts.importing.samples import ANSWER, REQUEST


@pytest.fixture(scope="module")
def config() -> Config:
    """As shipped."""
    return load_config(None, {})


def record(host: str, path: str, method: str = "POST", *, with_bodies: bool = True) -> CallRecord:
    made = CallRecord("", 0, method, host, path, "other", status=200)
    if with_bodies:
        made.request.content, made.response.content = json.dumps(REQUEST).encode(), json.dumps(ANSWER).encode()
    return made


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("api.openai.com", "/v1/chat/completions", ("openai", "openai", "openai.chat", None)),
        ("api.anthropic.com", "/v1/messages?beta=true", ("anthropic", "anthropic", "anthropic.messages", None)),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-pro:generateContent",
            ("gemini", "gemini", "gemini.generate", "gemini-2.5-pro"),
        ),
        ("gateway.test", "/team/v1/chat/completions", (None, None, "openai.chat", None)),
        ("gateway.test", "/ask", (None, None, "openai.chat", None)),
        ("gateway.test", "/v1/files", (None, None, "openai.chat", None)),  # a path that is another API's elsewhere
        ("gateway.test", "/openai/deployments/mine/chat/completions", (None, None, "openai.chat", "mine")),
    ],
)
def test_calls_are_found_by_host_path_or_shape(config: Config, host: str, path: str, found: tuple[str | None, ...]) -> None:
    """Whatever their host; the upstream is named where the configuration has the host."""
    made = record(host, path)
    assert find_call(made, config)
    assert (made.upstream, made.provider, made.api, made.asked_model) == found


@pytest.mark.parametrize(
    ("host", "path", "method"),
    [("api.anthropic.com", "/api/event_logging/v2/batch", "POST"), ("www.test", "/", "GET"), ("api.openai.com", "/v1/chat", "OPTIONS")],
)
def test_side_calls_and_pages_are_none(config: Config, host: str, path: str, method: str) -> None:
    """Also on a provider's own host."""
    assert not find_call(record(host, path, method, with_bodies=False), config)


def test_the_client_s_headers_are_read_as_of_a_proxied_call() -> None:
    """Client, session, tag; and the call was one attempt."""
    made = record("api.openai.com", "/v1/chat/completions")
    headers = (("User-Agent", "claude-cli/2.1 (x)"), ("X-Turnpike-Session", "s"), ("x-turnpike-tag", "t"), ("X-Turnpike-Replay", "no id"))
    made.request = CapturedBody(headers)
    made.upstream, made.status, made.duration_ms = "openai", 429, 20.0
    add_client_facts(made)
    assert (made.client, made.session, made.tag, made.replay_of) == ("claude-cli", "s", "t", None)
    assert made.attempts == [AttemptRecord(1, "openai", "api.openai.com", status=429, failure="rate_limit", duration_ms=20.0)]
