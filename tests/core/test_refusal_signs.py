"""What is taken for what."""

from __future__ import annotations

import pytest

from addons.core.refusal_signs import SIGNS, meaning
from addons.core.refusals import WHOLE_KEY, Refusal, window_of


@pytest.mark.parametrize(
    ("status", "message", "kind", "group"),
    [
        (500, "the context length is 4096", "request", None),
        (429, "prompt too long", "request", None),
        (500, "This model's maximum prompt length is 131072", "request", None),
        (500, "The input token count (1200293) exceeds the maximum", "request", None),
        (403, "Insufficient account balance", "quota", WHOLE_KEY),
        (403, "You have exceeded your monthly included credits", "quota", WHOLE_KEY),
        (402, "Please enable billing", "quota", WHOLE_KEY),
        (400, "Your credit balance is too low to access", "quota", WHOLE_KEY),
        (400, "You have reached your specified workspace API usage limits.", "quota", WHOLE_KEY),
        (400, "Incorrect API key provided", "auth", None),
        (400, "API key expired.", "auth", None),
        (400, "This organization has been disabled.", "auth", None),
        (400, "API key not valid is not a valid model ID", None, None),
        (400, "API key not valid\nis not a valid model ID", None, None),
        (400, "Invalid model: your credit balance is too low", None, None),
        (400, "Invalid value: 'API key not valid'", None, None),
        (400, "The role 'out of credits' is not known", None, None),
        (403, "No access to model out of credits", "request", None),
        (403, "Out of credits", "quota", WHOLE_KEY),
        (429, "Please check your billing details", "quota", WHOLE_KEY),
        (412, "Account x is suspended, possibly for failure to pay past invoices", "quota", WHOLE_KEY),
        (401, "You exceeded your current quota", "quota", WHOLE_KEY),
        (403, "You exceeded your current quota", "quota", WHOLE_KEY),
        (429, "You exceeded your current quota", "quota", WHOLE_KEY),
        (None, "You exceeded your current quota", "quota", WHOLE_KEY),
        (403, "Daily limit reached", "quota", None),
        (None, "500 requests per day", "quota", None),
        (403, "Over 10 requests per minute", "rate_limit", None),
        (429, "Quota exceeded: 10 requests per minute", "rate_limit", None),
        (None, "Quota exceeded: 10 requests per minute", "rate_limit", None),
        (None, "limit: 0, model: x", "quota", None),
        (429, "limit: 0.5, model: x", None, None),
        (429, "You have reached your quota", "quota", None),
        (None, "The quota is exhausted", "quota", None),
        (503, "The quota is exhausted", None, None),
        (None, "Invalid API key", "auth", None),
        (None, "API key not valid.", "auth", None),
        (403, "Your credit balance is too low", "quota", WHOLE_KEY),
        (404, "Invalid API key", None, None),
        (403, "not supported in your country", "request", None),
        (403, "CachedContent not found (or permission denied)", "request", None),
        (401, "no access to this model", None, None),
        (403, "Too many requests", "rate_limit", None),
        (None, "Too many requests", "rate_limit", None),
        (400, "why do I get too many requests?", None, None),
    ],
)
def test_sentences(status: int | None, message: str, kind: str | None, group: str | None) -> None:
    """A sentence counts where the status, or there being none, leaves it open."""
    assert meaning(Refusal(status, frozenset(), message, window_of([message]))) == (kind and (kind, group))


def test_no_word_is_hidden_by_an_earlier_row() -> None:
    """Each word means its row's class at each of its statuses, and is written as words are compared."""
    for sign in SIGNS:
        for word in sign.words:
            statuses = [status for status in (None, *range(400, 600)) if status in sign.statuses]
            assert statuses
            assert word == word.lower()
            assert {meaning(Refusal(status, frozenset({word}), "")) for status in statuses} == {(sign.kind, sign.group)}
