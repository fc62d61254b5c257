"""`/-/llm`: what was spent, how fast it was, what failed; and `/-/llm/data`, the one request that keeps it fresh.

address ─filters─► Query ─figures─► Reading ─charts─► numbers ─dashboard_words─► the template, and values for dashboard.js
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary

from datasette.utils.asgi import Response

from addons.views.access import CALLS, DATABASE, page, read
from addons.views.dashboard_words import Numbers, figures, local_time
from addons.views.figures import Memory, call_ids
from addons.views.figures import read as read_figures
from addons.views.filters import COLUMNS, OUTCOMES, RANGES, Problem, Query, parse
from addons.views.links import Links

COUNTING_S = 1.0
"""What is not counted by then is told, and counted at the next look: a page that shows something beats one that waits."""

Found = tuple[Numbers, dict[int, str]]
"""The numbers, and the ids of the calls in them by row."""

_memories: WeakKeyDictionary[Any, Memory] = WeakKeyDictionary()


async def show(datasette: Any, request: Any) -> Response:
    """The page. With captures that cannot be read it says why, with status 503."""
    query, problems = _parse(request)
    try:
        found = await _look(datasette, request, query)
    except sqlite3.OperationalError as error:
        told = Problem("captures", f"they cannot be read now: {error}. A shorter range may help, or a restart of `turnpike browse`")
        answer = await page(datasette, request, "dashboard.html", _frame(datasette, query, (*problems, told)))
        answer.status = 503
        return answer
    words = _words(datasette, query, found) if found else {}
    return await page(datasette, request, "dashboard.html", _frame(datasette, query, problems) | words)


async def refresh(datasette: Any, request: Any) -> Response:
    """JSON: `{"token", "unchanged": true}` where `seen` is the newest token, else all that changes on the page:
    `{"token", "unchanged": false, "empty", "unfinished", "charts", "html"}`. 503 with `{"error"}` where nothing can be read now."""
    query, _ = _parse(request)
    seen = request.args.get("seen") or ""
    headers = {"cache-control": "no-store"}
    try:
        found = await _look(datasette, request, query, seen)
    except sqlite3.OperationalError as error:
        return Response.json({"error": f"the captures cannot be read now: {error}"}, status=503, headers=headers)
    if found is None:
        return Response.json({"token": seen, "unchanged": True}, headers=headers)
    words = _words(datasette, query, found)
    html = await datasette.render_template("llm/_dashboard_figures.html", words | {"query": query}, request=request)
    kept = {name: words[name] for name in ("token", "empty", "unfinished", "charts")}
    return Response.json({**kept, "unchanged": False, "html": html}, headers=headers)


def _parse(request: Any) -> tuple[Query, tuple[Problem, ...]]:
    return parse(parse_qs(request.query_string, keep_blank_values=True), time.time_ns() // 1_000_000)


async def _look(datasette: Any, request: Any, query: Query, seen: str = "") -> Found | None:
    """What there is to show; None where the token `seen` still holds."""
    memory = _memories.setdefault(datasette.databases.get(DATABASE, datasette), Memory())

    def work(connection: sqlite3.Connection) -> Found | None:
        stop = time.monotonic() + COUNTING_S
        reading = read_figures(connection, query, memory, seen=seen, enough=lambda: time.monotonic() > stop)
        if reading is None:
            return None
        numbers = Numbers.of(reading)
        return numbers, call_ids(connection, [point.rowid for point in numbers.points])

    return await read(datasette, request, work, CALLS)


def _frame(datasette: Any, query: Query, problems: Sequence[Problem]) -> dict[str, Any]:
    """What stays while figures change: range, filters, form."""
    filters = [(name, value, query.without(name).address()) for name, value in query.filters.values]
    filters += [(name, "not known", query.without(name).address()) for name in query.filters.none]
    return {
        "title": "LLM dashboard",
        "query": query,
        "problems": problems,
        "ranges": [(name, query.within(name).address(), query.span.name == name) for name in RANGES],
        "chips": filters,
        "fields": {name: dict(query.filters.values).get(name, "") for name in COLUMNS},
        "ends": {
            name: local_time(moment) for name, moment in (("from", query.span.from_ms), ("to", query.span.to_ms)) if _is_own(query, name)
        },
        "outcomes": OUTCOMES,
        "names": {},
        "figures": None,
        "data_url": datasette.urls.path("/-/llm/data"),
        "call_url": datasette.urls.path("/-/llm/call/"),
        "live_address": _live_address(query),
    }


def _words(datasette: Any, query: Query, found: Found) -> dict[str, Any]:
    numbers, ids = found
    return figures(query, numbers, ids, Links(datasette.urls.path).call)


def _live_address(query: Query) -> str:
    """The same with refreshing switched over."""
    return replace(query, live=not query.live).address()


def _is_own(query: Query, name: str) -> bool:
    return name in dict(query.given)
