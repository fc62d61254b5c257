"""addons/views/call_page.py in `turnpike browse`: everything that is known of a call, and nothing that runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

from addons.core.call import Message, Part
from addons.views.call_page import history_end, read_decision
from addons.views.links import Links
from addons.views.said import say
from tests.views.samples import HOSTILE, call_id
from tests.views.support import Browse
from tests.views.talks import SESSION, fill_talks


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browse]:
    path = tmp_path_factory.mktemp("talks") / "talks.db"
    fill_talks(path)
    with Browse(path) as browse:
        yield browse


def page(served: Browse, number: int, **params: str) -> str:
    return served.get(f"/-/llm/call/{call_id(number)}", **params).text


def section(html: str, name: str) -> str:
    """The text of a section, without tags."""
    found = re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    assert found, name
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def columns(html: str) -> dict[str, str]:
    return dict(re.findall(r'<dd data-column="(\w+)"[^>]*>(?:<[^>]+>)?([^<]*)', html))


def test_facts_have_units_and_unknown_is_no_zero(served: Browse) -> None:
    """As the columns have them."""
    shown = columns(page(served, 102))
    assert shown["duration_ms"] == "900 ms"
    assert shown["input_tokens"] == "5,102"
    assert shown["cache_read_tokens"] == "4,000"
    assert shown["reasoning_tokens"] == "\N{EN DASH}"
    assert shown["cost_usd"] == "$0.0200"
    assert shown["cost_source"] == "priced"
    assert "pinned" in section(page(served, 102), "summary")
    assert "pinned" not in section(page(served, 103), "summary")


def test_the_timing_has_a_mark_per_chunk(served: Browse) -> None:
    """And its phases in words."""
    html = page(served, 100)
    assert 'data-chunks="101"' in html
    marks = re.search(r' d="(M[^"]*)"', html[html.index("data-chunks") :])  # the menu has a drawing too
    assert marks
    assert 50 < marks[1].count("M") <= 101
    assert "connect 30 ms" in section(html, "timing")
    assert "stream 690 ms" in section(html, "timing")


def test_attempts_route_and_redactions(served: Browse) -> None:
    """Who was asked, and why."""
    html = page(served, 100)
    assert "…Ab1z" in section(html, "attempts")
    assert "No route of the configuration matched" in section(html, "route")
    assert section(html, "redactions") == "Redactions None."


def test_tool_results_stand_beside_their_calls(served: Browse) -> None:
    """Once; what the call before had too is folded."""
    html = page(served, 103)
    assert html.count("addons = [Scope()]") == 1
    assert re.search(r'data-tool-id="t2".*?<div class="results">.*?addons = \[Scope\(\)\]', html, re.DOTALL)
    assert 'id="history"' in html
    assert html.index('id="history"') < html.index("Which files are there?") < html.index("It lists the rooms.")
    assert 'id="history"' not in page(served, 100)


def test_neighbours_conversation_and_replays(served: Browse) -> None:
    """In time, within the conversation, and between a replay and what it repeats."""
    links = Links(str)
    html = page(served, 102)
    for name, number in (("previous-call", 101), ("next-call", 103), ("previous-said", 101), ("next-said", 103)):
        assert re.search(rf'id="{name}"[^>]*href="{links.call(call_id(number))}"', html), name
    assert f'href="{links.conversation(SESSION)}#call-3"' in html
    assert "call 3 of 6" in re.sub(r"<[^>]+>", "", html)
    difference = links.diff(call_id(100), call_id(140)).replace("&", "&amp;")
    assert links.call(call_id(140)) in page(served, 100)
    assert difference in page(served, 100)
    assert difference in page(served, 140)
    assert 'id="previous-call"' not in page(served, 100)
    assert 'id="next-call"' not in page(served, 135)  # it was given the time at which it was stored


def test_images_are_shown_if_they_are_images(served: Browse) -> None:
    """With their size; of the four, one is only said to be one, and one is elsewhere."""
    html = page(served, 110)
    sources = re.findall(r'<img class="thumbnail" src="([^"]+)"', html)
    assert len(sources) == 3
    for source in sources:
        answer = served.get(source)
        assert answer.headers["content-type"] in ("image/png", "image/gif")
        assert answer.headers["x-content-type-options"].startswith("nosniff")
        assert "sandbox" in answer.headers["content-security-policy"]
    assert "image/png, 68 B" in html
    assert 'href="https://example.org/a.png" rel="noreferrer noopener nofollow"' in html
    for gone in ("request/2", "request/3", "request/9", "response/1"):
        assert served.client.get(f"/-/llm/image/{call_id(110)}/{gone}").status_code == 404


def test_bodies_are_downloads(served: Browse) -> None:
    """As they are stored, as text or bytes that no browser takes for a page."""
    for number, kind, content_type in ((100, "request", "text/plain; charset=utf-8"), (137, "request", "application/octet-stream")):
        answer = served.get(f"/-/llm/body/{call_id(number)}/{kind}")
        assert answer.headers["content-type"] == content_type
        assert answer.headers["content-disposition"] == f'attachment; filename="{call_id(number)}-{kind}.txt"'
        assert answer.headers["x-content-type-options"].startswith("nosniff")
    assert served.get(f"/-/llm/body/{call_id(137)}/request").content == b"\xff\x00\xfe"
    assert served.get(f"/-/llm/body/{call_id(100)}/request").content == b'{"n": 100}'
    assert served.get(f"/-/llm/body/{call_id(100)}/request", form="pretty").content == b'{\n  "n": 100\n}'
    assert "HTML" not in served.get(f"/-/llm/body/{call_id(120)}/response").headers["content-type"].upper()


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (130, "The bodies and messages of this call are not stored"),
        (131, "could not be read when it was stored"),
        (132, "The request body was cut"),
        (133, "Damaged: the request body"),
        (133, "Damaged: the response body"),
        (135, "not stored"),
    ],
)
def test_what_is_missing_is_said(served: Browse, number: int, told: str) -> None:
    """And everything else is shown."""
    html = page(served, number)
    assert told in section(html, "summary")
    assert section(html, "details")


def test_damaged_bodies_cost_the_messages_nothing(served: Browse) -> None:
    """They are stored apart; the download says what is wrong."""
    assert "hello" in section(page(served, 133), "messages")
    for kind in ("request", "response"):
        answer = served.client.get(f"/-/llm/body/{call_id(133)}/{kind}")
        assert (answer.status_code, "cannot be read" in answer.text) == (410, True)


def test_long_and_binary_bodies_are_linked_only(served: Browse) -> None:
    """The page stays small."""
    long = page(served, 136)
    assert "too long to be shown here" in section(long, "request")
    assert f"--data-binary @{call_id(136)}-request.txt" in long
    assert len(long) < 50_000
    assert "It is no text" in section(page(served, 137), "request")
    assert len(served.get(f"/-/llm/body/{call_id(136)}/request").content) > 300_000


def test_a_websocket_has_no_command(served: Browse) -> None:
    """Others have."""
    assert "WebSocket" in section(page(served, 134), "curl")
    assert "$ANTHROPIC_API_KEY" in section(page(served, 100), "curl")


@pytest.mark.parametrize("call", ["nope", "a%2Fb", "%3Cscript%3E", "..%2f", call_id(999)])
def test_an_unknown_call_is_told(served: Browse, call: str) -> None:
    """On a page with the way on; files as plain text."""
    answer = served.client.get(f"/-/llm/call/{call}")
    assert answer.status_code == 404
    assert "There is no call" in answer.text
    assert 'href="/turnpike/traffic"' in answer.text and "'<script>'" not in answer.text
    for kind in ("body", "image"):
        assert served.client.get(f"/-/llm/{kind}/{call}/request{'/0' if kind == 'image' else ''}").status_code == 404


def test_the_replay_command_names_the_captures(served: Browse) -> None:
    """Those that are looked at, as a shell reads them."""
    command = re.search('id="replay-command"[^>]*>([^<]+)<', page(served, 100))
    assert command is not None
    words = shlex.split(unescape(command[1]))
    assert words == ["turnpike", "replay", "--database", served.command[served.command.index("--database") + 1], call_id(100)]


def test_the_end_of_an_id_leads_to_its_call(served: Browse) -> None:
    """As people copy it from a table, in any case, with what else the address says."""
    answer = served.client.get(f"/-/llm/call/…{call_id(110)[-20:].lower()}?messages=all")
    assert (answer.status_code, answer.headers["location"]) == (302, f"/-/llm/call/{call_id(110)}?messages=all")


def test_hostile_text_is_text_in_every_field(served: Browse) -> None:
    """Columns, attempts, decision, redactions, messages, headers, events, the command; `messages=all` too."""
    for html in (page(served, 120), page(served, 120, messages="all")):
        assert html.count("&lt;/script&gt;&lt;img src=x onerror=") > 60
        assert HOSTILE not in html
        assert "<img" not in html
        assert re.findall(r"<script [^>]*>", html) == [
            '<script src="/-/static-plugins/turnpike/call.js" defer>'
        ]  # Datasette has an inline one
        assert not re.search(r'href="\s*javascript:', html)
        assert not re.search(r"<[^>]*[\s\"']on\w+=", re.sub(r'"[^"]*"', '""', html))


@pytest.mark.parametrize("number", [*range(100, 106), 110, 120, *range(130, 138), 140])
def test_every_link_to_a_page_of_ours_leads_somewhere(served: Browse, number: int) -> None:
    """Those that this branch has: calls, conversations, bodies, images, the row."""
    html = page(served, number)
    for address in set(re.findall(r'(?:href|src)="(/[^"#]*)', html)):
        if address not in ("/-/llm",) and not address.startswith("/-/llm/diff"):
            assert served.client.get(address.replace("&amp;", "&")).status_code == 200, address


def test_decisions_are_read() -> None:
    """Its candidates with the reasons; what has another form is shown as it is."""
    told = [
        {"upstream": "a", "model": None, "passed_over": "cooling", "cost_usd": 0.5},
        {"upstream": "b", "model": "m", "unknown": ["tools"]},
    ]
    assert read_decision(json.dumps(told)) == {
        "candidates": [
            {"upstream": "a", "model": "as asked", "passed_over": "cooling", "measures": "cost usd: $0.5000", "unknown": None},
            {"upstream": "b", "model": "m", "passed_over": None, "measures": "", "unknown": "tools"},
        ]
    }
    assert read_decision(None) is None
    assert read_decision("{half") == {"raw": "{half"}
    assert read_decision('{"a": 1}') == {"raw": '{\n  "a": 1\n}'}


@pytest.mark.parametrize(("new_from", "expected"), [(None, 0), (0, 0), (2, 0), (4, 4), (5, 3), (9, 7)])
def test_where_the_history_ends(new_from: int | None, expected: int) -> None:
    """Before the first new message; before the tool call of a new result; little is not folded."""

    def any_data(**values: Any) -> dict[str, Any]:
        return values

    messages = [
        *(Message("user", (Part("text", "hello"),)) for _ in range(3)),
        Message("assistant", (Part("tool_call", "{}", any_data(id="1", name="x")),)),
        Message("user", (Part("text", "wait"),)),
        Message("tool", (Part("tool_result", "1", any_data(id="1")),)),
        Message("user", (Part("text", "and"),)),
    ]
    order = [*messages[:4], messages[4], messages[5], messages[6]]
    said = say(order)
    assert history_end(said, new_from) == (4 if new_from == 5 else expected)
