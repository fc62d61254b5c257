"""Retention in a proxy that runs, and by `turnpike prune` beside it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from addons.storage.store import Store
from scripts.fake_provider.server import FakeProvider
from tests.e2e.harness import KEY_VARIABLES, Turnpike, clean_environment, fake_upstreams, new_key, wait_for
from tests.storage.support import full_call
from tests.storage.test_retention import is_whole

COMMAND = Path(sys.executable).parent / "turnpike"
KEYS = {name: new_key() for name in KEY_VARIABLES.values()}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}

LOOK_NOW = """
import gc
from addons.storage.upkeep import Upkeep
for upkeep in [found for found in gc.get_objects() if isinstance(found, Upkeep)]:
    upkeep.due_at = 0.0
"""
"""A script for mitmdump: the first look, which comes half a minute after the start, comes with the next call."""


def fill(database: Path) -> tuple[str, str, str]:
    """Ids of a call that is too old, of such a one that is pinned, and of one of years ago that was imported today."""
    old, pinned, imported = full_call(), full_call(), full_call()
    ids = tuple(str(call.row["id"]) for call in (old, pinned, imported))
    with closing(Store(database)) as store:
        store.write([old, pinned, imported])
        store._connection.executemany("UPDATE calls SET stored_at = '2020-01-01T00:00:00.000Z' WHERE id = ?", [(id,) for id in ids[:2]])
        store._connection.execute("UPDATE calls SET ts_ms = 0, started_at = '1970-01-01T00:00:00.000Z' WHERE id = ?", (ids[2],))
        store.set_pinned(ids[1], True)
    return ids[0], ids[1], ids[2]


@pytest.fixture
def config(fake: FakeProvider) -> dict[str, object]:
    """As shipped, but for the upstreams."""
    return {"version": 1, "upstreams": fake_upstreams(fake)}


def call(turnpike: Turnpike) -> str:
    """Makes one, and gives its id."""
    answer = httpx.post(f"{turnpike.base_url}/v1/chat/completions", json=CHAT, headers={"Authorization": f"Bearer {new_key()}"})
    return str(answer.raise_for_status().headers["x-turnpike-call"])


def ids(turnpike: Turnpike) -> set[str]:
    """Of all rows."""
    return {str(row["id"]) for row in turnpike.rows()}


def test_the_proxy_prunes_what_is_too_old(fake: FakeProvider, config: dict[str, object], tmp_path: Path) -> None:
    """And says so in its log; the pinned call, the imported one and the new one stay."""
    script = tmp_path / "look_now.py"
    script.write_text(LOOK_NOW)
    with Turnpike(tmp_path / "t", config, trusted_ca=fake.ca_file, env=KEYS, arguments=("-s", str(script))) as turnpike:
        old, pinned, imported = fill(turnpike.database)
        new = call(turnpike)
        wait_for(lambda: turnpike.query("select 1") and old not in ids(turnpike), "the old call is gone")
        wait_for(lambda: "retention: pruned 1 call," in turnpike.output(), "the line in the log")
        turnpike.wait_row(new)
        assert ids(turnpike) == {pinned, imported, new}
    is_whole(turnpike.database)


def test_prune_works_beside_a_proxy(fake: FakeProvider, config: dict[str, object], tmp_path: Path) -> None:
    """`turnpike prune` takes the old call; the proxy, which has not looked yet, records on."""
    with Turnpike(tmp_path / "t", config, trusted_ca=fake.ca_file, env=KEYS) as turnpike:
        _, pinned, imported = fill(turnpike.database)
        before = call(turnpike)
        turnpike.wait_row(before)
        command = [str(COMMAND), "prune", "--config", str(turnpike.config_file), "--database", str(turnpike.database)]
        done = subprocess.run(command, capture_output=True, text=True, env=turnpike.env | clean_environment(), check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("pruned 1 call, stored 2020-01-01")
        after = call(turnpike)
        turnpike.wait_row(after)
        assert ids(turnpike) == {pinned, imported, before, after}
    is_whole(turnpike.database)
