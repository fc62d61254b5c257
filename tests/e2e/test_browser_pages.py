"""Every page in a real browser, on what `turnpike run --demo` makes: the numbers are SQL's, links lead on, nothing is asked of elsewhere.

With TURNPIKE_SCREENSHOTS=1 the pictures of the README are made anew, in tests/e2e/screenshots.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page, expect

from addons.views.shown import UNKNOWN
from tests.e2e.chromium import NARROW, WAIT_MS, WIDE, Visit, running_chromium, visiting
from tests.e2e.pages import datasette_pages
from tests.scripts.demo.test_show import TOTAL, demo
from tests.scripts.run_process import RunProcess
from tests.views.samples import call_id, fill
from tests.views.support import Browse
from tests.views.talks import SESSION, fill_talks

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(__file__).with_name("screenshots") if os.environ.get("TURNPIKE_SCREENSHOTS") else None
MAX_SCREENSHOT_BYTES = 200_000
SUMS = {
    "calls": "count(*)",
    "cost_usd": "sum(cost_usd)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cache_read_tokens": "sum(cache_read_tokens)",
    "errors": "sum(outcome IN ('error', 'partial', 'blocked'))",
}
WIDER = "Math.max(0, document.documentElement.scrollWidth - innerWidth)"
CHARTS = ("cost", "tokens", "ttft", "ttft-models", "speed", "scatter")
DRAWN = """(all) => all.map((e) => {
  const { data } = e.getContext('2d').getImageData(0, 0, e.width, e.height);
  return [e.dataset.chart, new Set(new Uint32Array(data.buffer)).size > 8];
})"""
"""Which canvases have more than a few colours."""

LOADED = """async () => {
  document.querySelectorAll('details').forEach((e) => { e.open = true; });
  document.querySelectorAll('img').forEach((e) => { e.loading = 'eager'; });
  await Promise.allSettled([...document.images].map((e) => e.decode()));
}"""
"""Opens all that is folded, and fetches what would be fetched on scrolling."""


@dataclass(frozen=True)
class Captures:
    """A database, and Datasette on it at `url`; `begins` and `ends`: the seconds within which the demo's calls were."""

    path: Path
    url: str
    proxy: str
    begins: datetime
    ends: datetime

    def rows(self, sql: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def value(self, sql: str, *values: object) -> Any:
        return self.rows(sql, *values)[0][0]

    def span(self, **more: str) -> str:
        """The dashboard of the demo's calls alone."""
        ends = {"from": self.begins.strftime("%Y-%m-%dT%H:%M:%S"), "to": self.ends.strftime("%Y-%m-%dT%H:%M:%S")}
        return f"/-/llm?{urlencode({**ends, **more})}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


def wait_for_demo(process: RunProcess) -> None:
    """It is three processes and forty calls: on a busy machine that takes longer than a line is waited for."""
    for _ in range(3):
        with suppress(AssertionError):
            process.line("Ctrl-C ends it")
            return
    process.line("Ctrl-C ends it")


@pytest.fixture(scope="module")
def captures(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captures]:
    """The demo as it runs, and in its database what it does not have: replays, images, caches, damage, calls of a day."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "home").mkdir()
    with demo(folder / "home", folder / "captures") as process:
        wait_for_demo(process)
        page = process.line("Look at the calls").split()[-1]
        proxy = process.line("export HTTPS_PROXY=").split("HTTPS_PROXY=")[1]
        path = folder / "captures" / "turnpike.db"
        with closing(sqlite3.connect(path)) as connection:
            first, last = connection.execute("SELECT min(ts_ms), max(ts_ms) FROM calls").fetchone()
        fill_talks(path)
        begins = datetime.fromtimestamp(first // 1000 - 1, UTC)
        fill(path, now=begins - timedelta(minutes=1))
        yield Captures(path, page.removesuffix("/-/llm?range=15m"), proxy, begins, datetime.fromtimestamp(last // 1000 + 2, UTC))
        assert process.stop() == 0


@pytest.fixture(scope="module")
def tab(browser: Browser, captures: Captures) -> Iterator[Visit]:
    with visiting(browser, captures.url) as visit:
        yield visit


@pytest.fixture
def visit(tab: Visit) -> Iterator[Visit]:
    """The module's tab: its browser keeps style sheets and scripts, as a user's does."""
    tab.requests.clear()
    yield tab
    assert tab.settled() == []


def shot(page: Page, name: str) -> None:
    """A picture for the README, where they are wanted: small enough for a repository."""
    if SCREENSHOTS:
        SCREENSHOTS.mkdir(exist_ok=True)
        file = SCREENSHOTS / f"{name}.png"
        page.screenshot(path=file)
        assert file.stat().st_size <= MAX_SCREENSHOT_BYTES


def exact(page: Page) -> dict[str, float]:
    """Name of a tile → its value."""
    found = page.eval_on_selector_all("[data-tile]", "all => all.map((e) => [e.dataset.tile, e.dataset.exact])")
    return {name: float(value) for name, value in found if value}


def shown_call(page: Page) -> str:
    """The id of the call whose page is open."""
    return str(page.locator(".call-page").get_attribute("data-call"))


def test_the_dashboards_numbers_are_those_of_sql(visit: Visit, captures: Captures) -> None:
    """Tiles, the table of models, the latest calls, the endings; charts are drawn where they stand."""
    page = visit.open(captures.span())
    within = "ts_ms >= ? AND ts_ms < ?"
    span = (captures.begins.timestamp() * 1000, captures.ends.timestamp() * 1000)
    expect(page.locator("#dashboard.charted")).to_be_visible()
    (sums,) = captures.rows(f"SELECT {', '.join(SUMS.values())} FROM calls WHERE {within}", *span)
    assert sums[0] >= TOTAL
    found = exact(page)
    assert {name: found[name] for name in SUMS} == dict(zip(SUMS, map(pytest.approx, sums), strict=True))
    name = "coalesce(response_model, served_model, model, '(not known)')"
    models = {
        row[0]: row[1:] for row in captures.rows(f"SELECT {name}, count(*), sum(cost_usd) FROM calls WHERE {within} GROUP BY 1", *span)
    }
    table = page.eval_on_selector_all(
        'table[data-table="model"] tbody tr',
        "all => all.map((e) => [e.cells[0].innerText.trim(), Number(e.cells[1].innerText), e.cells[3].dataset.exact])",
    )
    assert sum(calls for _, calls, _ in table) == sums[0]
    named = [row for row in table if not row[0].endswith(" others")]
    assert len(named) > 5
    for model, calls, cost in named:
        assert calls == models[model][0]
        assert (float(cost) if cost else None) == pytest.approx(models[model][1])
    latest = page.eval_on_selector_all("#latest tr[data-call]", "all => all.map((e) => e.dataset.call)")
    assert latest == [
        row[0] for row in captures.rows(f"SELECT id FROM calls WHERE {within} ORDER BY ts_ms DESC, rowid DESC LIMIT 20", *span)
    ]
    assert dict(page.eval_on_selector_all("canvas[data-chart]", DRAWN)) == dict.fromkeys(CHARTS, True)
    shot(page, "dashboard")


def test_ranges_and_filters_live_in_the_address(visit: Visit, captures: Captures) -> None:
    """Clicked and typed; a chip takes its filter off; a wrong one is told."""
    page = visit.open("/-/llm")
    page.click('a[data-range="90d"]')
    page.click("details.filters summary")
    page.fill('form#filters input[name="model"]', "gpt-4o-mini-2025-09-01")
    page.select_option('form#filters select[name="outcome"]', "ok")
    page.click('form#filters input[type="submit"]')
    expect(page.locator("[data-chip]")).to_have_count(2)
    assert "model=gpt-4o-mini-2025-09-01" in page.url and "otherwise=90d" in page.url
    where = "response_model = 'gpt-4o-mini-2025-09-01' AND outcome = 'ok' AND ts_ms > 1000 * (strftime('%s') - 90 * 86400)"
    assert exact(page)["calls"] == captures.value(f"SELECT count(*) FROM calls WHERE {where}") > 0
    page.click('[data-chip="outcome"] a')
    expect(page.locator("[data-chip]")).to_have_count(1)
    page.click('table[data-table="client"] tbody a >> nth=0')
    expect(page.locator('[data-chip="client"]')).to_be_visible()
    expect(visit.open("/-/llm?range=forever").locator('[data-problem="range"]')).to_be_visible()


def test_a_click_on_the_scatter_opens_the_call(visit: Visit, captures: Captures) -> None:
    """Where a point is drawn; and the table has the same."""
    page = visit.open(captures.span(nolive="1"))
    canvas = page.locator('canvas[data-chart="scatter"]')
    canvas.scroll_into_view_if_needed()
    where = canvas.evaluate("(e) => { const p = Chart.getChart(e).getDatasetMeta(0).data[0]; return {x: p.x, y: p.y}; }")
    with page.expect_navigation():
        canvas.click(position=where)
    assert captures.value("SELECT count(*) FROM calls WHERE id = ?", shown_call(page)) == 1


def test_the_pages_of_calls(visit: Visit, captures: Captures) -> None:
    """A call of each kind of the demo, and replays, images, damage: status, tokens, cost and duration are the row's, all sections there."""
    columns = "id, status, input_tokens, output_tokens, cost_usd, duration_ms"
    kinds = "api, outcome, status, attempts, n_tool_calls, redactions > 0, stream"
    wanted = captures.rows(f"SELECT {columns}, max(ts_ms) FROM calls WHERE id > ? GROUP BY {kinds}", call_id(1000))
    assert len(wanted) > 10
    wanted += captures.rows(f"SELECT {columns}, ts_ms FROM calls WHERE id BETWEEN ? AND ?", call_id(100), call_id(140))
    for id, status, tokens_in, tokens_out, cost, duration, _ in wanted:
        page = visit.open(f"/-/llm/call/{id}")
        facts = page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('[data-column]')].map((e) => [e.dataset.column, [e.innerText, e.title]]))"
        )
        assert facts["status"][0] == ("no answer" if status is None else str(status))
        for column, value in (("input_tokens", tokens_in), ("output_tokens", tokens_out), ("cost_usd", cost), ("duration_ms", duration)):
            assert facts[column][0] == UNKNOWN if value is None else float(facts[column][1]) == pytest.approx(value), (id, column)
        sections = page.eval_on_selector_all("section[id]", "all => all.map((e) => e.id)")
        assert {"summary", "timing", "attempts", "route", "redactions", "messages", "request", "response", "curl"} <= set(sections)
        assert page.locator("tr[data-attempt]").count() == captures.value("SELECT count(*) FROM attempts WHERE call_id = ?", id)
        page.evaluate(LOADED)
        assert page.evaluate(WIDER) == 0, id
    retried = captures.value("SELECT id FROM calls WHERE attempts = 2 AND outcome = 'ok' AND id > ? LIMIT 1", call_id(1000))
    expect(visit.open(f"/-/llm/call/{retried}").locator("tr.failed")).to_have_count(1)


