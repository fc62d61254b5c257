"""`turnpike run --demo`: the main job as a new user sees it, with real processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scripts.demo.samples import failures, lanes
from scripts.running import Address
from tests.scripts.run_process import RunProcess, is_there

DEMO = """
import sys, pathlib
from scripts.demo import show, stage
stage.FOLDER = pathlib.Path(sys.argv.pop(1))
show.PORT = show.BROWSE_PORT = 0
from scripts.cli import main
main()
"""
"""`turnpike` with the demo's folder and ports elsewhere, so that a test leaves the user's alone, and other tests beside it."""
TOTAL = sum(map(len, lanes())) + len(failures())


@pytest.fixture
def empty_home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def demo(home: Path, folder: Path) -> RunProcess:
    return RunProcess(home, [sys.executable, "-c", DEMO, str(folder), "run", "--demo"])


def rows(database: Path, sql: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_demo_shows_its_calls_and_leaves_nothing(empty_home: Path, tmp_path: Path) -> None:
    """In an empty HOME: every call is a row, Datasette shows them, the printed curl works, Ctrl-C ends all processes."""
    folder = tmp_path / "demo"
    with demo(empty_home, folder) as process:
        process.line("Ctrl-C ends it")
        assert not [line for line in process.lines if "unexpected" in line or "Traceback" in line]
        page = process.line("Look at the calls").split()[-1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(page, timeout=10) as answer:
            assert f'data-tile="calls" data-exact="{TOTAL}"' in " ".join(answer.read().decode().split())
        with opener.open(f"{page.removesuffix('/-/llm?range=15m')}/turnpike/traffic.json?_size=max&_shape=array", timeout=10) as answer:
            assert len(json.loads(answer.read())) == TOTAL
        again = shlex.split(process.line("replay --config"))
        done = subprocess.run(again, cwd=empty_home, capture_output=True, text=True, check=True)
        assert done.stdout.count("200 → 200") == 4
        if shutil.which("curl"):
            curl = shlex.split(process.line("curl --proxy"))
            done = subprocess.run([*curl, "--silent", "--fail"], cwd=empty_home, capture_output=True, text=True, check=True)
            assert '"usage"' in done.stdout
        children = process.children()
        assert process.stop() == 0
    assert not any(is_there(pid) for pid in children)
    assert "Stopped" in process.lines[-1]
    assert not (empty_home / ".mitmproxy").exists()


@pytest.mark.slow
def test_the_rows_are_varied_and_priced(empty_home: Path, tmp_path: Path) -> None:
    """Every dialect, both ways in, streams and errors, conversations, tools; real models have a price, secrets a mask."""
    folder = tmp_path / "demo"
    with demo(empty_home, folder) as process:
        process.line("Ctrl-C ends it")
        assert process.stop(signal.SIGTERM) == 0
    calls = rows(folder / "turnpike.db", "select * from calls")
    assert len(calls) == TOTAL >= 30
    apis = {
        "openai.chat",
        "openai.responses",
        "openai.completions",
        "openai.embeddings",
        "anthropic.messages",
        "gemini.generate",
        "ollama.chat",
    }
    assert {call["api"] for call in calls} == apis
    assert {"ok", "error", "partial"} <= {call["outcome"] for call in calls}
    assert {400, 500, 503} <= {call["status"] for call in calls}
    assert [call for call in calls if (call["outcome"], call["attempts"]) == ("ok", 2)]  # one key was limited, the next one answered
    assert {"api.openai.com", "127.0.0.1"} <= {call["host"] for call in calls}
    assert len({call["client"] for call in calls}) >= 6 and len({call["tag"] for call in calls}) >= 4
    assert sum(call["n_tool_calls"] for call in calls) >= 2 and sum(call["stream"] for call in calls) >= 10
    assert not [call["model"] for call in calls if call["outcome"] == "ok" and call["cost_usd"] is None and call["upstream"] != "ollama"]
    assert max(row["n"] for row in rows(folder / "turnpike.db", "select count(*) n from calls group by conversation_id")) == 4
    assert [call for call in calls if call["redactions"] and "OPENAI_API_KEY=" in call["prompt"] and "***" in call["prompt"]]


@pytest.mark.slow
def test_a_second_demo_has_a_folder_and_ports_of_its_own(empty_home: Path, tmp_path: Path) -> None:
    """Two at once do not take anything from each other."""
    with demo(empty_home, tmp_path / "demo") as first, demo(empty_home, tmp_path / "demo") as second:
        urls = {re.findall(r"http://\S+", process.line("export HTTPS_PROXY="))[0] for process in (first, second)}
        for process in (first, second):
            process.line("Ctrl-C ends it")
        assert len(urls) == 2 and all(Address.of(url).answers() for url in urls)
    assert sorted(os.listdir(tmp_path)) == ["demo", "demo-2", "home"]
    assert len(rows(tmp_path / "demo" / "turnpike.db", "select id from calls")) == TOTAL
