"""addons/views/dashboard.py: `/-/llm` and its refreshing request, as a server that `turnpike browse` started."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from datasette.utils.asgi import Request

from addons.core.call import SqlValue, StoredCall
from addons.storage.store import Store
from addons.views import dashboard
from addons.views.serving import make_datasette
from tests.views.samples import CALLS, HOSTILE, call_id, fill, sample
from tests.views.support import ROOT, Browse

PAGE, DATA = "/-/llm", "/-/llm/data"
WEEK = {"range": "7d"}
NASTY = (
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "a&b=c#d?e/f%2F",
    "\u202etxt.exe 東京 🚀",
)
SUMS = {
    "calls": "count(*)",
    "cost_usd": "sum(cost_usd)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cache_read_tokens": "sum(cache_read_tokens)",
    "cache_share": "1.0 * sum(cache_read_tokens) / sum(iif(cache_read_tokens IS NULL, NULL, input_tokens))",
    "errors": "sum(outcome IN ('error', 'partial', 'blocked'))",
}


class Tags(HTMLParser):
    """The elements of a page, as a browser sees them: (tag, attributes)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def changed(number: int, ago_s: float, **columns: SqlValue) -> StoredCall:
    """A call of the sample with an id, a time and columns of its own."""
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return StoredCall(row=sample(number, at).row | columns)


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, and calls whose every name is hostile."""
    path = tmp_path_factory.mktemp("dashboard") / "captures.db"
    fill(path)
    with closing(Store(path)) as store:
        for number, text in enumerate(NASTY, start=CALLS):
            names = dict.fromkeys(("client", "project", "tag", "upstream", "response_model", "error_type", "prompt"), text)
            store.write([changed(number, number, **names, outcome="error", key_hint=text)])
    return path


@pytest.fixture(scope="module")
def browse(captures: Path) -> Iterator[Browse]:
    with Browse(captures) as running:
        yield running


def hand_made(path: Path, expression: str, where: str = "1") -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {expression} FROM calls WHERE {where}").fetchone()[0]


def tiles(html: str) -> dict[str, float | None]:
    """Name of a tile → its exact value."""
    found = re.findall(r'data-tile="(\w+)" data-exact="([^"]*)"', html)
    return {name: float(value) if value else None for name, value in found}


def embedded(html: str) -> dict[str, Any]:
    """The values that the page hands to its script."""
    [text] = re.findall(r'<script type="application/json" id="dashboard-charts">(.*?)</script>', html, flags=re.DOTALL)
    return dict(json.loads(text))


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({}, "1"),
        ({"client": "codex"}, "client = 'codex'"),
        ({"model": "gpt-4o-mini-2025-09-01", "status": "200"}, "response_model = 'gpt-4o-mini-2025-09-01' AND status = 200"),
        ({"outcome": "cancelled"}, "outcome = 'cancelled'"),
        ({"none": "tag"}, "tag IS NULL"),
        ({"tag": NASTY[0]}, "tag LIKE '\"><img%'"),
    ],
)
def test_tiles_are_those_of_sql(browse: Browse, captures: Path, parameters: dict[str, str], where: str) -> None:
    """The numbers on the page, for the filters in its address."""
    expected = {name: hand_made(captures, expression, where) for name, expression in SUMS.items()}
    found = tiles(browse.get(PAGE, **WEEK, **parameters).text)
    assert found == {name: value if value is None else pytest.approx(value) for name, value in expected.items()}


def test_charts_add_up_to_the_tiles(browse: Browse, captures: Path) -> None:
    """Cost and tokens of all series and steps; a point for each call, with the call that it opens."""
    values = embedded(browse.get(PAGE, **WEEK).text)
    assert sum(cost for series in values["cost"] for cost in series if cost) == pytest.approx(hand_made(captures, "sum(cost_usd)"))
    tokens = hand_made(captures, "sum(input_tokens) + sum(output_tokens)")
    assert sum(count for series in values["tokens"] for count in series if count) == tokens
    ids = {point[4] for point in values["points"]}
    assert ids == {call_id(number) for number in range(CALLS + len(NASTY))}


def test_tables_link_to_calls_by_keyboard(browse: Browse) -> None:
    """What the scatter plot opens by a click is a link in the tables."""
    html = browse.get(PAGE, **WEEK).text
    [latest] = re.findall(r'<table data-table="latest">(.*?)</table>', html, flags=re.DOTALL)
    links = re.findall(r'href="/-/llm/call/(\w+)"', latest)
    newest = [call_id(number) for number in range(CALLS, CALLS + len(NASTY))]
    assert links[: len(NASTY)] == newest
    assert len(links) == 20


def test_hostile_names_are_text(browse: Browse) -> None:
    """In cells, in links, in the values of the script, and in the fields and chips of a filter."""
    for text in NASTY:
        html = browse.get(PAGE, **WEEK, client=text, model=text).text
        assert "<img src=x" not in html and "<script>alert" not in html
        assert embedded(html)["series"] == [text]
        assert f'value="{text}"' in unescape(html)
        assert "&lt;" in html or "<" not in text
        links = {unescape(link) for link in re.findall(r'href="([^"]*)"', html)}
        assert all(link.startswith(("?", "/", "https://datasette.io", "#")) for link in links if link)


def test_every_row_leads_to_its_own_calls(browse: Browse, captures: Path) -> None:
    """The link of a client shows as many calls as the row says, whatever the client is called."""
    html = browse.get(PAGE, **WEEK).text
    [table] = re.findall(r'<table data-table="client">(.*?)</table>', html, flags=re.DOTALL)
    rows = re.findall(r'href="\?([^"]*)">(.*?)</a></td><td class="n">([\d,]+)', table)
    assert len(rows) == 3 + len(NASTY)
    for query, _, calls in rows:
        parameters = {name: values[0] for name, values in parse_qs(unescape(query)).items()}
        assert tiles(browse.get(PAGE, **parameters).text)["calls"] == int(calls)


def test_filters_live_in_the_address(browse: Browse) -> None:
    """The form shows them, the ranges keep them, each can be taken off."""
    html = unescape(browse.get(PAGE, range="30d", client="codex", status="4xx", none="tag", nolive="1").text)
    assert 'name="client" value="codex"' in html
    assert '<input type="hidden" name="none" value="tag">' in html
    assert 'href="?range=7d&client=codex&status=4xx&none=tag&nolive=1" data-range="7d"' in html
    assert 'href="?range=30d&status=4xx&none=tag&nolive=1" aria-label="take the filter client off"' in html
    assert 'data-live="0"' in html
    assert 'data-live="1"' in browse.get(PAGE).text


def test_what_is_wrong_is_told_and_the_page_works(browse: Browse) -> None:
    """By the parameter's name; with the figures of what was understood."""
    html = browse.get(PAGE, range="3w", status="teapot", frm="x", client="codex").text
    assert re.findall(r'data-problem="(\w+)"', html) == ["frm", "range", "status"]
    assert "“3w” is none of 15m" in html
    assert tiles(html)["calls"] is not None


