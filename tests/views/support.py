"""`turnpike browse` as a process. In this one Datasette would leave connections open, which fails tests here."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import httpx

ROOT = Path(__file__).parents[2]
COMMAND = ["-c", "from scripts.cli import main; main()", "browse"]


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class Browse:
    """Serves a database on a port that the system chose, by `python`; `get` asks it."""

    def __init__(self, database: Path | None, *arguments: str, env: dict[str, str] | None = None, python: str = sys.executable) -> None:
        self.command = [python, *COMMAND, *(["--database", str(database)] if database else []), "--port", "0", *arguments]
        self.env = env
        self.told = ""
        self.errors = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.told = self.process.stdout.readline()
        address = re.search(r"http://\S+?:\d+/", self.told)
        if address is None:
            _, errors = self.process.communicate(timeout=20)
            raise AssertionError(f"it did not start: {self.told}{errors}")
        self.client = httpx.Client(base_url=address[0], timeout=20, trust_env=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()
        self.stop()

    @property
    def url(self) -> str:
        return str(self.client.base_url)

    def get(self, path: str, **params: str) -> httpx.Response:
        """The answer of a page that must be there."""
        response = self.client.get(path, params=params)
        assert response.status_code == 200, response.text[:1000]
        return response

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit status after that signal; what it wrote to stderr is in `errors` then."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self.process.stdout is not None and not self.process.stdout.closed:
            _, self.errors = self.process.communicate(timeout=20)
        return self.process.returncode

    def end_with_pages_open(self, query: str, number: signal.Signals) -> int:
        """Its exit status with queries that run and that wait for a thread, a kept connection, and half a request.

        `query` is the path where SQL is asked. The queries would take more than five seconds.
        """
        self.get("/turnpike/traffic")
        address = (self.client.base_url.host, self.client.base_url.port or 0)
        question = f"GET {query}?{urlencode({'sql': ENDLESS})} HTTP/1.1\r\nHost: {address[0]}\r\n\r\n"
        texts = [*[question] * 6, "GET / HTTP/1.1\r\nHo", ""]
        opened = [socket.create_connection(address) for _ in texts]
        try:
            for connection, text in zip(opened, texts, strict=True):
                connection.sendall(text.encode())
            refused = self.client.get("/", headers={"Host": "elsewhere.example"})  # needs no thread, and was read after all of the above
            assert refused.status_code == 403
            self.process.send_signal(number)
            return self.process.wait(timeout=4)
        finally:
            for connection in opened:
                connection.close()