def test_images_are_thumbnails(visit: Visit) -> None:
    """Those that are images: what is only said to be one has no picture, and asks for none."""
    page = visit.open(f"/-/llm/call/{call_id(110)}")
    addresses = page.eval_on_selector_all("img.thumbnail", "all => all.map((e) => new URL(e.src).pathname)")
    assert addresses == [f"/-/llm/image/{call_id(110)}/{rest}" for rest in ("request/0", "request/1", "response/0")]
    page.evaluate(LOADED)
    assert set(addresses) <= {urlsplit(url).path for url in visit.requests}  # and none of them was missing, else the visit fails


def test_from_call_to_call(visit: Visit, captures: Captures) -> None:
    """By links: from the dashboard to a call, those around it, its conversation, the message that changed the prefix, a difference."""
    page = visit.open("/-/llm?range=24h")
    page.click("#latest tr[data-call] a >> nth=0")
    first = shown_call(page)
    assert first == captures.value("SELECT id FROM calls ORDER BY ts_ms DESC, rowid DESC LIMIT 1")
    page.click("#previous-call")
    page.click("#next-call")
    assert shown_call(page) == first
    page.goto(f"{visit.base}/-/llm/call/{call_id(100)}")
    page.click("#conversation-link")
    expect(page.locator(".conversation-page #waterfall tr[data-call]")).to_have_count(6)
    assert page.locator('#totals [data-column="cost_usd"]').get_attribute("title") == str(
        captures.value("SELECT sum(cost_usd) FROM calls WHERE conversation_id = ?", SESSION)
    )
    expect(page.locator('tr[data-cache="miss"]')).not_to_have_count(0)
    page.click('#cache a[href*="#m"] >> nth=0')
    expect(page.locator(".call-page")).to_be_visible()
    page.wait_for_function("document.querySelector(location.hash).getBoundingClientRect().top < innerHeight")
    visit.open(f"/-/llm/call/{call_id(140)}")
    page.click("#original a >> nth=1")
    expect(page.locator("table.diff-figures")).to_be_visible()
    assert page.locator("a.call").evaluate_all("all => all.map((e) => e.title)")[:2] == [call_id(100), call_id(140)]
    page.click("text=swap")
    expect(page.locator('input[name="a"]')).to_have_value(call_id(140))
    page.go_back()
    expect(page.locator('input[name="a"]')).to_have_value(call_id(100))


