"""What is measured: the upstream itself, `turnpike run`, mitmdump with our add-ons or with nothing, any other proxy or gateway.

All that is started here has a folder of its own for HOME, CA, configuration and captures, which goes when the bench ends.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from scripts.benching import processes
from scripts.benching.shapes import Cell, Door, Settings, Way
from scripts.benching.upstream import Spec
from scripts.demo.stage import clean_environment
from scripts.fake_provider.tls import make_context
from scripts.launch import ENTRY, program
from scripts.running import CA_NAME, Address, check_port
from scripts.supervisor import Supervisor

HOST, NAME = "127.0.0.1", "localhost"
DIRECT, TURNPIKE, MITMDUMP, BARE, BARE_STREAM = "direct", "turnpike", "mitmdump -s", "bare", "bare stream=True"
OURS = {"turnpike": TURNPIKE, "mitmdump": MITMDUMP}
"""What `--target` says → the target's name."""

STREAM_SCRIPT = "def responseheaders(flow):\n    flow.response.stream = True\n"
LOG_LINES = 15
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Target:
    """`doors`: how it is reached, by way in. `pid`: whose CPU time and memory are read. `metrics`: where a Turnpike tells how much waits
    to be written, `database`: where it is written to. `only_streams`: it is no use to measure it on anything else."""

    name: str
    doors: dict[Way, Door]
    pid: int | None = None
    metrics: Address | None = None
    database: Path | None = None
    only_streams: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def takes(self, cell: Cell) -> bool:
        return cell.way in self.doors and (cell.answers == "stream" or not self.only_streams)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured. `against`: name → base URL; `upstream_port`, 0: the system chooses."""

    ours: tuple[str, ...] = ("turnpike",)
    bare: bool = False
    bare_arguments: tuple[str, ...] = ()
    against: dict[str, str] = field(default_factory=dict)
    against_ca: Path | None = None
    headers: dict[str, str] = field(default_factory=dict)
    upstream_port: int = 0


class Stage:
    """Starts one after the other, each ready before the next. `folder` is a temporary one; `shared`: the cores of what is measured,
    and those of all else (None: nothing is pinned)."""

    def __init__(
        self, supervisor: Supervisor, folder: Path, settings: Settings, wanted: Wanted, shared: tuple[list[int], list[int]] | None
    ) -> None:
        self.supervisor, self.folder, self.settings, self.wanted, self.shared = supervisor, folder, settings, wanted, shared
        self.plain_port = self.tls_port = 0
        self.ca_file = folder / "ca.pem"
        self.upstream_pid = 0
        self.logs: dict[str, Path] = {}

    async def start_all(self) -> list[Target]:
        """In the order in which they are asked and shown. Raises ClickException, and Ended."""
        targets = [await self._start_upstream()]
        starts = {"turnpike": self._start_turnpike, "mitmdump": self._start_mitmdump}
        for name in self.wanted.ours:
            targets.append(await starts[name]())
        if self.wanted.bare:
            targets.append(await self._start_bare(BARE, None))
            if "stream" in self.settings.answers:
                script = self.folder / "stream.py"
                script.write_text(STREAM_SCRIPT)
                targets.append(await self._start_bare(BARE_STREAM, script))
        return targets + [self._other(name, url) for name, url in self.wanted.against.items()]

    def log_tails(self) -> str:
        """The last lines that each has said."""
        tails = []
        for name, log in self.logs.items():
            if lines := log.read_text(errors="replace").splitlines()[-LOG_LINES:]:
                tails.append("\n".join([f"{name} said:", *(f"  {line}" for line in lines)]))
        return "\n".join(tails)

    async def _start_upstream(self) -> Target:
        make_context(self.folder)
        settings = self.settings
        try:
            plain = socket.create_server((HOST, self.wanted.upstream_port), backlog=BACKLOG)
        except OSError as error:
            raise click.ClickException(f"--upstream-port {self.wanted.upstream_port}: {error.strerror}") from error
        with closing(plain), closing(socket.create_server((HOST, 0), backlog=BACKLOG)) as tls:
            self.plain_port, self.tls_port = plain.getsockname()[1], tls.getsockname()[1]
            descriptors = (plain.fileno(), tls.fileno())
            tool = settings.kind == "agent"
            spec = Spec(
                *descriptors, str(self.folder), settings.chunks, settings.chunk_gap_ms, settings.delay_ms, settings.answer_bytes, tool
            )
            arguments = [sys.executable, "-P", "-m", "scripts.benching.upstream", spec.to_json()]
            self.upstream_pid = await self._start("upstream", arguments, pass_fds=descriptors)
        await self.supervisor.ready(lambda: _speaks_tls(self.tls_port))
        base, secured = Door(HOST, self.plain_port, "/v1"), Door(HOST, self.tls_port, "/v1", ca_file=str(self.ca_file), server_name=NAME)
        return Target(DIRECT, {"base": base, "connect": secured}, self.upstream_pid)

    async def _start_turnpike(self) -> Target:
        home, port = self._home("turnpike"), check_port(HOST, 0)
        workers = [] if self.settings.workers is None else ["--workers", str(self.settings.workers)]
        run = [program("turnpike"), "run", "--config", str(self._configure(home, port)), *workers]
        return await self._start_ours(TURNPIKE, home, port, [*run, "--", *self._trust()])

    async def _start_mitmdump(self) -> Target:
        home, port = self._home("mitmdump"), check_port(HOST, 0)
        config = f"turnpike_config={self._configure(home, port)}"
        listen = ["--listen-host", HOST, "-p", str(port)]
        return await self._start_ours(
            MITMDUMP, home, port, [program("mitmdump"), "-s", str(ENTRY), *listen, "--set", config, *self._trust()]
        )

    async def _start_ours(self, name: str, home: Path, port: int, arguments: list[str]) -> Target:
        address = Address(HOST, port)
        pid = await self._start(name, arguments, home, measured=True)
        await self.supervisor.ready(address.answers)
        doors = self._doors(port, Door(HOST, port, "/proxy/v1"), home)
        return Target(name, doors, pid, address, home / "turnpike.db")

    async def _start_bare(self, name: str, script: Path | None) -> Target:
        """A reverse proxy for base URLs, a regular one for CONNECT, in one process."""
        home = self._home("bare-stream" if script else "bare")
        base, connect = check_port(HOST, 0), check_port(HOST, 0)
        modes = ["--mode", f"reverse:http://{HOST}:{self.plain_port}@{HOST}:{base}", "--mode", f"regular@{HOST}:{connect}"]
        scripts = ["-s", str(script)] if script else []
        pid = await self._start(
            name, [program("mitmdump"), *modes, *self._trust(), *scripts, *self.wanted.bare_arguments], home, measured=True
        )
        await self.supervisor.ready(lambda: accepts(base) and accepts(connect))
        return Target(name, self._doors(connect, Door(HOST, base, "/v1"), home), pid, only_streams=script is not None)

    def _other(self, name: str, url: str) -> Target:
        """Something that runs already. Raises ClickException where it does not."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if not accepts(port, host):
            raise click.ClickException(
                f"nothing listens at {url}; its upstream would be http://{HOST}:{self.plain_port}/v1 (--upstream-port)"
            )
        secured = host if parts.scheme == "https" else None
        given = str(self.wanted.against_ca) if self.wanted.against_ca else None
        base = Door(host, port, parts.path.rstrip("/"), ca_file=given, server_name=secured)
        both = self.folder / "against-ca.pem"  # its own, where it opens TLS, and the upstream's, where it only passes it on
        both.write_bytes(self.ca_file.read_bytes() + (self.wanted.against_ca.read_bytes() if self.wanted.against_ca else b""))
        connect = Door(host, port, "/v1", self._tunnel, str(both), NAME)
        pid = processes.listener(port) if host in {HOST, NAME, "::1"} else None
        return Target(name, {"base": base, "connect": connect}, pid, headers=self.wanted.headers)

    @property
    def _tunnel(self) -> str:
        return f"{NAME}:{self.tls_port}"

    def _doors(self, connect_port: int, base: Door, home: Path) -> dict[Way, Door]:
        ca = str(home / ".mitmproxy" / CA_NAME)
        return {"base": base, "connect": Door(HOST, connect_port, "/v1", self._tunnel, ca, NAME)}

    def _trust(self) -> list[str]:
        return ["--set", f"ssl_verify_upstream_trusted_ca={self.ca_file}"]

    def _home(self, name: str) -> Path:
        home = self.folder / name
        home.mkdir()
        return home

    def _configure(self, home: Path, port: int) -> Path:
        """As shipped but for the upstreams, a key, and where things are written."""
        key, file = home / "key", home / "turnpike.yml"
        key.touch(mode=0o600)
        key.write_text(f"sk-proj-{secrets.token_hex(20)}")
        keys = [{"file": str(key)}]
        upstreams = {
            "openai": {"provider": "openai", "base_url": f"http://{HOST}:{self.plain_port}/v1", "default": True, "keys": keys},
            "openai-tls": {"provider": "openai", "base_url": f"https://{self._tunnel}/v1", "hosts": [NAME], "keys": keys},
        }
        document: dict[str, Any] = {
            "version": 1,
            "proxy": {"host": HOST, "port": port},
            "upstreams": upstreams,
            "capture": {"database": str(home / "turnpike.db")},
            "state": {"url": f"sqlite:{home / 'state.db'}"},
            "logs": {"folder": str(home / "logs")},
        }
        file.write_bytes(orjson.dumps(document))
        return file

    async def _start(
        self, name: str, arguments: list[str], home: Path | None = None, *, pass_fds: tuple[int, ...] = (), measured: bool = False
    ) -> int:
        environment = {key: value for key, value in clean_environment().items() if not key.lower().endswith("_proxy")}
        environment |= {"HOME": str(home or self.folder)}
        log = self.logs[name] = self.folder / f"{len(self.logs)}.log"
        cores = self.shared[0] if self.shared and measured else None
        with log.open("wb") as output, on_cores(cores):
            return await self.supervisor.start(name, arguments, environment, output=output.fileno(), pass_fds=pass_fds)


def accepts(port: int, host: str = HOST) -> bool:
    """Does something listen there?"""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def _speaks_tls(port: int) -> bool:
    """The listening sockets accept before the process behind them reads: only a handshake says that it does."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), socket.create_connection((HOST, port), timeout=5) as connection, context.wrap_socket(connection):
        return True
    return False


@contextmanager
def on_cores(cores: list[int] | None) -> Iterator[None]:
    """What is started meanwhile by this thread runs on these cores, and this thread too."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
