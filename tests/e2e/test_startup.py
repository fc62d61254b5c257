"""A start that cannot succeed says why in one line and ends with 1; one that does listens on loopback only, from any folder."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.harness import MITMDUMP, ROOT, START_S, Turnpike, clean_environment, free_port, wait_for

TURNPIKE = MITMDUMP.with_name("turnpike")
BASE = "http://127.0.0.1:9"
MISSING = "E2E_NEVER_SET"

BROKEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown key": ({"upstreams": {"a": {"base_url": BASE, "defualt": True}}}, ["upstreams.a.defualt", "default"]),
    "two defaults": (
        {"upstreams": {name: {"base_url": BASE, "default": True} for name in ("one", "two")}},
        ["upstreams.two.default", "one"],
    ),
    "unknown upstream in a route": (
        {"upstreams": {"real": {"base_url": BASE}}, "routes": [{"name": "r", "to": [{"upstream": "unreal"}]}]},
        ["routes.0.to.0.upstream", "unreal", "real"],
    ),
    "missing variable": (
        {"upstreams": {"a": {"base_url": BASE, "keys": [{"env": MISSING}]}}},
        ["upstreams.a.keys.0", MISSING, "set it"],
    ),
}
"""What is wrong → the configuration, and what the one line must name: the path in the file, and the remedy."""


def ends(folder: Path, config: Path, port: int, **env: str) -> dict[str, tuple[int, str]]:
    """Way of starting → exit status and output, of both at once."""
    run = {"HOME": str(folder), "TURNPIKE_DB": str(folder / "turnpike.db")}
    bare = [str(MITMDUMP), "-s", str(ROOT / "addons" / "router.py"), "-p", str(port), "--set", f"turnpike_config={config}"]
    commands = {"mitmdump": bare, "turnpike run": [str(TURNPIKE), "run", "--config", str(config), "--port", str(port)]}
    started = {
        way: subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment() | run | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for way, command in commands.items()
    }
    try:
        outputs = {way: process.communicate(timeout=START_S)[0] for way, process in started.items()}
        return {way: (started[way].returncode, output) for way, output in outputs.items()}
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def own_lines(output: str) -> list[str]:
    """All lines but the one with which mitmproxy begins to load a script."""
    return [line for line in output.splitlines() if "Loading script" not in line]


@pytest.mark.parametrize(("config", "named"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_configuration_is_one_line(config: dict[str, Any], named: list[str], tmp_path: Path) -> None:
    """Exit 1 and exactly one line of ours, which names the file, the path in it and the remedy; no database is made."""
    file = tmp_path / "broken.yml"
    file.write_text(json.dumps({"version": 1, **config}))
    for way, (status, output) in ends(tmp_path, file, free_port()).items():
        assert status == 1, (way, output)
        assert len(own_lines(output)) == 1, (way, output)
        assert [word for word in [*named, file.name] if word not in output] == [], (way, output)
    assert not (tmp_path / "turnpike.db").exists()


def test_an_option_given_twice_is_no_open_proxy(tmp_path: Path) -> None:
    """mitmproxy drops a script whose options it can't set, and would go on as an open proxy: we end instead, with one line."""
    (tmp_path / "turnpike.yml").write_text("version: 1\n")
    command = [str(MITMDUMP), "-s", str(ROOT / "addons" / "router.py"), "-p", str(free_port())]
    command += ["--set", f"turnpike_config={tmp_path / 'turnpike.yml'}"] * 2
    ended = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=10, check=False)
    assert ended.returncode == 1
    [line] = own_lines(ended.stdout + ended.stderr)
    assert "turnpike_config" in line


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    """Exit 1 and one line of ours that names the setting and the file, which is left as it was."""
    database, content = tmp_path / "turnpike.db", b"these are notes, not SQLite\n" * 100
    database.write_bytes(content)
    file = tmp_path / "turnpike.yml"
    file.write_text("version: 1\n")
    for way, (status, output) in ends(tmp_path, file, free_port()).items():
        assert status == 1, (way, output)
        [line] = [line for line in own_lines(output) if not line.startswith("  ")]  # `turnpike run` has said where to look
        assert "capture.database" in line and str(database) in line, (way, output)
    assert database.read_bytes() == content


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    """`turnpike run` says it in one line with the remedy, bare mitmdump in its own words; both end with 1."""
    file = tmp_path / "turnpike.yml"
    file.write_text("version: 1\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        results = ends(tmp_path, file, port)
    for way, (status, output) in results.items():
        assert status == 1, (way, output)
        assert "Traceback" not in output, (way, output)
        assert str(port) in output, (way, output)
    [line] = results["turnpike run"][1].splitlines()
    assert "--port" in line


def listeners(port: int) -> set[str]:
    """Addresses (as the kernel writes them) on which something listens at this port: proc(5), state 0A is LISTEN."""
    lines = [line for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    ends = [fields[1].split(":") for line in lines if (fields := line.split())[3] == "0A"]
    return {address for address, number in ends if int(number, 16) == port}


def test_only_loopback_is_listened_on(tmp_path: Path) -> None:
    """Plain `mitmdump -s addons/router.py -p N`, from another folder and with nothing said, listens on 127.0.0.1 alone."""
    with Turnpike(tmp_path, {"version": 1}, listen=()) as turnpike:
        wait_for(lambda: listeners(turnpike.port) == {"0100007F"}, "the listener is on 127.0.0.1 alone")
        assert turnpike.healthy()
        assert httpx.get(f"{turnpike.proxy_url}/ready").status_code == 200


def test_it_runs_as_shipped(tmp_path: Path) -> None:
    """With the shipped configuration and nothing set it is ready, has every provider, and no key."""
    turnpike = Turnpike(tmp_path, {})
    turnpike.config_file = ROOT / "config" / "turnpike.yml"
    with turnpike:
        ready = httpx.get(f"{turnpike.proxy_url}/ready").json()
    assert ready["ready"] is True
    assert {"openai", "anthropic", "gemini", "ollama"} <= ready["upstreams"].keys()
    assert not [name for name, upstream in ready["upstreams"].items() if upstream["keys"]]


@pytest.mark.parametrize("extra", [(), ("--browse",)])
def test_turnpike_run_starts_and_stops(extra: tuple[str, ...], tmp_path: Path) -> None:
    """`turnpike run` serves where it says, and ends with 0 on SIGTERM, leaving nothing behind."""
    port, output = free_port(), tmp_path / "output.log"
    (tmp_path / "turnpike.yml").write_text(f"version: 1\nlogs: {{folder: {tmp_path / 'logs'}}}\n")
    command = [str(TURNPIKE), "run", "--config", str(tmp_path / "turnpike.yml"), "--port", str(port), *extra]
    env = clean_environment() | {"HOME": str(tmp_path), "TURNPIKE_DB": str(tmp_path / "turnpike.db")}
    with output.open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wanted = "Datasette" if extra else "proxy"
        wait_for(lambda: wanted in output.read_text() and answers(f"http://127.0.0.1:{port}/healthz"), "it answers", START_S)
        assert f"http://127.0.0.1:{port}" in output.read_text()
        assert listeners(port) == {"0100007F"}
        process.terminate()
        assert process.wait(START_S) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()
    assert not listeners(port)
    assert "Traceback" not in output.read_text()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
