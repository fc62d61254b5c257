"""`/-/llm/diff` as a real process serves it: two calls side by side, and what it says where there are not two."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import Message, Part, StoredBody, StoredCall
from addons.storage.reading import read_call
from addons.storage.store import Store
from addons.views.diff_page import related
from tests.views.samples import HOSTILE, call_id, fill, sample
from tests.views.support import Browse

ODD = [
    HOSTILE,
    '"><svg onload=alert(1)>',
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "<!--",
    "]]>",
    "\u202eright to left\u2066",
    "a\x00b",
    "&lt;b&gt;",
    "</pre></table>",
    "🚀" * 50,
    "x" * 1_000_000,
]
CUT, BODYLESS, PLAIN, LONE, PAIR = 60, 61, 62, 63, 70
UNKNOWN = "\u2013"  # the dash of the pages
WHEN = datetime(2026, 5, 1, tzinfo=UTC)


def asked(number: int, body: Any, messages: tuple[Message, ...] = (), answers: int = 0, **columns: Any) -> StoredCall:
    """A sample call with this request body (bytes as they are) and these messages."""
    call = sample(number, WHEN + timedelta(seconds=number))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    stored = () if body is None else (StoredBody("request", (), content, None, len(content), number == CUT, False),)
    columns = {"replay_of": None, "conversation_id": f"c{number}"} | columns
    return replace(call, row=call.row | columns, bodies=stored, messages=messages, answers=answers)


def turns(question: str, answer: str, path: str) -> tuple[Message, ...]:
    told = Message("assistant", (Part("text", answer), Part("tool_call", json.dumps({"path": path}), {"id": "1", "name": "read_file"})))
    return Message("system", (Part("text", "Be brief."),)), Message("user", (Part("text", question),)), told


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "calls.db"
    fill(path, calls=12)
    body = {"model": "m", "temperature": 0.2, "messages": [], "tools": [{"name": "read_file"}]}
    calls = [
        asked(CUT, b'{"model": "m", "messa'),
        asked(BODYLESS, None),
        asked(PLAIN, b"not JSON"),
        asked(LONE, {}),
        asked(PAIR, body, turns("What about cats?", "Cats purr.", "cats.md"), 1, cost_usd=0.002, cache_read_tokens=None),
        asked(
            PAIR + 1,
            body | {"temperature": 0.9, "tools": []},
            turns("What about dogs?", "Dogs bark.", "dogs.md"),
            1,
            cost_usd=0.003,
            cache_read_tokens=10,
            replay_of=call_id(PAIR),
        ),
    ]
    for number, text in enumerate(ODD):
        columns = {name: text[:2000] for name in ("client", "project", "tag", "model", "error", "path", "route", "conversation_id")}
        calls.append(asked(100 + number, {text[:2000]: text, "tools": [{"name": text}]}, turns(text, text, text), 1, **columns))
    store = Store(path)
    store.write(calls)
    store.close()
    return path


@pytest.fixture(scope="module")
def browse(path: Path) -> Iterator[Browse]:
    with Browse(path) as running:
        yield running


def page(browse: Browse, a: int, b: int) -> str:
    return browse.get("/-/llm/diff", a=call_id(a), b=call_id(b)).text


def rows(text: str) -> dict[str, list[str]]:
    """Every row of the page's tables: the name, and the texts of its cells."""
    found = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', text, flags=re.S)
    cells = ((name, re.findall(r"<td[^>]*>(.*?)</td>", cells, flags=re.S)) for name, cells in found)
    return {name: [unescape(re.sub(r"<.*?>", "", cell)) for cell in texts] for name, texts in cells}


def test_figures_are_those_of_the_rows(browse: Browse, path: Path) -> None:
    """Differences and percentages as SQL computes them; unknown is a dash."""
    told = rows(page(browse, PAIR, PAIR + 1))
    assert told["cost_usd"] == ["$0.002000", "$0.003000", "+$0.001000", "+50.0 %"]
    assert told["cache_read_tokens"] == [UNKNOWN, "10", UNKNOWN, UNKNOWN]
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT b.input_tokens - a.input_tokens FROM calls a, calls b WHERE a.id = ? AND b.id = ?"
        (difference,) = connection.execute(sql, (call_id(PAIR), call_id(PAIR + 1))).fetchone()
    assert told["input_tokens"][2] == f"+{difference:,}"


def test_words_that_differ_are_marked(browse: Browse) -> None:
    """In the answer, in its tool calls, in the prompt; equal messages are one line."""
    text = page(browse, PAIR, PAIR + 1)
    assert re.findall(r"<del>(.*?)</del>", text) == ["Cats purr.", "cats", "cats"]
    assert re.findall(r"<ins>(.*?)</ins>", text) == ["Dogs bark.", "dogs", "dogs"]
    assert "1 equal message (system)" in text
    assert "read_file" in text
    assert "B is a replay of A" in text


def test_parameters_that_differ_are_told(browse: Browse) -> None:
    """Those of the stored bodies."""
    told = rows(page(browse, PAIR, PAIR + 1))
    assert told["temperature"] == ["0.2", "0.9"]
    assert told["tools[read_file]"] == ['{"name": "read_file"}', "not set"]
    assert "messages" not in told
    assert "All fields beside the messages are equal" in page(browse, PAIR, PAIR)


