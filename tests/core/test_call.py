"""The nouns: what they say when nothing is known, and that no two share what grows."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from addons.core.call import AnswerReading, CallRecord, CapturedBody, FailureClass, Message, Outcome, Part, RequestReading, Usage


def record() -> CallRecord:
    return CallRecord("id", 0, "POST", "api.openai.com", "/", "openai.chat")


def test_unknown_counts_are_none_never_zero() -> None:
    """An answer that reports nothing has no usage."""
    assert {getattr(Usage(), field.name) for field in fields(Usage)} == {None}


@pytest.mark.parametrize(
    ("usage", "known"),
    [
        (Usage(), False),
        (Usage(cost_usd=0.1), False),
        (Usage(cache_read_tokens=3), False),
        (Usage(input_tokens=0), True),
        (Usage(output_tokens=4), True),
    ],
)
def test_usage_is_known_by_a_total(usage: Usage, known: bool) -> None:
    """A reported zero is known; a part or a price without a total is not enough."""
    assert usage.known is known


@pytest.mark.parametrize(("content", "size", "truncated"), [(b"", 0, False), (b"abc", 3, False), (b"abc", 4, True), (b"", 9, True)])
def test_a_body_is_truncated_when_more_crossed_the_wire(content: bytes, size: int, truncated: bool) -> None:
    """`size` counts the wire, `content` what was kept."""
    assert CapturedBody(content=content, size=size).truncated is truncated


def test_records_share_nothing() -> None:
    """Two calls that run at once grow lists and bodies of their own."""
    one, other = record(), record()
    one.request.chunks.append((0.0, 1))
    assert (other.request.chunks, one.response.chunks) == ([], [])
    assert one.attempts is not other.attempts
    assert one.response is not other.response


@pytest.mark.parametrize("reading", [Usage(), Part("text"), Message("user", ()), RequestReading(), AnswerReading()])
def test_what_was_read_does_not_change(reading: object) -> None:
    """Readings are handed from room to room."""
    with pytest.raises(FrozenInstanceError):
        setattr(reading, fields(reading)[0].name, None)  # type: ignore[arg-type]


def test_the_words_are_those_of_the_contract() -> None:
    """Rows, metrics and configuration use them (DESIGN §5 and §6)."""
    assert get_args(Outcome) == ("ok", "error", "partial", "cancelled", "blocked")
    assert get_args(FailureClass) == ("rate_limit", "quota", "auth", "overloaded", "server", "connect", "timeout", "request", "stream")