def test_a_refresh_has_what_the_page_has(browse: Browse) -> None:
    """The same values and regions; nothing but a token when nothing is new."""
    html = browse.get(PAGE, **WEEK).text
    answer = browse.get(DATA, **WEEK).json()
    assert answer["charts"] == embedded(html)
    assert tiles(answer["html"]) == tiles(html)
    assert re.findall(r'data-region="\w+"', answer["html"]) == re.findall(r'data-region="\w+"', html)
    assert f'data-token="{answer["token"]}"' in html
    assert browse.get(DATA, **WEEK, seen=answer["token"]).json() == {"token": answer["token"], "unchanged": True}
    other = browse.get(DATA, **WEEK, client="codex", seen=answer["token"]).json()
    assert not other["unchanged"]


def test_new_calls_are_seen(tmp_path: Path) -> None:
    """From the first one on, while the writer stays open; the empty page helps, and says when it is not empty any more."""
    path = tmp_path / "live.db"
    with closing(Store(path)) as store, Browse(path) as browse:
        html = browse.get(PAGE).text
        assert "No calls yet" in html and 'data-empty="1"' in html and "turnpike exec" in html
        answer = browse.get(DATA).json()
        assert answer["empty"]
        for number in range(3):
            store.write([changed(number, 0)])
            answer = browse.get(DATA, seen=answer["token"]).json()
            assert tiles(answer["html"])["calls"] == number + 1
        assert not answer["empty"]


def test_a_range_without_calls_leads_to_one_with(tmp_path: Path) -> None:
    """Imported calls of last month are found."""
    with closing(Store(tmp_path / "old.db")) as store:
        store.write([changed(1, 86_400 * 40)])
    with Browse(tmp_path / "old.db") as browse:
        html = browse.get(PAGE, client="nobody").text
        [link] = re.findall(r'id="elsewhere">.*?href="([^"]*)"', html)
        assert tiles(html)["calls"] == 0
        assert tiles(browse.client.get(PAGE + unescape(link)).text)["calls"] == 1


