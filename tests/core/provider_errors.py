"""What providers answer when they refuse: documented and published errors, each with what it means.

`ANSWERS` are the rows of the table test in `test_failures.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from addons.core.call import FailureClass
from addons.core.refusals import WHOLE_KEY

NOW = 1_773_181_600.0  # 2026-03-10T22:26:40Z


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal, and its class, the seconds that it names, and what the limit is on."""

    name: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    kind: FailureClass
    wait_s: float | None
    group: str | None


def case(
    name: str,
    status: int,
    body: Any,
    kind: FailureClass,
    wait_s: float | None = None,
    *,
    group: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    return Answer(name, status, tuple((headers or {}).items()), json.dumps(body).encode(), kind, wait_s, group)


def openai(message: str, kind: str | None = "invalid_request_error", code: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def anthropic(message: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def violated(*quotas: str, model: str | None = "gemini-2.5-flash") -> dict[str, Any]:
    dimensions = {"location": "global"} | ({"model": model} if model else {})
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
            {"quotaMetric": "requests", "quotaId": quota, "quotaDimensions": dimensions, "quotaValue": "20"} for quota in quotas
        ],
    }


def reason(name: str, **metadata: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name, "domain": "googleapis.com", "metadata": metadata}


def retry_info(delay: str) -> dict[str, str]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


EXCEEDED = "You exceeded your current quota, please check your plan and billing details."
GOOGLE_EXCEEDED = EXCEEDED + " For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
OPENAI_RPM = (
    "Rate limit reached for gpt-4o in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. "
    "Visit https://platform.openai.com/account/rate-limits to learn more. You can increase your rate limit by adding a payment method to "
    "your account at https://platform.openai.com/account/billing."
)
GROQ = (
    "Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_1` service tier `on_demand` on tokens per {}: "
    "Limit 100000, Used 97050, Requested 3619. Please try again in {}. Need more tokens? Upgrade to Dev Tier today at "
    "https://console.groq.com/settings/billing"
)
AZURE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have exceeded token rate limit of your "
    "current OpenAI S0 pricing tier. Please retry after 6 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to "
    "further increase the default rate limit."
)
COHERE = (
    "You are using a Trial key, which is limited to {} API calls / {}. You can continue to use the Trial key for free or upgrade to a "
    "Production key with higher rate limits at 'https://dashboard.cohere.com/api-keys'."
)
PER_DAY, PER_MINUTE = "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
FREE_MODELS = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW * 1000) + 5_600_000)}


