"""Starts the proxy; with --browse Datasette beside it, with --demo sample traffic too."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from scripts.launch import Proxy, start_both, where_to_look
from scripts.running import check_port, load_config
from scripts.supervisor import GRACE_S, Ended, Supervisor
from scripts.worker import as_worker
from scripts.workers import Workers, check_reuse_port, grace_of, hold_port

SAVES_FLOWS = ("-w", "--save-stream-file", "save_stream_file=")

EPILOG = """\b
Examples:
  turnpike run
  turnpike run --browse --port 9000
  turnpike run --workers 4            # four processes on one port
  turnpike run --demo                 # no key and no network needed
  turnpike run -- -w flows.mitm       # mitmdump's own options after --
"""


@click.command("run", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file; else TURNPIKE_CONFIG, else config/turnpike.yml.")
@click.option("--host", help="Address to listen on, instead of the configured one.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on, instead of the configured one.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that share the port; one per core is the most."
)
@click.option("--browse", is_flag=True, help="Datasette beside the proxy.")
@click.option("--demo", is_flag=True, help="A provider of its own, sample traffic and Datasette.")
@click.argument("mitmdump_args", nargs=-1, type=click.UNPROCESSED)
def command(
    *, config: Path | None, host: str | None, port: int | None, workers: int, browse: bool, demo: bool, mitmdump_args: tuple[str, ...]
) -> None:
    """Starts the proxy: mitmdump with Turnpike's add-ons."""
    if demo:
        if config is not None:
            raise click.UsageError("--demo has a configuration of its own; leave --config out")
        if workers > 1:
            raise click.UsageError("--demo is one process; leave --workers out")
        from scripts.demo import show  # noqa: PLC0415  # brings httpx, which the proxy itself has no use for

        sys.exit(asyncio.run(show.run(host, port, mitmdump_args)))
    settings = load_config(config, secrets=True)
    proxy = Proxy(settings, host or settings.proxy.host, port or settings.proxy.port, mitmdump_args, workers)
    proxy.check()
    if workers > 1:
        proxy = _shared(proxy)
    if browse:
        sys.exit(asyncio.run(_run_both(proxy)))
    arguments = proxy.arguments
    click.echo(where_to_look(proxy))
    sys.stdout.flush()
    if workers > 1:
        grace_s = grace_of(settings.proxy.shutdown_grace)
        sys.exit(asyncio.run(Workers(as_worker(arguments), workers, proxy.address.answers, grace_s=grace_s).run()))
    os.execv(arguments[0], arguments)


def _shared(proxy: Proxy) -> Proxy:
    """As several processes can run it: at a port that is known beforehand, each with nothing that only one of them may write."""
    check_reuse_port()
    if any(argument.startswith(SAVES_FLOWS) for argument in proxy.extra):
        raise click.UsageError("-w is for one process: several would write over each other; leave it or --workers out")
    port = proxy.port or check_port(proxy.host, 0)
    hold_port(proxy.host, port)
    return replace(proxy, port=port)


async def _run_both(proxy: Proxy) -> int:
    async with Supervisor(GRACE_S + proxy.config.proxy.shutdown_grace) as supervisor:
        try:
            url = await start_both(supervisor, proxy, proxy.config.capture.database)
            click.echo(where_to_look(proxy, url))
            return await supervisor.wait()
        except Ended as ended:
            return ended.status
