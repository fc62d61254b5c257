"""One conversation as an HTML file."""

from __future__ import annotations

import base64
import re
import secrets
import sqlite3
from contextlib import closing
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from addons.core.call import Message, Part
from addons.storage.database import open_reader
from addons.storage.store import Store
from scripts.exporting.html import History, pieces
from scripts.exporting.selection import Selection
from tests.scripts.exporting.samples import HOSTILE, SESSION, captures_of, png
from tests.storage.support import body, say, stored_call

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "article", "footer", "div", "dl", "dt", "dd"),
    *("h1", "h3", "p", "a", "time", "span", "bdi", "details", "summary", "figure", "figcaption", "img"),
}


class Page(HTMLParser):
    """What a browser would make of it: elements, their attributes, the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def exported(database: Path, conversation: str = SESSION) -> str:
    with closing(open_reader(database)) as connection:
        return b"".join(pieces(captures_of(connection, Selection(conversation=conversation)))).decode()


@pytest.fixture(scope="module")
def page(filled: Path) -> Page:
    return Page(exported(filled))


def test_it_runs_nothing_and_loads_nothing(page: Page) -> None:
    """No scripts, no handlers, no addresses but its own places and images that are in it; and a policy that forbids the rest."""
    assert {tag for tag, _ in page.elements} <= TAGS
    for _, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name in ("style", "srcset", "background", "action")}
        for name in ("src", "href"):
            assert re.match(r"#|data:image/(png|jpeg|gif|webp);base64,", attributes.get(name) or "#")
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "script" not in policy


def test_its_policy_allows_its_own_style_alone(filled: Path) -> None:
    """By the hash of what is between the tags, to the byte."""
    text = exported(filled)
    style = text[text.index("<style>") + len("<style>") : text.index("</style>")]
    assert f"style-src 'sha256-{base64.b64encode(sha256(style.encode()).digest()).decode()}'" in text
    assert "url(" not in style and "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_what_is_hostile_is_text(page: Page, filled: Path) -> None:
    """In title, prompt and answer."""
    assert page.text.count(HOSTILE) == 4  # <title>, heading, prompt, answer
    assert "<img src=x" not in exported(filled)


def test_each_message_is_there_once(page: Page) -> None:
    """At the call that brought it, the result at its tool call, reasoning folded; a system message that came before is not repeated."""
    for text in ("Let me look.", "A grey square.", "And on this one?", "It is turn 0.", "It is turn 1.", "a grey square"):
        assert page.text.count(text) == 1, text
    assert page.text.index("tool call look") < page.text.index("a grey square") < page.text.index("It is turn 1.")
    folded = page.text.index("I should look closer.")
    assert page.text.index("reasoning") < folded
    assert len(page.all("section")) == 3


def test_figures_are_those_of_the_rows(page: Page, filled: Path) -> None:
    """Per call and in sum; what is not known is no zero."""
    with closing(sqlite3.connect(filled)) as connection:
        (tokens, cost) = connection.execute(
            "SELECT sum(input_tokens), sum(cost_usd) FROM calls WHERE conversation_id = ?", (SESSION,)
        ).fetchone()
    assert f"{tokens:,}" in page.text and f"${cost:.4f}" in page.text
    assert "first token \N{EN DASH}" in " ".join(page.text.split())


def test_images_are_in_it(page: Page) -> None:
    """Those of kinds that run nothing, told by their bytes; others are named only."""
    sources = [image["src"] for image in page.all("img")]
    assert sources == [f"data:image/png;base64,{base64.b64encode(png(width)).decode()}" for width in (2, 3)]
    assert "image/svg+xml, 21 B" in page.text


def test_it_is_masked_once_more(captures: Path) -> None:
    """It goes by mail."""
    token = "sk-" + secrets.token_hex(24)
    with closing(sqlite3.connect(captures)) as connection, connection:
        connection.execute("UPDATE parts SET text = text || ?", (f" {token}",))
        connection.execute("UPDATE calls SET prompt = ?, error = ?", (token, token))
    assert token not in exported(captures)


def test_a_call_without_messages_is_there(captures: Path) -> None:
    """With its figures and its error."""
    with closing(sqlite3.connect(captures)) as connection, connection:
        connection.execute("UPDATE calls SET conversation_id = 'x', error = 'it broke' WHERE outcome = 'error' AND status IS NULL")
        connection.execute("DELETE FROM call_messages")
    text = Page(exported(captures, "x")).text
    assert "it broke" in text and "error" in text


def test_new_messages_of_a_conversation(tmp_path: Path) -> None:
    """What a client leaves out of a history that it sends again (reasoning) makes nothing new; another branch is new; a message of
    reasoning alone is not lost; of several answers each is shown."""
    thought = Message("assistant", (Part("reasoning", "hm"),))
    first = stored_call(messages=(say("user", "a"), thought, say("assistant", "b"), say("assistant", "c")), answers=3)
    again = stored_call(messages=(say("user", "a"), say("assistant", "b"), say("user", "d"), say("assistant", "e")), answers=1)
    branch = stored_call(messages=(say("user", "a"), say("assistant", "c"), say("user", "d"), say("assistant", "e")), answers=1)
    once_more = stored_call(messages=again.messages, answers=1)
    with closing(Store(tmp_path / "t.db")) as store:
        store.write([first, again, branch, once_more])
    history = History()
    with closing(open_reader(tmp_path / "t.db")) as connection:
        found = [[message for _, message, _ in history.new(call)] for call in captures_of(connection, Selection()).brought()]
    assert found == [list(first.messages), list(again.messages[2:]), list(branch.messages[2:]), []]


def test_a_long_conversation_is_not_read_over_and_over(tmp_path: Path) -> None:
    """Each message is read and masked once, however many calls send it again; bodies are read only where images are in them."""
    history, calls = [say("system", "be brief")], []
    for turn in range(30):
        history.append(say("user", f"question {turn}"))
        answer = say("assistant", f"answer {turn}")
        calls.append(stored_call(messages=(*history, answer), answers=1, bodies=(body(b"{}" * turn),)))
        history.append(answer)
    with closing(Store(tmp_path / "t.db")) as store:
        store.write(calls)
        store._connection.execute("UPDATE bodies SET segments = '[999]'")
    with closing(open_reader(tmp_path / "t.db")) as connection:
        assert sum(len(call.new) for call in captures_of(connection, Selection()).brought()) == 1 + 30 + 30
        page = b"".join(pieces(captures_of(connection, Selection()))).decode()
    for turn in range(30):
        assert page.count(f">answer {turn}<") == page.count(f">question {turn}<") == 1