def test_datasettes_own_pages(visit: Visit, captures: Captures) -> None:
    """The index, every table, view and query, facets, a row; their counts, and a click into a call."""
    for path in datasette_pages():
        page = visit.open(path)
        assert page.evaluate(WIDER) == 0, path
    page = visit.open("/turnpike/traffic?_facet=client&_facet=model&_facet=outcome")
    heading = page.locator("h2, h3").filter(has_text="rows").first.inner_text()
    assert int(re.sub(r"\D", "", heading.split("row")[0])) == captures.value("SELECT count(*) FROM traffic")
    page.click("table.rows-and-columns a.call >> nth=0")
    assert captures.value("SELECT count(*) FROM calls WHERE id = ?", shown_call(page)) == 1
    page = visit.open("/turnpike/search")
    page.fill('input[name="q"]', "lighthouse")
    page.press('input[name="q"]', "Enter")
    expect(page.locator("table.rows-and-columns mark, table.rows-and-columns tbody tr").first).to_be_visible()


def test_the_keyboard_reaches_it(visit: Visit, captures: Captures) -> None:
    """Tab goes to the ranges, the filters, the latest calls; Enter there opens the call."""
    page = visit.open(captures.span(nolive="1"))
    first = page.locator("#latest tr[data-call] a").first
    seen = []
    for _ in range(200):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "[document.activeElement.dataset.range ?? document.activeElement.tagName, document.activeElement.getAttribute('href')]"
            )
        )
        if first.evaluate("(e) => e === document.activeElement"):
            break
    assert {"15m", "90d", "SUMMARY"} <= {name for name, _ in seen}
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    expected = str(page.locator("#latest tr[data-call]").first.get_attribute("data-call"))
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert shown_call(page) == expected


