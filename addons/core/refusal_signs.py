"""What is taken for what: one table of the signs in a refusal that say more than its status, read from the top.

A status alone is ambiguous: a 429 may mean a second's wait or an empty account, a 403 a bad key or a model that is not to be had, a
400 a key that never was one. Providers tell them apart by machine-readable words and by sentences.

What refuses a request may quote it, and a model named "API key not valid" must lock nobody out: with a 400 only the beginning of a
message counts, and none that speaks of a model; with a 403 what speaks of a model comes first; with a 422 no sentence counts.

Sources: the error pages of the API references of OpenAI, Anthropic, Google, AWS, Azure, Groq, Mistral, Cohere, DeepSeek, xAI,
OpenRouter, Cerebras, Moonshot and Fireworks, google.rpc.ErrorInfo, and bodies that users of these published.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from addons.core.call import FailureClass
from addons.core.refusals import STREAM, SUBSCRIPTION_SPENT, WHOLE_KEY, Refusal, Window


@dataclass(frozen=True, slots=True)
class Sign:
    """One row: at these statuses, one of these words, or this sentence, or a limit for such a time, means this class."""

    kind: FailureClass
    statuses: Container[int | None]
    words: frozenset[str] = frozenset()
    sentence: re.Pattern[str] | None = None
    window: Window | None = None
    group: str | None = None
    unless: frozenset[str] = frozenset()

    def fits(self, said: Refusal) -> bool:
        """Is it this?"""
        if said.status not in self.statuses or not self.unless.isdisjoint(said.words):
            return False
        if not self.words.isdisjoint(said.words) or (self.window and self.window == said.window):
            return True
        return self.sentence is not None and self.sentence.search(said.message) is not None


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


def _sentence(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


ANY: Container[int | None] = frozenset({STREAM, *range(400, 600)})
LIMITING: Container[int | None] = frozenset({STREAM, 403, 429})
GOOGLE = _words("resource_exhausted")
_NO_MODEL = r"(?![\s\S]*\bmodels?\b)"

SIGNS: tuple[Sign, ...] = (
    Sign(  # too long for the model, or for what the key may ever send at once: neither waiting nor another key helps
        "request",
        ANY,
        _words("context_length_exceeded exceed_context_size_error request_too_large string_above_max_length tokens_limit_reached"),
        _sentence(
            r"\bcontext (?:length|window|size)\b",
            r"\b(?:prompt|input|request|conversation) (?:is )?too (?:long|large)\b",
            r"\bmaximum prompt length\b",
            r"\binput (?:token count|length)\b",
            r"\brequired for long context\b",  # Anthropic's 429 where the plan has none
        ),
    ),
    Sign(  # the account is empty, or has spent what it may
        "quota",
        frozenset({STREAM, 400, 401, 402, 403, 412, 429}),
        _words(
            "insufficient_quota insufficient_user_quota insufficient_balance insufficient_credits insufficient_funds billing_error",
            "billing_not_active billing_hard_limit_reached billing_disabled payment_required budget_exceeded credit_balance_exhausted",
            "organization_spend_limit_exceeded project_spend_limit_exceeded organization_usage_limit_exceeded usage_not_included",
            "enforced_spend_limit_reached usage_limit_reached usage_limit_exceeded exceeded_current_quota_error",
            "insufficient_g1_credits_balance arrearage accountoverdueerror",
        ),
        group=WHOLE_KEY,
    ),
    Sign(
        "auth",
        frozenset({STREAM, 400, 403}),
        _words(
            "api_key_invalid invalid_api_key authentication_error unauthenticated unrecognizedclientexception expiredtokenexception",
            "invalidsignatureexception iam_permission_denied service_disabled api_key_service_blocked api_key_http_referrer_blocked",
            "api_key_ip_address_blocked consumer_suspended consumer_invalid account_deactivated access_terminated",
        ),
    ),
    Sign(
        "auth",
        frozenset({STREAM}),
        _words("permission_error permission_denied accessdeniedexception"),
        _sentence(r"\b(?:incorrect|invalid) API key\b", r"\bAPI key (?:not valid|expired)\b"),
    ),
    Sign(
        "auth",
        frozenset({400}),
        sentence=_sentence(rf"\A{_NO_MODEL}(?:incorrect API key\b|API key (?:not valid|expired)\b|this organization has been disabled\b)"),
    ),
    Sign("auth", frozenset({403}), sentence=_sentence(r"\bpermission '[\w.]+' denied\b")),  # Vertex, of the account; goes on about models
    Sign(  # the key is good, but this can't be had with it, or not from here
        "request",
        frozenset({401, 403}),
        _words(
            "model_not_found unsupported_country_region_territory key_model_access_denied team_model_access_denied content_filter",
            "model_permission_blocked_org model_permission_blocked_project content_policy_violation moderation_blocked",
        ),
    ),
    Sign(
        "request",
        frozenset({403}),
        sentence=_sentence(
            r"\bmodels?\b",
            r"\b(?:flagged|moderation|guardrails?|safety|content (?:policy|filter))\b",
            r"\b(?:country|countries|region|territory|your location|user location)\b",
            r"\baccess the file\b|\bcached ?content\b",  # Gemini: made with another key
            r"\b(?:virtual network|firewall)\b",
            r"\b(?:request not allowed|you have been blocked|attention required|just a moment)\b",  # at the provider's edge
        ),
    ),
    Sign(  # the account again
        "quota",
        frozenset({STREAM, 401, 402, 403, 412, 429}),
        sentence=_sentence(
            r"\binsufficient[ _](?:account )?(?:balance|credits?|funds|quota)\b",
            r"\bcredit balance is too low\b",
            r"(?:\bout of|\bused all available|n't have (?:any|enough|sufficient)|\brequires more) (?:\w+ )?credits\b",
            r"\bcredits (?:are|have been) (?:depleted|exhausted)\b",
            r"\bexceeded your (?:\w+ ){0,3}credits\b",
            r"\b(?:spend|spending|billing|budget|usage|credit) (?:hard )?(?:limits?|cap)\b",
            r"\bkey limit exceeded\b",
            r"\bcheck your billing details\b",
            r"\benable billing\b",
            r"\bsuspended\b.{0,80}\binvoices?\b",
        ),
        group=WHOLE_KEY,
    ),
    Sign(
        "quota",
        frozenset({400}),
        sentence=_sentence(
            rf"\A{_NO_MODEL}(?:your credit balance is too low\b|you have reached your .{{0,30}}\busage limits\b)"
        ),  # Anthropic
        group=WHOLE_KEY,
    ),
    Sign(  # Google says so of a minute's limit as well
        "quota",
        frozenset({STREAM, 401, 403, 429}),
        sentence=_sentence(r"\bexceeded your current quota\b"),
        group=WHOLE_KEY,
        unless=GOOGLE,
    ),
    Sign("quota", frozenset({429}), _words(SUBSCRIPTION_SPENT)),
    Sign(  # not this key: everybody
        "overloaded",
        frozenset({STREAM, 429}),
        _words(
            "overloaded_error overloaded engine_overloaded_error engine_overloaded server_is_overloaded modelnotreadyexception",
            "model_capacity_exhausted service_tier_capacity_exceeded queue_exceeded capacity_exceeded nocapacity",
        ),
    ),
    Sign(
        "quota", frozenset({STREAM, 429}), sentence=_sentence(r"\blimit: 0(?![.\d])")
    ),  # Google, of a model that the plan does not include
    Sign("quota", LIMITING, window="long"),
    Sign("rate_limit", LIMITING, window="short"),
    Sign(
        "quota",
        frozenset({STREAM, 400, 403, 429}),
        _words("quota_exhausted quota_exceeded dailylimitexceeded servicequotaexceededexception"),
    ),
    Sign(
        "quota",
        LIMITING,
        sentence=_sentence(r"\bquota\b.{0,20}\b(?:exceeded|exhausted|replenished)\b", r"\b(?:exceeded|reached)\b.{0,30}\bquota\b"),
        unless=GOOGLE,
    ),
    Sign(
        "rate_limit",
        frozenset({STREAM, 400, 403}),
        _words(
            "rate_limit_error rate_limit_exceeded rate_limit_reached rate_limited ratelimitexceeded userratelimitexceeded throttling",
            "throttlingexception toomanyrequestsexception too_many_requests too_many_requests_error resource_exhausted",
        ),
    ),
    Sign("rate_limit", frozenset({STREAM, 403}), sentence=_sentence(r"\brate.?limit(?:ed)?\b", r"\btoo many requests\b")),
    Sign(
        "request",
        frozenset({STREAM}),
        _words(
            "invalid_request_error invalid_argument failed_precondition out_of_range not_found not_found_error validationexception",
            "invalid_prompt invalid_image invalid_image_format invalid_base64_image invalid_image_url image_too_large image_too_small",
            "image_parse_error image_content_policy_violation invalid_image_mode image_file_too_large unsupported_image_media_type",
            "empty_image_file failed_to_download_image image_file_not_found content_policy_violation content_filter",
        ),
    ),
)


def meaning(said: Refusal) -> tuple[FailureClass, str | None] | None:
    """Class and group by the first sign that fits; None where only the status speaks."""
    return next(((sign.kind, sign.group or said.group) for sign in SIGNS if sign.fits(said)), None)
