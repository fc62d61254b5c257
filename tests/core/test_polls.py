"""Answers that are asked for again count once."""

from __future__ import annotations

from itertools import count

from addons.core.call import AnswerReading, CallRecord, Usage
from addons.core.polls import Polls

USED = AnswerReading(usage=Usage(5, 7), id="resp_1", finished=True)
PENDING = AnswerReading(id="resp_1")


_ids = map(str, count())


def record(path: str, api: str = "openai.responses", host: str = "api.openai.com") -> CallRecord:
    return CallRecord(next(_ids), 0, "GET", host, path, api)


def test_a_background_response_counts_when_it_is_done_and_only_then() -> None:
    """Made without usage, polled without, polled with, polled again."""
    polls = Polls()
    assert polls.once(record("/v1/responses"), PENDING) == PENDING
    early = polls.once(record("/v1/responses/resp_1"), PENDING)
    assert early.repeated and not early.usage.known
    assert polls.once(record("/v1/responses/resp_1?include=x"), USED) == USED
    again = polls.once(record("/v1/responses/resp_1"), USED)
    assert again.repeated and again.usage == Usage()


def test_what_was_counted_when_it_was_made_is_not_counted_again() -> None:
    """A response fetched after its own POST; equal ids at another host are others."""
    polls = Polls()
    assert polls.once(record("/v1/responses"), USED) == USED
    assert polls.once(record("/v1/responses/resp_1"), USED).repeated
    assert polls.once(record("/v1/responses/resp_1", host="other.example"), USED) == USED


def test_making_always_counts() -> None:
    """Recordings whose ids were made unreadable are not taken for one another."""
    polls = Polls()
    assert [polls.once(record("/v1/responses"), USED) for _ in range(3)] == [USED] * 3


def test_batches_are_known_by_their_path() -> None:
    """Their results have no id of their own."""
    polls, results = Polls(), AnswerReading(usage=Usage(1, 2))
    path = "/v1/messages/batches/msgbatch_1/results"
    assert polls.once(record(path, "anthropic.batches"), results) == results
    assert polls.once(record(path, "anthropic.batches"), results).repeated


def test_other_apis_are_left_alone() -> None:
    """Chat answers have ids too, and are never fetched again."""
    polls = Polls()
    assert [polls.once(record("/v1/chat/completions/resp_1", "openai.chat"), USED) for _ in range(2)] == [USED, USED]


def test_memory_is_bounded() -> None:
    """The oldest is forgotten first."""
    polls = Polls(memory=2)
    for name in ("a", "b", "c"):
        polls.once(record("/v1/responses"), AnswerReading(usage=Usage(1, 1), id=name))
    assert polls.once(record("/v1/responses/c"), AnswerReading(usage=Usage(1, 1), id="c")).repeated
    assert not polls.once(record("/v1/responses/a"), AnswerReading(usage=Usage(1, 1), id="a")).repeated


def test_a_call_that_is_read_again_counts_as_it_did() -> None:
    """Where calls that were to be digested together are digested one by one after all; others have asked meanwhile."""
    polls, first, later = Polls(), record("/v1/responses/resp_1"), record("/v1/responses/resp_1")
    for _ in range(2):
        assert polls.once(first, USED) == USED and polls.once(later, USED).repeated
