"""scripts/cmd_browse.py: where `turnpike browse` listens, what it says, and how it ends."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from scripts.cmd_browse import PASSWORD, command, listen
from tests.views.samples import fill
from tests.views.support import Browse


def refused(*arguments: str) -> Result:
    """What a command says that ends before it listens."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_soon(tmp_path: Path, number: signal.Signals) -> None:
    """Status 0 and nothing on stderr, with a connection left open."""
    fill(tmp_path / "calls.db", calls=3)
    with Browse(tmp_path / "calls.db") as browse:
        browse.get("/-/llm")
        assert browse.stop(number) == 0
    assert browse.errors == ""


def test_the_dashboard_is_named_first(tmp_path: Path) -> None:
    """And opened by --open, in whatever browser the user has."""
    fill(tmp_path / "calls.db", calls=3)
    opener = tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    opener.chmod(0o700)
    with Browse(tmp_path / "calls.db", "--open", env={**os.environ, "BROWSER": f"{opener} %s"}) as browse:
        assert browse.told.startswith(f"calls.db is at {browse.url}-/llm (")
        assert f"{browse.url}turnpike/traffic" in browse.told
        browse.get("/-/llm")
        assert (tmp_path / "opened").read_text() == f"{browse.url}-/llm\n"


def test_the_configured_database_is_made(tmp_path: Path) -> None:
    """One can look before the first call: it says so, and shows an empty page; the file is the user's alone."""
    path = tmp_path / "new" / "calls.db"
    with Browse(None, env={**os.environ, "TURNPIKE_DB": str(path)}) as browse:
        assert browse.get("/turnpike/traffic.json").json()["rows"] == []
        browse.stop()
    assert "it was created" in browse.errors
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_database_that_was_named_must_be_there(tmp_path: Path) -> None:
    """A slip of the pen makes no file and no folders."""
    path = tmp_path / "new" / "calls.db"
    assert f"there is no database {path}" in refused("--database", str(path)).output
    assert not path.parent.exists()


def test_nothing_is_made_where_the_port_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where it could not be shown."""
    monkeypatch.setenv("TURNPIKE_DB", str(tmp_path / "new" / "calls.db"))
    with listen("127.0.0.1", 0) as taken:
        refused("--port", str(taken.getsockname()[1]))
    assert not (tmp_path / "new").exists()


def test_what_is_no_database_of_ours_is_told(tmp_path: Path) -> None:
    """Another program's database, and what is no database at all, are refused in one line that names the file; their content stays."""
    other, text = tmp_path / "other.db", tmp_path / "text.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    text.write_text("no database, but long enough to be looked at by SQLite" * 20)
    for path in (other, text):
        done = subprocess.run(
            [*Browse(path).command], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert str(path) in done.stderr
    connection = sqlite3.connect(other)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "box.lan"])
def test_beyond_loopback_a_password_is_needed(host: str) -> None:
    """The captures hold whole conversations: without a password only this machine may read them."""
    assert PASSWORD in refused("--host", host, "--database", "any.db").output


def test_with_a_password_it_listens_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is asked for, and lets in; the address printed is one that works on this machine."""
    fill(tmp_path / "calls.db", calls=3)
    monkeypatch.setenv(PASSWORD, secrets.token_urlsafe())
    with Browse(tmp_path / "calls.db", "--host", "0.0.0.0") as browse:
        assert browse.url.startswith("http://127.0.0.1:")
        assert browse.process.stdout is not None
        assert re.match(r"from other machines http://<.*the user name may be anything", browse.process.stdout.readline())
        assert browse.client.get("/turnpike").status_code == 401
        browse.client.auth = httpx.BasicAuth("me", os.environ[PASSWORD])
        browse.get("/turnpike")


def test_a_port_in_use_is_told() -> None:
    """One line that names the address and the remedy, status 1."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match=f"127.0.0.1:{port}.*--port"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_told() -> None:
    """What cannot be listened on is one line too (TEST-NET-1, RFC 5737)."""
    with pytest.raises(Exception, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_the_socket_takes_connections_at_once() -> None:
    """A browser opened before the server is up waits instead of failing."""
    with listen("localhost", 0) as listener:
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


def test_a_broken_configuration_is_one_line(tmp_path: Path) -> None:
    """As everywhere; with --database the configuration is not needed, and not read."""
    (tmp_path / "turnpike.yml").write_text("nonsense: 1\n")
    assert "nonsense" in refused("--config", str(tmp_path / "turnpike.yml")).output


def test_help_does_not_wait_for_datasette() -> None:
    """`--help` and every refusal come before the slow imports."""
    look = "import sys, scripts.cmd_browse; sys.exit('datasette' in sys.modules or 'uvicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], cwd=Path(__file__).parents[2], check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_pages_open(tmp_path: Path, number: signal.Signals) -> None:
    """Queries that run and that wait, a page that polls over a kept connection, half a request: none holds it up."""
    fill(tmp_path / "calls.db", calls=3)
    with Browse(tmp_path / "calls.db") as browse:
        assert browse.end_with_pages_open("/turnpike.json", number) == 0
        browse.stop()
    assert browse.errors == ""


def test_without_a_browser_it_serves_all_the_same(tmp_path: Path) -> None:
    """`--open` where none can be opened: it says so."""
    fill(tmp_path / "calls.db", calls=1)
    with Browse(tmp_path / "calls.db", "--open", env=os.environ | {"BROWSER": "false", "PATH": "/nowhere", "DISPLAY": ""}) as browse:
        browse.get("/turnpike")
        browse.stop()
    assert "open the address yourself" in browse.errors
