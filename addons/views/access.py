"""From a request to the captures: may this visitor see them, and one read of them within Datasette's time limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sqlite3 import Connection
from typing import Any

from datasette.utils import sqlite_timelimit
from datasette.utils.asgi import Forbidden, NotFound, Response

DATABASE = "turnpike"


async def read[T](datasette: Any, request: Any, work: Callable[[Connection], T]) -> T:
    """What `work` gives for a read-only connection, in a thread of Datasette's own and within `sql_time_limit_ms`.

    Raises NotFound where no captures are served, Forbidden where this visitor may not see them, and what `work` raises
    (sqlite3.OperationalError `interrupted` when it took too long).
    """
    if DATABASE not in datasette.databases:
        raise NotFound(f"no captures are served here: there is no database named {DATABASE}")
    await _check_permission(datasette, request.actor)
    limit_ms = datasette.setting("sql_time_limit_ms")

    def limited(connection: Connection) -> T:
        with sqlite_timelimit(connection, limit_ms):
            return work(connection)

    found: T = await datasette.get_database(DATABASE).execute_fn(limited)
    return found


async def may_see(datasette: Any, actor: Any) -> bool:
    """Are there captures, and may this visitor see them?"""
    if DATABASE not in datasette.databases:
        return False
    try:
        await _check_permission(datasette, actor)
    except Forbidden:
        return False
    return True


async def page(datasette: Any, request: Any, template: str, context: Mapping[str, Any]) -> Response:
    """An HTML page of ours: `templates/llm/<template>` around these values."""
    html = await datasette.render_template(f"llm/{template}", {"database": DATABASE, **context}, request=request)
    return Response.html(html.encode("utf-8", "replace").decode())  # JSON's escapes can name half a surrogate pair, UTF-8 cannot


def missing(text: str, status: int = 404) -> Response:
    """A plain answer: Datasette's own 404 would send `%` in a path elsewhere."""
    return Response(f"{text}\n", status=status, headers={"x-content-type-options": "nosniff"}, content_type="text/plain; charset=utf-8")


async def _check_permission(datasette: Any, actor: Any) -> None:
    if hasattr(datasette, "ensure_permissions"):  # Datasette 0.65
        await datasette.ensure_permissions(actor, [("view-database", DATABASE), "view-instance"])
        return
    from datasette.resources import DatabaseResource  # noqa: PLC0415 # Datasette 1.0

    await datasette.ensure_permission(action="view-database", resource=DatabaseResource(database=DATABASE), actor=actor)