@pytest.mark.parametrize(("number", "reason"), [(CUT, "was cut"), (BODYLESS, "no request body was stored"), (PLAIN, "is not JSON")])
def test_parameters_that_are_not_known(browse: Browse, number: int, reason: str) -> None:
    """Why, and of which of the two."""
    assert re.search(rf"Not compared\. B: [^<]*{reason}", page(browse, PAIR, number))


def test_the_same_call_twice(browse: Browse) -> None:
    """It is said, and nothing is marked."""
    text = page(browse, PAIR, PAIR)
    assert "Both are the same call" in text
    assert "<del>" not in text
    assert "<ins>" not in text


@pytest.mark.parametrize("number", range(len(ODD)))
def test_hostile_text_stays_text(browse: Browse, number: int) -> None:
    """In every field of the calls, in parameters, tools, messages and arguments: against the call before it, and in its candidates."""
    for text in (page(browse, 100 + number, 100 + (number + 1) % len(ODD)), browse.get("/-/llm/diff", a=call_id(100 + number)).text):
        for wrong in ("<img", "<svg onload", "</pre></table>", "<!--", "javascript:alert(1)</a>", 'href="javascript', "7*7 }}{%\n"):
            assert wrong not in text
        assert text.count("<script") == text.count("</script>") == page(browse, PAIR, PAIR).count("<script")
        assert len(text) < 2_500_000


@pytest.mark.parametrize("text", [*ODD[:-1], "x" * 5000, "01ARZ3NDEKTSV4RRFFQ69G5FA", " "])
def test_what_is_no_id_is_told(browse: Browse, text: str) -> None:
    """400, with the form to mend it in; what was typed is shown as text, and no more than its beginning."""
    response = browse.client.get("/-/llm/diff", params={"a": text, "b": call_id(PAIR)})
    assert response.status_code == (400 if text.strip() else 200)
    assert "<form" in response.text
    assert ("is no call id" in response.text) == bool(text.strip())
    assert "<img" not in response.text
    assert "<svg onload" not in response.text
    assert len(response.text) < 20_000


def test_the_ends_of_ids_are_enough(browse: Browse) -> None:
    """As the pages show them, in any case; of several that end so one may choose."""
    answer = browse.client.get("/-/llm/diff", params={"a": f"…{call_id(PAIR)[-18:].lower()}", "b": call_id(PAIR + 1)})
    assert (answer.status_code, answer.headers["location"]) == (302, f"/-/llm/diff?a={call_id(PAIR)}&b={call_id(PAIR + 1)}")
    assert browse.client.get("/-/llm/diff", params={"a": call_id(PAIR)[-18:]}).headers["location"].endswith(f"?a={call_id(PAIR)}")


def test_a_call_that_is_not_there(browse: Browse) -> None:
    """404, and which of the two it is."""
    for names in (("a", "b"), ("b", "a")):
        response = browse.client.get("/-/llm/diff", params={names[0]: call_id(9999), names[1]: call_id(PAIR)})
        assert response.status_code == 404
        assert f"{names[0]}: there is no call {call_id(9999)}" in response.text
        assert f'value="{call_id(PAIR)}"' in response.text


@pytest.mark.parametrize("name", ["a", "b"])
def test_one_call_offers_what_to_compare_it_with(browse: Browse, name: str) -> None:
    """Its replays, its neighbours in the conversation; each link fills the other place."""
    text = browse.get("/-/llm/diff", **{name: call_id(PAIR)}).text
    pair = {name: call_id(PAIR), {"a": "b", "b": "a"}[name]: call_id(PAIR + 1)}
    assert f'/-/llm/diff?a={pair["a"]}&amp;b={pair["b"]}"' in text
    assert "replay of it" in text


def test_nothing_to_compare_with(browse: Browse) -> None:
    """A call that is alone says so; without any call the latest replays are offered."""
    assert "alone in its conversation" in browse.get("/-/llm/diff", a=call_id(LONE)).text
    text = browse.get("/-/llm/diff").text
    assert f"/-/llm/diff?a={call_id(PAIR)}&amp;b={call_id(PAIR + 1)}" in text
    assert "Fill in the ids" not in text


def test_an_empty_database(tmp_path: Path) -> None:
    """There is nothing to offer: where ids are found is."""
    Store(tmp_path / "new.db").close()
    with Browse(tmp_path / "new.db") as empty:
        assert "Fill in the ids" in empty.get("/-/llm/diff").text


def test_candidates_are_in_order(path: Path) -> None:
    """Replays first, then what it repeats, what else repeats that, then the conversation; each call once; never itself."""
    with closing(sqlite3.connect(path)) as connection:
        call = read_call(connection, call_id(4))  # replays 3; in the conversation of 4 … 7
        assert call is not None
        found = [(row["id"], row["how"]) for row in related(connection, call)]
    after = "after it in the conversation"
    assert found == [(call_id(3), "what it repeats"), *((call_id(number), after) for number in (5, 6, 7))]
