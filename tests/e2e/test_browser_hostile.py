"""Captured text in a real browser: whatever it says, it is shown as text, and nothing of it runs, loads, or becomes an element."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.chromium import NARROW, Visit, running_chromium, visiting
from tests.e2e.hostile import HOSTILE, START_MS, fill_hostile, number_of, plain, shown_on_call
from tests.e2e.pages import PARAMETERS, datasette_pages
from tests.views.samples import call_id
from tests.views.support import Browse

pytestmark = pytest.mark.slow

INNOCENCE = """() => ({
  owned: window.owned ?? null,
  elements: document.querySelectorAll('[data-evil]').length,
  frames: document.querySelectorAll('iframe, frame, object, embed, base, meta[http-equiv], style[data-evil]').length,
  handlers: [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames().filter(n => n.startsWith('on'))).length,
  addresses: [...document.querySelectorAll('[href], [src], [action], [formaction], [data]')]
    .flatMap(e => [e.href, e.src, e.action, e.formAction, e.data].filter(a => typeof a === 'string' && a))
    .map(a => new URL(a, location.href))
    .filter(u => !['http:', 'https:'].includes(u.protocol) || u.hostname === 'evil.example').map(u => u.href.slice(0, 200)),
})"""
INNOCENT: dict[str, object] = {"owned": None, "elements": 0, "frames": 0, "handlers": 0, "addresses": []}

TEXTS = r"""(wanted) => {
  const bare = (text) => text.replace(/[\s\0\ufffd]+/g, '');
  const inputs = [...document.querySelectorAll('input')].map(e => e.value);
  const titles = [...document.querySelectorAll('[title]')].map(e => e.title);
  const body = document.body.cloneNode(true);
  body.querySelectorAll('script').forEach(e => e.remove());
  const all = bare([body.textContent, ...inputs, ...titles].join(' '));
  return Object.entries(wanted).filter(([, text]) => !all.includes(bare(text))).map(([name]) => name);
}"""
"""Which of these texts are not on the page, white space, NULs (which HTML cannot hold) and undecodable bytes apart."""

HEAD = 24  # characters of a text that also a narrow cell shows


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


@pytest.fixture(scope="module")
def browse(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browse]:
    path: Path = tmp_path_factory.mktemp("hostile") / "captures.db"
    fill_hostile(path, START_MS)
    with Browse(path) as running:
        yield running


@pytest.fixture(scope="module")
def tab(browser: Browser, browse: Browse) -> Iterator[Visit]:
    with visiting(browser, browse.url) as visit:
        yield visit


@pytest.fixture
def visit(tab: Visit) -> Iterator[Visit]:
    yield tab
    assert tab.settled() == []


def assert_innocent(page: Page, what: str) -> None:
    assert (what, page.evaluate(INNOCENCE)) == (what, INNOCENT)


def missing(page: Page, wanted: dict[str, str]) -> Any:
    return page.evaluate(TEXTS, wanted)


def page_overflows(page: Page) -> Any:
    """By how many pixels the page itself must be scrolled sideways."""
    return page.evaluate("Math.max(0, document.documentElement.scrollWidth - innerWidth)")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_call_is_text(visit: Visit, name: str) -> None:
    """On a call's page: each field is there to the letter, and nothing of it is anything but text. No letter widens the page."""
    page = visit.open(f"/-/llm/call/{call_id(number_of(name))}")
    assert_innocent(page, name)
    assert missing(page, shown_on_call(name)) == []
    assert page_overflows(page) == 0
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    page.mouse.move(300, 300)
    assert_innocent(page, name)


def test_conversations_are_text(visit: Visit) -> None:
    """Under every id that a client may send, short enough for an address: its page, and what it says there."""
    for name, evil in HOSTILE.items():
        if len(evil) < 10_000:
            page = visit.open(f"/-/llm/conversation/{quote(plain(evil), safe='')}")
            assert_innocent(page, name)
            assert missing(page, {field: plain(f"{evil}¦{field}")[:100] for field in ("text-text", "tool_call-name", "role")}) == [], name
            assert page_overflows(page) == 0, name


def test_differences_are_text(visit: Visit) -> None:
    """Two calls whose every field is another hostile text."""
    names = list(HOSTILE)
    for a, b in zip(names[::2], names[1::2], strict=True):
        page = visit.open(f"/-/llm/diff?a={call_id(number_of(a))}&b={call_id(number_of(b))}")
        assert_innocent(page, f"{a} and {b}")
        assert missing(page, {f"{name} {field}": plain(HOSTILE[name])[:100] for name in (a, b) for field in ("text-text", "model")}) == []
        assert page_overflows(page) == 0


