"""Calls without a reader of their own."""

from __future__ import annotations

from addons.core.call import AnswerReading, RequestReading
from addons.core.dialects import answer_reader, read_request


def test_requests_say_model_and_streaming_where_they_stand_as_everywhere() -> None:
    """The two fields that nearly all dialects share."""
    assert read_request("other", "/x", b'{"model": "m", "stream": true}') == RequestReading(model="m", stream=True)
    assert read_request("no.such.api", "/x", b"not json") == RequestReading()


def test_answers_say_only_errors() -> None:
    """Usage and text are not guessed; a whole JSON body has finished."""
    reader = answer_reader("other", "application/json", 200)
    reader.feed(b'{"usage": {"prompt_tokens": 3}, "choices": [{"message": {"content": "x"}}]}')
    assert reader.finish() == AnswerReading(finished=True)
    failed = answer_reader("other", "application/json", 404)
    failed.feed(b'{"error": {"type": "not_found", "message": "no such file"}}')
    assert failed.finish() == AnswerReading(finished=True, error_type="not_found", error="no such file")
