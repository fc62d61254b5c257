"""Errors that have a name of their own, and what belongs to each: for the knob `error`.

Sources: https://platform.openai.com/docs/guides/error-codes, https://platform.claude.com/docs/en/api/errors and
https://platform.claude.com/docs/en/api/rate-limits, https://ai.google.dev/gemini-api/docs/rate-limits; wordings that those leave
out as they stand in public bug reports (https://github.com/google-gemini/gemini-cli/issues/8437, …/6678,
https://github.com/cequence-io/openai-scala-client/issues/109, https://github.com/anomalyco/opencode/issues/25884,
https://github.com/anthropics/claude-code/issues/66314, …/12186).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Dialect = Literal["openai", "responses", "anthropic", "gemini", "ollama"]


@dataclass(frozen=True, slots=True)
class Known:
    """`kind` is OpenAI's and Anthropic's `type`, Gemini's `status`; `details` as the provider has them."""

    kind: str
    message: str
    param: str | None = None
    details: tuple[dict[str, Any], ...] = ()


GOOGLE = "type.googleapis.com/google.rpc."
EXCEEDED = "You exceeded your current quota, please check your plan and billing details. For more information on this error, "

OPENAI = {
    "insufficient_quota": Known(
        "insufficient_quota", EXCEEDED + "read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    ),
    "billing_not_active": Known("billing_not_active", "Your account is not active, please check your billing details on our website."),
    "rate_limit_exceeded": Known(
        "tokens", "Rate limit reached for gpt-4o in organization org-fake on tokens per min (TPM): Limit 30000, Used 29937, Requested 385."
    ),
    "server_is_overloaded": Known("service_unavailable_error", "Our servers are currently overloaded. Please try again later."),
    "context_length_exceeded": Known(
        "invalid_request_error",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens. "
        "Please reduce the length of the messages.",
        "messages",
    ),
}
RESPONSES = OPENAI | {
    "context_length_exceeded": Known(
        "invalid_request_error", "Your input exceeds the context window of this model. Please adjust your input and try again.", "input"
    ),
}
ANTHROPIC = {
    "overloaded_error": Known("overloaded_error", "Overloaded"),
    "billing_error": Known("billing_error", "There is an issue with your billing or payment information."),
    "enforced_spend_limit_reached": Known(
        "rate_limit_error",
        "You have reached your API usage limits: your organization has crossed its monthly API usage threshold, set based on your "
        "organization's API tier. You will regain access on 2126-01-01 at 00:00 UTC.",
        details=({"error_code": "enforced_spend_limit_reached"},),
    ),
    # Names of ours: the provider tells these by the message only, with status 400.
    "credit_balance": Known(
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    ),
    "spend_limit": Known(
        "invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2126-01-01 at 00:00 UTC."
    ),
    "context_length_exceeded": Known("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
}


def _quota(identity: str, metric: str, value: str) -> Known:
    """A quota of Gemini's that is spent, by its own id (which says per what)."""
    violation = {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": identity,
        "quotaDimensions": {"location": "global", "model": "gemini-2.5-flash"},
        "quotaValue": value,
    }
    link = {"description": "Learn more about Gemini API quotas", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}
    return Known(
        "RESOURCE_EXHAUSTED",
        EXCEEDED + "head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
        details=({"@type": GOOGLE + "QuotaFailure", "violations": [violation]}, {"@type": GOOGLE + "Help", "links": [link]}),
    )


BAD_KEY = "API key not valid. Please pass a valid API key."
GEMINI = {
    identity: _quota(identity, metric, value)
    for identity, metric, value in (
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "generate_content_free_tier_requests", "250"),
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "generate_content_free_tier_requests", "10"),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", "generate_content_free_tier_input_token_count", "250000"),
    )
} | {
    "API_KEY_INVALID": Known(  # with status 400
        "INVALID_ARGUMENT",
        BAD_KEY,
        details=(
            {
                "@type": GOOGLE + "ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            },
            {"@type": GOOGLE + "LocalizedMessage", "locale": "en-US", "message": BAD_KEY},
        ),
    ),
    "context_length_exceeded": Known(  # a name of ours
        "INVALID_ARGUMENT", "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."
    ),
}

KNOWN: dict[Dialect, dict[str, Known]] = {
    "openai": OPENAI,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "ollama": {},
}
