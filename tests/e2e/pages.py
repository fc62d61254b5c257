"""The pages that Datasette serves of the captures, and what holds for each of them, whatever the version of Datasette."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from html import unescape
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from ruamel.yaml import YAML

from tests.views.samples import call_id
from tests.views.support import Browse

ROOT = Path(__file__).parents[2]
METADATA = ROOT / "datasette-metadata.yml"
PARAMETERS = {"q": "lighthouse", "days": "90", "by": "model", "ms": "300", "call": call_id(4)}
OWN = re.compile(r"/-/llm(/(call|conversation)/[^/]+|/diff)?")
"""The pages that DESIGN §7 names."""


WITHOUT_SAMPLE = ("/-/llm/image/",)
"""Nobody sent an image in the sample."""


@cache
def routes() -> tuple[str, ...]:
    """The patterns of our pages. Asked in another process: an imported Datasette leaves a connection open, which fails tests."""
    ask = "import json; from addons.views import register_routes; print(json.dumps([pattern for pattern, _ in register_routes()]))"
    told = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(json.loads(told))


def own_pages() -> list[str]:
    """An address for each of our pages: call 4 of the sample, which begins a conversation, in every place for an id."""
    plain = [re.sub(r"\(\?P<\w+>(.*?)\)(?=/|\$|\\)", _example, route).strip("^$?").replace("\\", "") for route in routes()]
    found = [f"{page}?{urlencode({'a': call_id(3), 'b': call_id(4)})}" if page.endswith("/diff") else page for page in plain]
    return [page for page in found if not page.startswith(WITHOUT_SAMPLE)]


def _example(group: re.Match[str]) -> str:
    """Something that a named group takes: the first of several words, a number, else an id."""
    if re.fullmatch(r"\w+(\|\w+)*", group[1]):
        return group[1].partition("|")[0]
    return "1" if group[1].startswith("\\d") else call_id(4)


def datasette_pages() -> list[str]:
    """The index, the database, every table and view, a row, every canned query."""
    told = YAML(typ="safe").load(METADATA.read_text(encoding="utf-8"))["databases"]["turnpike"]
    tables = [f"/turnpike/{table}" for table in told["tables"]]
    queries = [f"/turnpike/{query}?{urlencode(PARAMETERS)}" for query in told["queries"]]
    return ["/", "/turnpike", f"/turnpike/calls/{call_id(4)}", f"/turnpike/calls/{call_id(3)}", *tables, *queries]


def links(page: str) -> set[str]:
    """Where the anchors of a page lead."""
    return {unescape(link) for link in re.findall(r'<a [^>]*?href="([^"]+)"', page)}


def has_page(link: str) -> bool:
    """Is there a page for this link? Those of ours that the design names, and no others, may be missing: they are built one by one."""
    path = urlsplit(link).path
    return not OWN.fullmatch(path) or any(re.match(route, path) for route in routes())


def check(browse: Browse, page: str) -> str:
    """The text of a page: it is there, within its time, loads nothing from elsewhere, and what was captured is text."""
    response = browse.get(page)
    text = response.text
    assert "timed out" not in text
    if "html" in response.headers["content-type"]:
        loaded = re.findall(r'<(?:script|img|iframe|link|form)\b[^>]*?(?:src|href|action)="([^"]+)"', text)
        assert {urlsplit(unescape(url)).netloc for url in loaded} <= {"", urlsplit(browse.url).netloc}
        assert {urlsplit(link).netloc for link in links(text)} <= {"", urlsplit(browse.url).netloc, "datasette.io"}
        assert not any(urlsplit(link).scheme not in {"", "http", "https"} for link in links(text))
        assert "<img src=x" not in text
        assert 'alert(1)"> javascript' not in text
    assert "default-src 'self'" in response.headers["content-security-policy"]
    return text
