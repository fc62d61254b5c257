"""The newest Datasette, pre-releases included: the same pages as with the one that is installed, from a real `turnpike browse`."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.datasette_1 import Unavailable, environment
from tests.e2e.pages import check, datasette_pages, has_page, links, own_pages
from tests.views.samples import CALLS, call_id, fill
from tests.views.support import Browse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browse]:
    try:
        python = environment()
    except Unavailable as reason:
        pytest.skip(str(reason))
    except subprocess.CalledProcessError as error:
        pytest.fail(f"the environment could not be made: {error.stderr}")
    path = tmp_path_factory.mktemp("captures") / "any name.db"
    fill(path)
    with Browse(path, python=str(python)) as running:
        yield running


def test_it_is_another_datasette(browse: Browse) -> None:
    """Of version 1, with the plugin of this project."""
    assert browse.get("/-/versions.json").json()["datasette"]["version"].startswith("1.")
    assert any(plugin["name"] == "turnpike" for plugin in browse.get("/-/plugins.json").json())


@pytest.mark.parametrize("page", datasette_pages())
def test_every_page_of_datasette_renders(browse: Browse, page: str) -> None:
    """The index, the database, tables, views, rows, queries: by the same metadata, with our cells and style sheet."""
    text = check(browse, page)
    assert "captures.css" in text or page == "/"


def test_every_page_of_ours_renders(browse: Browse) -> None:
    """Whatever is registered."""
    for page in own_pages():
        check(browse, page)


def test_the_metadata_is_in_force(browse: Browse) -> None:
    """Sorting, facets, hidden tables and labels, which are configuration there; descriptions, which are not."""
    traffic = browse.get("/turnpike/traffic.json", _extra="facet_results,count").json()
    assert [row["id"] for row in traffic["rows"]][:3] == [call_id(CALLS - 1 - number) for number in range(3)]
    assert set(traffic["facet_results"]["results"]) >= {"model", "upstream", "outcome"}
    page = browse.get("/turnpike/traffic").text
    assert '<details class="columns">' in page
    assert "Every call, newest first" in page
    assert f'href="/-/llm/call/{call_id(7)}"' in page
    assert "spend_by" in browse.get("/turnpike/-/queries").text
    call = browse.get(f"/turnpike/calls/{call_id(4)}").text
    assert "Time from the request to the end of the answer" in call
    assert f'href="/-/llm/diff?a={call_id(3)}&amp;b={call_id(4)}"' in call


def test_every_link_leads_somewhere(browse: Browse) -> None:
    """From the index, traffic, a call, a query."""
    seen: set[str] = set()
    for start in ("/", "/turnpike", "/turnpike/traffic", f"/turnpike/calls/{call_id(4)}", "/turnpike/search?q=lighthouse"):
        seen |= {link.partition("#")[0] for link in links(browse.get(start).text) if link.startswith("/") and has_page(link)}
    failed = {link: status for link in sorted(seen - {""}) if (status := browse.client.get(link).status_code) not in (200, 302)}
    assert len(seen) > 50
    assert not failed


def test_functions_settings_and_what_is_refused(browse: Browse) -> None:
    """Our SQL functions; no guessed facets; nothing is written, no other file is read."""
    question = "select body_text(id, 'request') as body, redact('nothing') as text from calls where id = :id"
    (row,) = browse.get("/turnpike/-/query.json", sql=question, id=call_id(4), _shape="array").json()
    assert "lighthouse" in row["body"]
    assert row["text"] == "nothing"
    assert not browse.get("/-/settings.json").json()["suggest_facets"]
    for sql in ("attach 'state.db' as state", "delete from calls"):
        assert browse.client.get("/turnpike/-/query.json", params={"sql": sql}).status_code in (400, 403)


def test_it_ends_soon_with_pages_open(browse: Browse) -> None:
    """With status 0 and nothing to say."""
    assert browse.end_with_pages_open("/turnpike/-/query.json", signal.SIGINT) == 0
    browse.stop()
    assert browse.errors == ""
