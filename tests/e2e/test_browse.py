"""`turnpike browse` on captures, as a person meets it: every page, its links, and nothing from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from addons.storage.store import Store
from tests.e2e.pages import check, datasette_pages, has_page, links, own_pages
from tests.views.samples import CALLS, call_id, fill, sample
from tests.views.support import Browse

START = (
    "/",
    "/-/llm?range=30d",
    "/turnpike",
    "/turnpike/traffic",
    f"/turnpike/calls/{call_id(4)}",
    "/turnpike/search?q=lighthouse",
    "/turnpike/spend?days=90",
)


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browse]:
    path = tmp_path_factory.mktemp("captures") / "any name.db"
    fill(path)
    with Browse(path) as running:
        yield running


def test_every_link_of_the_first_pages_leads_somewhere(browse: Browse) -> None:
    """Index, database, traffic, a call and two queries: all links within are answered with a page."""
    seen: set[str] = set()
    for start in START:
        seen |= {link.partition("#")[0] for link in links(browse.get(start).text) if link.startswith("/") and has_page(link)}
    failed = {link: status for link in sorted(seen - {""}) if (status := browse.client.get(link).status_code) not in (200, 302)}
    assert len(seen) > 50
    assert not failed


@pytest.mark.parametrize("page", datasette_pages())
def test_every_page(browse: Browse, page: str) -> None:
    """It is there, in time; scripts, styles, images and forms are its own, the one link outside is Datasette's in the foot; what was
    captured is text."""
    check(browse, page)


def test_every_page_of_ours(browse: Browse) -> None:
    """The same for whatever is registered below `/-/llm`."""
    pages = own_pages()
    assert any(page.startswith("/-/llm/diff?") for page in pages)
    for page in pages:
        check(browse, page)


def test_json_and_csv_hold_the_plain_values(browse: Browse) -> None:
    """What is made to read well on pages is exact for programs."""
    rows = browse.get("/turnpike/traffic.json", _shape="array", _size="max").json()
    assert len(rows) == CALLS
    assert rows[0]["id"] == call_id(CALLS - 1)
    assert isinstance(rows[0]["duration_ms"], float)
    csv = browse.get("/turnpike/traffic.csv", _stream="on").text.splitlines()
    assert len(csv) == CALLS + 1
    assert csv[1].startswith(f"{call_id(CALLS - 1)},")


def test_a_name_that_points_here_is_refused(browse: Browse) -> None:
    """DNS rebinding: a web page's own name, pointed at this server, reads nothing."""
    for page in ("/", "/turnpike/traffic.json"):
        response = browse.client.get(page, headers={"Host": f"evil.example:{urlsplit(browse.url).port}"})
        assert response.status_code == 403
        assert "lighthouse" not in response.text


def test_writing_and_browsing_go_on_together(tmp_path: Path) -> None:
    """The proxy may write first, later, or not at all: the page shows what is there, and the writer is not held up."""
    path = tmp_path / "live.db"
    with Browse(None, env={**os.environ, "TURNPIKE_DB": str(path)}) as browse:
        assert browse.get("/turnpike/traffic.json").json()["rows"] == []
        for number in range(3):
            store = Store(path)  # opened and closed again: the WAL comes and goes
            store.write([sample(number, datetime.now(UTC))])
            assert len(browse.get("/turnpike/traffic.json").json()["rows"]) == number + 1
            store.close()
            assert len(browse.get("/turnpike/traffic.json").json()["rows"]) == number + 1
