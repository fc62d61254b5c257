"""addons/storage/reading.py: bodies and messages come back, or an error does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from addons.core.call import Message, Part
from addons.storage.database import StoreError, open_reader
from addons.storage.reading import read_headers, read_listed, read_message, read_messages, read_stored
from addons.storage.store import Store
from tests.storage.support import full_call, say, stored_call

DAMAGE = {
    "a segment is gone": "DELETE FROM segments",
    "a segment is another": "UPDATE segments SET codec = 'raw', data = 'other'",
    "the list is short": "UPDATE bodies SET segments = '[]'",
    "the list is cut": "UPDATE bodies SET segments = '[1'",
    "the headers are cut": "UPDATE bodies SET headers = '[[1'",
    "a segment is cut": "UPDATE segments SET codec = 'zstd', data = substr(data, 1, 10)",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_body_is_an_error_and_no_content(store: Store, name: str) -> None:
    """Bytes that are not those that were stored are not given out."""
    call = full_call()
    store.write([call])
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute(DAMAGE[name])
        connection.commit()
    with pytest.raises(StoreError, match=r"cannot be read|not what was stored"):
        store.body(str(call.row["id"]), "request")


def test_what_is_not_there_is_none(store: Store) -> None:
    """No call, no body."""
    assert store.call("nothing") is None
    assert store.body("nothing", "request") is None


def test_messages_keep_their_parts_and_data(store: Store) -> None:
    """Tool calls, empty messages and several answers come back as they were, in order."""
    call = Part("tool_call", '{"q":1}', {"id": "t1", "name": "find"})
    asked = (say("system", "s"), Message("user", (Part("text", "a"), Part("image", None, {"media_type": "image/png", "bytes": 3}))))
    answered = (Message("assistant", (call,)), Message("assistant", ()))
    stored = stored_call(messages=asked + answered, answers=2)
    store.write([stored])
    with closing(open_reader(store.path)) as connection:
        assert read_messages(connection, str(stored.row["id"])) == (asked, answered)


def test_a_call_is_read_with_all_that_belongs_to_it(store: Store) -> None:
    """As it was written, with every column; what was not stored is not made up."""
    call = full_call()
    store.write([call, stored_call("bare")])
    with closing(open_reader(store.path)) as connection:
        found, bare, none = (read_stored(connection, call_id) for call_id in (str(call.row["id"]), "bare", "nothing"))
    assert found and bare and none is None
    assert found.row.pop("stored_at") and found.row.pop("pinned") == 0
    assert {name: value for name, value in found.row.items() if value is not None} == call.row
    assert replace(found, row=call.row) == call
    assert (bare.attempts, bare.bodies, bare.messages, bare.deltas_ms, bare.redactions) == ((), (), (), (), ())


def test_messages_and_headers_one_by_one(store: Store) -> None:
    """By their ids, each with the one it was said after; the headers without the body, whatever became of that."""
    call = full_call()
    store.write([call])
    call_id = str(call.row["id"])
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE bodies SET segments = '[999]'")
    with closing(open_reader(store.path)) as connection:
        listed = read_listed(connection, call_id)
        assert [read_message(connection, found) for found, *_ in listed] == list(call.messages)
        assert [(parent, is_answer) for _, parent, is_answer in listed] == [(None, False), (None, False), (listed[1][0], True)]
        headers = read_headers(connection, call_id)
        assert headers and (headers.headers, headers.content) == (call.bodies[0].headers, b"")
        assert read_headers(connection, "none") is None and read_listed(connection, "none") == []
        with pytest.raises(StoreError, match="message 999 is not there"):
            read_message(connection, 999)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE bodies SET headers = '[[1'")
    with closing(open_reader(store.path)) as connection, pytest.raises(StoreError, match="headers of call"):
        read_headers(connection, call_id)
