"""Waits, from every source and in every form that providers use."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.waits import MAX_WAIT_S, limits_in, named_wait, reset_wait

NOW = datetime(2026, 3, 10, 22, 26, 40, tzinfo=UTC).timestamp()
GOOGLE = "type.googleapis.com/google.rpc."


def http_date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1.0),
        ("0", 0.0),
        (" 60 ", 60.0),
        ("2.5", 2.5),
        ("120s", 120.0),
        ("1m30s", 90.0),
        (http_date(NOW + 30), 30.0),
        ("Tuesday, 10-Mar-26 22:27:10 GMT", 30.0),  # the obsolete form of RFC 850
        ("2026-03-10T22:27:10Z", 30.0),
        (str(int(NOW) + 30), 30.0),
        (str(int(NOW * 1000) + 30_500), 30.5),
        (str(31 * 86_400), 31 * 86_400.0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    """Seconds, also with a fraction, durations, dates, and Unix times in seconds or milliseconds."""
    assert named_wait([("retry-after", value)], None, "", NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "-1",
            "-0.5",
            "nan",
            "NaN",
            "inf",
            "1e3",
            "soon",
            "1 2",
            "\u0661",
            "0x10",
            "1\u017f",
            "9" * 400,
            str(32 * 86_400),
            "99999999",
        ),
        http_date(NOW - 30),
        "Mon, 99 Mar 2026 22:27:10 GMT",
        "Tue, 10 Mar 99999999999 22:27:10 GMT",
        "Tue, 10 Mar 2026 22:27:10 +99999999999",
        "2026-13-45T22:27:10Z",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_nonsense_is_no_hint(value: str) -> None:
    """What is negative, past, beyond a month, or no number gives the word to the next source."""
    assert named_wait([("retry-after", value)], None, "", NOW) is None
    assert named_wait([("retry-after", value)], None, "Please try again in 3s.", NOW) == 3


def test_moments_are_measured_by_the_answers_own_clock() -> None:
    """A date means the time since the answer's Date, however wrong the clock here is; a Date that makes no sense is not used."""
    wrong = NOW - 3600
    headers = [("date", http_date(NOW)), ("retry-after", http_date(NOW + 20))]
    assert named_wait(headers, None, "", wrong) == 20
    assert named_wait([("date", "yesterday"), headers[1]], None, "", NOW) == 20
    assert named_wait([("date", http_date(1_000_000)), headers[1]], None, "", NOW) == 20
    assert named_wait([headers[1]], None, "", NOW) == 20


def test_times_without_a_zone_are_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever this machine stands."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        found = named_wait([("retry-after", "2026-03-10T22:27:10")], None, "", NOW)
    time.tzset()
    assert found == 30


