"""Answers of our own, in the client's dialect."""

from __future__ import annotations

from typing import Any

import pytest

from addons.answers import answer_json, answer_text, refuse
from addons.exchange import exchange_of
from tests.rooms import Journey, answered, base_url_call, call, exchange, make_flow

DIALECTS = [
    (
        "https://api.openai.com/v1/chat/completions",
        {"error": {"message": "no", "type": "permission_error", "code": "not_allowed", "param": None}},
    ),
    (
        "https://api.anthropic.com/v1/messages",
        {"type": "error", "error": {"type": "permission_error", "message": "no", "code": "not_allowed"}},
    ),
]


@pytest.mark.parametrize(("url", "body"), DIALECTS, ids=["openai", "anthropic"])
def test_a_refusal_is_in_the_clients_dialect(url: str, body: dict[str, Any], journey: Journey) -> None:
    """By the call's API; and the record says what became of it."""
    flow = call(url)
    journey.hook("requestheaders", flow)
    refuse(flow, exchange(flow), 403, "not_allowed", "no")
    assert answered(flow) == (403, body)
    record = exchange(flow).record
    assert (record.outcome, record.error_type, record.error) == ("blocked", "not_allowed", "no")


@pytest.mark.parametrize(("url", "body"), DIALECTS, ids=["openai", "anthropic"])
def test_the_dialect_is_read_from_the_path_where_nothing_else_is_known(url: str, body: dict[str, Any]) -> None:
    """Before an exchange is opened too."""
    flow = make_flow("POST", url)
    refuse(flow, exchange_of(flow), 403, "not_allowed", "no")
    assert answered(flow) == (403, body)


def test_gemini_clients_get_googles_shape(journey: Journey) -> None:
    """Also below our own prefix, where no upstream speaks it."""
    flow = journey.send(base_url_call("/proxy/v1beta/models/gemini-pro:generateContent", {"X-Upstream-Name": "nobody"}))
    status, body = answered(flow)
    assert (status, body["error"]["status"], body["error"]["details"][0]["reason"]) == (400, "INVALID_ARGUMENT", "upstream_not_found")


def test_details_and_headers_go_along(journey: Journey) -> None:
    """What else a client should know stands beside the code, or in a header."""
    flow = call()
    journey.hook("requestheaders", flow)
    refuse(flow, exchange(flow), 503, "all_keys_exhausted", "none left", outcome="error", headers={"Retry-After": "3"}, attempts=[1])
    assert flow.response
    assert flow.response.headers["Retry-After"] == "3"
    assert flow.response.headers["content-type"] == "application/json"
    assert answered(flow)[1]["error"]["attempts"] == [1]
    assert exchange(flow).record.outcome == "error"


def test_plain_answers() -> None:
    """JSON and text, with their types."""
    flow = make_flow("GET", "http://x/")
    answer_json(flow, 201, {"a": 1})
    assert answered(flow) == (201, {"a": 1})
    answer_text(flow, "hello", "text/plain")
    assert flow.response
    assert (flow.response.text, flow.response.headers["content-type"]) == ("hello", "text/plain")
