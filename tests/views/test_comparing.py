"""Two calls beside each other: numbers, fields and messages, with what is unknown left unknown."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.call import Message, Part, PartKind
from addons.views.comparing import (
    SHOWN_MAX,
    Page,
    Pair,
    Same,
    Shown,
    answers,
    clipped,
    conversations,
    facts,
    figures,
    parameters,
    sides,
    speed,
    tool_calls,
)


def text(role: str, words: str) -> Message:
    return Message(role, (Part("text", words),))


def call(name: str, arguments: str, kind: PartKind = "tool_call") -> Part:
    return Part(kind, arguments, {"id": "x", "name": name})


def told(shown: list[Shown] | Any) -> list[str]:
    return [piece.text for piece in shown if piece.kind == "changed"]


@pytest.mark.parametrize(
    ("a", "b", "change", "percent"),
    [
        (1000, 1250, "+250", "+25.0 %"),
        (1000, 750, "-250", "-25.0 %"),
        (7, 7, "0", "+0.0 %"),
        (1_000_000, 999_999, "-1", "+0.0 %"),
        (0, 5, "+5", None),
        (None, 5, None, None),
        (5, None, None, None),
    ],
)
def test_figures(a: int | None, b: int | None, change: str | None, percent: str | None) -> None:
    """B minus A, and in percent of A where that is something; what is unknown is neither 0 nor subtracted."""
    (row,) = figures({"input_tokens": a}, {"input_tokens": b})
    assert (row.name, row.change, row.percent) == ("input_tokens", change, percent)
    assert row.a == (None if a is None else f"{a:,}")


def test_figures_have_their_units() -> None:
    """Money, times, sizes, speed; a figure that neither call has is left out."""
    a = {"cost_usd": 0.002, "duration_ms": 3000.0, "ttft_ms": 1000.0, "output_tokens": 100, "request_bytes": 2048}
    rows = {row.name: row for row in figures(a, a | {"cost_usd": 0.001, "duration_ms": 2000.0})}
    assert (rows["cost_usd"].a, rows["cost_usd"].change) == ("$0.002000", "-$0.001000")
    assert (rows["duration_ms"].b, rows["duration_ms"].change) == ("2.00 s", "-1.00 s")
    assert (rows["output tokens per second"].a, rows["output tokens per second"].b) == ("50.0", "100.0")
    assert rows["request_bytes"].a == "2.05 kB"
    assert "connect_ms" not in rows


def test_speed_is_unknown_without_its_parts() -> None:
    """No tokens, no first content, no time after it; nor with so little of them that it is chance."""
    whole = {"output_tokens": 10, "ttft_ms": 100.0, "duration_ms": 200.0}
    assert speed(whole) == 100
    for name in whole:
        assert speed(whole | {name: None}) is None
    for few in ({"output_tokens": 9}, {"duration_ms": 199.0}):
        assert speed(whole | few) is None  # two tokens that come at once are no speed


def test_facts() -> None:
    """What both lack is left out; a fact that one lacks differs."""
    rows = facts({"model": "a", "status": 200, "error": None}, {"model": "b", "status": 200, "route": "r"})
    assert [(row.name, row.a, row.b, row.differs) for row in rows] == [
        ("model", "a", "b", True),
        ("route", None, "r", True),
        ("status", "200", "200", False),
    ]


def test_parameters_that_differ() -> None:
    """By their path; equal fields and all that is said are left out, `null` and not set are two things."""
    a = {"model": "m", "temperature": 0.2, "messages": [1], "options": {"seed": 1, "top_k": 2}, "stop": None, "system": "x"}
    b = {"model": "m", "temperature": 0.7, "messages": [2], "options": {"seed": 1, "top_k": 3}, "system": "y", "top_p": 1}
    assert [(row.name, row.a, row.b) for row in parameters(a, b)] == [
        ("temperature", "0.2", "0.7"),
        ("options.top_k", "2", "3"),
        ("stop", "null", None),
        ("top_p", None, "1"),
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda name: {"type": "function", "function": {"name": name}},
        lambda name: {"name": name, "input_schema": {}},
        lambda name: {"functionDeclarations": [{"name": name}]},
        lambda name: {"type": name},
    ],
    ids=["openai", "anthropic", "gemini", "built in"],
)
def test_tools_are_told_by_their_names(make: Any) -> None:
    """A tool more is one row, in every dialect; their order does not count."""
    rows = parameters({"tools": [make("one"), make("two")]}, {"tools": [make("three"), make("two"), make("one")]})
    assert [(row.name, row.a) for row in rows] == [("tools[three]", None)]


@pytest.mark.parametrize("tools", [None, "x", [], [None], [[]], [{"function": None}], [{"name": {}}], [{"functionDeclarations": 3}]])
def test_odd_tools_are_compared_too(tools: Any) -> None:
    """A body may hold anything."""
    assert parameters({"tools": tools}, {"tools": tools}) == []
    parameters({"tools": tools}, {"tools": [{"name": "one"}]})


def test_long_values_are_clipped() -> None:
    """With how much is missing."""
    assert clipped("x" * 10) == "x" * 10
    assert clipped(None) is None
    assert (clipped("x" * 1500) or "").endswith("… (1,000 more characters)")


def test_equal_messages_are_counted_and_others_compared() -> None:
    """A history that both calls share is one line; what differs stands side by side."""
    shared = [text("system", "Be brief."), text("user", "Hello"), text("assistant", "Hi")]
    blocks = conversations([*shared, text("user", "Tell me of cats")], [*shared, text("user", "Tell me of dogs")], Page())
    assert blocks[0] == Same(3, "system, user, assistant")
    assert isinstance(blocks[1], Pair)
    assert (told(blocks[1].a), told(blocks[1].b)) == (["cats"], ["dogs"])
    assert len(blocks) == 2


def test_a_message_that_only_one_has() -> None:
    """Nothing stands in its place."""
    (same, more) = conversations([text("user", "a")], [text("user", "a"), text("user", "b")], Page())
    assert isinstance(same, Same)
    assert isinstance(more, Pair)
    assert (more.title_a, more.a, more.title_b, told(more.b)) == (None, [], "user", ["b"])


def test_a_role_that_differs_is_a_difference() -> None:
    """The same words, said by another."""
    (block,) = conversations([text("user", "a")], [text("system", "a")], Page())
    assert isinstance(block, Pair)
    assert (block.title_a, block.title_b) == ("user", "system")


def test_answers_are_without_tool_calls() -> None:
    """Those have their own place; a message of calls alone is no empty answer."""
    a = [Message("assistant", (Part("text", "Let me look."), call("search", "{}")))]
    b = [Message("assistant", (call("search", "{}"),))]
    (pair,) = answers(a, b, Page())
    assert (told(pair.a), pair.title_b) == (["Let me look."], None)
    assert answers(b, b, Page()) == []


def test_what_is_no_text_is_named() -> None:
    """Images by type and size, reasoning as such."""
    message = Message("user", (Part("image", None, {"media_type": "image/png", "bytes": 12}), Part("reasoning", "hm"), Part("text", "see")))
    (block,) = conversations([message], [], Page())
    assert isinstance(block, Pair)
    assert told(block.a) == ['[image {"bytes": 12, "media_type": "image/png"}]\n[reasoning]\nhm\nsee']


def test_tool_calls_are_paired_by_name() -> None:
    """In their order; the order and the blanks of their JSON do not count; arguments that are no JSON are compared as text."""
    a = [Message("assistant", (call("read", '{"path": "a", "line": 1}'), call("write", "{}"), call("run", "{broken")))]
    b = [Message("assistant", (call("read", '{"line":1,"path":"b"}'), call("run", "{broken too")))]
    read, write, run = tool_calls(a, b, Page())
    assert (read.title_a, told(read.a), told(read.b)) == ("read", ["a"], ["b"])
    assert (write.title_a, write.title_b) == ("write", None)
    assert (run.title_b, told(run.b)) == ("run", [" too"])
    assert tool_calls([Message("assistant", (Part("tool_call", None, None),))], [], Page())[0].title_a == "tool call"


def test_equal_passages_are_folded() -> None:
    """Their ends stay beside the changes, with the number of characters between; at the ends of the text only one of them."""
    middle = "".join(f"line {number}\n" for number in range(500))
    a, b = f"{middle}one\n{middle}two\n{middle}", f"{middle}uno\n{middle}due\n{middle}"
    shown_a, shown_b = sides(a, b, Page())
    assert [piece.kind for piece in shown_a] == ["same", "changed", "same", "changed", "same"]
    assert not shown_a[0].text
    assert shown_a[0].rest.endswith("line 499\n")
    assert shown_a[2].text.startswith("\nline 0\n") or shown_a[2].text.startswith("line 0\n")
    assert not shown_a[4].rest
    for shown, whole in ((shown_a, a), (shown_b, b)):
        assert sum(len(piece.text) + piece.left_out + len(piece.rest) for piece in shown) == len(whole)


def test_a_page_has_an_end() -> None:
    """However much differs: what is over is counted."""
    page = Page()
    shown = [sides("a " * SHOWN_MAX, "b " * SHOWN_MAX, page)[0] for _ in range(3)]
    assert sum(len(piece.text) for side in shown for piece in side) <= SHOWN_MAX
    assert sum(len(piece.text) + piece.left_out for side in shown for piece in side) == 3 * 2 * SHOWN_MAX
    assert page.cut
    assert page.budget.coarse
