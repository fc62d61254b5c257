"""Who may see the captures' pages, and for how long a page may read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasette.utils import parse_metadata
from datasette.utils.asgi import Forbidden, NotFound

from addons.views.access import DATABASE, may_see, read
from addons.views.serving import METADATA, make_datasette
from tests.views.samples import CALLS, fill

VISITOR = SimpleNamespace(actor=None)
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    path = tmp_path / "captures.db"
    fill(path)
    return path


@pytest.fixture
def opened(captures: Path) -> Iterator[Any]:
    """Datasette on the captures, in this process."""
    datasette = make_datasette(captures)
    yield datasette
    close(datasette)


def close(datasette: Any) -> None:
    for database in datasette.databases.values():
        for connection in database._all_file_connections:
            connection.close()
    datasette.executor.shutdown()


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])


async def test_what_is_read(opened: Any) -> None:
    """Any number of statements over one connection that cannot write."""
    assert await read(opened, VISITOR, count) == CALLS
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await read(opened, VISITOR, lambda connection: connection.execute("DELETE FROM calls"))


async def test_a_read_ends_in_time(opened: Any) -> None:
    """However much it asks for."""
    opened._settings["sql_time_limit_ms"] = 50
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        await read(opened, VISITOR, lambda connection: connection.execute(ENDLESS).fetchone())


async def test_without_captures(opened: Any) -> None:
    """A Datasette of other databases says that there are none."""
    opened.databases = {name: database for name, database in opened.databases.items() if name != DATABASE}
    with pytest.raises(NotFound, match="no captures"):
        await read(opened, VISITOR, count)
    assert not await may_see(opened, None)


async def test_who_may_not(captures: Path, tmp_path: Path) -> None:
    """Datasette's own permissions hold for our pages too."""
    metadata = tmp_path / "metadata.yml"
    metadata.write_text(METADATA.read_text(encoding="utf-8") + "\nallow: {id: root}\n", encoding="utf-8")
    datasette = make_datasette(captures, metadata)
    try:
        with pytest.raises(Forbidden):
            await read(datasette, VISITOR, count)
        assert (await may_see(datasette, None), await may_see(datasette, {"id": "root"})) == (False, True)
        assert await read(datasette, SimpleNamespace(actor={"id": "root"}), count) == CALLS
    finally:
        close(datasette)


@pytest.mark.parametrize(
    ("table", "seen"), [("calls", (False, False)), ("bodies", (True, False)), ("parts", (True, False)), ("segments", (True, True))]
)
async def test_tables_that_a_visitor_may_not_see(captures: Path, tmp_path: Path, table: str, seen: tuple[bool, bool]) -> None:
    """Pages show no more than Datasette's own: the dashboard needs `calls`, the others what was said too."""
    told = dict(parse_metadata(METADATA.read_text(encoding="utf-8")))
    told["databases"][DATABASE].setdefault("tables", {}).setdefault(table, {})["allow"] = {"id": "root"}
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps(told), encoding="utf-8")
    datasette = make_datasette(captures, metadata)
    try:
        assert (await may_see(datasette, None), await may_read(datasette, VISITOR)) == seen
        assert await may_see(datasette, {"id": "root"}) and await may_read(datasette, SimpleNamespace(actor={"id": "root"}))
    finally:
        close(datasette)


async def may_read(datasette: Any, visitor: Any) -> bool:
    try:
        return await read(datasette, visitor, count) == CALLS
    except Forbidden:
        return False
