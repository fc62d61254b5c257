"""Pins calls, so that retention leaves them alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import click

from addons.storage.database import StoreError, open_reader
from addons.storage.store import Store
from scripts.callids import whole_id
from scripts.running import load_config

EPILOG = """\b
Examples:
  turnpike pin 01JD3V8Y6QXKTR0ZB5N4M7WCEF
  turnpike pin --remove 7WCEF6        # the end of an id is enough
  turnpike pin                        # lists them
"""
_PINNED = (
    "SELECT id, started_at, coalesce(response_model, served_model, model, ''), coalesce(prompt, '') FROM calls WHERE pinned ORDER BY ts_ms"
)
PROMPT_CHARACTERS = 60


@click.command("pin", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration.")
@click.option("--database", type=click.Path(dir_okay=False, path_type=Path), help="The captures, other than the configured ones.")
@click.option("--remove", is_flag=True, help="Take the pins off: retention counts again.")
@click.argument("ids", nargs=-1, metavar="[CALL…]")
def command(*, config: Path | None, database: Path | None, remove: bool, ids: tuple[str, ...]) -> None:
    """Keeps calls for ever, whatever `capture.keep` says; without any, lists those that are pinned."""
    path = (database or load_config(config).capture.database).absolute()
    if remove and not ids:
        raise click.UsageError("name the calls whose pins to take off")
    try:
        with closing(open_reader(path)) as captures:
            ids = tuple(whole_id(captures, call_id) for call_id in ids)
            pinned = [] if ids else captures.execute(_PINNED).fetchall()
        if ids:
            with closing(Store(path)) as store:
                for call_id in ids:
                    if not store.set_pinned(call_id, not remove):  # it went between the look and now
                        raise click.ClickException(f"there is no call {call_id}")
                    click.echo(f"{call_id} is {'no longer pinned' if remove else 'pinned'}")
    except (StoreError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error
    for call_id, started_at, model, prompt in pinned:
        click.echo(f"{call_id}  {started_at}  {model:<24}  {' '.join(prompt.split())[:PROMPT_CHARACTERS]}")
