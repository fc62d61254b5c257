"""The proxy that runs, or is about to: where it is, whether it answers, which ports are free."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from addons.config import Config, ConfigError, load

CONFDIR = Path("~/.mitmproxy")
CA_NAME = "mitmproxy-ca-cert.pem"
HEALTH_TIMEOUT_S = 3.0
UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where a listener on all addresses is spoken to."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens; `url` has neither path nor slash at its end."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{bracketed(self.host)}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Address:
        """From `http://HOST:PORT` or `HOST:PORT`. Raises ClickException for anything else."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = 80 if parts.port is None else parts.port
        except ValueError as error:
            raise click.ClickException(f"{url!r} has no usable port: {error}") from error
        if parts.scheme != "http" or not parts.hostname:
            raise click.ClickException(f"{url!r} is no address of a proxy; write http://HOST:PORT")
        return cls(parts.hostname, port)

    def answers(self) -> bool:
        """Does Turnpike answer there? (a plain TCP listener or another proxy does not count)"""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=HEALTH_TIMEOUT_S)
        try:
            connection.request("GET", "/healthz")
            answer = json.loads(connection.getresponse().read(1000))
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        return isinstance(answer, dict) and answer.get("status") == "ok"


def bracketed(host: str) -> str:
    """A host as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def load_config(path: Path | None, environ: Mapping[str, str] = os.environ, *, secrets: bool = False) -> Config:
    """The configuration, with the values of its keys only where they are needed: they may be set in the proxy's shell alone.

    Raises ClickException, which is one line, where it is wrong.
    """
    try:
        return load(path, environ, secrets=secrets)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def config_with_secrets(path: Path | None) -> Config:
    """The configuration with its keys, whose very values are masked; where they can't be had, without them."""
    try:
        return load_config(path, secrets=True)
    except click.ClickException as error:
        config = load_config(path)  # raises where it is not the keys that are missing
        click.echo(f"configured keys and strings are masked by their form only: {error.message}", err=True)
        return config


def address_of(config: Config) -> Address:
    """Where a client on this machine finds the proxy of this configuration."""
    return Address(UNSPECIFIED.get(config.proxy.host, config.proxy.host), config.proxy.port)


def running_proxy(config: Config, url: str | None) -> Address:
    """The proxy at `url`, else at the configuration's own address. Raises ClickException where none answers."""
    address = Address.of(url) if url else address_of(config)
    if not address.answers():
        raise click.ClickException(f"no Turnpike answers at {address.url}; start it with `turnpike run`, or name it with --proxy URL")
    return address


def check_port(host: str, port: int) -> int:
    """The port (a free one for 0). Raises OSError where nothing can listen there now."""
    family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio does, else a port just left counts as taken
        probe.bind(address)
        probe.listen(1)
        return int(probe.getsockname()[1])


def free_port(host: str, preferred: int) -> int:
    """The preferred port where it is free, else one that the system chooses."""
    try:
        return check_port(host, preferred)
    except OSError:
        return check_port(host, 0)
