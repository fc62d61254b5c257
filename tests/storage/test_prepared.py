"""addons/storage/prepared.py: rows but for their ids."""

from __future__ import annotations

from hashlib import sha256

import pytest

from addons.core.call import AttemptRecord
from addons.storage.prepared import ATTEMPT_COLUMNS, attempt_row, chained, prepare
from addons.storage.reading import ATTEMPT_COLUMNS as READ_COLUMNS
from tests.storage.support import body, full_call, say, stored_call


def test_a_call_is_prepared_without_a_database() -> None:
    """Bodies by their hashes, messages by theirs; a body of one piece has its hash."""
    call = full_call()
    prepared = prepare(call)
    assert prepared.call is call and prepared.id == call.row["id"]
    for made, given in zip(prepared.bodies, call.bodies, strict=True):
        digest = sha256(given.content)
        assert [piece.digest for piece in made.pieces] == [digest.digest()]
        headers = '[["Content-Type","application/json"],["X-Two","a"],["X-Two","b"]]'
        assert made.row == (prepared.id, given.kind, headers, None, digest.hexdigest(), len(given.content), False, False)
    assert [(said.role, said.parent, said.n, said.is_answer) for said in prepared.chain] == [
        ("system", None, 1, False),
        ("user", None, 1, False),
        ("assistant", 1, 2, True),
    ]


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 100_000, b'{"role": "user", "content": "%s"},' % (b"y" * 2000) * 3])
def test_the_hash_of_a_body_is_that_of_all_of_it(content: bytes) -> None:
    """However many pieces it has; an empty one has none."""
    [made] = prepare(stored_call(bodies=(body(content),))).bodies
    assert b"".join(piece.content for piece in made.pieces) == content
    assert made.row[4] == sha256(content).hexdigest()


def test_several_answers_follow_the_same_request() -> None:
    """None of them follows another; a system message in between starts nothing."""
    said = chained((say("user", "a"), say("system", "s"), say("user", "b"), say("assistant", "1"), say("assistant", "2")), 2)
    assert [one.parent for one in said] == [None, None, 0, 2, 2]
    assert said[3].digest != said[4].digest and said[3].n == said[4].n == 3


def test_an_attempt_is_all_that_is_known_of_it() -> None:
    """In the order of the table's columns, made harmless."""
    assert ATTEMPT_COLUMNS == READ_COLUMNS
    attempt = AttemptRecord(1, "openai", "h\ud83d", None, "abcd", 2**70, "connect", 0.0, 1.5)
    assert attempt_row("id", attempt) == ("id", 1, "openai", "h?", None, "abcd", None, "connect", 0.0, 1.5)
