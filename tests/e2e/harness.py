"""Real processes for end-to-end tests: mitmdump with our add-ons in front of a fake provider.

with Turnpike(folder, config, trusted_ca=fake.ca_file) as turnpike:
    …turnpike.proxy_url, turnpike.base_url, turnpike.ca_file…
    rows = turnpike.wait_rows(1)
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from addons.core.call import StoredBody
from addons.storage.database import open_reader
from addons.storage.reading import read_body
from scripts.fake_provider.server import FakeProvider

ROOT = Path(__file__).parents[2]
MITMDUMP = Path(sys.executable).parent / "mitmdump"  # not resolved: the venv's python is a link, its folder is what counts
PYTHON_OPTIONS = os.environ.get("TURNPIKE_TEST_PYTHON_OPTIONS", "").split()
"""`TURNPIKE_TEST_PYTHON_OPTIONS="-O -P -m scripts.serve"`: the proxies run as `turnpike run` starts them (TURNPIKE_LOOP chooses the event
loop, as there); `-O`: mitmdump under it; not set: plain mitmdump."""
START_S = 30.0
STOP_S = 20.0
POLL_S = 0.02
LOG_TAIL = 4000
SHUTDOWN_GRACE_S = 0.5
"""Where the configuration does not say: no test is to wait for calls that it has left running."""

FOREIGN = ("_proxy", "_api_key", "_base_url", "_auth_token")
"""Ends of the names of variables that would lead the proxy elsewhere (fixtures of a module run before those of conftest.py)."""

Row = dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mitmdump_command() -> list[str]:
    """mitmdump, with the options for Python that the environment names."""
    if "-m" in PYTHON_OPTIONS:
        return [sys.executable, *PYTHON_OPTIONS]
    return [sys.executable, *PYTHON_OPTIONS, str(MITMDUMP)] if PYTHON_OPTIONS else [str(MITMDUMP)]


def new_key(prefix: str = "sk-") -> str:
    """A key that nobody has: secrets in tests are made when they run."""
    return prefix + secrets.token_hex(16)


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would lead the proxy elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith(FOREIGN)}
    return kept | {"PYTHONUNBUFFERED": "1"}


def wait_for[T](look: Callable[[], T | None], what: str, timeout_s: float = 5.0) -> T:
    """What `look` gives, as soon as it is true. Raises AssertionError, which names `what`, when that does not come."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(POLL_S)
    return found


