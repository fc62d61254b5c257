"""What a refusal says beyond its status."""

from __future__ import annotations

import pytest

from addons.core.refusal_signs import meaning
from addons.core.refusals import WHOLE_KEY, plain, read_refusal, window_of


@pytest.mark.parametrize(
    ("texts", "window"),
    [
        (["tokens per min (TPM): Limit 30000"], "short"),
        (["tokens per day (TPD): Limit 100000"], "long"),
        (["GenerateRequestsPerMinutePerProjectPerModel-FreeTier"], "short"),
        (["GenerateRequestsPerMinutePerProject", "GenerateRequestsPerDayPerProject"], "long"),
        (["Rate limit exceeded: free-models-per-min. Add 10 credits to unlock 1000 free model requests per day"], "short"),
        (["generate_content_requests_per_minute_per_project_per_base_model"], "short"),
        (["limited to 10 API calls / minute"], "short"),
        (["limited to 1000 API calls / month"], "long"),
        (["100 requests per 5 hours"], "short"),
        (["your weekly limit"], "long"),
        (["upgrade to Dev Tier today", "you lack the permission", "try again within a day"], None),
        ([], None),
    ],
)
def test_window_of(texts: list[str], window: str | None) -> None:
    """Each text's first named time, and of several texts the longest; up to an hour is short."""
    assert window_of(texts) == window


@pytest.mark.parametrize(
    ("value", "headers", "word"),
    [
        ({"__type": "com.amazon.coral.service#ThrottlingException"}, [], "throttlingexception"),
        ({}, [("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/coral/")], "throttlingexception"),
        ({"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, [], "api_key_invalid"),
        ({"error": {"details": {"error_code": "enforced_spend_limit_reached"}}}, [], "enforced_spend_limit_reached"),
        ({"error": {"errors": [{"reason": "rateLimitExceeded"}]}}, [], "ratelimitexceeded"),
        ({"detail": {"code": "usage_limit_reached"}}, [], "usage_limit_reached"),
        ({"error": "busy", "code": 1300}, [], "1300"),
    ],
)
def test_words(value: object, headers: list[tuple[str, str]], word: str) -> None:
    """Every provider's place for a machine-readable word is looked at, and the words are compared in lower case."""
    assert word in read_refusal(429, headers, value, "").words


def test_addresses_are_not_sentences() -> None:
    """An address that has `billing` or `quota` in it says nothing."""
    assert plain("Upgrade at https://console.groq.com/settings/billing today") == "Upgrade at  today"
    said = "exceeded token rate limit. Go to https://aka.ms/oai/quotaincrease/quota/exceeded"
    assert meaning(read_refusal(429, [], None, said)) is None


def test_what_a_422_quotes_is_not_listened_to() -> None:
    """A validation error that quotes the prompt does not cool a key for what the prompt says."""
    prompt = "why does it say insufficient_quota, API key not valid, requests per day?"
    assert meaning(read_refusal(422, [], {"detail": [{"input": prompt}]}, f'[{{"input":"{prompt}"}}]')) is None


def unified(**windows: str) -> list[tuple[str, str]]:
    names = {"all": "status"} | {name: f"{name.removeprefix('_')}-status" for name in windows if name != "all"}
    return [(f"anthropic-ratelimit-unified-{names[name]}", value) for name, value in windows.items()]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (unified(all="rejected", _5h="rejected", _7d="allowed"), ("quota", WHOLE_KEY)),
        (unified(all="rejected", _5h="allowed", _7d="allowed", _7d_opus="rejected"), ("quota", None)),
        (unified(all="rejected"), ("quota", WHOLE_KEY)),
        (unified(all="allowed", _5h="allowed", overage="rejected"), None),
        ([], None),
    ],
)
def test_subscriptions_of_anthropic(headers: list[tuple[str, str]], found: tuple[str, str | None] | None) -> None:
    """A used up window is a quota: of the account, or of the models that it is for. Whether it may be exceeded is another matter."""
    assert meaning(read_refusal(429, headers, None, "This request would exceed your account's rate limit.")) == found


@pytest.mark.parametrize(
    ("violations", "group"),
    [
        ([{"quotaId": "RequestsPerMinutePerProjectPerModel"}], None),
        ([{"quotaId": "RequestsPerMinutePerProject", "quotaDimensions": {"location": "global", "model": "gemini-2.5-pro"}}], None),
        ([{"quotaId": "RequestsPerMinutePerProject", "quotaDimensions": {"location": "global"}}], WHOLE_KEY),
        ([{"quotaId": "RequestsPerMinutePerModel"}, {"quotaId": "RequestsPerMinutePerProject"}], WHOLE_KEY),
        ([{"subject": "project:1", "description": "too many"}], None),
        ([{"quotaId": "RequestsPerMinutePerProject", "quotaDimensions": "[MaxDepth]"}], WHOLE_KEY),
    ],
)
def test_what_googles_limits_are_on(violations: list[dict[str, object]], group: str | None) -> None:
    """A limit that names no model is on all of them."""
    value = {"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"violations": violations}]}}
    assert read_refusal(429, [], value, "").group == group
