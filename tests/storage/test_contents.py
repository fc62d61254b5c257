"""addons/storage/contents.py: what calls share is stored once."""

from __future__ import annotations

import json
import random
import sqlite3
import string
from contextlib import closing
from dataclasses import replace
from hashlib import sha256

import pytest

from addons.core.call import Message, StoredCall
from addons.storage.contents import Ids
from addons.storage.store import Store
from tests.storage.support import body, rows, say, stored_call


def test_a_history_sent_again_adds_only_what_is_new(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Forty turns of an agent: segments and messages are stored once."""
    rng = random.Random(5)
    tools = [{"name": f"tool{n}", "description": "".join(rng.choices(string.printable, k=800))} for n in range(20)]
    history: list[Message] = []
    naive = 0
    for turn in range(40):
        history.append(say("user", "".join(rng.choices(string.ascii_letters + " ", k=2000))))
        answer = say("assistant", "".join(rng.choices(string.ascii_letters + " ", k=1000)))
        sent = [{"role": message.role, "content": message.parts[0].text} for message in history]
        content = json.dumps({"model": "m", "messages": sent, "tools": tools, "turn": turn}).encode()
        system = say("system", f"The time is {turn}")
        store.write([stored_call(bodies=(body(content),), messages=(system, *history, answer), answers=1)])
        history.append(answer)
        naive += len(content)
    [(stored,)] = rows(store, "SELECT sum(size) FROM segments")
    [(packed,)] = rows(store, "SELECT sum(length(data)) FROM segments")
    with capsys.disabled():
        print(f"\n40 turns: {naive:,} bytes sent, {stored:,} kept, {packed:,} compressed ({naive / packed:.0f} times less)")
    assert stored < len(content) * 1.6
    assert rows(store, "SELECT count(*) FROM messages WHERE role <> 'system'") == [(80,)]
    assert rows(store, "SELECT max(n) FROM messages") == [(80,)]


def test_equal_words_in_another_history_are_another_message(store: Store) -> None:
    """A message's identity covers what went before it, but not the system prompt."""
    store.write([stored_call(messages=(say("system", "a"), say("user", "hi"), say("user", "go on")))])
    store.write([stored_call(messages=(say("system", "b"), say("user", "hi"), say("user", "go on")))])
    assert rows(store, "SELECT count(*) FROM messages WHERE role = 'user'") == [(2,)]
    store.write([stored_call(messages=(say("user", "hello"), say("user", "go on")))])
    assert rows(store, "SELECT count(*) FROM messages WHERE role = 'user'") == [(4,)]


def test_a_system_message_is_one_wherever_it_stands(store: Store) -> None:
    """It neither starts a chain nor hangs in one: the same words after other messages are the same row."""
    for before in ("one", "two"):
        store.write([stored_call(messages=(say("user", before), say("system", "be brief"), say("user", "and now")))])
    assert rows(store, "SELECT count(*), max(parent), max(n) FROM messages WHERE role = 'system'") == [(1, None, 1)]
    assert rows(store, "SELECT n, count(*) FROM messages WHERE role = 'user' GROUP BY n") == [(1, 2), (2, 2)]


def gone(store: Store) -> None:
    """All that was stored is taken away over another connection, as `turnpike prune` does."""
    with closing(sqlite3.connect(store.path)) as other, other:
        for table in ("calls", "bodies", "segments", "segment_refs", "call_messages", "parts", "messages"):
            other.execute(f"DELETE FROM {table}")


def a_call() -> StoredCall:
    """The same as every other, but for its id."""
    bodies = (body(b"A" * 5000), body(b"x" * 3000, "response"))
    return stored_call(bodies=bodies, messages=(say("system", "be brief"), say("user", "hi"), say("assistant", "hello")), answers=1)


def test_what_was_prepared_is_stored_as_if_it_had_not_been(store: Store) -> None:
    """Also when its segments and messages went, or came, between the two."""
    first, second, third = a_call(), a_call(), a_call()
    store.prepare([first])
    store.write([first])
    store.prepare([second])
    gone(store)
    store.write([second])
    assert rows(store, "SELECT count(*), sum(parent IS NOT NULL) FROM messages") == [(3, 1)]
    store.prepare([third])
    store.write([third])
    for call in (second, third):
        for stored in call.bodies:
            read = store.body(str(call.row["id"]), stored.kind)
            assert read and read.content == stored.content
    assert rows(store, "SELECT count(*), count(DISTINCT message_id) FROM call_messages") == [(6, 3)]
    assert rows(store, "SELECT count(*) FROM messages") == [(3,)]
    assert rows(store, "SELECT refs FROM segment_refs") == [(2,), (2,)]


def test_what_is_prepared_is_not_looked_up_under_the_lock(store: Store) -> None:
    """Where nobody else wrote: reading what is far off in a large file would hold up other writers."""
    store.write([a_call()])
    again, new = a_call(), stored_call(bodies=(body(b"new" * 2000),), messages=(say("user", "new"),))
    for call in (again, new):
        store.prepare([call])
    asked: list[str] = []
    store._connection.set_trace_callback(asked.append)
    store.write([again, new])
    begun = asked.index("BEGIN IMMEDIATE")
    assert any("INSERT INTO bodies" in statement for statement in asked[begun:])
    looked_up = [statement.partition(" WHERE")[0] for statement in asked[:begun] if "WHERE hash" in statement]
    assert sorted(looked_up) == [
        "SELECT hash, id FROM messages",
        "SELECT hash, id FROM segments",
    ]  # only what is new: the rest is remembered
    assert not [statement for statement in asked[begun:] if "WHERE hash" in statement]


def test_what_is_remembered_has_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many calls come; what was forgotten is found in the database."""
    monkeypatch.setattr("addons.storage.contents.REMEMBERED", 3)
    monkeypatch.setattr(store, "_write_alone", lambda call: pytest.fail("what was forgotten was taken for missing"))
    calls = [stored_call(bodies=(body(b"%d" % n),), messages=(say("user", str(n)),)) for n in range(20)]
    store.write(calls)
    again = [stored_call(bodies=call.bodies, messages=call.messages) for call in calls]
    store.prepare(again)
    store.write(again)
    assert rows(store, "SELECT count(*), (SELECT count(*) FROM messages) FROM segments") == [(20, 20)]
    contents = store._contents
    assert [len(ids._known) for ids in (contents._segments, contents._messages)] == [3, 3]
    assert not (contents._segments._missing or contents._messages._missing or contents._packed or store._ready)


def test_many_are_looked_up_in_few_statements(store: Store) -> None:
    """And each is found, whatever their number is."""
    for count in (1, 7, 8, 9, 63, 64, 65, 200):
        digests = [sha256(b"%d" % n).digest() for n in range(count)]
        store._connection.executemany(
            "INSERT OR IGNORE INTO messages (hash, role, n) VALUES (?, 'user', 1)", [(digest,) for digest in digests[::2]]
        )
        asked: list[str] = []
        store._connection.set_trace_callback(asked.append)
        ids = Ids(store._connection, "messages")
        ids.find([*digests, *digests])
        ids.find(digests)
        store._connection.set_trace_callback(None)
        assert len(asked) <= count // 64 + 7 + 7
        found = dict(store._connection.execute("SELECT hash, id FROM messages"))
        assert [ids.get(digest) for digest in digests] == [found.get(digest) for digest in digests]
        store._connection.execute("DELETE FROM messages")


def test_what_a_transaction_took_back_is_not_taken_for_stored(store: Store) -> None:
    """A batch with a call that cannot be stored is written again one by one: ids of the first try are others' now, or nobody's."""
    fine, last = a_call(), a_call()
    for call in (fine, last):
        store.prepare([call])
    poisoned = stored_call(bodies=(replace(body(b""), content="text"),))  # type: ignore[arg-type]
    store.write([fine, last, poisoned])
    assert rows(store, "SELECT count(*) FROM calls") == [(3,)]
    for call in (fine, last):
        for stored in call.bodies:
            read = store.body(str(call.row["id"]), stored.kind)
            assert read and read.content == stored.content
    assert rows(store, "SELECT count(*) FROM call_messages k JOIN messages m ON m.id = k.message_id") == [(6,)]
