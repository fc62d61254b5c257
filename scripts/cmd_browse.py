"""Datasette on the captures: tables, views and queries in the browser."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import webbrowser
from pathlib import Path
from typing import NoReturn

import click

from addons.core.addressing import is_loopback
from scripts.running import UNSPECIFIED, bracketed, load_config

PASSWORD = "TURNPIKE_PASSWORD"
EPILOG = """\b
Examples:
  turnpike browse --open
  turnpike browse --database old-captures.db --port 0
  TURNPIKE_PASSWORD=… turnpike browse --host 0.0.0.0     # plain HTTP: put TLS before it
"""


@click.command("browse", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration; it says where the captures are.")
@click.option("--database", type=click.Path(dir_okay=False, path_type=Path), help="The captures, other than the configured ones.")
@click.option("--host", default="127.0.0.1", show_default=True, help=f"Address to listen on; beyond loopback only with {PASSWORD} set.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0: the system chooses.")
@click.option("--open", "open_browser", is_flag=True, help="Open the dashboard in the browser.")
def command(*, config: Path | None, database: Path | None, host: str, port: int, open_browser: bool) -> None:
    """Serves the captures with Datasette, read-only, also while the proxy writes them."""
    password = os.environ.get(PASSWORD) or None
    if password is None and not (host == "localhost" or is_loopback(host)):
        raise click.ClickException(f"{host} is not loopback, and the captures hold whole conversations: set {PASSWORD}, or use 127.0.0.1")
    path = (database or load_config(config).capture.database).absolute()
    is_new = not path.exists()
    if is_new and database:
        raise click.ClickException(f"there is no database {path}")
    from addons.views.serving import CannotServe, open_captures, serve  # noqa: PLC0415 # most of a second, which help need not wait for

    with listen(host, port) as listener:  # before the configured database is made where there is none yet
        try:
            datasette = open_captures(path, config.absolute() if config else None)
        except CannotServe as error:
            raise click.ClickException(str(error)) from error
        if is_new:
            click.echo(f"there was no {path} yet: it was created, empty", err=True)
        number = listener.getsockname()[1]
        url = f"http://{bracketed(UNSPECIFIED.get(host, host))}:{number}/"
        click.echo(f"{path.name} is at {url}-/llm (every call: {url}turnpike/traffic, all tables and queries: {url})")
        if password is not None:
            elsewhere = f"from other machines http://<this machine's address>:{number}/-/llm; " if host in UNSPECIFIED else ""
            click.echo(f"{elsewhere}the password is that of {PASSWORD}, the user name may be anything")
        if open_browser and not webbrowser.open(f"{url}-/llm"):
            click.echo("no browser could be opened; open the address yourself", err=True)
        serve(datasette, listener, names=(host,), password=password)
    _leave()


def _leave() -> NoReturn:
    """Ends the process at once: a thread may still read, which the interpreter would wait for, and nothing is ever written."""
    atexit._run_exitfuncs()  # Datasette 1.0 removes a file of its own
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def listen(host: str, port: int) -> socket.socket:
    """A socket that already takes connections. Raises ClickException when the address is not to be had."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or str(error)
        raise click.ClickException(f"cannot listen on {bracketed(host)}:{port}: {reason}; choose another with --port") from error
    return listener
