"""`/-/llm/diff?a=&b=`: two calls side by side. With one of them, or none, it offers what it may be compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Any
from urllib.parse import urlencode

import orjson
from datasette.utils.asgi import Response

from addons.core.call import SqlValue
from addons.core.ids import is_ulid
from addons.storage.database import StoreError
from addons.storage.reading import read_body, read_call, read_messages
from addons.storage.shortids import MIN_END, calls_ending
from addons.views.access import page, read
from addons.views.comparing import Fact, Page, answers, clipped, conversations, facts, figures, parameters, tool_calls

CLIP = 60  # of what was typed as an id
NEIGHBOURS = 6

_RELATED = """
SELECT c.id, c.started_at, coalesce(c.response_model, c.served_model, c.model) AS model, c.upstream, c.outcome, c.prompt, how.how
FROM ({parts}) AS how JOIN calls c ON c.id = how.id WHERE c.id <> :id GROUP BY c.id ORDER BY min(how.place), c.ts_ms
"""
_PARTS = (
    "SELECT id, 0 AS place, 'replay of it' AS how FROM calls WHERE replay_of = :id",
    "SELECT replay_of AS id, 1 AS place, 'what it repeats' AS how FROM calls WHERE id = :id",
    "SELECT id, 2 AS place, 'repeats the same call' AS how FROM calls WHERE replay_of = :replay_of",
    """SELECT * FROM (SELECT id, 3 AS place, 'before it in the conversation' AS how FROM calls
       WHERE conversation_id = :conversation_id AND ts_ms <= :ts_ms AND id <> :id ORDER BY ts_ms DESC LIMIT :neighbours)""",
    """SELECT * FROM (SELECT id, 4 AS place, 'after it in the conversation' AS how FROM calls
       WHERE conversation_id = :conversation_id AND ts_ms > :ts_ms ORDER BY ts_ms LIMIT :neighbours)""",
)
_LATEST = """
SELECT r.id AS b, r.replay_of AS a, r.started_at, coalesce(r.response_model, r.served_model, r.model) AS model, r.prompt
FROM calls r JOIN calls o ON o.id = r.replay_of WHERE r.replay_of IS NOT NULL ORDER BY r.ts_ms DESC LIMIT 10
"""

Row = dict[str, SqlValue]


@dataclass(slots=True)
class Asked:
    """What the page was asked for and what is there: the calls, what is wrong, and what else one may want."""

    a: str
    b: str
    status: int = 200
    problems: list[str] = field(default_factory=list)
    candidates: list[Row] = field(default_factory=list)
    replays: list[Row] = field(default_factory=list)
    comparison: dict[str, Any] | None = None
    meant: dict[str, str] | None = None

    @property
    def known(self) -> str:
        """The parameter that names a call while the other one is still to be chosen."""
        return "a" if self.a else "b"


async def show(request: Any, datasette: Any) -> Any:
    """The page: 200, 400 for what is no call id, 404 for a call that is not there."""
    asked = Asked(a=_given(request, "a"), b=_given(request, "b"))
    await read(datasette, request, lambda connection: look(connection, asked))
    if asked.meant:
        return Response.redirect(datasette.urls.path(f"/-/llm/diff?{urlencode(asked.meant)}"))
    title = "Two calls" if asked.comparison else "Compare two calls"
    response = await page(datasette, request, "diff.html", {"title": title, "asked": asked, **(asked.comparison or {})})
    response.status = asked.status
    return response


def _given(request: Any, name: str) -> str:
    return str(request.args.get(name) or "").strip()


def look(connection: Connection, asked: Asked) -> None:
    """Fills in what the database knows. Ends of ids that are those of one call each become `meant`."""
    given = {name: call_id for name, call_id in (("a", asked.a), ("b", asked.b)) if call_id}
    ending = {name: calls_ending(connection, call_id) for name, call_id in given.items() if not is_ulid(call_id)}
    if ending and all(len(ids) == 1 for ids in ending.values()):
        asked.meant = {name: ending[name][0] if name in ending else call_id for name, call_id in given.items()}
        return
    several = {name: ids for name, ids in ending.items() if len(ids) > 1}
    for name, ids in several.items():
        asked.status = 400
        asked.problems.append(f"{name}: several calls end with {given[name]}: {', '.join(ids)}")
    calls = {name: _call(connection, name, call_id, asked) for name, call_id in given.items() if name not in several}
    found = [call for call in calls.values() if call]
    if len(found) == 2:
        asked.comparison = compare_calls(connection, *found)
    elif found and not asked.problems:
        asked.candidates = related(connection, found[0])
    elif not found:
        asked.replays = _rows(connection, _LATEST, {})


def _call(connection: Connection, name: str, call_id: str, asked: Asked) -> Row | None:
    short = call_id if len(call_id) <= CLIP else f"{call_id[:CLIP]}…"
    if not is_ulid(call_id):
        asked.status = 400
        asked.problems.append(f"{name} is {short!r}, which is no call id; one has 26 characters, of which the last {MIN_END} are enough")
        return None
    call = read_call(connection, call_id)
    if call is None:
        asked.status = max(asked.status, 404)
        asked.problems.append(f"{name}: there is no call {short}; it may have been pruned, or belong to another database")
    return call


def related(connection: Connection, call: Row) -> list[Row]:
    """Calls that one may want to compare with this one: replays of it, what it repeats, its neighbours in the conversation."""
    named = {name: call[name] for name in ("id", "replay_of", "conversation_id", "ts_ms")}
    return _rows(connection, _RELATED.format(parts=" UNION ALL ".join(_PARTS)), {**named, "neighbours": NEIGHBOURS})


def _rows(connection: Connection, sql: str, named: dict[str, Any]) -> list[Row]:
    cursor = connection.execute(sql, named)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def compare_calls(connection: Connection, a: Row, b: Row) -> dict[str, Any]:
    """All that the page shows of two calls."""
    (asked_a, told_a), (asked_b, told_b) = (read_messages(connection, str(call["id"])) for call in (a, b))
    left = Page()
    changed, unknown = _parameters(connection, a, b)
    return {
        "a": a,
        "b": b,
        "facts": facts(a, b),
        "figures": figures(a, b),
        "parameters": changed,
        "unknown_parameters": unknown,
        "clip": clipped,
        "answers": answers(told_a, told_b, left),
        "tool_calls": tool_calls(told_a, told_b, left),
        "prompt": conversations(asked_a, asked_b, left),
        "coarse": left.budget.coarse,
        "cut": left.cut,
    }


def _parameters(connection: Connection, a: Row, b: Row) -> tuple[list[Fact], list[str]]:
    """What differs in the two requests beside what they say, and why that is not known, where it is not."""
    bodies, unknown = [], []
    for name, call in (("A", a), ("B", b)):
        body, reason = request_of(connection, str(call["id"]))
        bodies.append(body)
        unknown += [f"{name}: {reason}"] if reason else []
    one, other = bodies
    return (parameters(one, other) if one is not None and other is not None else []), unknown


def request_of(connection: Connection, call_id: str) -> tuple[dict[str, Any] | None, str | None]:
    """(the request body as a JSON object, None) or (None, why there is none)."""
    try:
        body = read_body(connection, call_id, "request")
    except StoreError as error:
        return None, str(error)
    if body is None or not body.content:
        return None, "no request body was stored"
    try:
        found = orjson.loads(body.content)
    except orjson.JSONDecodeError:
        return None, "the stored request body was cut" if body.truncated else "the request body is not JSON"
    return (found, None) if isinstance(found, dict) else (None, "the request body is no JSON object")
