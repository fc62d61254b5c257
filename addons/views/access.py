"""From a request to the captures: may this visitor see them, and one read of them within Datasette's time limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from datasette.utils import sqlite_timelimit
from datasette.utils.asgi import Forbidden, NotFound, Response

from addons.storage.values import sql_text

DATABASE = "turnpike"

CALLS = ("calls",)
"""What the dashboard reads: figures and the beginnings of texts."""

WHAT_IS_SAID = ("calls", "bodies", "messages", "parts")
"""What the other pages read."""


async def read[T](datasette: Any, request: Any, work: Callable[[Connection], T], tables: Sequence[str] = WHAT_IS_SAID) -> T:
    """What `work` gives for a read-only connection, in a thread of Datasette's own and within `sql_time_limit_ms`.

    `tables`: those that `work` reads and that a visitor may be kept from (`view-table`). Raises NotFound where no captures are
    served, Forbidden where this visitor may not see them, and what `work` raises
    (sqlite3.OperationalError `interrupted` when it took too long).
    """
    if DATABASE not in datasette.databases:
        raise NotFound(f"no captures are served here: there is no database named {DATABASE}")
    await _check_permission(datasette, request.actor, tables)
    limit_ms = datasette.setting("sql_time_limit_ms")

    def limited(connection: Connection) -> T:
        with sqlite_timelimit(connection, limit_ms):
            return work(connection)

    found: T = await datasette.get_database(DATABASE).execute_fn(limited)
    return found


async def may_see(datasette: Any, actor: Any) -> bool:
    """Are there captures, and may this visitor see their figures?"""
    if DATABASE not in datasette.databases:
        return False
    try:
        await _check_permission(datasette, actor, CALLS)
    except Forbidden:
        return False
    return True


async def page(datasette: Any, request: Any, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """An HTML page of ours: `templates/llm/<template>` around these values. What has no UTF-8 form (half a surrogate pair, out of the
    JSON of a message) is sent as "?"."""
    html = await datasette.render_template(f"llm/{template}", {"database": DATABASE, **context}, request=request)
    return Response.html(sql_text(html), status=status)


async def absent(datasette: Any, request: Any, title: str, told: str, found: Iterable[tuple[str, str]] = ()) -> Response:
    """404 as a page with the way to the others, and with addresses (href, label) of what may have been meant."""
    return await page(datasette, request, "absent.html", {"title": title, "told": told, "found": list(found)}, 404)


def missing(text: str, status: int = 404) -> Response:
    """A plain answer: Datasette's own 404 would send `%` in a path elsewhere."""
    return Response(f"{text}\n", status=status, headers={"x-content-type-options": "nosniff"}, content_type="text/plain; charset=utf-8")


async def _check_permission(datasette: Any, actor: Any, tables: Sequence[str]) -> None:
    if hasattr(datasette, "ensure_permissions"):  # Datasette 0.65: the first of the three that says anything decides, as on its own pages
        for table in tables:
            await datasette.ensure_permissions(actor, [("view-table", (DATABASE, table)), ("view-database", DATABASE), "view-instance"])
        return
    from datasette.resources import TableResource  # noqa: PLC0415 # Datasette 1.0: the rules of database and instance hold for tables too

    for table in tables:
        await datasette.ensure_permission(action="view-table", resource=TableResource(database=DATABASE, table=table), actor=actor)
