"""addons/views/conversation_page.py in `turnpike browse`: a session once, and what it cost so far."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from urllib.parse import quote

import pytest

from addons.core.ids import ulid
from addons.storage.store import Store
from addons.views.conversation_page import cache_used
from addons.views.links import Links
from tests.views.samples import HOSTILE, call_id
from tests.views.support import Browse
from tests.views.talks import SESSION, call, fill_talks, text

ODD = ["..", ".", "a/b", "%2F", "~2F", "?", "#x", "東京", "a&b=c", HOSTILE]
TWIN = ulid(1_760_000_009_999, (1001).to_bytes(10))  # it ends as call 1001 does
EVIL = f'{HOSTILE}" onmouseover="alert(1)'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browse]:
    path = tmp_path_factory.mktemp("talks") / "talks.db"
    fill_talks(path)
    store = Store(path)
    said = [text("user", EVIL)]
    store.write([call(200 + n, 9000 + n, said, [text("assistant", EVIL)], conversation_id=one, model=EVIL) for n, one in enumerate(ODD)])
    store.write([call(1000 + n, 10_000 + n, said, [text("assistant", f"answer {n}")], conversation_id="long") for n in range(250)])
    store.write([call(3000, 20_000, said, [text("assistant", "twin")], conversation_id="the long", id=TWIN)])
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE calls SET outcome = ?, error_type = ? WHERE model = ?", (EVIL, EVIL, EVIL))
    with Browse(path) as browse:
        yield browse


def page(served: Browse, conversation: str) -> str:
    answer = served.client.get(Links(str).conversation(conversation))
    assert answer.status_code == 200, answer.text[:1000]
    return answer.text


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_each_message_is_shown_once(served: Browse) -> None:
    """Although agents send their history again with every call; tool results stand beside their calls."""
    html = page(served, SESSION)
    for once in (
        "Which files are there?",
        "I should look.",
        "Two files.",
        "addons = [Scope()]",
        "It lists the rooms.",
        "And now?",
        "Summary: two",
    ):
        assert len(re.findall(f'dir="auto">{re.escape(once)}', html)) == 1, once
    transcript = html[html.index('id="transcript"') :]
    places = [transcript.index(said) for said in ("Which files", "Two files.", "It lists", "And now?", "Summary", "Going on.")]
    assert places == sorted(places)
    assert not re.search(r"role-tool", html)


def test_the_waterfall_has_a_line_per_call_with_the_cost_so_far(served: Browse) -> None:
    """A sum with an unknown part says that it is more."""
    html = page(served, SESSION)
    costs = re.findall(r'data-column="running_cost">([^<]*)', html)
    assert costs == ["$0.0200", "≥ $0.0200", "≥ $0.0400", "≥ $0.0600", "≥ $0.0800", "≥ $0.1000"]
    assert html.count('<rect class="bar') == 6
    assert html.count('class="idle"') == 3


def test_cache_misses_are_told_with_their_place(served: Browse) -> None:
    """The call, how much, why, and from which message on the prefix is another."""
    html = page(served, SESSION)
    found = re.search(r'<section id="cache">.*?</section>', html, re.DOTALL)
    assert found
    told = plain(found[0])
    assert "Call 5 compared with call 4 : missed , 800 tokens were not read again (earlier messages changed)" in told
    assert "The prefix changed from message 4 on" in told
    assert "Call 6 compared with call 5 : missed , 4,900 tokens" in told
    assert "19 minutes had passed" in told
    assert re.findall(r'<tr data-call="\w+" data-cache="(\w+)"', html) == ["unknown", "unknown", "hit", "hit", "miss", "miss"]
    assert "No call here tells whether a prompt cache was used" in page(served, "pictures")


def test_branches_and_compactions_are_said(served: Browse) -> None:
    """Where the history is not the one before, with more."""
    notes = re.findall(r'<span class="history-note">([^<]*)', page(served, SESSION))
    assert notes[0].startswith("begins here")
    assert notes[1].startswith("begins anew")
    assert notes[2].startswith("goes on from call 1")
    assert notes[3].startswith("branches off")
    assert notes[4].startswith("a new history")


@pytest.mark.parametrize("conversation", ODD)
def test_any_id_has_its_page(served: Browse, conversation: str) -> None:
    """Through the router of Datasette, and through what browsers do to paths."""
    html = page(served, conversation)
    assert "call-1" in html
    assert call_id(200 + ODD.index(conversation)) in html
    assert Links(str).conversation(conversation) in served.get(f"/-/llm/call/{call_id(200 + ODD.index(conversation))}").text


@pytest.mark.parametrize("conversation", ["a/b", HOSTILE])
def test_hostile_text_stays_text(served: Browse, conversation: str) -> None:
    """In messages, models, outcomes and the id."""
    html = page(served, conversation)
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert re.findall(r"<script [^>]*>", html) == ['<script src="/-/static-plugins/turnpike/call.js" defer>']  # Datasette has an inline one
    assert not re.search(r"<[^>]*[\s\"']on\w+=", re.sub(r'"[^"]*"', '""', html))


def test_long_conversations_have_pages(served: Browse) -> None:
    """Of a hundred calls; sums go on over them."""
    first, last = served.get("/-/llm/conversation/long").text, served.get("/-/llm/conversation/long", page="3").text
    assert (first.count('<rect class="bar'), last.count('<rect class="bar')) == (100, 50)
    assert 'class="later" href="/-/llm/conversation/long?page=2"' in first
    assert 'class="earlier" href="/-/llm/conversation/long?page=2"' in last
    assert re.findall(r'data-column="running_cost">([^<]*)', last)[-1] == "$5.00"
    assert f'href="{Links(str).conversation("long", 3)}#call-201"' in served.get(f"/-/llm/call/{call_id(1200)}").text


@pytest.mark.parametrize(("path", "status"), [("nope", 404), ("a%2Fc", 404), ("%3Cscript%3E", 404), ("", 404)])
def test_unknown_conversations_are_told(served: Browse, path: str, status: int) -> None:
    """As text, not as a redirect."""
    answer = served.client.get(f"/-/llm/conversation/{path}")
    assert answer.status_code == status
    assert "There is no conversation" in answer.text
    assert 'href="/turnpike/conversations"' in answer.text


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "²", "9" * 30])
def test_a_page_that_is_none_is_told(served: Browse, number: str) -> None:
    """Naming what was given; one beyond the end is the last."""
    answer = served.client.get(f"/-/llm/conversation/long?page={quote(number)}")
    assert answer.status_code == 400
    assert "is no page" in answer.text
    assert "calls 201 to 250" in plain(served.get("/-/llm/conversation/long", page="77").text)


def test_who_talked_is_told(served: Browse) -> None:
    """Client and first prompt, the way to the rows, and to what differs between a call and the one that it goes on from."""
    html = page(served, SESSION)
    assert re.search('data-column="client">claude-cli<', html)
    rows = re.search('id="rows" href="([^"]+)"', html)
    assert rows is not None
    listed = served.client.get(unescape(rows[1]).replace("/traffic?", "/traffic.json?") + "&_shape=array").json()
    assert {row["conversation_id"] for row in listed} == {SESSION}
    assert f'href="/-/llm/diff?a={call_id(100)}&amp;b={call_id(102)}"' in html


def test_of_several_that_end_alike_one_may_choose(served: Browse) -> None:
    """Calls and conversations; where only one ends so, the way leads there."""
    answer = served.client.get(f"/-/llm/call/{call_id(1001)[-8:].lower()}")
    assert answer.status_code == 404
    assert re.findall(r'<li><a href="/-/llm/call/(\w+)">', answer.text) == [TWIN, call_id(1001)]
    answer = served.client.get(Links(str).conversation(SESSION[6:]))
    assert (answer.status_code, answer.headers["location"]) == (302, Links(str).conversation(SESSION))


def test_a_cache_that_was_not_used() -> None:
    """Zeros are told, unknown counts are not known."""
    zero, unknown, read = ({"cache_read_tokens": tokens, "cache_write_tokens": None} for tokens in (0, None, 1))
    assert (cache_used([zero, unknown]), cache_used([unknown]), cache_used([zero, read])) == (False, None, True)


def test_a_cache_that_was_not_used_is_said(served: Browse) -> None:
    """Instead of that nothing was missed."""
    assert "No call here tells whether a prompt cache was used" in page(served, "long")
    assert "The prompt cache was not used" not in page(served, SESSION)
