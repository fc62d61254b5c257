"""`turnpike run`: real processes, from the command to what is left when it has ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from scripts.launch import program
from scripts.running import Address
from tests.e2e.harness import free_port
from tests.scripts.run_process import RunProcess, is_there

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose port is free and whose database lies in the test's folder."""
    file = tmp_path / "turnpike.yml"
    database = str(tmp_path / "turnpike.db")
    state = {"url": f"sqlite:{file.parent / 'state.db'}"}
    own = {"capture": {"database": database}, "state": state, "logs": {"folder": str(tmp_path / "logs")}}
    file.write_text(json.dumps({"version": 1, "proxy": {"port": free_port()}, **own}))
    return file


def port_of(config: Path) -> int:
    return int(json.loads(config.read_text())["proxy"]["port"])


def run(tmp_path: Path, *arguments: str) -> RunProcess:
    return RunProcess(tmp_path, [program("turnpike"), "run", *arguments])


def run_both(tmp_path: Path, config: Path, *more: str) -> RunProcess:
    """With Datasette at a port that no other test wants."""
    script = f"import scripts.launch as l; l.BROWSE_PORT = {free_port()}; from scripts.cli import main; main()"
    return RunProcess(tmp_path, [sys.executable, "-c", script, "run", "--config", str(config), "--browse", *more])


def get(url: str) -> str:
    """A page, whatever proxy the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_run_becomes_mitmdump(tmp_path: Path, config: Path) -> None:
    """The process itself is the proxy: at the configured port, with the configuration, and Ctrl-C ends it."""
    with run(tmp_path, "--config", str(config)) as process:
        proxy = Address("127.0.0.1", port_of(config))
        assert process.line("export HTTPS_PROXY=").endswith(proxy.url)
        assert str(tmp_path / ".mitmproxy/mitmproxy-ca-cert.pem") in process.line("CA file")
        process.line("proxy listening at 127.0.0.1")
        assert json.loads(get(f"{proxy.url}/ready"))["config"] == "ok"
        assert process.stop() == 0
    assert (tmp_path / "turnpike.db").exists()


def test_options_win_over_the_file_and_mitmdumps_own_follow(tmp_path: Path, config: Path) -> None:
    """--port is listened on, and what stands after -- reaches mitmdump."""
    port = free_port()
    flows = tmp_path / "flows.mitm"
    with run(tmp_path, "--config", str(config), "--port", str(port), "--", "-w", str(flows)) as process:
        process.line(f"proxy listening at 127.0.0.1:{port}")
        assert process.stop(signal.SIGTERM) == 0
    assert flows.exists()


def test_a_port_in_use_is_one_line(tmp_path: Path, config: Path) -> None:
    """It names the port and the remedy, and exits 1."""
    with socket.create_server(("127.0.0.1", port_of(config))), run(tmp_path, "--config", str(config)) as process:
        assert process.end() == 1
    assert len(process.lines) == 1
    assert f"port {port_of(config)} on 127.0.0.1 is in use" in process.lines[0] and "--port" in process.lines[0]


def test_a_broken_configuration_is_one_line(tmp_path: Path, config: Path) -> None:
    """It names the path in the file and the remedy, and exits 1."""
    config.write_text('{"proxy": {"prot": 8080}}')
    with run(tmp_path, "--config", str(config)) as process:
        assert process.end() == 1
    assert len(process.lines) == 1 and "proxy.prot" in process.lines[0] and "port" in process.lines[0]


def test_the_demo_has_its_own_configuration(tmp_path: Path, config: Path) -> None:
    """--demo with --config is wrong usage."""
    with run(tmp_path, "--demo", "--config", str(config)) as process:
        assert process.end() == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--demo", "--workers", "2"), "--demo is one process"),
        (("--workers", "2", "--", "-w", "flows"), "-w is for one process"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_what_several_workers_can_not_do_is_wrong_usage(tmp_path: Path, config: Path, arguments: tuple[str, ...], said: str) -> None:
    """Nothing is started."""
    where = () if "--demo" in arguments else ("--config", str(config))
    with run(tmp_path, *where, *arguments) as process:
        assert process.end() == 2
    assert said in "\n".join(process.lines)


@needs_proc
def test_browse_runs_both_and_leaves_nothing(tmp_path: Path, config: Path) -> None:
    """Datasette serves the captures beside the proxy; Ctrl-C ends both with 0."""
    with run_both(tmp_path, config) as process:
        page = process.line("Datasette  ").split()[-1]
        assert page.endswith("/-/llm")
        assert "No calls yet" in get(page)
        assert Address("127.0.0.1", port_of(config)).answers()
        children = process.children()
        assert len(children) == 2
        assert process.stop() == 0
    assert not any(is_there(pid) for pid in children)
    assert not any("Traceback" in line for line in process.lines)


@needs_proc
@pytest.mark.parametrize("which", [0, 1])
def test_one_of_both_dying_ends_the_other(tmp_path: Path, config: Path, which: int) -> None:
    """With its exit status, and with a line that tells which it was."""
    with run_both(tmp_path, config) as process:
        process.line("Datasette  ")
        children = process.children()
        os.kill(children[which], signal.SIGKILL)
        assert process.end() == 128 + signal.SIGKILL
    assert not any(is_there(pid) for pid in children)
    assert any(f"{('the proxy', 'Datasette')[which]} has ended" in line for line in process.lines)


@needs_proc
def test_workers_run_beside_datasette(tmp_path: Path, config: Path) -> None:
    """As one of the two: both of its proxies end with all, and nothing is left."""
    with run_both(tmp_path, config, "--workers", "2") as process:
        process.line("Datasette  ")
        process.line("[2] ")
        keeper = next(pid for pid in process.children() if "scripts.workers" in Path(f"/proc/{pid}/cmdline").read_text())
        workers = [int(pid) for pid in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()]
        assert len(workers) == 2
        assert process.stop() == 0
    assert not any(is_there(pid) for pid in (keeper, *workers))
