"""A provider of our own, for tests, demo and benchmarks: speaks every dialect, fails on demand."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import click
import orjson

from scripts.fake_provider.knobs import KnobError
from scripts.fake_provider.server import FakeProvider

EPILOG = """\b
Example:
  turnpike fake-provider --port 9000 --knobs '{"*": {"delay": 0.2}}'
  curl localhost:9000/v1/chat/completions -d '{"model": "gpt-4o-mini@fake:chunks=20",
    "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'

\b
At run time: GET /_fake/load; GET and DELETE /_fake/log; GET, POST and DELETE /_fake/knobs
  ({"key": "*", "knobs": {"status": 429, "retry_after": 2}, "times": 1}).
Per request: headers X-Fake-Status, X-Fake-Chunks, X-Fake-Delay, X-Fake-Cut …
"""


@click.command("fake-provider", epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="Port for HTTP; 0: the system chooses.")
@click.option("--tls", is_flag=True, help="Listen with TLS too, under a CA made at start.")
@click.option("--tls-port", default=0, show_default=True, type=click.IntRange(0, 65535), help="Port for TLS; 0: the system chooses.")
@click.option("--http2", is_flag=True, help="Offer HTTP/2 on the TLS port, beside HTTP/1.1 (implies --tls).")
@click.option("--ca-folder", type=click.Path(file_okay=False, path_type=Path), help="Where to write ca.pem; else a temporary folder.")
@click.option("--name", "names", multiple=True, help="A further name for the certificate; may be given again.")
@click.option("--knobs", default="{}", help="A table of knobs by API key (`*`: any): JSON, or a file that holds it.")
def command(
    *, host: str, port: int, tls: bool, tls_port: int, http2: bool, ca_folder: Path | None, names: tuple[str, ...], knobs: str
) -> None:
    """A provider that costs nothing: speaks OpenAI, Anthropic, Gemini and Ollama, and fails on demand."""
    try:
        provider = FakeProvider(_read_table(knobs), names=names, folder=ca_folder)
    except KnobError as problem:
        raise click.BadParameter(str(problem), param_hint="--knobs") from problem
    try:
        asyncio.run(_serve(provider, host, port, tls_port if tls or http2 else None, http2))
    except OSError as problem:
        raise click.ClickException(f"cannot listen: {problem}") from problem


def _read_table(given: str) -> dict[str, dict[str, Any]]:
    try:
        table = orjson.loads(given if given.lstrip().startswith("{") else Path(given).read_bytes())
    except (OSError, ValueError) as problem:
        raise click.BadParameter(f"neither JSON nor a file with JSON: {problem}", param_hint="--knobs") from problem
    if not isinstance(table, dict) or not all(isinstance(settings, dict) for settings in table.values()):
        raise click.BadParameter("expected an object of API keys, each with an object of knobs", param_hint="--knobs")
    return table


async def _serve(provider: FakeProvider, host: str, port: int, tls_port: int | None, http2: bool) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    try:
        await provider.start(host, port)
        if tls_port is not None:
            await provider.start(host, tls_port, tls=True, http2=http2)
        for url in provider.urls:
            click.echo(f"listening on {url}")
        if provider.ca_file is not None:
            click.echo(f"certificate authority: {provider.ca_file}")
        await stop.wait()
    finally:
        await provider.stop()
