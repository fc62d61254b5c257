"""What the dashboard shows, read from the captures step by step of time, and remembered.

A range is cut into at most some 120 steps (`filters.Span`). The sums of a step depend on its calls and the filters alone, so they are
kept in memory and read again only when the step's `Print` (how many calls, the last one written, the sum of their times) has changed.
So what comes in costs one step, not the range; and what does not fit the time is continued at the next look. Rows are never changed
once they are written (but for `pinned`, which is not shown).
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from sqlite3 import Connection
from typing import Any, NamedTuple

from addons.views.filters import MODEL, Filters, Query

SAMPLE = 16_000
"""Calls that percentiles and the scatter plot are made of. More of them are thinned out: every second, fourth, eighth … call."""

LATEST = 20
LOOKED_AT = 2000  # the latest calls, whose names the filters offer
REMEMBERED = 400_000
"""Rows of steps that are kept, some 60 MB at most; a look at 90 days is about 5000, and 16,000 of the sample."""

SPENDERS = ("client", "project", "key", "tag")
_SPENDER_COLUMNS = {"key": "key_hint"}

_FROM = "FROM calls INDEXED BY calls_dashboard WHERE ts_ms >= :lo AND ts_ms < :hi{where}"
_SPEND = "SELECT {0}, count(*), sum(input_tokens), sum(output_tokens), sum(cost_usd), count(*) - count(cost_usd) {1} GROUP BY 1"
SQL = {
    "models": f"""
SELECT {MODEL}, count(*), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens),
       sum(CASE WHEN cache_read_tokens IS NOT NULL THEN input_tokens END), sum(cost_usd), count(*) - count(cost_usd),
       max(duration_ms), rowid, ts_ms, outcome
{_FROM} GROUP BY 1""",  # the last three are those of the row with the longest duration (https://www.sqlite.org/lang_select.html#bareagg)
    **{name: _SPEND.format(_SPENDER_COLUMNS.get(name, name), _FROM) for name in SPENDERS},
    "ends": f"""
SELECT outcome, status, error_type, count(*), max(duration_ms), rowid, ts_ms, {MODEL}
{_FROM} AND outcome IS NOT 'ok' GROUP BY 1, 2, 3""",
    # Knuth's multiplicative hash: which calls are taken has nothing to do with an agent's habit of alternating between models
    "sample": f"""
SELECT rowid, ts_ms, {MODEL}, outcome, stream, ttft_ms, duration_ms, output_tokens
{_FROM} AND ((rowid * 2654435761) >> 20) & :mask = 0""",
    "names": f"""
SELECT {MODEL}, model, upstream, client, project, tag, key_hint, status, error_type
{_FROM} ORDER BY ts_ms DESC LIMIT :limit""",
}
"""Statements that the index answers alone."""

FAILURES = f"""
SELECT a.failure, a.upstream, count(*)
FROM (SELECT id {_FROM} AND (outcome IS NOT 'ok' OR attempts IS NOT 1)) c CROSS JOIN attempts a
WHERE a.call_id = c.id AND a.failure IS NOT NULL GROUP BY 1, 2"""
_LATEST = f"""
SELECT id, started_at, client, {MODEL} AS model, upstream, status, outcome, error_type, input_tokens, output_tokens, cost_usd, ttft_ms,
       duration_ms, prompt
FROM calls WHERE rowid IN (SELECT rowid {_FROM} ORDER BY ts_ms DESC LIMIT :limit) ORDER BY ts_ms DESC, rowid DESC"""
_PRINT = "SELECT count(*), max(rowid), total(ts_ms) FROM calls INDEXED BY calls_ts_ms WHERE ts_ms >= ? AND ts_ms < ?"
_IDS = "SELECT rowid, id FROM calls WHERE rowid IN (SELECT value FROM json_each(?))"
_NEWEST = "SELECT max(ts_ms) FROM calls"

Edges = tuple[int, int]
Print = tuple[int, int | None, float]


class ModelSums(NamedTuple):
    """Calls of one model in a step; a sum is None where no call told. `cache_base_tokens`: input of the calls that told their cache reads.
    The last four are of the call that took longest (ms); `slowest_ms` None: no call told."""

    model: str | None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_base_tokens: int | None
    cost_usd: float | None
    no_cost: int
    slowest_ms: float | None
    rowid: int
    ts_ms: int
    outcome: str | None


class Spend(NamedTuple):
    """Calls of one client, project, key or tag in a step."""

    value: str | None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    no_cost: int


class End(NamedTuple):
    """Calls of a step that did not end well, in one way; the last four are of the one that took longest."""

    outcome: str | None
    status: int | None
    error_type: str | None
    calls: int
    slowest_ms: float | None
    rowid: int
    ts_ms: int
    model: str | None


class Failure(NamedTuple):
    """Attempts of a step's calls that failed in one way (class of DESIGN §5) at one upstream."""

    failure: str
    upstream: str | None
    tries: int