def test_the_order_of_trust() -> None:
    """Milliseconds before seconds, headers before fields of the body, these before sentences."""
    details = [{"@type": GOOGLE + "RetryInfo", "retryDelay": "17.5s"}]
    headers, value, message = [("retry-after", "2"), ("retry-after-ms", "1500")], {"error": {"details": details}}, "try again in 9s"
    assert named_wait(headers, value, message, NOW) == 1.5
    assert named_wait(headers[:1], value, message, NOW) == 2
    assert named_wait([], value, message, NOW) == 17.5
    assert named_wait([], None, message, NOW) == 9


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (
            {"error": {"details": [{"@type": GOOGLE + "Help"}, {"@type": GOOGLE + "RetryInfo", "retryDelay": "45.837906927s"}]}},
            45.837906927,
        ),
        ({"error": {"details": [{"reason": "QUOTA_EXHAUSTED", "metadata": {"quotaResetDelay": "2h12m7.5s"}}]}}, 7927.5),
        ({"error": {"type": "usage_limit_reached", "resets_at": int(NOW) + 50, "resets_in_seconds": 49}}, 49),
        ({"error": {"type": "usage_limit_reached", "resets_at": int(NOW) + 50}}, 50),
        ({"error": {"type": "usage_limit_reached", "resets_at": "2026-03-10T22:27:10.5Z"}}, 30.5),
        ({"error": "slow down", "retry_after": 1.25}, 1.25),
        ({"error": {"message": "m", "retry_after_ms": 250}}, 0.25),
        ({"detail": {"retry_after_seconds": 4}}, 4),
        ({"error": {"metadata": {"retry_after": "5"}}}, 5),
        ({"error": {"retry_after": True}}, None),
        ({"error": {"retry_after": -1}}, None),
        ({"error": {"retry_after": None, "details": "none"}}, None),
        ({"error": {"details": [{"retryDelay": {"seconds": 3}}]}}, None),
        (["x"], None),
    ],
)
def test_fields_of_the_body(value: Any, seconds: float | None) -> None:
    """Google's RetryInfo, the resets of Codex, and the names that gateways use."""
    assert named_wait([], value, "", NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached … Limit 3, Used 3, Requested 1. Please try again in 20s. Visit the page", 20),
        ("Please try again in 20ms. Visit", 0.02),
        ("Please try again in 1.984999999s. Need more tokens?", 1.984999999),
        ("Please try again in 9m38.016s.", 578.016),
        ("Please try again in 1h2m3.5s.", 3723.5),
        ("Please try again in 6m0s.", 360),
        ("please try\nagain in 11.455s", 11.455),
        ("Please retry in 36.429760048s.", 36.429760048),
        ("Please retry after 6 seconds. Please go here", 6),
        ("Rate limit is exceeded. Try again in 12 seconds.", 12),
        ("Please try again in 2 minutes", 120),
        ("Try again in 7 hours.", 25_200),
        ("try again in 1 minute, 30 seconds", 90),
        ("try again in 1 hour and 5 minutes", 3900),
        ("try again in 1m30s", 90),
        ("Out of call volume quota. Quota will be replenished in 00:12:34.", 754),
        ("Your quota will reset after 10h27m35s.", 37_655),
        ("Expected quota reset within 24h.", 86_400),
        ("Please wait 3600 seconds before retrying.", 3600),
        ("Please wait about 5 min", 300),
        ("You will regain access on 2026-04-01 at 00:00 UTC.", 1_820_000),
        ("Limit resets at 2026-03-11T00:00:00Z", 5600),
        ("Please try again later.", None),
        ("Please try again in a few minutes.", None),
        ("Please try again in 5 business days", None),
        ("Please try again in 3mn", None),
        ("Please try again in 40 days.", None),
        ("You will regain access on 2126-01-01 at 00:00 UTC.", None),
        ("It took 20s.", None),
        ("retry " * 20_000 + "1" * 20_000, None),
    ],
)
def test_sentences(message: str, seconds: float | None) -> None:
    """What a person is told, in its many wordings; a moment is understood as UTC."""
    found = named_wait([], None, message, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_moments_need_a_clock() -> None:
    """Without one (an event inside a stream) only lengths of time are read."""
    assert named_wait([], None, "You will regain access on 2026-04-01 at 00:00 UTC.", None) is None
    assert named_wait([], None, "Please try again in 11.054s.", None) == 11.054


OPENAI = [
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-limit-tokens", "30000"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-remaining-tokens", "29000"),
    ("x-ratelimit-reset-requests", "8.64s"),
    ("x-ratelimit-reset-tokens", "6m0s"),
]
ANTHROPIC = [
    ("anthropic-ratelimit-requests-limit", "50"),
    ("anthropic-ratelimit-requests-remaining", "49"),
    ("anthropic-ratelimit-requests-reset", "2026-03-10T22:26:41Z"),
    ("anthropic-ratelimit-input-tokens-limit", "30000"),
    ("anthropic-ratelimit-input-tokens-remaining", "0"),
    ("anthropic-ratelimit-input-tokens-reset", "2026-03-10T22:27:30Z"),
    ("anthropic-ratelimit-tokens-remaining", "0"),
    ("anthropic-ratelimit-tokens-reset", "2026-03-10T22:27:20Z"),
]
ANTHROPIC_SUBSCRIPTION = [
    ("anthropic-ratelimit-unified-status", "rejected"),
    ("anthropic-ratelimit-unified-reset", str(int(NOW) + 600)),
    ("anthropic-ratelimit-unified-5h-status", "rejected"),
    ("anthropic-ratelimit-unified-5h-reset", str(int(NOW) + 600)),
    ("anthropic-ratelimit-unified-7d-status", "allowed"),
    ("anthropic-ratelimit-unified-7d-reset", str(int(NOW) + 86_400)),
    ("anthropic-ratelimit-unified-overage-status", "rejected"),
    ("anthropic-ratelimit-unified-overage-reset", str(int(NOW) + 864_000)),
    ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
    ("anthropic-ratelimit-unified-fallback-percentage", "0.5"),
]
CEREBRAS = [
    ("x-ratelimit-limit-requests-day", "14400"),
    ("x-ratelimit-remaining-requests-day", "14399"),
    ("x-ratelimit-reset-requests-day", "33011.382867"),
    ("x-ratelimit-limit-tokens-minute", "60000"),
    ("x-ratelimit-remaining-tokens-minute", "0"),
    ("x-ratelimit-reset-tokens-minute", "11.382867"),
]
OPENROUTER = [("x-ratelimit-limit", "50"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", str(int(NOW * 1000) + 5000))]
MISTRAL = [("ratelimitbysize-limit", "500000"), ("ratelimitbysize-remaining", "0"), ("ratelimitbysize-reset", "46")]


@pytest.mark.parametrize(
    ("headers", "any_s", "spent_s"),
    [
        (OPENAI, 8.64, 8.64),
        (ANTHROPIC, 50, 50),  # the later of the two that are spent
        (ANTHROPIC_SUBSCRIPTION, 600, 600),
        (CEREBRAS, 11.382867, 11.382867),
        (OPENROUTER, 5, 5),
        (MISTRAL, 46, 46),
        ([("x-ratelimit-reset-tokens", "120ms")], 0.12, None),
        ([("x-ratelimit-reset-tokens", "1h2m3.5s"), ("x-ratelimit-reset-requests", "1s")], 3723.5, None),
        (
            [("x-ratelimit-reset-a", "2s"), ("x-ratelimit-reset-b", "9s"), ("x-ratelimit-remaining-b", "5"), ("x-ratelimit-limit-b", "10")],
            2,
            None,
        ),
        ([("x-ratelimit-reset-after", "3")], 3, None),
        ([("x-rate-limit-reset", "3")], 3, None),
        ([(name, "7" if "remaining" in name else value) for name, value in OPENAI], 360, None),  # 7 of 30000 tokens is the least
        ([(name, "0" if "-limit-" in name else value) for name, value in OPENAI], None, None),  # limits of 0 are none
        ([("x-ratelimit-reset-tokens", "-5s"), ("x-ratelimit-limit", "5"), ("x-ratelimit", "false")], None, None),
        ([("x-ratelimit-remaining-req-minute", "0")], None, None),
        ([], None, None),
    ],
)
def test_resets_of_limits(headers: list[tuple[str, str]], any_s: float | None, spent_s: float | None) -> None:
    """The limit that is spent counts; where none is said to be, the one that may be, unless only spent ones are asked for."""
    limits = limits_in(headers, NOW)
    assert reset_wait(limits, spent_only=False) == (None if any_s is None else pytest.approx(any_s, abs=1e-3))
    assert reset_wait(limits, spent_only=True) == (None if spent_s is None else pytest.approx(spent_s, abs=1e-3))


NAMES = st.sampled_from(sorted({name for name, _ in (*OPENAI, *ANTHROPIC, *ANTHROPIC_SUBSCRIPTION, ("retry-after", ""), ("date", ""))}))
VALUES = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(ms|s|m|h|d)?", fullmatch=True),
    st.datetimes().map(str),
    st.datetimes(timezones=st.just(UTC)).map(format_datetime),
    st.from_regex(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{2,6} [0-9]{2}:[0-9]{2}:[0-9]{2} [-+A-Z0-9]{0,9}", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9:.]{2,18}(Z|[+-][0-9]{4})?", fullmatch=True),
)


@given(st.lists(st.tuples(NAMES | st.text(max_size=20), VALUES), max_size=8), VALUES.map("try again in {}".format), st.floats(0, 4e9))
def test_waits_are_none_or_sensible(headers: list[tuple[str, str]], message: str, now: float) -> None:
    """Whatever stands there: nothing raises, and a wait is finite, not negative, and not over MAX_WAIT_S."""
    limits = limits_in(headers, now)
    found = [named_wait(headers, {"error": dict(headers)}, message, now), reset_wait(limits, False), reset_wait(limits, True)]
    found += [limit.wait_s for limit in limits]
    assert all(wait is None or (math.isfinite(wait) and 0 <= wait <= MAX_WAIT_S) for wait in found)
