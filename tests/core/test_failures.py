"""Failure classes: what providers really answer, and what comes of it."""

from __future__ import annotations

import base64
import json
import lzma
import math
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.call import FailureClass
from addons.core.failures import HANDLING, MAX_ERROR_BYTES, Failure, Handling, classify, failure_of, failure_told, stream_error
from tests.core.provider_errors import ANSWERS, EXCEEDED, GOOGLE_EXCEEDED, NOW, OPENAI_RPM, Answer, openai

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "wire-open.jsonl.xz"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (200, None),
        (302, None),
        (400, "request"),
        (401, "auth"),
        (402, "quota"),
        (403, "auth"),
        (404, "request"),
        (408, "timeout"),
        (409, "request"),
        (413, "request"),
        (418, "request"),
        (421, "connect"),
        (422, "request"),
        (424, "server"),
        (425, "overloaded"),
        (429, "rate_limit"),
        (451, "request"),
        (498, "overloaded"),
        (500, "server"),
        (501, "request"),
        (502, "server"),
        (503, "overloaded"),
        (504, "server"),
        (520, "server"),
        (522, "timeout"),
        (529, "overloaded"),
        (599, "server"),
        (999, "server"),
    ],
)
def test_failure_of(status: int, failure: str | None) -> None:
    """The table of DESIGN §5, and for what it does not name the side that is to blame."""
    assert failure_of(status) == failure
    found = classify(status, (), b"", NOW)
    assert (found and found.kind) == failure


def test_what_happens_after_a_failure() -> None:
    """All nine classes, exactly as in DESIGN §5."""
    backoff = Handling(named_wait_s=10, backoff_s=(1, 2), then="upstream", trips_breaker=True)
    assert dict(HANDLING) == {
        "rate_limit": Handling(named_wait_s=10, cools="model", cool_s=None, then="key"),
        "quota": Handling(cools="model", cool_s=3600, then="key"),
        "auth": Handling(cools="key", cool_s=300, doubles=True, then="key"),
        "overloaded": backoff,
        "server": backoff,
        "connect": Handling(then="upstream", trips_breaker=True),
        "timeout": Handling(then="upstream", trips_breaker=True),
        "request": Handling(then="client"),
        "stream": Handling(then="client"),
    }
    assert HANDLING.keys() == set(get_args(FailureClass))


@pytest.mark.parametrize("answer", ANSWERS, ids=[answer.name for answer in ANSWERS])
def test_what_providers_answer(answer: Answer) -> None:
    """Their documented and published errors, each with its class, its wait, and what the limit is on."""
    found = classify(answer.status, answer.headers, answer.body, NOW)
    assert found is not None
    assert (found.kind, found.status, found.group) == (answer.kind, answer.status, answer.group)
    assert found.wait_s == (None if answer.wait_s is None else pytest.approx(answer.wait_s))
    assert found.text


def test_bodies_that_are_no_json() -> None:
    """A page is read by its title, a text as it is, and nothing at all by its status."""
    assert classify(503, (), b"<html><head><title>503 Busy</title></head></html>", NOW) == Failure("overloaded", 503, text="503 Busy")
    assert classify(403, (), b"<title>Attention Required! | Cloudflare</title>", NOW) == Failure(
        "request", 403, text="Attention Required! | Cloudflare"
    )
    assert classify(429, (), b"slow down, try again in 3s", NOW) == Failure("rate_limit", 429, 3, text="slow down, try again in 3s")
    assert classify(429, (), b"", NOW) == Failure("rate_limit", 429)
    assert classify(500, (), b"x" * MAX_ERROR_BYTES * 2, NOW) == Failure("server", 500, text="x" * MAX_ERROR_BYTES)
    assert classify(200, (), b'{"error": "x"}', NOW) is None


def test_a_cut_body_says_what_is_left_of_it() -> None:
    """The beginning of a long error is enough, also where it breaks off."""
    body = json.dumps(openai(EXCEEDED, "insufficient_quota")).encode()
    for filler in (b"", b', "prompt": "' + b"x" * MAX_ERROR_BYTES * 2):
        found = classify(429, (), body[:-2] + filler, NOW)
        assert found == Failure("quota", 429, group="*", text=EXCEEDED)