def own_pages(captures: Captures) -> list[str]:
    session = captures.value("SELECT conversation_id FROM calls WHERE user_agent LIKE 'claude-cli%' ORDER BY ts_ms DESC LIMIT 1")
    return [
        captures.span(),
        f"/-/llm/call/{captures.value('SELECT id FROM calls WHERE n_tool_calls > 0 ORDER BY ts_ms DESC LIMIT 1')}",
        f"/-/llm/call/{call_id(110)}",
        f"/-/llm/conversation/{quote(SESSION, safe='')}",
        f"/-/llm/conversation/{quote(session, safe='')}",
        f"/-/llm/diff?a={call_id(100)}&b={call_id(103)}",
        "/-/llm/diff",
        "/turnpike/traffic",
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_light_and_dark_wide_and_narrow(browser: Browser, captures: Captures, size: tuple[int, int], dark: bool) -> None:
    """No page is scrolled sideways; pages of ours have the colours that were asked for."""
    with visiting(browser, captures.url, size=size, dark=dark) as visit:
        for number, path in enumerate(own_pages(captures)):
            page = visit.open(path)
            assert (path, page.evaluate(WIDER)) == (path, 0)
            if path.startswith("/-/"):
                paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == dark
            if size == WIDE and (name := {(1, False): "call", (4, True): "conversation-dark"}.get((number, dark))):
                shot(page, name)


def test_a_new_call_comes_by_itself(visit: Visit, captures: Captures) -> None:
    """One that the proxy just passed on: the page's token changes, the row and the tiles are there, nothing was reloaded."""
    page = visit.open("/-/llm?range=15m")
    page.evaluate("window.stayed = true")
    token, calls = page.locator("#dashboard").get_attribute("data-token"), exact(page)["calls"]
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "And one more?"}]}
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"{captures.proxy}/proxy/v1/chat/completions", json=asked)
    assert answer.status_code == 200
    row = page.locator(f'#latest tr[data-call="{answer.headers["x-turnpike-call"]}"]')
    expect(row).to_have_count(1)
    expect(page.locator('[data-tile="calls"]')).to_have_attribute("data-exact", str(int(calls) + 1))
    assert token and page.evaluate("window.stayed") is True
    expect(page.locator("#live-state")).to_contain_text("as of")


