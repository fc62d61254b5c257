"""`turnpike bench`: short runs against real proxies, and what is refused before anything is started."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from scripts.benching.processes import family
from scripts.cmd_bench import command
from scripts.launch import program
from tests.e2e.harness import scripted_server, wait_for
from tests.scripts.run_process import RunProcess, is_there

pytestmark = pytest.mark.slow

SHORT = ("--warmup", "0", "--rounds", "1", "--requests", "10")
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With a home of its own, which stays empty."""
    environment = os.environ | {"HOME": str(folder), "TMPDIR": str(folder)}
    return subprocess.run(
        [program("turnpike"), "bench", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def rounds_of(file: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(way, answers, target) → its first round."""
    results = json.loads(file.read_text())["results"]
    return {
        (result["cell"]["way"], result["cell"]["answers"], target): rounds[0]
        for result in results
        for target, rounds in result["rounds"].items()
    }


def test_closed_loops_streamed_and_not_through_both_ways(tmp_path: Path) -> None:
    """Every call is answered and has its row; all three files are written, and nothing else is left."""
    outputs = ("--json", "new.json", "--csv", "new.csv", "--plot", "new.svg")
    done = bench(tmp_path, *SHORT, "--way", "base,connect", "--concurrency", "2", "--chunks", "5", *outputs)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr + done.stdout
    found = rounds_of(tmp_path / "new.json")
    assert set(found) == set(product(("base", "connect"), ("whole", "stream"), ("direct", "turnpike")))
    for (_, answers, name), one in found.items():
        assert (one["requests"], one["errors"]) == (10, {})
        assert one["chunks"] == (60 if answers == "stream" else 0)
        if sys.platform.startswith("linux"):
            assert one["cpu_s"] > 0 and one["peak_rss_mb"] > (50 if name == "turnpike" else 10)
    assert "CONNECT and TLS, streamed" in done.stdout
    assert len(list(csv.DictReader((tmp_path / "new.csv").read_text().splitlines()))) == len(found)
    ElementTree.parse(tmp_path / "new.svg")
    assert {path.name for path in tmp_path.iterdir()} == {"new.json", "new.csv", "new.svg"}


def test_open_loop_beside_bare_and_others(tmp_path: Path) -> None:
    """mitmdump with our add-ons, with nothing, streaming by two lines, and a gateway that fails: that one makes the exit status 1."""
    with scripted_server(BUSY) as gateway:
        others = ("--target", "mitmdump", "--bare", "--against", f"gateway=http://{gateway.host}:{gateway.port}/v1")
        done = bench(tmp_path, *SHORT, "--rate", "100", "--answers", "stream", "--concurrency", "4", *others, "--json", "new.json")
    assert done.returncode == 1, done.stderr + done.stdout
    found = rounds_of(tmp_path / "new.json")
    assert [name for _, _, name in found] == ["direct", "mitmdump -s", "bare", "bare stream=True", "gateway"]
    for (_, _, name), one in found.items():
        assert one["errors"] == ({"status 503": 10} if name == "gateway" else {})
        assert one["elapsed_s"] >= 0.09  # the tenth was due after 90 ms
    assert "ERRORS gateway: 10 of 10 status 503" in done.stdout
    assert "mitmdump -s : bare stream=True" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ctrl_c_ends_all(tmp_path: Path) -> None:
    """Upstream, proxy and load; the exit status is a shell's."""
    arguments = [program("turnpike"), "bench", "--duration", "60", "--warmup", "0", "--answers", "whole"]
    with RunProcess(tmp_path, arguments, {"TMPDIR": str(tmp_path)}) as process:
        pids = wait_for(lambda: pids if len(pids := family(process.process.pid)) == 4 else None, "four processes", 30)
        assert process.stop() == 130
    assert not [pid for pid in pids if is_there(pid)]
    assert not list(tmp_path.glob("turnpike-bench-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--way", "socks"], "'socks' is none of base, connect"),
        (["--prompt", "big"], "'big' is no size"),
        (["--concurrency", "0"], "at least one client"),
        (["--against", "gateway"], "write NAME=URL"),
        (["--header", "x"], "write NAME: VALUE"),
        (["--pin", "--workers", "9999"], "--pin needs more cores"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str) -> None:
    """Before anything is started."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_files_are_looked_at_before(tmp_path: Path) -> None:
    """Those to be read and those to be written: a run takes minutes."""
    for option in ("--json", "--csv", "--plot"):
        result = CliRunner().invoke(command, [option, str(tmp_path / "missing" / "file")])
        assert (result.exit_code, "cannot be written" in result.output) == (1, True)
    (tmp_path / "old.json").write_text("{}")
    result = CliRunner().invoke(command, ["--compare", str(tmp_path / "old.json")])
    assert (result.exit_code, "was not written by `turnpike bench --json`" in result.output) == (1, True)
