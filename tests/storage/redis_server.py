"""A real Redis or Valkey, where one is installed: on loopback, in memory, ended when it is no longer needed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.e2e.harness import free_port

START_S = 10.0


class RedisServer:
    """Listens at `url`."""

    def __init__(self, program: str, port: int = 0, password: str = "") -> None:
        self.port, self.program, self.password = port or free_port(), program, password
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        folder = tempfile.gettempdir()
        command = [self.program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", folder]
        if self.password:
            command += ["--requirepass", self.password]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.exceptions.ConnectionError:
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    time.sleep(0.02)

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def installed() -> str | None:
    """The server's program."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


@contextmanager
def redis_server() -> Iterator[RedisServer | None]:
    """A server for this while; None where none is installed."""
    program = installed()
    if program is None:
        yield None
        return
    server = RedisServer(program)
    try:
        yield server
    finally:
        server.stop()
