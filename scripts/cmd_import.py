"""Imports recorded traffic into the captures: HAR, mitmproxy flows, JSON lines."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addons.storage.database import StorageFailure, StoreError
from addons.storage.store import Store
from scripts.progress import progress
from scripts.running import config_with_secrets

if TYPE_CHECKING:
    from scripts.importing.importer import Importer, Tally

EPILOG = """\b
Examples:
  turnpike import session.har
  turnpike import --database elsewhere.db flows.mitm more.har
  turnpike import captures.jsonl          # what `turnpike export` wrote
"""


@click.command("import", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration.")
@click.option("--database", type=click.Path(dir_okay=False, path_type=Path), help="The captures, other than the configured ones.")
@click.option("--pinned", is_flag=True, help="Pin what was pinned where it comes from, for ever; else capture.keep counts for all alike.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
def command(*, config: Path | None, database: Path | None, pinned: bool, files: tuple[Path, ...]) -> None:
    """Imports the LLM calls of HAR files (browsers', mitmproxy's), mitmproxy flow files and Turnpike's own JSON lines.

    They are read, priced and masked like calls that went through the proxy. A file imported again adds nothing.
    Ends with 1 when a file could not be read at all.
    """
    settings = config_with_secrets(config)
    from scripts.importing.importer import Importer  # noqa: PLC0415 # mitmproxy takes half a second, which help need not wait for

    path = database or settings.capture.database
    try:
        with closing(Store(path)) as store:
            importer = Importer(settings, store, keep_pins=pinned)
            unread = sum(not import_file(importer, file) for file in files)
    except StorageFailure as error:
        raise click.ClickException(f"{path} cannot be written now: {error}; what was imported stays, run it again for the rest") from error
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    if unread:
        raise click.exceptions.Exit(1)


def import_file(importer: Importer, file: Path) -> bool:
    """Import one file and say what was found; False where it could not be read."""
    from scripts.importing.entry import UnreadableFile  # noqa: PLC0415
    from scripts.importing.source import opened  # noqa: PLC0415

    try:
        with opened(file) as source, progress(file.name, len(source.content)) as advance:
            tally = importer.run(source, advance)
    except UnreadableFile as error:
        click.echo(f"{file}: cannot be imported: {error}", err=True)
        return False
    for number, reason in tally.broken:
        click.echo(f"{file}: entry {number}: {reason}", err=True)
    click.echo(f"{file}: {_summary(tally)}")
    return True


def _summary(tally: Tally) -> str:
    return f"{tally.new} new, {tally.known} known, {tally.others} no LLM calls, {len(tally.broken)} broken"
