"""A conversation is recognized by its answered beginning, whatever clients do to history on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate, islice

from addons.core.call import Message, Part
from addons.core.conversations import Conversations, end_after, says_same, turns


def user(text: str) -> Message:
    return Message("user", (Part("text", text),))


def assistant(text: str) -> Message:
    return Message("assistant", (Part("text", text),))


def test_continuation_is_found() -> None:
    """Messages that begin with an earlier call's and its answer continue it, over any number of turns."""
    talks = Conversations(100)
    turns = [user("hello")]
    assert talks.find(None, "c", turns) is None
    talks.learn("one", "c", turns, [assistant("hi")])
    turns += [assistant("hi"), user("more")]
    assert talks.find(None, "c", turns) == "one"
    talks.learn("one", "c", turns, [assistant("again")])
    assert talks.find(None, "c", [*turns, assistant("again"), user("and more")]) == "one"


def test_equal_first_turns_are_different_conversations() -> None:
    """The same question asked again is a new conversation; the answers tell them apart."""
    talks = Conversations(100)
    talks.learn("one", "c", [user("hello")], [assistant("hi")])
    assert talks.find(None, "c", [user("hello")]) is None
    talks.learn("two", "c", [user("hello")], [assistant("good day")])
    assert talks.find(None, "c", [user("hello"), assistant("hi"), user("x")]) == "one"
    assert talks.find(None, "c", [user("hello"), assistant("good day"), user("x")]) == "two"


def test_the_answer_that_is_named_goes_first() -> None:
    """Where the provider keeps the history, a call says only what is new. A session goes before it; another client's name means nothing."""
    talks = Conversations(100)
    talks.learn("trunk", "c", [user("a")], [assistant("b")])
    talks.learn_name("named", "c", "resp_1")
    talks.learn_name("polled", "c", "resp_1")
    turns = [user("a"), assistant("b"), user("c")]
    assert talks.find(None, "c", [user("x")], "resp_1") == "named"
    assert talks.find(None, "c", turns, "resp_1") == "named"
    assert talks.find(None, "c", turns, "resp_2") == "trunk"
    assert talks.find("mine", "c", turns, "resp_1") == "mine"
    assert talks.find(None, "d", [user("x")], "resp_1") is None


def test_longest_match_wins() -> None:
    """A branch that is its own conversation is found before the trunk that it grew from."""
    talks = Conversations(100)
    trunk = [user("a"), assistant("b"), user("c")]
    talks.learn("trunk", "c", trunk[:1], [assistant("b")])
    talks.learn("branch", "c", trunk, [assistant("d")])
    assert talks.find(None, "c", [*trunk, assistant("d"), user("e")]) == "branch"
    assert talks.find(None, "c", [*trunk[:2], user("other")]) == "trunk"


def test_reformatted_answer_still_matches() -> None:
    """Reasoning left out, white space trimmed, parts cut otherwise, arguments spaced and ordered otherwise, ids renamed."""
    talks = Conversations(100)
    answer = Message(
        "assistant",
        (
            Part("reasoning", "hm", {"signature": "abc"}),
            Part("text", "I will "),
            Part("text", "look.\n"),
            Part("tool_call", '{"b": 1, "a": [1, 2]}', {"id": "call_1", "name": "find"}),
        ),
    )
    talks.learn("one", "c", [user("go ")], [answer])
    again = Message("assistant", (Part("text", "I will look."), Part("tool_call", '{"a":[1,2],"b":1}', {"id": "x", "name": "find"})))
    result = Message("tool", (Part("tool_result", "found", {"id": "x"}),))
    assert talks.find(None, "c", [user("go"), again, result]) == "one"
    other = Message("assistant", (Part("text", "I will look."), Part("tool_call", '{"a":[1,3],"b":1}', {"id": "x", "name": "find"})))
    assert talks.find(None, "c", [user("go"), other, result]) is None


def test_system_messages_may_change() -> None:
    """Agents write the time into them; the conversation stays the same."""
    talks = Conversations(100)
    talks.learn("one", "c", [Message("system", (Part("text", "it is 10:00"),)), user("a")], [assistant("b")])
    assert talks.find(None, "c", [Message("system", (Part("text", "it is 10:01"),)), user("a"), assistant("b"), user("c")]) == "one"