ANSWERS = (
    case(
        "openai rpm",
        429,
        openai(OPENAI_RPM, "requests", "rate_limit_exceeded"),
        "rate_limit",
        19.87,
        headers={"retry-after": "20", "retry-after-ms": "19870"},
    ),
    case("openai rpm, text only", 429, openai(OPENAI_RPM, "requests", "rate_limit_exceeded"), "rate_limit", 20),
    case(
        "openai tpm by headers",
        429,
        openai("Rate limit reached for gpt-4o on tokens per min (TPM)", "tokens", "rate_limit_exceeded"),
        "rate_limit",
        360,
        headers={
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "6m0s",
            "x-ratelimit-remaining-requests": "9",
            "x-ratelimit-reset-requests": "1s",
        },
    ),
    case("openai rpd", 429, openai(OPENAI_RPM.replace("min (RPM)", "day (RPD)").replace("20s", "7m12s"), "requests"), "quota", 432),
    case("openai empty account", 429, openai(EXCEEDED, "insufficient_quota", "insufficient_quota"), "quota", group=WHOLE_KEY),
    case("openai project limit", 429, openai(EXCEEDED, "insufficient_quota", "project_spend_limit_exceeded"), "quota", group=WHOLE_KEY),
    case(
        "openai quota that is back at once",
        429,
        openai(EXCEEDED, "insufficient_quota"),
        "quota",
        group=WHOLE_KEY,
        headers={"retry-after": "0"},
    ),
    case(
        "openai quota, with a rate limit that is not spent",
        429,
        openai(EXCEEDED, "insufficient_quota"),
        "quota",
        group=WHOLE_KEY,
        headers={"x-ratelimit-remaining-requests": "99", "x-ratelimit-reset-requests": "8ms"},
    ),
    case(
        "openai hard limit", 400, openai("Billing hard limit has been reached", code="billing_hard_limit_reached"), "quota", group=WHOLE_KEY
    ),
    case(
        "openai inactive",
        429,
        openai("Your account is not active, please check your billing details on our website.", "billing_not_active"),
        "quota",
        group=WHOLE_KEY,
    ),
    case(
        "openai more than a minute's limit",
        429,
        openai("Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 46150.", "tokens"),
        "request",
    ),
    case("openai bad key", 401, openai("Incorrect API key provided", code="invalid_api_key"), "auth"),
    case(
        "openai region",
        403,
        openai("Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"),
        "request",
    ),
    case("openai model access", 403, openai("Project `proj_1` does not have access to model `gpt-4o`", code="model_not_found"), "request"),
    case("openai context", 400, openai("This model's maximum context length is 8192 tokens.", code="context_length_exceeded"), "request"),
    case(
        "openai overloaded",
        503,
        openai("The engine is currently overloaded", "server_error"),
        "overloaded",
        2,
        headers={"retry-after": "2"},
    ),
    case("openai, limits with an ordinary error", 400, openai("bad"), "request", headers={"x-ratelimit-reset-tokens": "5s"}),
    case(
        "openai, limits with a server's error", 500, openai("sorry", "server_error"), "server", headers={"x-ratelimit-reset-tokens": "5s"}
    ),
    case(
        "codex subscription",
        429,
        {
            "error": {
                "type": "usage_limit_reached",
                "message": "The usage limit has been reached",
                "plan_type": "plus",
                "resets_in_seconds": 13872,
            }
        },
        "quota",
        13872,
        group=WHOLE_KEY,
    ),
    case(
        "anthropic rate limit",
        429,
        anthropic(
            "This request would exceed your organization's rate limit of 30,000 input tokens per minute. Please reduce the prompt length.",
            "rate_limit_error",
        ),
        "rate_limit",
        7,
        headers={"retry-after": "7", "anthropic-ratelimit-requests-reset": "2026-03-10T22:27:00Z"},
    ),
    case(
        "anthropic rate limit by headers",
        429,
        anthropic("Rate limited", "rate_limit_error"),
        "rate_limit",
        20,
        headers={"Anthropic-Ratelimit-Requests-Remaining": "0", "Anthropic-Ratelimit-Requests-Reset": "2026-03-10T22:27:00Z"},
    ),
    case(
        "anthropic subscription",
        429,
        anthropic("This request would exceed your account's rate limit. Please try again later.", "rate_limit_error"),
        "quota",
        9000,
        group=WHOLE_KEY,
        headers={"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": str(int(NOW) + 9000)},
    ),
    case(
        "anthropic no credit",
        400,
        anthropic("Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.", "invalid_request_error"),
        "quota",
        group=WHOLE_KEY,
    ),
    case(
        "anthropic spend limit",
        400,
        anthropic(
            "You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC.", "invalid_request_error"
        ),
        "quota",
        1820000,
        group=WHOLE_KEY,
    ),
    case(
        "anthropic tier's cap",
        429,
        anthropic("You have crossed a threshold", "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
        "quota",
        group=WHOLE_KEY,
    ),
    case("anthropic billing", 402, anthropic("There is an issue with your billing.", "billing_error"), "quota", group=WHOLE_KEY),
    case("anthropic long context", 429, anthropic("Extra usage is required for long context requests.", "rate_limit_error"), "request"),
    case("anthropic too long", 400, anthropic("prompt is too long: 208310 tokens > 200000 maximum", "invalid_request_error"), "request"),
    case("anthropic too large", 413, anthropic("Request exceeds the maximum size", "request_too_large"), "request"),
    case("anthropic key", 401, anthropic("invalid x-api-key", "authentication_error"), "auth"),
    case(
        "anthropic key without rights",
        403,
        anthropic("Your API key does not have permission to use the specified resource.", "permission_error"),
        "auth",
    ),
    case("anthropic region", 403, {"error": {"type": "forbidden", "message": "Request not allowed"}}, "request"),
    case("anthropic disabled", 400, anthropic("This organization has been disabled.", "invalid_request_error"), "auth"),
    case("anthropic overloaded", 529, anthropic("Overloaded", "overloaded_error"), "overloaded"),
    case(
        "gemini minute",
        429,
        google(429, "RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED, violated(PER_MINUTE), retry_info("17.5s")),
        "rate_limit",
        17.5,
    ),
    case("gemini day", 429, google(429, "RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED, violated(PER_DAY), retry_info("36000s")), "quota", 36000),
    case("gemini minute and day", 429, google(429, "RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED, violated(PER_MINUTE, PER_DAY)), "quota"),
    case("gemini array stream", 429, [google(429, "RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED, violated(PER_DAY))], "quota"),
    case(
        "gemini day of the project",
        429,
        google(429, "RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED, violated("GenerateRequestsPerDayPerProject", model=None)),
        "quota",
        group=WHOLE_KEY,
    ),
    case(
        "gemini minute of the project",
        429,
        google(429, "RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED, violated("GenerateRequestsPerMinutePerProject", model=None)),
        "rate_limit",
        group=WHOLE_KEY,
    ),
    case("gemini message only", 429, google(429, "RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED + "\nPlease retry in 36.43s."), "rate_limit", 36.43),
    case(
        "gemini model not included",
        429,
        google(429, "RESOURCE_EXHAUSTED", EXCEEDED + "\n* Quota exceeded for metric: requests, limit: 0, model: gemini-3.1-pro"),
        "quota",
    ),
    case("gemini plain", 429, google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), "rate_limit"),
    case("gemini depleted", 429, google(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), "quota", group=WHOLE_KEY),
    case(
        "gemini spending cap",
        429,
        google(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap."),
        "quota",
        group=WHOLE_KEY,
    ),
    case("gemini key", 400, google(400, "INVALID_ARGUMENT", "Please pass a valid one.", reason("API_KEY_INVALID")), "auth"),
    case("gemini key expired", 400, google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), "auth"),
    case("gemini key leaked", 403, google(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), "auth"),
    case(
        "gemini not enabled",
        403,
        google(403, "PERMISSION_DENIED", "Generative Language API is disabled, the model …", reason("SERVICE_DISABLED")),
        "auth",
    ),
    case(
        "gemini file of another key",
        403,
        google(403, "PERMISSION_DENIED", "You do not have permission to access the File abc or it may not exist."),
        "request",
    ),
    case("gemini location", 400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), "request"),
    case(
        "gemini too long",
        400,
        google(400, "INVALID_ARGUMENT", "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."),
        "request",
    ),
    case("gemini overloaded", 503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), "overloaded"),
    case(
        "vertex minute",
        429,
        google(
            429, "RESOURCE_EXHAUSTED", "Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_base_model."
        ),
        "rate_limit",
    ),
    case(
        "vertex account",
        403,
        google(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource '//x/models/y'"),
        "auth",
    ),
    case(
        "code assist day",
        429,
        google(429, "RESOURCE_EXHAUSTED", "No more", reason("RATE_LIMIT_EXCEEDED", quota_limit="Gemini25ProRequestsPerDay")),
        "quota",
    ),
    case(
        "code assist exhausted",
        429,
        google(
            429,
            "RESOURCE_EXHAUSTED",
            "You have exhausted your capacity on this model.",
            reason("QUOTA_EXHAUSTED", quotaResetDelay="2h12m7s"),
        ),
        "quota",
        7927,
    ),
    case(
        "code assist capacity",
        429,
        google(
            429,
            "RESOURCE_EXHAUSTED",
            "No capacity available for model",
            reason("MODEL_CAPACITY_EXHAUSTED"),
            violated("RequestsPerMinutePerProject", model=None),
        ),
        "overloaded",
    ),
    case(
        "azure",
        429,
        {"error": {"code": "429", "message": AZURE}},
        "rate_limit",
        5.8,
        headers={"Retry-After": "6", "retry-after-ms": "5800"},
    ),
    case("azure, text only", 429, {"error": {"code": "429", "message": AZURE}}, "rate_limit", 6),
    case("azure key", 401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}}, "auth"),
    case("azure network", 403, {"error": {"code": "403", "message": "Access denied due to Virtual Network/Firewall rules."}}, "request"),
    case(
        "azure gateway",
        403,
        {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 00:12:34."},
        "quota",
        754,
    ),
    case("azure filter", 400, openai("The response was filtered", None, "content_filter"), "request"),
    case(
        "bedrock throttled",
        429,
        {"message": "Too many tokens, please wait before trying again."},
        "rate_limit",
        headers={"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"},
    ),
    case("bedrock day", 429, {"message": "Too many tokens per day, please wait before trying again."}, "quota"),
    case(
        "bedrock not ready",
        429,
        {"message": "The model is not ready for inference."},
        "overloaded",
        headers={"x-amzn-ErrorType": "ModelNotReadyException"},
    ),
    case("bedrock unavailable", 503, {"message": "Bedrock is unable to process your request."}, "overloaded"),
    case("bedrock throttled, as 400", 400, {"__type": "aws#ThrottlingException", "message": "Rate exceeded"}, "rate_limit"),
    case("bedrock service quota", 400, {"message": "over"}, "quota", headers={"x-amzn-errortype": "ServiceQuotaExceededException"}),
    case("bedrock model access", 403, {"message": "You don't have access to the model with the specified model ID."}, "request"),
    case(
        "bedrock token",
        403,
        {"message": "The security token included in the request is expired"},
        "auth",
        headers={"x-amzn-errortype": "ExpiredTokenException"},
    ),
    case("bedrock too long", 400, {"message": "Input is too long for requested model."}, "request"),
    case(
        "groq minute",
        429,
        openai(GROQ.format("minute (TPM)", "1.984999999s"), "tokens", "rate_limit_exceeded"),
        "rate_limit",
        2,
        headers={"retry-after": "2"},
    ),
    case("groq day", 429, openai(GROQ.format("day (TPD)", "9m38.016s"), "tokens", "rate_limit_exceeded"), "quota", 578.016),
    case(
        "groq too large",
        413,
        openai("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7200", "tokens", "rate_limit_exceeded"),
        "request",
    ),
    case(
        "groq blocked model",
        403,
        openai("The model `x` is blocked at the organization level.", "permissions_error", "model_permission_blocked_org"),
        "request",
    ),
    case("groq flex", 498, openai("Flex tier capacity exceeded", None, "capacity_exceeded"), "overloaded"),
    case("deepseek", 402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), "quota", group=WHOLE_KEY),
    case("deepseek key", 401, openai("Authentication Fails", "authentication_error", "invalid_request_error"), "auth"),
    case(
        "xai credits",
        429,
        {
            "code": "Some resource has been exhausted",
            "error": "Your team 1 has either used all available credits or reached its monthly spending limit.",
        },
        "quota",
        group=WHOLE_KEY,
    ),
    case(
        "xai new team",
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Your newly created team doesn't have any credits yet. You can purchase credits on https://console.x.ai/.",
        },
        "quota",
        group=WHOLE_KEY,
    ),
    case(
        "xai key",
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Incorrect API key provided: xa***. You can obtain one from https://x.ai.",
        },
        "auth",
    ),
    case(
        "xai too long",
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 200000.",
        },
        "request",
    ),
    case("openrouter credits", 402, {"error": {"message": "Insufficient credits. Add more.", "code": 402}}, "quota", group=WHOLE_KEY),
    case(
        "openrouter in flight",
        402,
        {"error": {"message": "wait", "code": 402, "metadata": {"limit_source": "openrouter_in_flight_budget"}}},
        "quota",
        3,
        group=WHOLE_KEY,
        headers={"Retry-After": "3"},
    ),
    case(
        "openrouter free day",
        429,
        {
            "error": {
                "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
                "code": 429,
                "metadata": {"headers": FREE_MODELS, "provider_name": None},
            }
        },
        "quota",
        5600,
    ),
    case(
        "openrouter free minute",
        429,
        {"error": {"message": "Rate limit exceeded: free-models-per-min. ", "code": 429}},
        "rate_limit",
        4,
        headers={name: str(int(NOW * 1000) + 4000) if name.endswith("Reset") else value for name, value in FREE_MODELS.items()},
    ),
    case(
        "openrouter upstream",
        429,
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": "x:free is temporarily rate-limited upstream. Please retry shortly.", "provider_name": "Google"},
            }
        },
        "rate_limit",
    ),
    case(
        "openrouter upstream's day",
        429,
        {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": json.dumps(violated(PER_DAY))}}},
        "quota",
    ),
    case(
        "openrouter moderation",
        403,
        {
            "error": {
                "message": 'x requires moderation on OpenInference. Your input was flagged for "violence". No credits were charged.',
                "code": 403,
                "metadata": {"reasons": ["violence"], "flagged_input": "…", "provider_name": "x"},
            }
        },
        "request",
    ),
    case(
        "openrouter key limit",
        403,
        {"error": {"message": "Key limit exceeded (total limit). Manage it.", "code": 403}},
        "quota",
        group=WHOLE_KEY,
    ),
    case("openrouter key", 401, {"error": {"message": "No auth credentials found", "code": 401}}, "auth"),
    case("openrouter down", 502, {"error": {"message": "Provider returned error", "code": 502}}, "server"),
    case(
        "mistral rate",
        429,
        {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "param": None, "code": "1300"},
        "rate_limit",
        46,
        headers={"ratelimitbysize-remaining": "0", "ratelimitbysize-reset": "46"},
    ),
    case(
        "mistral capacity",
        429,
        {
            "object": "error",
            "message": "Service tier capacity exceeded for this model.",
            "type": "service_tier_capacity_exceeded",
            "code": "3505",
        },
        "overloaded",
    ),
    case("mistral key", 401, {"detail": "Invalid API Key"}, "auth"),
    case("mistral invalid", 422, {"detail": [{"loc": ["body"], "input": "insufficient_quota"}]}, "request"),
    case("cohere minute", 429, {"message": COHERE.format(10, "minute")}, "rate_limit"),
    case("cohere month", 429, {"message": COHERE.format(1000, "month")}, "quota"),
    case("cohere key", 401, {"message": "invalid api token"}, "auth"),
    case(
        "cerebras minute",
        429,
        {"message": "Tokens per minute limit exceeded", "type": "too_many_tokens_error", "param": "quota", "code": "token_quota_exceeded"},
        "rate_limit",
    ),
    case(
        "cerebras day",
        429,
        {"message": "Tokens per day limit exceeded", "type": "too_many_tokens_error", "param": "quota", "code": "token_quota_exceeded"},
        "quota",
    ),
    case(
        "cerebras queue",
        429,
        {"message": "We're experiencing high traffic", "type": "too_many_requests_error", "param": "queue", "code": "queue_exceeded"},
        "overloaded",
    ),
    case(
        "fireworks suspended",
        412,
        openai("Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices.", "error"),
        "quota",
        group=WHOLE_KEY,
    ),
    case("perplexity", 401, openai(EXCEEDED, "insufficient_quota", "401"), "quota", group=WHOLE_KEY),
    case("moonshot overloaded", 429, openai("The engine is currently overloaded", "engine_overloaded_error"), "overloaded"),
    case("moonshot quota", 429, openai("Your account is suspended", "exceeded_current_quota_error"), "quota", group=WHOLE_KEY),
    case(
        "huggingface", 402, {"error": "You have exceeded your monthly included credits for Inference Providers."}, "quota", group=WHOLE_KEY
    ),
    case("ollama busy", 503, {"error": "server busy, please try again. maximum pending requests exceeded"}, "overloaded"),
    case("ollama no model", 404, {"error": "model 'x' not found"}, "request"),
    case("ollama too long", 500, {"error": "the input length exceeds the context length"}, "request"),
    case(
        "ollama cloud",
        429,
        {"error": "you (x) have reached your weekly usage limit, upgrade: https://ollama.com/upgrade"},
        "quota",
        group=WHOLE_KEY,
    ),
    case("litellm model", 401, openai("key not allowed to access model", "key_model_access_denied"), "request"),
    case("any quota", 429, {"error": "quota has been exceeded"}, "quota", 3600, headers={"Retry-After": "Tue, 10 Mar 2026 23:26:40 GMT"}),
    case("any 403 that is a limit", 403, {"error": "API rate limit exceeded"}, "rate_limit"),
    case("any 403", 403, {"error": "Forbidden"}, "auth"),
    case("any reset", 429, {"error": "slow down"}, "rate_limit", 12, headers={"X-RateLimit-Reset": "12"}),
    case("any bad key that is asked to wait", 401, {"error": "no"}, "auth", headers={"Retry-After": "5"}),
)