class PrefersHttp2(ssl.SSLContext):
    """Names HTTP/2 first, as most clients do and httpx does not: with lazy connections mitmproxy takes the client's first (DESIGN §2b)."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(sorted(alpn_protocols, reverse=True, key="h2".__eq__))


class Turnpike:
    """A proxy of its own: configuration, CA, database and output lie in `folder`. Starts on entering, is stopped on leaving.

    `config` is what the configuration file says (written as JSON, which is YAML), `env` further variables, `arguments` further
    arguments of mitmdump, `listen` those that say where to listen (empty: nothing is said). Raises AssertionError with the end of
    the output when the process does not come up.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        trusted_ca: Path | None = None,
        env: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        listen: tuple[str, ...] = ("--listen-host", "127.0.0.1"),
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.config_file = folder / "turnpike.yml"
        self.database = folder / "turnpike.db"
        self.logs = folder / "logs"
        self.ca_file = folder / "ca" / "mitmproxy-ca-cert.pem"
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "output.log"
        self.env = clean_environment() | {"TURNPIKE_DB": str(self.database), **(env or {})}
        trust = ("--set", f"ssl_verify_upstream_trusted_ca={trusted_ca}") if trusted_ca else ()
        self._arguments = (*listen, *trust, *arguments)
        folder.mkdir(parents=True, exist_ok=True)
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replaces the configuration in one step, as an editor does."""
        new = self.config_file.with_suffix(".new")
        own: dict[str, Any] = {"state": {"url": f"sqlite:{self.folder / 'state.db'}"}}  # not the project's
        own["logs"] = {"folder": str(self.logs)}
        own["proxy"] = {"shutdown_grace": SHUTDOWN_GRACE_S} | dict(config.get("proxy", {}))
        new.write_text(json.dumps(own | {name: section for name, section in config.items() if name != "proxy"}, indent=2))
        new.replace(self.config_file)

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """Where base-URL calls go: what follows is the provider's path."""
        return f"{self.proxy_url}/proxy"

    @property
    def pid(self) -> int:
        if self.process is None:
            raise AssertionError("the proxy was not started")
        return self.process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the process and waits until /healthz answers 200."""
        command = [*mitmdump_command(), "-s", str(ROOT / "addons" / "router.py"), "-p", str(self.port)]
        command += ["--set", f"confdir={self.folder / 'ca'}", "--set", f"turnpike_config={self.config_file}", *self._arguments]
        with self._log.open("ab") as log:
            # The folder is not the project's: the entry has to work from anywhere.
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait_healthy(self.process)
        except BaseException:
            self.kill()
            raise

    def _wait_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while not self.healthy():
            if process.poll() is not None:
                raise AssertionError(f"the proxy ended with {process.returncode}:\n{self.output()[-LOG_TAIL:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the proxy did not come up in {START_S:.0f} s:\n{self.output()[-LOG_TAIL:]}")
            time.sleep(POLL_S)

    def healthy(self) -> bool:
        """Does GET /healthz answer 200?"""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection:
            try:
                connection.request("GET", "/healthz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False  # not listening yet

    def stop(self) -> int | None:
        """SIGTERM, and the exit status; does nothing when it has ended or was not started. Killed when it does not end in time."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the proxy did not stop in {STOP_S:.0f} s:\n{self.output()[-LOG_TAIL:]}") from None

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_S)

    def output(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def client(self, *, http2: bool = False, timeout_s: float = 10.0) -> httpx.Client:
        """A client that goes through the proxy and trusts its CA alone."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if http2:
            context.__class__ = PrefersHttp2
        return httpx.Client(proxy=self.proxy_url, verify=context, http2=http2, timeout=timeout_s)

    def count(self, metric: str) -> int:
        """A count of /metrics by its name without `turnpike_` and `_total`."""
        return int(self.metric(f"turnpike_{metric}_total"))

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series of /metrics, 0 where there is none."""
        families = text_string_to_metric_families(httpx.get(f"{self.proxy_url}/metrics").text)
        samples = (sample for family in families for sample in family.samples)
        return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), 0.0)

    def ready(self) -> tuple[int, Row]:
        """What /ready says, and its status."""
        answer = httpx.get(f"{self.proxy_url}/ready")
        return answer.status_code, answer.json()

    def body(self, call_id: str, kind: str) -> StoredBody:
        """A stored body. Raises AssertionError when there is none."""
        with closing(open_reader(self.database)) as connection:
            found = read_body(connection, call_id, kind)
        assert found is not None, f"no {kind} body of call {call_id}"
        return found

    def everything(self) -> bytes:
        """All that it keeps and says: the bytes of its files, every value in every table, every body unpacked, its output."""
        pieces = [path.read_bytes() for path in self.folder.glob("turnpike.db*")] + [self.output().encode()]
        for table in self.query("select name from sqlite_master where type = 'table'"):
            rows = self.query(f'select * from "{table["name"]}"')
            pieces += [value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row.values()]
        pieces += [self.body(row["call_id"], row["kind"]).content for row in self.query("select call_id, kind from bodies")]
        return b"\n".join(pieces)

    def query(self, sql: str, *parameters: object) -> list[Row]:
        """Rows of the database, empty while it or its tables do not exist."""
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]

    def rows(self) -> list[Row]:
        """The rows of `calls`, in the order in which the calls began."""
        if not self.query("select 1 from sqlite_master where name = 'calls'"):
            return []
        return self.query("select * from calls order by ts_ms, id")

    def wait_row(self, call_id: str) -> Row:
        """The row of a call (`X-Turnpike-Call`), as soon as it is there."""
        [row] = wait_for(lambda: self.query("select * from calls where id = ?", call_id), f"the row of call {call_id}")
        return row

    def wait_rows(self, count: int, timeout_s: float = 5.0) -> list[Row]:
        """The rows, as soon as there are `count` of them. Raises AssertionError when they do not come."""
        deadline = time.monotonic() + timeout_s
        while len(rows := self.rows()) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(rows)} of {count} rows after {timeout_s:.0f} s:\n{self.output()[-LOG_TAIL:]}")
            time.sleep(POLL_S)
        return rows


KEY_VARIABLES = {"openai": "E2E_OPENAI_KEY", "anthropic": "E2E_ANTHROPIC_KEY", "gemini": "E2E_GEMINI_KEY"}


def fake_upstreams(fake: FakeProvider) -> dict[str, Any]:
    """The section `upstreams` for the known hosts, all answered by the fake provider; keys from KEY_VARIABLES."""

    def keys(name: str) -> list[dict[str, str]]:
        return [{"env": KEY_VARIABLES[name]}]

    return {
        "openai": {"hosts": ["api.openai.com"], "base_url": f"{fake.url}/v1", "default": True, "keys": keys("openai")},
        "anthropic": {"hosts": ["api.anthropic.com"], "base_url": fake.url, "keys": keys("anthropic")},
        "gemini": {"hosts": ["generativelanguage.googleapis.com"], "base_url": fake.url, "keys": keys("gemini")},
        "ollama": {"provider": "ollama", "base_url": fake.url},
    }


class ScriptedServer:
    """A server that gives the same bytes to every request, then closes; `requests` holds what came, to the byte.

    For what a well-behaved provider hides: exact bytes both ways, and other addresses of this machine.
    """

    def __init__(self, answer: bytes, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self._context = context
        self._listener = socket.create_server((host, 0))
        self.host, self.port = host, int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with suppress(OSError):  # a client that does not trust us, or has left
                self._answer(self._context.wrap_socket(connection, server_side=True) if self._context else connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(START_S)
            head = b""
            while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                head += data
            if not head:
                return
            start, _, body = head.partition(b"\r\n\r\n")
            length = next((int(line[15:]) for line in start.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
            while len(body) < length and (data := connection.recv(65536)):
                body += data
            self.requests.append(start + b"\r\n\r\n" + body)
            connection.sendall(self.answer)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        self._thread.join(STOP_S)


@contextmanager
def scripted_server(answer: bytes, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A `ScriptedServer` that is closed on leaving."""
    server = ScriptedServer(answer, host=host, context=context)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections and that nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
