"""Errors that a status alone does not say, in each provider's words: what tells a spent quota from a busy minute, and so on."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.knobs import read_knobs
from scripts.fake_provider.known_errors import KNOWN, Dialect

PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"


def error(dialect: Dialect, status: int, **settings: Any) -> Any:
    return error_body(dialect, status, read_knobs(settings))["error"]


@pytest.mark.parametrize(
    ("dialect", "status", "name", "kind", "code", "param", "words"),
    [
        ("openai", 429, "insufficient_quota", "insufficient_quota", "insufficient_quota", None, "exceeded your current quota"),
        ("openai", 429, "billing_not_active", "billing_not_active", "billing_not_active", None, "billing details"),
        ("openai", 429, "rate_limit_exceeded", "tokens", "rate_limit_exceeded", None, "tokens per min"),
        ("openai", 503, "server_is_overloaded", "service_unavailable_error", "server_is_overloaded", None, "overloaded"),
        ("openai", 400, "context_length_exceeded", "invalid_request_error", "context_length_exceeded", "messages", "maximum context"),
        ("responses", 400, "context_length_exceeded", "invalid_request_error", "context_length_exceeded", "input", "context window"),
        ("openai", 402, None, "unknown_error", "invalid_request_error", None, "Insufficient Balance"),
        ("openai", 418, "own_word", "own_word", "own_word", None, "The server had an error"),
    ],
)
def test_openai(dialect: Dialect, status: int, name: str | None, kind: str, code: str, param: str | None, words: str) -> None:
    """Type, code and parameter are OpenAI's own, and the message says in words what happened."""
    told = error(dialect, status, **({"error": name} if name else {}))
    assert (told["type"], told["code"], told["param"]) == (kind, code, param)
    assert words in told["message"]


@pytest.mark.parametrize(
    ("status", "name", "kind", "words"),
    [
        (529, None, "overloaded_error", "Overloaded"),
        (402, "billing_error", "billing_error", "billing"),
        (429, "enforced_spend_limit_reached", "rate_limit_error", "monthly API usage"),
        (400, "credit_balance", "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        (400, "spend_limit", "invalid_request_error", "reached your specified API usage limits"),
        (400, "context_length_exceeded", "invalid_request_error", "prompt is too long"),
    ],
)
def test_anthropic(status: int, name: str | None, kind: str, words: str) -> None:
    """The type is Anthropic's own; a spend limit is a rate limit that only its details and message tell apart."""
    told = error("anthropic", status, **({"error": name} if name else {}))
    assert told["type"] == kind
    assert words in told["message"]
    assert told.get("details") == ({"error_code": name} if name == "enforced_spend_limit_reached" else None)


@pytest.mark.parametrize("quota", [PER_DAY, PER_MINUTE])
def test_gemini_names_the_quota(quota: str) -> None:
    """A spent quota is told by its id in a QuotaFailure, with a RetryInfo behind it where there is a wait."""
    told = error("gemini", 429, error=quota, retry_delay=32.5)
    details = {item["@type"].rpartition(".")[2]: item for item in told["details"]}
    assert (told["code"], told["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert [violation["quotaId"] for violation in details["QuotaFailure"]["violations"]] == [quota]
    assert details["RetryInfo"]["retryDelay"] == "32.5s"


def test_gemini_refuses_a_key_with_400() -> None:
    """A bad key is INVALID_ARGUMENT, and API_KEY_INVALID only in the details."""
    told = error("gemini", 400, error="API_KEY_INVALID")
    assert (told["status"], told["details"][0]["reason"]) == ("INVALID_ARGUMENT", "API_KEY_INVALID")


def test_a_wait_may_be_in_the_body_alone() -> None:
    """`retry_delay` is told as each provider words it, without a header; Anthropic has no place for it."""
    assert error("openai", 429, retry_delay=1.5)["message"].endswith(" Please try again in 1.5s.")
    assert error("gemini", 429, retry_delay=1.5)["details"][-1]["retryDelay"] == "1.5s"
    assert "1.5" not in str(error("anthropic", 429, retry_delay=1.5))
    assert read_knobs({"retry_delay": 1.5}).headers == ()


@pytest.mark.parametrize("dialect", KNOWN)
def test_the_knob_message_has_the_last_word(dialect: Dialect) -> None:
    """A message that is given stands in place of every other."""
    for name in ("", *KNOWN[dialect]):
        told = error(dialect, 429, message="as told", **({"error": name} if name else {}))
        assert (told if dialect == "ollama" else told["message"]) == "as told"