class Sample(NamedTuple):
    """One call."""

    rowid: int
    ts_ms: int
    model: str | None
    outcome: str | None
    stream: int | None
    ttft_ms: float | None
    duration_ms: float | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """The sums of one step."""

    edges: Edges
    models: tuple[ModelSums, ...] = ()
    spend: Mapping[str, tuple[Spend, ...]] | None = None
    ends: tuple[End, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def calls(self) -> int:
        return sum(sums.calls for sums in self.models)

    @property
    def weight(self) -> int:
        """How many rows it holds."""
        return 1 + len(self.models) + len(self.ends) + len(self.failures) + sum(map(len, (self.spend or {}).values()))


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read. `blocks` are in the order of time; where they are fewer than `steps`, the oldest were not reached in time.

    `samples`: every `stride`-th call. `names`: what the latest calls had, by filter. `newest_ms`: of all captures, None without any.
    `token` is another one when anything in the range is.
    """

    token: str
    blocks: tuple[Block, ...]
    steps: int
    samples: tuple[Sample, ...]
    stride: int
    latest: tuple[Mapping[str, Any], ...]
    names: Mapping[str, tuple[str, ...]]
    newest_ms: int | None


class Memory:
    """Steps by what they were asked with, the least used ones dropped. Used from several threads."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit, self._weight = limit, 0
        self._kept: OrderedDict[tuple[Any, ...], tuple[Print, int, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get[T](self, key: tuple[Any, ...], printed: Print, read: Callable[[], T], weight: Callable[[Any], int]) -> T:
        """What is known for that key and print, else what `read` gives."""
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known[0] == printed:
                self._kept.move_to_end(key)
                found: T = known[2]
                return found
        fresh = read()
        with self._lock:
            self._weight -= self._kept.pop(key, (printed, 0, None))[1]
            self._kept[key] = (printed, weight(fresh), fresh)
            self._weight += weight(fresh)
            while self._weight > self._limit:
                self._weight -= self._kept.popitem(last=False)[1][1]
        return fresh


def read(
    connection: Connection, query: Query, memory: Memory, *, seen: str = "", enough: Callable[[], bool] = lambda: False
) -> Reading | None:
    """The figures of a query; None where they are those of the token `seen`.

    Steps are read from the newest to the oldest until `enough()`. Raises sqlite3.Error.
    """
    edges = query.span.edges()
    prints = {edge: _print(connection, edge) for edge in edges}
    token = _token(query, prints)
    if token == seen:
        return None
    cursor = connection.cursor()
    cursor.row_factory = None  # Datasette's connections give rows of names, which take longer
    blocks: list[Block] = []
    for edge in reversed(edges):
        if blocks and enough():
            token = ""  # so that the next look goes on
            break
        blocks.append(memory.get((query.filters, edge), prints[edge], partial(_block, cursor, edge, query.filters, prints[edge]), _weight))
    blocks.reverse()
    samples, stride = _samples(cursor, query.filters, blocks, prints, memory)
    whole = (edges[0][0], edges[-1][1])
    newest = cursor.execute(_NEWEST).fetchone()[0]
    latest, names = _latest(cursor, whole, query.filters), _names(cursor, whole)
    return Reading(token, tuple(blocks), len(edges), samples, stride, latest, names, newest)


def call_ids(connection: Connection, rowids: Iterable[int]) -> dict[int, str]:
    """rowid → call id, without those that are gone."""
    return {row[0]: row[1] for row in connection.execute(_IDS, (json.dumps(list(rowids)),))}


def _print(connection: Connection, edge: Edges) -> Print:
    calls, last, times = connection.execute(_PRINT, edge).fetchone()
    return calls, last, times


def _token(query: Query, prints: Mapping[Edges, Print]) -> str:
    return sha256(repr((query.filters, list(prints.items()))).encode()).hexdigest()[:20]


def _block(cursor: Any, edge: Edges, filters: Filters, printed: Print) -> Block:
    if not printed[0]:
        return Block(edge)
    where, named = filters.where()
    values = {"lo": edge[0], "hi": edge[1], **named}

    def rows[T](sql: str, kind: Callable[[Sequence[Any]], T]) -> tuple[T, ...]:
        return tuple(map(kind, cursor.execute(sql.format(where=where), values)))

    models = rows(SQL["models"], ModelSums._make)
    if not models:
        return Block(edge)
    spend = {name: rows(SQL[name], Spend._make) for name in SPENDERS}
    return Block(edge, models, spend, rows(SQL["ends"], End._make), rows(FAILURES, Failure._make))


def _weight(block: Block) -> int:
    return block.weight


def _samples(
    cursor: Any, filters: Filters, blocks: Sequence[Block], prints: Mapping[Edges, Print], memory: Memory
) -> tuple[tuple[Sample, ...], int]:
    """(every stride-th call, stride); the stride is a power of two, so that it seldom changes while calls come in."""
    calls = sum(block.calls for block in blocks)
    stride = 1
    while calls > SAMPLE * stride:
        stride *= 2
    where, named = filters.where()
    sql = SQL["sample"].format(where=where)

    def of_step(edge: Edges) -> tuple[Sample, ...]:
        return tuple(map(Sample._make, cursor.execute(sql, {"lo": edge[0], "hi": edge[1], "mask": stride - 1, **named})))

    found: list[Sample] = []
    for edge in (block.edges for block in blocks if block.models):
        found += memory.get((filters, edge, stride), prints[edge], partial(of_step, edge), len)
    return tuple(found), stride


def _latest(cursor: Any, whole: Edges, filters: Filters) -> tuple[Mapping[str, Any], ...]:
    where, named = filters.where()
    found = cursor.execute(_LATEST.format(where=where), {"lo": whole[0], "hi": whole[1], "limit": LATEST, **named})
    columns = [column[0] for column in found.description]
    return tuple(dict(zip(columns, row, strict=True)) for row in found)


def _names(cursor: Any, whole: Edges) -> dict[str, tuple[str, ...]]:
    """Filter → the names that the latest calls of the range had, whatever the filters are."""
    rows = cursor.execute(SQL["names"].format(where=""), {"lo": whole[0], "hi": whole[1], "limit": LOOKED_AT}).fetchall()
    filters = ("model", "model", "upstream", "client", "project", "tag", "key", "status", "error_type")
    found: dict[str, set[str]] = {name: set() for name in filters}
    for name, column in zip(filters, zip(*rows, strict=True), strict=True) if rows else ():
        found[name].update(str(value) for value in column if value is not None)
    return {name: tuple(sorted(values)) for name, values in found.items()}
