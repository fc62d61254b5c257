"""How the proxy is started, and what is said about where it is."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import click
import pytest

from addons.config import ROOT, Config
from scripts.fake_provider.server import running_fake_provider
from scripts.launch import Proxy, answers_http, program, where_to_look
from scripts.running import free_port


def test_the_command_line_is_mitmdump_with_our_entry() -> None:
    """Host, port and configuration are passed on, the user's own arguments last."""
    arguments = Proxy(Config(), "127.0.0.1", 9000, ("-w", "flows")).arguments
    assert arguments[:5] == [sys.executable, "-O", "-P", "-m", "scripts.serve"]
    assert arguments[5:11] == ["-s", str(ROOT / "addons/router.py"), "--listen-host", "127.0.0.1", "-p", "9000"]
    assert arguments[11:] == ["--set", f"turnpike_config={Config().source}", "-w", "flows"]


def test_the_ca_is_where_mitmproxy_keeps_it(tmp_path: Path) -> None:
    """In the user's home, or in the confdir that was given."""
    assert Proxy(Config(), "127.0.0.1", 1).ca == Path.home() / ".mitmproxy/mitmproxy-ca-cert.pem"
    assert Proxy(Config(), "127.0.0.1", 1, ("--set", f"confdir={tmp_path}")).ca == tmp_path / "mitmproxy-ca-cert.pem"


def test_where_to_look_names_everything() -> None:
    """Proxy, base URL, CA, the variable to set, and Datasette when it runs."""
    text = where_to_look(Proxy(Config(), "0.0.0.0", 9000), "http://127.0.0.1:8001/")
    for part in ("export HTTPS_PROXY=http://127.0.0.1:9000", "http://127.0.0.1:9000/proxy/v1", "mitmproxy-ca-cert.pem", ":8001/"):
        assert part in text
    assert "Datasette" not in where_to_look(Proxy(Config(), "127.0.0.1", 9000))


def test_a_port_in_use_names_the_remedy() -> None:
    """One line with the port and --port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(click.ClickException, match=rf"port {port} on 127.0.0.1 is in use; .*--port"):
            Proxy(Config(), "127.0.0.1", port).check()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_elsewhere_names_the_remedy(host: str) -> None:
    """One line with the address and --host."""
    with pytest.raises(click.ClickException, match=rf"{host}.*--host"):
        Proxy(Config(), host, free_port("127.0.0.1", 0)).check()


def test_a_missing_program_names_the_remedy() -> None:
    """One line with ./scripts/setup."""
    with pytest.raises(click.ClickException, match=r"\./scripts/setup"):
        program("turnpike-has-no-such-program")


def test_a_refusal_is_an_answer_too() -> None:
    """Datasette behind a password answers 401: it is ready all the same."""
    with running_fake_provider(knobs={"*": {"status": 401}}) as provider:
        assert answers_http(f"{provider.url}/v1/models")


def test_nothing_answers_where_nothing_listens() -> None:
    """A refused connection is no answer, and no error."""
    assert not answers_http(f"http://127.0.0.1:{free_port('127.0.0.1', 0)}/")


def test_several_workers_are_one_process_to_a_supervisor() -> None:
    """It is told where they will answer; one alone is started as it is."""
    one = Proxy(Config(), "127.0.0.1", 9000)
    assert one.command == one.arguments
    command = Proxy(Config(), "0.0.0.0", 9000, workers=3).command
    assert command[1:5] == ["-m", "scripts.workers", "3", "http://127.0.0.1:9000"]
    assert "scripts.worker" in command and command[-1] == one.arguments[-1]