def dashboard_of(places: range) -> str:
    """The dashboard of the calls at these places."""
    begins, ends = (
        datetime.fromtimestamp(START_MS // 1000 + place, UTC).strftime("%Y-%m-%dT%H:%M:%S") for place in (places[0], places[-1] + 1)
    )
    return f"/-/llm?{urlencode({'from': begins, 'to': ends, 'nolive': 1})}"


def test_the_dashboard_is_text(visit: Visit) -> None:
    """In tables and charts, ten calls at a time; and as filters, in chips and fields."""
    names = list(HOSTILE)
    for begin in range(0, len(names), 10):
        places = range(begin, begin + 10)
        page = visit.open(dashboard_of(places))
        page.wait_for_selector("#dashboard.charted")
        assert_innocent(page, f"calls {places}")
        assert page_overflows(page) == 0
        assert page.get_attribute('[data-tile="calls"]', "data-exact") == "10"
        tables = {"client": "client", "project": "project", "tag": "tag", "model": "response_model", "upstream": "upstream"}
        assert missing(page, {f"{names[place]} {field}": plain(HOSTILE[names[place]])[:HEAD] for place in places for field in tables}) == []
    for begin in range(0, len(names), 4):
        kinds = ("client", "project", "tag", "upstream")
        filters = {kind: plain(HOSTILE[name])[:400].replace("\0", "") for kind, name in zip(kinds, names[begin : begin + 4], strict=False)}
        page = visit.open(f"{dashboard_of(range(50))}&{urlencode(filters)}")
        assert_innocent(page, f"filters {filters}")
        assert missing(page, {kind: text.strip() for kind, text in filters.items()}) == []
        assert page_overflows(page) == 0


def test_tables_are_text(visit: Visit) -> None:
    """Datasette's own pages: every table, view and query; facets; the row of a call; a search for it."""
    unlike = ("/turnpike/calls/", "/turnpike/segment", "/turnpike/stream", "/turnpike/daily", "/turnpike/latency")  # none of others' text
    pages = [page for page in datasette_pages() if not page.startswith(unlike)]
    pages += [f"/turnpike/calls/{call_id(number_of(name))}" for name in ("script", "image", "half surrogates")]
    pages += ["/turnpike/parts?_size=200", "/turnpike/traffic?_facet=client&_facet=model&_facet=tag&_size=max"]
    for path in pages:
        page = visit.open(path)
        assert_innocent(page, path)
    assert missing(visit.page, {name: plain(evil)[:HEAD] for name, evil in HOSTILE.items()}) == []


def test_what_an_address_says_is_text(visit: Visit) -> None:
    """Parameters and ids that no page knows come back as text, in pages and in refusals."""
    for evil in (HOSTILE[name] for name in ("script", "image", "handler in an attribute", "javascript link", "template", "right to left")):
        one = quote(f"x{evil}", safe="")
        for path in (f"call/{one}", f"conversation/{one}", f"body/{one}/request", f"image/{one}/request/0"):
            assert_innocent(visit.open(f"/-/llm/{path}", status=404), path)
        names = ("range", "from", "to", "status", "outcome", "none", "model", "unknown")
        path = f"/-/llm?{'&'.join(f'{name}={one}' for name in names)}"
        assert_innocent(visit.open(path), path)
        path = f"/-/llm/diff?a={one}&b={one}"
        assert_innocent(visit.open(path, status=400), path)
        for path in (
            f"/turnpike/traffic?tag={one}&_search={one}",
            f"/turnpike/search?q={one}",
            f"/turnpike/latest?{urlencode(PARAMETERS | {'by': evil})}",
        ):
            visit.page.goto(visit.base + path)
            assert_innocent(visit.page, path)
            visit.settled()


def test_a_phone_shows_it_too(browser: Browser, browse: Browse) -> None:
    """Nothing is wider than a narrow screen, apart from what is scrolled by itself."""
    with visiting(browser, browse.url, size=NARROW) as visit:
        for name in ("script", "form", "a long word", "stacked marks", "a long line", "handler, no quotes", "right to left"):
            assert (name, page_overflows(visit.open(f"/-/llm/call/{call_id(number_of(name))}"))) == (name, 0)
        assert page_overflows(visit.open(dashboard_of(range(50)))) == 0
