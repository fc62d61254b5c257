"""addons/views/said.py and llm/messages.html: what a person reads of a call's messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, select_autoescape

from addons.core.call import Message, Part
from addons.views import said
from addons.views.said import SaidMessage, first_line, is_web_address, say
from tests.views.samples import HOSTILE

TEMPLATES = Path(said.__file__).parent / "templates"


def html(messages: tuple[SaidMessage, ...]) -> str:
    """By the macro, in an environment that has nothing of Datasette."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape())
    return environment.from_string(
        '{% from "llm/messages.html" import one_message %}{% for one in said %}{{ one_message(one) }}{% endfor %}'
    ).render(said=messages)


def call(call_id: str | None, name: str = "look", arguments: str = "{}") -> Part:
    return Part("tool_call", arguments, {"id": call_id, "name": name})


def result(call_id: str | None, text: str) -> Part:
    return Part("tool_result", text, {"id": call_id})


def pairs(messages: tuple[SaidMessage, ...]) -> list[tuple[str, list[str]]]:
    """Each tool call with the texts of its results."""
    return [(part.title, [found.text for found in part.results]) for one in messages for part in one.parts if part.kind == "tool_call"]


def test_messages_keep_their_order_roles_and_texts() -> None:
    """The request's first, then the answer's, counted through."""
    shown = say(
        [Message("system", (Part("text", "be brief"),)), Message("user", (Part("text", "hi"),))],
        [Message("assistant", (Part("text", "yes"),))],
    )
    assert [(one.position, one.role, one.is_answer, one.parts[0].text) for one in shown] == [
        (0, "system", False, "be brief"),
        (1, "user", False, "hi"),
        (2, "assistant", True, "yes"),
    ]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param(
            [("assistant", [call("a", "x"), call("b", "y")]), ("tool", [result("b", "2")]), ("tool", [result("a", "1")])],
            [("tool call x", ["1"]), ("tool call y", ["2"])],
            id="by id, in any order",
        ),
        pytest.param(
            [("assistant", [call("a", "x")]), ("tool", [result("a", "1")]), ("assistant", [call("a", "x")]), ("tool", [result("a", "2")])],
            [("tool call x", ["1"]), ("tool call x", ["2"])],
            id="an id used twice means the last call before the result",
        ),
        pytest.param(
            [("assistant", [call(None, "x"), call(None, "y")]), ("tool", [result(None, "1"), result(None, "2")])],
            [("tool call x", ["1"]), ("tool call y", ["2"])],
            id="without ids in order",
        ),
        pytest.param(
            [("assistant", [call(None, "x")]), ("assistant", [call(None, "y")]), ("tool", [result(None, "2")])],
            [("tool call x", []), ("tool call y", ["2"])],
            id="without ids those of the last turn",
        ),
        pytest.param(
            [("assistant", [call("a")]), ("user", [Part("text", "never mind")])], [("tool call look", [])], id="a call without a result"
        ),
        pytest.param(
            [("tool", [result("a", "1")]), ("assistant", [call("a")])],
            [("tool call look", [])],
            id="a result before its call is not its result",
        ),
        pytest.param(
            [("assistant", [call("a")]), ("tool", [result("a", "1"), result("a", "more")])],
            [("tool call look", ["1", "more"])],
            id="several results of one call",
        ),
    ],
)
def test_results_stand_at_their_calls(messages: list[tuple[str, list[Part]]], expected: list[tuple[str, list[str]]]) -> None:
    """Matched by id; never twice."""
    shown = say([Message(role, tuple(parts)) for role, parts in messages])
    assert pairs(shown) == expected
    nested = {found for _, results in expected for found in results}
    assert not nested & {part.text for one in shown for part in one.parts if part.kind == "tool_result"}


def test_a_message_of_matched_results_alone_is_not_shown_again() -> None:
    """One with anything else, or with a result whose call is missing, is."""
    shown = say(
        [
            Message("assistant", (call("a"),)),
            Message("tool", (result("a", "found"),)),
            Message("user", (result("z", "stray"), Part("text", "and?"))),
        ]
    )
    assert [one.nested for one in shown] == [False, True, False]
    page = html(shown)
    assert page.count("found") == 1
    assert page.count("stray") == 1
    assert "and?" in page


