"""Starts the proxy; with --browse Datasette beside it, with --demo sample traffic too."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from scripts.launch import Proxy, start_both, where_to_look
from scripts.running import load_config
from scripts.supervisor import Ended, Supervisor

EPILOG = """\b
Examples:
  turnpike run
  turnpike run --browse --port 9000
  turnpike run --demo                 # no key and no network needed
  turnpike run -- -w flows.mitm       # mitmdump's own options after --
"""


@click.command("run", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file; else TURNPIKE_CONFIG, else config/turnpike.yml.")
@click.option("--host", help="Address to listen on, instead of the configured one.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on, instead of the configured one.")
@click.option("--browse", is_flag=True, help="Datasette beside the proxy.")
@click.option("--demo", is_flag=True, help="A provider of its own, sample traffic and Datasette.")
@click.argument("mitmdump_args", nargs=-1, type=click.UNPROCESSED)
def command(*, config: Path | None, host: str | None, port: int | None, browse: bool, demo: bool, mitmdump_args: tuple[str, ...]) -> None:
    """Starts the proxy: mitmdump with Turnpike's add-ons."""
    if demo:
        if config is not None:
            raise click.UsageError("--demo has a configuration of its own; leave --config out")
        from scripts.demo import show  # noqa: PLC0415  # brings httpx, which the proxy itself has no use for

        sys.exit(asyncio.run(show.run(host, port, mitmdump_args)))
    settings = load_config(config, secrets=True)
    proxy = Proxy(settings, host or settings.proxy.host, port or settings.proxy.port, mitmdump_args)
    proxy.check()
    if browse:
        sys.exit(asyncio.run(_run_both(proxy)))
    arguments = proxy.arguments
    click.echo(where_to_look(proxy))
    sys.stdout.flush()
    os.execv(arguments[0], arguments)


async def _run_both(proxy: Proxy) -> int:
    async with Supervisor() as supervisor:
        try:
            url = await start_both(supervisor, proxy, proxy.config.capture.database)
            click.echo(where_to_look(proxy, url))
            return await supervisor.wait()
        except Ended as ended:
            return ended.status