def test_session_goes_first() -> None:
    """A client that names its session is believed."""
    talks = Conversations(100)
    talks.learn("one", "c", [user("a")], [assistant("b")])
    assert talks.find("mine", "c", [user("a"), assistant("b"), user("c")]) == "mine"


def test_clients_are_kept_apart() -> None:
    """The same words of another client are another conversation."""
    talks = Conversations(100)
    talks.learn("one", "c", [user("a")], [assistant("b")])
    assert talks.find(None, "d", [user("a"), assistant("b"), user("c")]) is None


def test_unanswered_calls_teach_nothing() -> None:
    """Without an answer, or with one of reasoning alone, there is nothing to continue."""
    talks = Conversations(100)
    talks.learn("one", "c", [user("a")], [])
    talks.learn("one", "c", [user("a")], [Message("assistant", (Part("reasoning", "hm"),))])
    assert talks.find(None, "c", [user("a"), user("b")]) is None


def test_memory_is_bounded() -> None:
    """The longest unused ends are forgotten first; finding one is using it."""
    talks = Conversations(2)
    for name in ("1", "2"):
        talks.learn(name, "c", [user(name)], [assistant("x")])
    assert talks.find(None, "c", [user("1"), assistant("x"), user("y")]) == "1"
    talks.learn("3", "c", [user("3")], [assistant("x")])
    found = [talks.find(None, "c", [user(name), assistant("x"), user("y")]) for name in ("1", "2", "3")]
    assert found == ["1", None, "3"]


def test_odd_content_is_no_error() -> None:
    """Arguments that are no JSON, lone surrogates, images, and no text at all."""
    talks = Conversations(10)
    odd = Message(
        "user",
        (
            Part("text", "\ud800"),
            Part("image", None, {"media_type": "image/png", "bytes": 7}),
            Part("tool_call", "{not json", None),
            Part("text"),
        ),
    )
    talks.learn("one", None, [odd], [assistant("b")])
    assert talks.find(None, None, [odd, assistant("b"), user("c")]) == "one"


def test_an_answer_that_is_sent_back_says_the_same() -> None:
    """Without its reasoning, cut otherwise, its arguments spaced otherwise; another text does not."""
    call = Part("tool_call", '{"a":1}', {"id": "1", "name": "look"})
    answer = Message("assistant", (Part("reasoning", "hm"), Part("text", "yes"), call))
    sent = Message("assistant", (Part("text", "yes "), Part("tool_call", '{"a": 1}', {"id": "2", "name": "look"})))
    assert says_same([sent], [answer])
    assert says_same([assistant("yes")], [Message("assistant", (Part("text", "y"), Part("text", "es")))])
    assert not says_same([assistant("yes")], [answer])
    assert not says_same([assistant("no")], [assistant("yes")])


def ends(messages: Iterable[Message]) -> Iterator[bytes]:
    """What was said up to the end of each."""
    return islice(accumulate(messages, end_after, initial=b""), 1, None)


def test_ends_are_equal_for_a_history_that_is_sent_again() -> None:
    """Message by message; a system message adds nothing, another word makes all that follows new."""
    asked = [Message("system", (Part("text", "be brief"),)), user("hello"), assistant("hi")]
    again = [Message("system", (Part("text", "be long"),)), user("hello "), assistant("hi"), user("why?")]
    assert list(ends(asked)) == list(ends(again))[:3]
    first, *_ = ends(asked)
    assert first == b""
    assert len(set(ends(again))) == 4
    other = list(ends([user("hello!"), assistant("hi")]))
    assert not set(other) & set(ends(asked))


def test_turns_are_what_messages_are_known_by() -> None:
    """Asking and learning by them is the same as by the messages."""
    talks, said = Conversations(10), [user("a"), assistant("b"), user("c")]
    talks.learn_after("one", "c", turns(said), [assistant("d")])
    assert talks.find("", "c", [*said, assistant("d"), user("e")]) == "one"
    assert talks.find_after("c", turns([*said, assistant("d")])) == "one" and talks.find_after("c", turns(said)) is None
    talks.learn_name("two", "c", "resp_1")
    assert talks.find_after("c", [], "resp_1") == "two"
