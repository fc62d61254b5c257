"""How the proxy and Datasette are started, and what is said about where they are."""

from __future__ import annotations

import errno
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from addons.config import ROOT, Config
from scripts.running import CA_NAME, CONFDIR, UNSPECIFIED, Address, address_of, check_port, free_port
from scripts.supervisor import Supervisor
from scripts.worker import as_worker
from scripts.workers import command_of

ENTRY = ROOT / "addons" / "router.py"
SERVE = (sys.executable, "-O", "-P", "-m", "scripts.serve")
"""mitmdump in a process of ours. `-O`: mitmproxy checks the types of all it sets, and much besides, under `__debug__`; a fifth of its time.
`-P`: modules are not looked for in the working folder."""
BROWSE_HOST = "127.0.0.1"
BROWSE_PORT = 8001
"""Datasette's own default."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """What the proxy is started with. `host` is what it listens on, `extra` the user's own mitmdump arguments, `workers` how many
    processes share the port."""

    config: Config
    host: str
    port: int
    extra: tuple[str, ...] = ()
    workers: int = 1

    @property
    def arguments(self) -> list[str]:
        """The command line; the user's arguments come last, so that they win."""
        listen = ["--listen-host", self.host, "-p", str(self.port)]
        return [*SERVE, "-s", str(ENTRY), *listen, "--set", f"turnpike_config={self.config.source}", *self.extra]

    @property
    def command(self) -> list[str]:
        """What a supervisor starts: the proxy itself, or the process that keeps several."""
        if self.workers == 1:
            return self.arguments
        return command_of(as_worker(self.arguments), self.workers, self.address.url, self.config.proxy.shutdown_grace)

    @property
    def address(self) -> Address:
        """Where clients on this machine find it."""
        return Address(UNSPECIFIED.get(self.host, self.host), self.port)

    @property
    def ca(self) -> Path:
        """The certificate that clients must trust; mitmproxy makes it at its first start."""
        given = [item.partition("=")[2] for item in self.extra if item.startswith("confdir=")]
        return (Path(given[-1]) if given else CONFDIR).expanduser() / CA_NAME

    @property
    def exec_command(self) -> str:
        """`turnpike exec` with what it needs to find this proxy and its CA."""
        turnpike = "turnpike" if shutil.which("turnpike") else shown_path(Path(program("turnpike")))
        elsewhere = f" --config {shown_path(self.config.source)}" if self.config.source != Config().source else ""
        moved = "" if self.address == address_of(self.config) else f" --proxy {self.address.url}"
        confdir = "" if self.ca.parent == CONFDIR.expanduser() else f" --confdir {shown_path(self.ca.parent)}"
        return f"{turnpike} exec{elsewhere}{moved}{confdir}"

    def check(self) -> None:
        """Raises ClickException, which names the remedy, where nothing can listen there."""
        try:
            check_port(self.host, self.port)
        except socket.gaierror as error:
            raise click.ClickException(f"{self.host!r} is no address here: {error.strerror}; choose another with --host") from error
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on: {error.strerror}"
            remedy = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
            raise click.ClickException(f"port {self.port} on {self.host} {why}; choose another with {remedy}") from error


def shown_path(path: Path) -> str:
    """As it is written in the working folder, else whole."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def program(name: str) -> str:
    """The program that was installed beside this Python, else the one on PATH. Raises ClickException."""
    beside = Path(sys.executable).parent / name  # not resolved: in a venv Python itself is a link to elsewhere
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise click.ClickException(f"{name} is not installed beside {sys.executable}; ./scripts/setup completes an installation")
    return found


def browse_arguments(config: Config, database: Path, address: Address) -> list[str]:
    """The command line of `turnpike browse`."""
    where = ["--config", str(config.source), "--database", str(database), "--host", address.host, "--port", str(address.port)]
    return [program("turnpike"), "browse", *where]


def where_to_look(proxy: Proxy, datasette: str | None = None) -> str:
    """The addresses, and how a client is pointed at them."""
    url, prefix = proxy.address.url, proxy.config.proxy.prefix
    lines = [
        ("proxy", f"{url}        export HTTPS_PROXY={url}"),
        ("base URL", f"{url}{prefix}/v1 (OpenAI SDKs), {url}{prefix} (Anthropic SDKs)"),
        ("CA file", str(proxy.ca)),
        *([("Datasette", datasette)] if datasette else []),
        ("clients", f"{proxy.exec_command} -- CMD … sets all of it for one command"),
    ]
    return "\n".join(f"  {name:<10} {text}" for name, text in lines)


async def start_both(
    supervisor: Supervisor, proxy: Proxy, database: Path, environment: Mapping[str, str] | None = None, browse_port: int | None = None
) -> str:
    """The proxy and, once that answers (it makes the database), Datasette; returns the dashboard's address. Raises Ended."""
    await supervisor.start("the proxy", proxy.command, environment)
    await supervisor.ready(proxy.address.answers)
    datasette = Address(BROWSE_HOST, free_port(BROWSE_HOST, BROWSE_PORT if browse_port is None else browse_port))
    await supervisor.start("Datasette", browse_arguments(proxy.config, database, datasette), environment)
    await supervisor.ready(lambda: answers_http(datasette.url))
    return f"{datasette.url}/-/llm"


def answers_http(url: str) -> bool:
    """Does something answer there? (401 is an answer too: TURNPIKE_PASSWORD)"""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # not by way of the proxy that the user's shell names
    try:
        opener.open(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:  # URLError is one
        return False
    return True