def test_long_texts_are_folded_and_cut() -> None:
    """Reasoning always; a long system prompt as a whole; what is very long says how much is missing."""
    shown = say(
        [
            Message("system", (Part("text", "s" * 300), Part("text", "t" * 300))),
            Message("user", (Part("text", "u" * 1000),)),
            Message("user", (Part("text", "v" * 30_000),)),
        ],
        [Message("assistant", (Part("reasoning", "hm"), Part("text", "yes")))],
    )
    assert [one.folded for one in shown] == [True, False, False, False]
    assert [[part.folded for part in one.parts] for one in shown] == [[False, False], [False], [True], [True, False]]
    assert (len(shown[2].parts[0].text), shown[2].parts[0].missing) == (20_000, 10_000)
    assert "10,000 more characters" in html(shown)


def test_what_tools_take_and_give_is_indented() -> None:
    """JSON is; text, numbers and broken JSON stay as they are."""
    shown = say([Message("assistant", (call("a", arguments='{"a":[1,"東京"]}'), call("b", arguments="{broken"), call("c", arguments="3")))])
    assert [part.text for part in shown[0].parts] == ['{\n  "a": [\n    1,\n    "東京"\n  ]\n}', "{broken", "3"]
    assert [part.is_json for part in shown[0].parts] == [True, False, False]


def test_images_have_a_size_and_a_source() -> None:
    """Images are counted per side, other parts are not; without a source they are named only."""
    asked = [
        Message(
            "user",
            (Part("text", "see"), Part("image", None, {"media_type": "image/png", "bytes": 20_480}), Part("audio", None, {"bytes": 3})),
        )
    ]
    more = [Message("user", (Part("image", None, {"media_type": "image/gif", "bytes": 5}),))]
    answered = [Message("assistant", (Part("image", None, {"bytes": 7}),))]
    shown = say([*asked, *more], answered, image_source=lambda side, number, part: f"/{side}/{number}")
    parts = [part for one in shown for part in one.parts if part.kind == "image"]
    assert [part.src for part in parts] == ["/request/0", "/request/1", "/response/0"]
    assert parts[0].title == "image/png, 20.5 kB"
    assert "<img" in html(shown)
    assert "<img" not in html(say(asked))
    assert "image/png, 20.5 kB" in html(say(asked))


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://example.org/a.png", True),
        ("http://example.org", True),
        ("javascript:alert(1)//https://x", False),
        ("JAVASCRIPT://a/%0aalert(1)", False),
        ("data:text/html,<b>", False),
        ("gs://bucket/a.png", False),
        ("https:no-host", False),
        ("http://[half", False),
    ],
)
def test_only_web_addresses_are_linked(url: str, linked: bool) -> None:
    """And none is loaded: a picture of another host would be asked for there."""
    assert is_web_address(url) == linked
    page = html(say([Message("user", (Part("image", None, {"url": url}),))]))
    assert ("<a href=" in page) == linked
    assert "<img" not in page


@pytest.mark.parametrize("kind", ["text", "reasoning", "tool_call", "tool_result", "image", "audio", "file", "refusal", "other"])
def test_hostile_text_stays_text(kind: str) -> None:
    """In the text, in every value beside it, and in the role."""
    part = Part(kind, HOSTILE, dict.fromkeys(("id", "name", "type", "media_type", "url"), HOSTILE))  # type: ignore[arg-type] # told by the table
    page = html(say([Message(HOSTILE, (part,)), Message("system", (replace_text(part, HOSTILE * 50),))]))
    assert "<img" not in page
    assert "</script" not in page
    assert 'href="' not in page
    assert "&lt;/script&gt;" in page


def replace_text(part: Part, text: str) -> Part:
    return Part(part.kind, text, part.data)


def test_text_is_shown_to_the_letter() -> None:
    """A line end at the beginning (which `<pre>` would lose), tabs, right-to-left marks and emoji."""
    text = "\n\tdef f():\n\u202e\u05d0\u200f 👩‍🚀"
    assert f">{text}</div>" in html(say([Message("user", (Part("text", text),))]))


def test_first_lines_are_one_line() -> None:
    """Also of a text of one endless line."""
    assert first_line("a\n\n b\tc") == "a b c"
    assert first_line("x" * 1_000_000) == "x" * 120 + "…"
