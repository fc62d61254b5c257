"""Runs a command whose LLM calls go through the proxy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from scripts.environment import export_lines, variables, write_bundle
from scripts.running import CA_NAME, CONFDIR, load_config, running_proxy

FOLDER = click.Path(file_okay=False, path_type=Path)
EPILOG = """\b
Examples:
  turnpike exec -- claude
  turnpike exec -- python my_agent.py
  eval "$(turnpike exec --print)"     # for the rest of this shell
"""


@click.command("exec", epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration; it says where the proxy listens.")
@click.option("--proxy", metavar="URL", help="The running proxy, where it is not at the configured address.")
@click.option("--confdir", type=FOLDER, default=CONFDIR, show_default=True, help="Where mitmproxy's CA is.")
@click.option("--print", "only_print", is_flag=True, help="Print `export NAME=value` lines instead.")
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
def command(*, config: Path | None, proxy: str | None, confdir: Path, only_print: bool, cmd: tuple[str, ...]) -> None:
    """Runs CMD with proxy and CA variables set for every common runtime; ends with its exit status."""
    if only_print == bool(cmd):
        raise click.UsageError("give either a command (turnpike exec -- CMD …) or --print")
    values = _values(config, proxy, confdir.expanduser().absolute())
    if only_print:
        click.echo(export_lines(values))
        return
    environment = os.environ | values
    program = shutil.which(cmd[0])
    if program is None:
        raise click.ClickException(f"{cmd[0]}: command not found")
    try:
        os.execve(program, list(cmd), environment)  # this process becomes CMD: its signals and exit status are its own
    except OSError as error:
        raise click.ClickException(f"{cmd[0]}: cannot be run: {error.strerror}") from error


def _values(config_path: Path | None, proxy: str | None, confdir: Path) -> dict[str, str]:
    config = load_config(config_path)
    address = running_proxy(config, proxy)
    ca = confdir / CA_NAME
    if not ca.is_file():
        raise click.ClickException(f"there is no CA at {ca}; name the folder that the proxy keeps it in with --confdir")
    try:
        bundle = write_bundle(ca, config.capture.database.parent)
    except OSError as error:
        raise click.ClickException(f"cannot write the bundle of CAs: {error}") from error
    return variables(address.url, ca, bundle)