def test_it_is_in_the_menu_and_loads_its_own_files(browse: Browse) -> None:
    """Scripts and styles are files of this server; the licence is beside the one that is not ours."""
    assert '<a href="/-/llm">LLM dashboard</a>' in browse.get("/turnpike").text
    html = browse.get(PAGE).text
    files = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', html)
    assert {urlsplit(file).netloc for file in files} <= {""}
    assert {file.rpartition("/")[2] for file in files} >= {"chart.umd.js", "dashboard.js", "dashboard.css", "llm.css"}
    for file in files:
        browse.get(file)
    script = (ROOT / "addons/views/static/chart.umd.js").read_text(encoding="utf-8")
    assert "sourceMappingURL" not in script
    assert "Permission is hereby granted" in browse.get("/-/static-plugins/turnpike/chart.LICENSE.md").text


def test_no_inline_code_but_values(browse: Browse) -> None:
    """Of ours: Datasette's own base page has scripts, which name none of the captures."""
    html = browse.get(PAGE, **WEEK).text
    ours = Tags(html[html.index('<div id="dashboard"') : html.index('id="dashboard-charts"')])
    assert {"canvas", "table", "a"} <= {tag for tag, _ in ours.found}
    assert not {"img", "iframe", "style", "object", "svg"} & {tag for tag, _ in ours.found}
    assert not [name for _, attributes in ours.found for name in attributes if name.startswith("on") or name == "style"]
    assert not [attributes for _, attributes in ours.found if attributes.get("href", "").lower().startswith("javascript")]
    for script in re.findall(r"<script(?![^>]*(?:src|json))[^>]*>(.*?)</script>", html, flags=re.DOTALL):
        assert HOSTILE not in script and NASTY[0] not in script


def test_captures_that_cannot_be_read_are_told(captures: Path, tmp_path: Path) -> None:
    """A file whose schema is not as it should be: the page says so, and the request answers 503."""
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(captures)) as source, closing(sqlite3.connect(old)) as copy:
        source.backup(copy)
        copy.execute("DROP INDEX calls_dashboard")
    with Browse(old) as browse:
        page = browse.client.get(PAGE, params=WEEK)
        assert page.status_code == 503
        assert "calls_dashboard" in page.text and 'data-problem="captures"' in page.text
        data = browse.client.get(DATA)
        assert (data.status_code, "calls_dashboard" in data.json()["error"]) == (503, True)


@pytest.fixture
def datasette(captures: Path) -> Iterator[Any]:
    """In this process; not by its client, which leaves connections open."""
    made = make_datasette(captures)
    yield made
    for database in made.databases.values():
        for connection in database._all_file_connections:
            connection.close()
    made.executor.shutdown()


def asking(address: str) -> Any:
    """A request as it comes out of Datasette's middleware."""
    request = Request.fake(address)
    request.scope["csrftoken"] = str
    return request


async def test_what_is_not_counted_in_time_is_gone_on_with(datasette: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes all the same and says how far it got; looks that go on reach the whole."""
    await datasette.invoke_startup()
    request = asking(f"{DATA}?range=7d")
    monkeypatch.setattr(dashboard, "COUNTING_S", -1.0)
    answer = json.loads((await dashboard.refresh(datasette, request)).body)
    assert re.fullmatch(r"1 of \d+", answer["unfinished"])
    assert (answer["token"], "Counted so far" in answer["html"]) == ("", True)
    monkeypatch.setattr(dashboard, "COUNTING_S", 60.0)
    whole = json.loads((await dashboard.refresh(datasette, request)).body)
    assert (whole["unfinished"], tiles(whole["html"])["calls"]) == ("", CALLS + len(NASTY))


async def test_links_keep_the_base_url(datasette: Any) -> None:
    """Behind a proxy that serves Datasette below a path."""
    datasette._settings["base_url"] = "/look/"
    await datasette.invoke_startup()
    html = (await dashboard.show(datasette, asking(f"{PAGE}?range=7d"))).body
    assert 'data-url="/look/-/llm/data"' in html and 'data-call-url="/look/-/llm/call/"' in html
    assert f'href="/look/-/llm/call/{call_id(CALLS)}"' in html
    assert 'src="/look/-/static-plugins/turnpike/dashboard.js"' in html