@pytest.mark.parametrize(
    ("error_type", "error", "failure"),
    [
        ("overloaded_error", "Overloaded", Failure("overloaded", text="Overloaded")),
        ("api_error", "Internal server error", Failure("overloaded", text="Internal server error")),
        ("server_error", "The server had an error", Failure("overloaded", text="The server had an error")),
        ("service_unavailable_error", "The model is overloaded", Failure("overloaded", text="The model is overloaded")),
        ("UNAVAILABLE", "The model is overloaded.", Failure("overloaded", text="The model is overloaded.")),
        ("unknown-error", "Foobar", Failure("overloaded", text="Foobar")),
        (None, None, Failure("overloaded")),
        ("502", "Provider returned error", Failure("overloaded", text="Provider returned error")),
        ("408", "timeout", Failure("overloaded", text="timeout")),
        ("modelStreamErrorException", "x", Failure("overloaded", text="x")),
        ("rate_limit_exceeded", "Please try again in 11.054s.", Failure("rate_limit", None, 11.054, text="Please try again in 11.054s.")),
        ("tokens", "Rate limit reached for gpt-4o on tokens per min (TPM)", None),
        ("rate_limit_error", "Rate limited", Failure("rate_limit", text="Rate limited")),
        ("RESOURCE_EXHAUSTED", GOOGLE_EXCEEDED, Failure("rate_limit", text=GOOGLE_EXCEEDED)),
        ("throttlingException", "Too many", Failure("rate_limit", text="Too many")),
        ("429", "Provider returned error", Failure("rate_limit", text="Provider returned error")),
        ("insufficient_quota", EXCEEDED, Failure("quota", group="*", text=EXCEEDED)),
        ("402", "pay", Failure("quota", group="*", text="pay")),
        ("usage_limit_reached", "over", Failure("quota", group="*", text="over")),
        ("authentication_error", "bad", Failure("auth", text="bad")),
        ("PERMISSION_DENIED", "bad", Failure("auth", text="bad")),
        ("401", "bad", Failure("auth", text="bad")),
        ("invalid_request_error", "bad", Failure("request", text="bad")),
        ("context_length_exceeded", "Your input exceeds", Failure("request", text="Your input exceeds")),
        ("error", "Your input exceeds the context window", Failure("request", text="Your input exceeds the context window")),
        ("INVALID_ARGUMENT", "bad", Failure("request", text="bad")),
        ("validationException", "bad", Failure("request", text="bad")),
        ("403", "This was flagged", Failure("request", text="This was flagged")),
    ],
)
def test_errors_inside_streams(error_type: str | None, error: str | None, failure: Failure | None) -> None:
    """`overloaded`, unless they plainly say what is wrong with the key or the request."""
    found = stream_error(error_type, error)
    assert found == failure if failure else found.kind == "rate_limit"


@pytest.mark.parametrize(
    ("by_status", "outcome", "error", "failure"),
    [
        ("rate_limit", "error", "insufficient_quota You exceeded your current quota", "quota"),
        ("rate_limit", "error", "rate_limit_error slow down", "rate_limit"),
        ("rate_limit", "error", f"requests {OPENAI_RPM}", "rate_limit"),
        ("rate_limit", "error", f"RESOURCE_EXHAUSTED {GOOGLE_EXCEEDED}", "rate_limit"),
        ("rate_limit", "error", "429 Too many tokens per day", "quota"),
        ("auth", "error", "invalid_request_error Your credit balance is too low", "quota"),
        ("auth", "error", "None Access to the model is denied", "auth"),
        ("quota", "error", "rate_limit_error slow down", "quota"),
        ("request", "error", "None insufficient_quota", "request"),
        (None, "error", "overloaded_error Overloaded", "overloaded"),
        (None, "error", "insufficient_quota You exceeded your current quota", "quota"),
        (None, "partial", "overloaded_error Overloaded", "stream"),
        (None, "error", "None None", None),
        (None, "ok", "None None", None),
        (None, "cancelled", "None None", None),
        ("connect", "error", "None None", "connect"),
    ],
)
def test_what_the_answer_tells(by_status: FailureClass | None, outcome: str, error: str, failure: FailureClass | None) -> None:
    """Spent quotas and errors inside streams do not show in the status."""
    assert failure_told(by_status, outcome, error) == failure


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["insufficient_quota", "try again in 1s"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "details", "metadata", "headers", "violations", "retryDelay", "code", "type", "raw"]),
            inner,
        )
    ),
    max_leaves=20,
)
BODIES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["Retry-After", "retry-after-ms", "Date", "x-ratelimit-reset", "x-ratelimit-remaining"]) | st.text(), st.text()
    ),
    max_size=5,
)


@given(st.integers(100, 999), HEADERS, BODIES, st.floats(0, 4e9))
def test_classify_never_raises(status: int, headers: list[tuple[str, str]], body: bytes, now: float) -> None:
    """For any bytes and headers: a class from 400 on, and a wait that is None or finite and not negative."""
    found = classify(status, headers, body, now)
    assert (found is None) == (status < 400)
    if found:
        assert found.kind in HANDLING
        assert found.wait_s is None or (math.isfinite(found.wait_s) and found.wait_s >= 0)


@given(st.none() | st.text(), st.none() | st.text())
def test_stream_error_never_raises(error_type: str | None, error: str | None) -> None:
    """Whatever an event says, it is a class that can come before the first content."""
    assert stream_error(error_type, error).kind in ("overloaded", "rate_limit", "quota", "auth", "request")


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded traffic is not here")
def test_recorded_errors() -> None:
    """Recorded errors are what their statuses say; only Gemini's 400 is a bad key where its reason says so, and none names a wait."""
    with lzma.open(CORPUS, "rt", encoding="utf-8") as lines:
        cases = [case for case in map(json.loads, lines) if case["status"] >= 400]
    assert cases
    for case in cases:
        body, headers = base64.b64decode(case["response_body"] or ""), case["response_headers"] or {}
        found = classify(case["status"], [(name, str(value)) for name, value in headers.items()], body, NOW)
        expected = "auth" if b"API_KEY_INVALID" in body else failure_of(case["status"])
        assert found, case["case"]
        assert (found.kind, found.wait_s, found.group) == (expected, None, None), case["case"]
        assert found.text, case["case"]
