"""The Datasette plugin: how the captures look in Datasette's own pages, and pages of our own.

Datasette loads it by the entry point `turnpike` in every process of this environment; it touches only the database named
`turnpike` (`serving.DATABASE`), so that other databases served from here look as they always do.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from datasette import hookimpl
from markupsafe import Markup

from addons.views import dashboard, diff_page
from addons.views.access import DATABASE, may_see
from addons.views.call_files import body_file, image_file
from addons.views.call_page import call_page
from addons.views.cells import render
from addons.views.conversation_page import conversation_page
from addons.views.functions import add_functions
from addons.views.links import Links


@hookimpl  # type: ignore[untyped-decorator] # pluggy's marker has no types
def render_cell(row: Any, value: object, column: str, database: str | None, datasette: Any) -> Markup | None:
    """HTML of one cell, None where Datasette's own is right. JSON and CSV keep the plain value."""
    if database != DATABASE:
        return None
    return render(value, column, links=Links(datasette.urls.path), row_id=_row_id(row) if column == "replay_of" else None)


@hookimpl  # type: ignore[untyped-decorator] # as above
def extra_css_urls(database: str | None, datasette: Any) -> list[str]:
    """The style sheet of the captures' pages."""
    return [datasette.urls.static_plugins("turnpike", "captures.css")] if database == DATABASE else []


@hookimpl  # type: ignore[untyped-decorator] # as above
def prepare_connection(conn: sqlite3.Connection, database: str | None) -> None:
    """Our SQL functions, on connections to the captures only."""
    if database == DATABASE:
        add_functions(conn)


@hookimpl  # type: ignore[untyped-decorator] # as above
def register_routes() -> list[tuple[str, Any]]:
    """The pages of ours, all below `/-/llm`: a pattern, and the coroutine that answers."""
    return [
        (r"/-/llm$", dashboard.show),
        (r"/-/llm/data$", dashboard.refresh),
        (r"/-/llm/call/(?P<call_id>[^/]+)$", call_page),
        (r"/-/llm/conversation/(?P<conversation_id>[^/]*)$", conversation_page),
        (r"/-/llm/body/(?P<call_id>[^/]+)/(?P<kind>request|response)$", body_file),
        (r"/-/llm/image/(?P<call_id>[^/]+)/(?P<kind>request|response)/(?P<number>\d{1,6})$", image_file),
        (r"/-/llm/diff$", diff_page.show),
    ]


@hookimpl  # type: ignore[untyped-decorator] # as above
def menu_links(datasette: Any, actor: Any) -> Any:
    """The dashboard in Datasette's menu, for those who may see it."""

    async def links() -> list[dict[str, str]]:
        return [{"href": datasette.urls.path("/-/llm"), "label": "LLM dashboard"}] if await may_see(datasette, actor) else []

    return links


def _row_id(row: Any) -> object:
    """What the row has as its id; None for a row without one (a query may name its columns as it likes)."""
    try:
        value = row["id"]
    except (KeyError, IndexError, TypeError):
        return None
    return value.get("value") if isinstance(value, dict) else value
