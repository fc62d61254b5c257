"""addons/views/conversation_facts.py: each message once, by indexes alone, however long the conversation."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from addons.core.call import Message
from addons.storage.database import open_reader
from addons.storage.store import Store
from addons.views.conversation_facts import PAGE_CALLS, ConversationFacts, read_conversation
from tests.views.talks import SESSION, SYSTEM, call, fill_talks, text


def read(path: Path, conversation: str, page: int = 1) -> ConversationFacts:
    with closing(open_reader(path)) as connection:
        facts = read_conversation(connection, conversation, page)
    assert facts is not None
    return facts


def words(messages: list[tuple[int, int, Message]]) -> list[str]:
    return [(message.parts[0].text or "")[:20] for *_, message in messages]


def test_each_call_brings_what_is_new(tmp_path: Path) -> None:
    """The answer that a client sends back is told from what it says itself; a changed history tells from where."""
    path = tmp_path / "talks.db"
    fill_talks(path)
    facts = read(path, SESSION)
    brought = facts.messages
    assert [words(one.asked)[one.echo :] for one in brought] == [
        ["Which files are ther"],
        ["Which files are ther"],
        ['["README.md","router'],
        ["addons = [Scope()]"],
        ["[]", "And now?"],
        ["You are an agent. Yo", "Summary: two files w"],
    ]
    assert [[message.parts[0].text for _, message in one.systems] != [] for one in brought] == [True, True, False, False, False, False]
    assert [one.echo for one in brought][2:4] == [1, 1]
    assert [one.changed_from for one in brought] == [None, None, None, None, 3, 1]
    assert [follow.kind for follow in facts.follows] == ["start", "start", "continues", "continues", "changes", "replaces"]
    assert [follow.before for follow in facts.follows] == [None, None, 0, 2, 3, 4]


def test_no_statement_reads_a_whole_table(tmp_path: Path) -> None:
    """Only the lists that are handed over, and what they lead to."""
    path = tmp_path / "talks.db"
    fill_talks(path)
    ran: list[str] = []
    with closing(open_reader(path)) as connection:
        connection.set_trace_callback(ran.append)
        read_conversation(connection, SESSION, 1)
        read_conversation(connection, "pictures", 1)
        connection.set_trace_callback(None)
        assert len(set(ran)) > 10
        for statement in set(ran):
            for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                assert not re.match(r"SCAN (?!listed|json_each|chain|\(|CONSTANT)", detail), (detail, statement)


def talk(path: Path, calls: int) -> int:
    """An agent's session of so many calls; how many steps SQLite takes for its last page is given."""
    store = Store(path)
    said: list[Message] = [SYSTEM]
    try:
        batch = []
        for number in range(calls):
            said = [*said, text("user", f"question {number}")]
            answer = text("assistant", f"answer {number}")
            batch.append(call(1000 + number, number, said, [answer]))
            said = [*said, answer]
        store.write(batch)
    finally:
        store.close()
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with closing(open_reader(path)) as connection:
        connection.set_progress_handler(count, 1000)
        read_conversation(connection, SESSION, 10**6)
        connection.set_progress_handler(None, 0)
    return steps


def test_a_page_of_a_long_conversation_is_as_quick(tmp_path: Path) -> None:
    """Three times as many calls hold nine times as many messages; a page takes hardly more."""
    short, long = talk(tmp_path / "short.db", PAGE_CALLS), talk(tmp_path / "long.db", 3 * PAGE_CALLS)
    assert long < 6 * short
    facts = read(tmp_path / "long.db", SESSION, 2)
    assert (facts.first, facts.start, len(facts.messages), len(facts.rows)) == (PAGE_CALLS, PAGE_CALLS, PAGE_CALLS, 2 * PAGE_CALLS)
    assert facts.totals["calls"] == 3 * PAGE_CALLS
    assert facts.before["input_tokens"] == sum(row["input_tokens"] or 0 for row in facts.rows[:PAGE_CALLS])
    assert words(facts.messages[0].asked) == ["answer 99", "question 100"]
    assert [one.echo for one in facts.messages] == [1] * PAGE_CALLS
    beyond = read(tmp_path / "long.db", SESSION, 99)
    assert beyond.first == 2 * PAGE_CALLS


def test_what_is_not_there(tmp_path: Path) -> None:
    """An unknown conversation; calls without messages; a damaged chain."""
    path = tmp_path / "talks.db"
    fill_talks(path)
    with closing(open_reader(path)) as connection:
        assert read_conversation(connection, "nope", 1) is None
    assert [one.asked for one in read(path, "incomplete 130").messages] == [[]]
    assert read(path, "incomplete 130").follows[0].kind == "unknown"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("UPDATE messages SET parent = id")
    assert len(read(path, SESSION).messages) == 6
