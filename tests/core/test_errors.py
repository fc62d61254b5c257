"""Errors of our own, in the client's dialect."""

import orjson

from addons.core.errors import SHAPES, error_body


def test_openai() -> None:
    """OpenAI: error.message, error.type, error.code."""
    error = orjson.loads(error_body("openai", 429, "rate_limited", "slow down"))["error"]
    assert (error["message"], error["type"], error["code"]) == ("slow down", "rate_limit_error", "rate_limited")


def test_anthropic() -> None:
    """Anthropic: type error, error.type of its own list."""
    body = orjson.loads(error_body("anthropic", 503, "all_keys_exhausted", "later", attempts=[1]))
    assert body["type"] == "error"
    assert body["error"] == {"type": "overloaded_error", "message": "later", "code": "all_keys_exhausted", "attempts": [1]}


def test_gemini() -> None:
    """Gemini: error.code is the status, error.status its name, ours stands in the details."""
    error = orjson.loads(error_body("gemini", 504, "upstream_timeout", "late"))["error"]
    assert (error["code"], error["status"], error["details"]) == (504, "DEADLINE_EXCEEDED", [{"reason": "upstream_timeout"}])


def test_every_family_has_a_shape_that_holds_code_and_message() -> None:
    """Whatever the dialect, both are told."""
    for family in SHAPES:
        text = error_body(family, 418, "the_code", "the message")
        assert b"the_code" in text and b"the message" in text
    assert error_body(None, 400, "c", "m") == error_body("openai", 400, "c", "m")
