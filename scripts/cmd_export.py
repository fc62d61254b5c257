"""Exports captures: JSON lines, HAR, CSV, one conversation as HTML, a database for `llm logs`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from sqlite3 import Connection

import click

from addons.config import Config
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.ruleset import RuleError
from addons.core.wording import counted
from addons.rulefiles import make_scanner
from addons.storage.database import StoreError, open_reader
from scripts.exporting.captures import Captures
from scripts.exporting.selection import BadSelection, Selection, moment, whole_conversation
from scripts.exporting.target import STDOUT, BadTarget, Target, belonging_to
from scripts.progress import Progress, progress
from scripts.running import config_with_secrets

SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".har": "har",
    ".csv": "csv",
    ".html": "html",
    ".htm": "html",
    ".db": "llm",
    ".sqlite": "llm",
    ".sqlite3": "llm",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))

EPILOG = """\b
Examples:
  turnpike export calls.jsonl                           # all of it; `turnpike import` reads it again
  turnpike export --since 7d --where "outcome <> 'ok'" failed.har
  turnpike export --since 2026-11-01 --until 2026-12-01 november.csv
  turnpike export --conversation 01JD3V8Y6QXKTR0ZB5N4M7WCEF -o talk.html
  turnpike export --format jsonl --where "tag = 'eval'" - | gzip > eval.jsonl.gz
  turnpike export --llm out.db && llm logs -d out.db -q turnpike
"""


@click.command("export", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration.")
@click.option("--database", type=click.Path(dir_okay=False, path_type=Path), help="The captures, other than the configured ones.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Else by the file's suffix; JSON lines on stdout.")
@click.option("--llm", is_flag=True, help="The same as --format llm: a database in the schema of Simon Willison's `llm`.")
@click.option(
    "--since", metavar="TIME", help="Calls from then on: a date, a date and time (UTC unless it names a zone), or 7d, 12h, 30m ago."
)
@click.option("--until", metavar="TIME", help="Calls before then; a date means its beginning.")
@click.option("--where", metavar="SQL", help="Calls for which this is true; columns as in the table `calls`.")
@click.option("--conversation", metavar="ID", help="The calls of one conversation; the last characters of its id are enough.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The same as FILE.")
@click.argument("file", required=False, metavar="[FILE]", type=click.Path(path_type=Path))
def command(
    *,
    config: Path | None,
    database: Path | None,
    form: str | None,
    llm: bool,
    since: str | None,
    until: str | None,
    where: str | None,
    conversation: str | None,
    force: bool,
    output: Path | None,
    file: Path | None,
) -> None:
    """Writes calls to FILE, or to stdout where it is - or missing.

    What is written is what is stored, masked once more by the rules and keys of now. Ends with 1 when a call could not be read.
    """
    path = _one_file(file, output)
    form = _format(form, llm, path)
    if form == "html" and not conversation:
        raise click.UsageError("HTML is of one conversation; name it with --conversation ID")
    if form == "llm" and path == STDOUT:
        raise click.UsageError("a database cannot go to stdout; name a file")
    settings = config_with_secrets(config)
    source = database or settings.capture.database
    kept = (*belonging_to(source), *belonging_to(settings.capture.database), *belonging_to(settings.state.path), settings.source)
    try:
        target = Target(path, force, kept)
        target.check()
        now = datetime.now(UTC)
        chosen = Selection(moment(since, now) if since else None, moment(until, now) if until else None, conversation, where)
        if chosen.since_ms is not None and chosen.until_ms is not None and chosen.since_ms >= chosen.until_ms:
            raise BadSelection(f"--since {since} is not before --until {until}")
        with closing(open_reader(source)) as choosing, closing(open_reader(source)) as reading:
            whole = Export(choosing, reading, stored_redactor(settings), chosen).run(form, target)
    except (BadSelection, BadTarget, StoreError, RuleError) as error:
        raise click.ClickException(" ".join(str(error).split())) from error
    except sqlite3.Error as error:
        raise click.ClickException(f"{source if target.is_stdout else f'{source} or {path}'}: {error}") from error
    except BrokenPipeError:  # the reader has what it wanted; click ends quietly
        raise
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from error
    if not whole:
        raise click.exceptions.Exit(1)


@dataclass
class Export:
    """One export over two connections: one that chooses, and may do nothing else, and one that reads."""

    choosing: Connection
    reading: Connection
    redactor: Redactor
    selection: Selection
    is_damaged: bool = False

    def run(self, form: str, target: Target) -> bool:
        """Could all be read? Raises what the parts raise."""
        chosen = self.selection
        if chosen.conversation is not None:
            chosen = replace(chosen, conversation=whole_conversation(self.choosing, chosen.conversation))
        total = chosen.count(self.choosing)  # a bad condition is found before anything is written
        module = import_module(f"scripts.exporting.{form}")
        with progress("export" if target.is_stdout else target.path.name, total) as advance:
            captures = Captures(self.reading, self.redactor, _counted(chosen.ids(self.choosing), advance), self._tell)
            if form == "llm":
                with target.file() as (path, _):
                    module.write(captures, path)
            else:
                target.write(module.pieces(captures))
        if not target.is_stdout:
            click.echo(f"{target.path}: {counted(captures.written, 'call')}")
        return not self.is_damaged

    def _tell(self, error: StoreError) -> None:
        self.is_damaged = True
        click.echo(f"left out: {error}", err=True)


def _counted(ids: Iterator[str], advance: Progress) -> Iterator[str]:
    for number, call_id in enumerate(ids, 1):
        yield call_id
        advance(number)


def _one_file(file: Path | None, output: Path | None) -> Path:
    if file and output:
        raise click.UsageError("name one file, either as FILE or with -o")
    return file or output or STDOUT


def _format(form: str | None, llm: bool, path: Path) -> str:
    if llm and form not in (None, "llm"):
        raise click.UsageError(f"--llm and --format {form} are two formats; name one")
    found = "llm" if llm else form or ("jsonl" if path == STDOUT else SUFFIXES.get(path.suffix.lower()))
    if found is None:
        raise click.UsageError(f"which format is {path.name!r}? Name it with --format, or by a suffix ({', '.join(SUFFIXES)})")
    return found


def stored_redactor(config: Config) -> Redactor:
    """What masks all that is stored, with the configured keys and strings. Raises RuleError."""
    secrets = [secret.value for found in (*config.secrets.values(), config.exact_strings) for secret in found]
    return Redactor(secrets, make_scanner("stored", config.redaction.rules))