def test_nolive_asks_no_more(browser: Browser, captures: Captures) -> None:
    """With the clock of the page put forward by minutes: without it the page asks again, with it never."""
    asked = {}
    for path in ("/-/llm", "/-/llm?nolive=1"):
        with visiting(browser, captures.url) as visit:
            visit.page.clock.install()
            page = visit.open(path)
            page.wait_for_selector("#dashboard.charted")
            loaded = len(visit.requests)
            page.clock.run_for(10_000)
            if "nolive" not in path:
                expect(page.locator("#live-state")).to_contain_text("as of")
            asked[path] = [urlsplit(url).path for url in visit.requests[loaded:]]
    assert asked["/-/llm?nolive=1"] == []
    assert set(asked["/-/llm"]) == {"/-/llm/data"}


def test_browse_ends_at_once_with_a_page_open(browser: Browser, tmp_path: Path) -> None:
    """Ctrl-C, while the browser keeps its connections and a page that refreshes itself: within a second, with status 0."""
    path = tmp_path / "captures.db"
    fill(path, calls=3)
    with Browse(path) as browse, visiting(browser, browse.url) as visit:
        visit.open("/-/llm").wait_for_selector("#dashboard.charted")
        asked = time.monotonic()
        browse.process.send_signal(signal.SIGINT)
        assert browse.process.wait(WAIT_MS / 1000) == 0
        assert time.monotonic() - asked < 1.0
        visit.page.close()
        visit.settled()


def test_the_watch_sees_what_goes_wrong(browser: Browser, captures: Captures) -> None:
    """Scripts that fail or speak up, dialogs, other hosts and missing files are all written down: the tests above can fail."""
    with visiting(browser, captures.url) as visit:
        page = visit.open("/-/llm/diff")
        page.evaluate("() => { setTimeout(() => { throw new Error('thrown'); }); console.error('told'); alert('said'); }")
        page.evaluate("fetch('/-/llm/nowhere')")
        page.evaluate("fetch('http://evil.example/x').catch(() => 0)")
        for address in ("http://evil.example/x", "http://192.0.2.1/x", "https://example.org/"):
            with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
                page.goto(address)
        found = " ".join(visit.settled())
        signs = ("thrown", "told", "dialog: said", "status 404", "Content Security Policy", "outside request: http://192.0.2.1/x")
        assert [sign for sign in signs if sign not in found] == []
