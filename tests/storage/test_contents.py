"""addons/storage/contents.py: what calls share is stored once."""

from __future__ import annotations

import json
import random
import string

import pytest

from addons.core.call import Message
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


def test_what_was_prepared_is_stored_as_if_it_had_not_been(store: Store) -> None:
    """Also when its segments went, or came, between the two."""
    first, second = (stored_call(bodies=(body(bytes([65 + n]) * 5000), body(b"x" * 3000, "response"))) for n in (0, 0))
    store.prepare(first)
    store.write([first])
    store.prepare(second)
    store._connection.execute("DELETE FROM calls")
    store._connection.execute("DELETE FROM bodies")
    store._connection.execute("DELETE FROM segments")
    store._connection.execute("DELETE FROM segment_refs")
    store.write([second])
    for stored in second.bodies:
        read = store.body(str(second.row["id"]), stored.kind)
        assert read and read.content == stored.content
