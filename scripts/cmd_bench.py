"""Load, side by side with bare mitmdump and any other proxy or gateway."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scripts.benching import comparing, files, plot, processes, rounds, tables
from scripts.benching.report import Report, ReportError, describe_machine, read, settings_record
from scripts.benching.shapes import PROFILES, Settings, parse_list, parse_size, settings_of
from scripts.benching.targets import OURS, Stage, Wanted, on_cores
from scripts.cli import INTERRUPTED
from scripts.supervisor import Ended, Supervisor

EPILOG = """\b
Examples:
  turnpike bench --bare                             # side by side with mitmdump that does nothing
  turnpike bench --bare --way base,connect --concurrency 1,8,32 --rounds 5
  turnpike bench --profile agent --json new.json --compare old.json
  turnpike bench --rate 200 --answers whole         # open loop: 200 requests per second, whatever comes back
  turnpike bench --upstream-port 9000 --against gateway=http://127.0.0.1:4000/v1 --header "Authorization: Bearer …"

\b
Profiles (options beside them win):
  chat        streamed answers of 40 chunks, prompts of 2 kB
  agent       sessions that grow up to 200 kB, with tool calls, streamed
  embeddings  a burst of small calls, 32 at a time

Exit status: 1 where a call got another status than 200, a stream broke, or a call has no row in the database.
"""


class Several(click.ParamType[Any]):
    """A list with commas."""

    name = "list"

    def __init__(self, convert: Callable[[str], tuple[Any, ...]]) -> None:
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        try:
            return value if isinstance(value, tuple) else self._convert(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _words(*allowed: str) -> Several:
    return Several(lambda text: parse_list(text, allowed))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(map(parse_size, text.split(","))))


def _counts(text: str) -> tuple[int, ...]:
    found = tuple(dict.fromkeys(map(int, text.split(","))))
    if min(found) < 1:
        raise ValueError("at least one client is needed")
    return found


def _pairs(sign: str, what: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, str]]:
    """NAME<sign>VALUE, several times; a URL alone is its own name."""

    def convert(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
        found = {}
        for value in values:
            name, given, rest = value.partition(sign)
            if value.startswith(("http://", "https://")):
                name, rest = value, value
            elif not given or not name.strip():
                raise click.BadParameter(f"{value!r}: write {what}", ctx, param)
            found[name.strip()] = rest.strip()
        return found

    return convert


@click.command("bench", epilog=EPILOG)
@click.option("--profile", type=click.Choice(list(PROFILES)), help="A named preset, see below.")
@click.option(
    "--target",
    "ours",
    type=click.Choice(list(OURS)),
    multiple=True,
    help="`turnpike run` (default) or mitmdump with our add-ons; both: twice.",
)
@click.option("--bare", is_flag=True, help="mitmdump with nothing too; for streams also with `stream = True` alone.")
@click.option("--bare-argument", multiple=True, help="A further argument for those, as --bare-argument=-q.")
@click.option(
    "--against",
    multiple=True,
    metavar="[NAME=]URL",
    callback=_pairs("=", "NAME=URL"),
    help="A base URL, or with --way connect a proxy; may be given again.",
)
@click.option(
    "--against-ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The certificate authority that it signs with."
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME: VALUE",
    callback=_pairs(":", "NAME: VALUE"),
    help="For --against; may be given again.",
)
@click.option("--upstream-port", type=click.IntRange(1, 65535), default=None, help="Of our upstream, for a gateway that has to be told.")
@click.option(
    "--way", "ways", type=_words("base", "connect"), help="base (base URL, plain HTTP; default), connect (CONNECT and TLS), or both."
)
@click.option("--answers", type=_words("whole", "stream"), help="Default: both.")
@click.option("--connections", type=_words("kept", "new"), help="kept (default), new: one per call.")
@click.option("--prompt", "prompt_bytes", type=Several(_sizes), help="Sizes of requests, as 1kB,200kB,1MB (default 1kB).")
@click.option("--concurrency", type=Several(_counts), help="Numbers of clients, as 1,8,32 (default 1,32).")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Open loop: requests per second; times count from when they were due."
)
@click.option("--duration", "duration_s", type=click.FloatRange(min=0, min_open=True), help="Seconds of each measurement (default 5).")
@click.option("--requests", type=click.IntRange(1), help="So many in each measurement, instead of --duration.")
@click.option("--warmup", "warmup_s", type=click.FloatRange(min=0), help="Seconds before each measurement (default 1).")
@click.option("--rounds", type=click.IntRange(1), help="How often each is measured, in alternation (default 3).")
@click.option("--chunks", type=click.IntRange(2), help="Of a streamed answer (default 40).")
@click.option(
    "--chunk-gap", "chunk_gap_ms", type=click.FloatRange(min=0), help="Milliseconds between them (default 0: as fast as it goes)."
)
@click.option("--delay", "delay_ms", type=click.FloatRange(min=0), help="Milliseconds until the upstream answers (default 0).")
@click.option("--answer", "answer_bytes", type=Several(_sizes), help="Size of an answer that is not streamed (default 400).")
@click.option("--model", help="The model that is asked for.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), help="Seconds until a call counts as failed (default 30)."
)
@click.option("--workers", type=click.IntRange(1), help="Passed on to `turnpike run`.")
@click.option("--pin/--no-pin", "pinned", default=None, help="Proxy and load on cores of their own (default: where there are enough).")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all that was measured there.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a line per measurement.")
@click.option("--plot", "plot_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture (SVG).")
@click.option("--compare", type=click.Path(dir_okay=False, path_type=Path), help="An older --json FILE: shows what has changed.")
def command(
    *,
    profile: str | None,
    ours: tuple[str, ...],
    bare: bool,
    bare_argument: tuple[str, ...],
    against: dict[str, str],
    against_ca: Path | None,
    headers: dict[str, str],
    upstream_port: int | None,
    json_file: Path | None,
    csv_file: Path | None,
    plot_file: Path | None,
    compare: Path | None,
    answer_bytes: tuple[int, ...] | None,
    pinned: bool | None,
    **given: Any,
) -> None:
    """Measures what Turnpike adds to a call, and what it can carry, beside the same upstream asked directly.

    Upstream, load and proxy are started for it, with configuration, CA and captures of their own: nothing of yours is touched, and no
    provider is asked.
    """
    settings = settings_of(profile, given | {"answer_bytes": answer_bytes[0] if answer_bytes else None})
    shared = None if pinned is False else processes.share_cores(processes.cores(), settings.workers or 1)
    if pinned and shared is None:
        raise click.UsageError(f"--pin needs more cores than {settings.workers or 1}; there are {len(processes.cores())}")
    settings = settings_of(profile, settings.to_json() | {"pinned": shared is not None})
    wanted = Wanted(tuple(dict.fromkeys(ours)) or ("turnpike",), bare, bare_argument, against, against_ca, headers, upstream_port or 0)
    outputs = {json_file: files.as_json, csv_file: files.as_csv, plot_file: plot.svg}
    for path in outputs:
        if path:
            files.check_writable(path)
    try:
        old = read(compare) if compare else None
    except ReportError as error:
        raise click.ClickException(str(error)) from error
    report = _new_report(settings, wanted, profile)
    status = asyncio.run(_run(settings, wanted, shared, report))
    if report.results:
        click.echo(tables.text(report))
        for path, make in outputs.items():
            if path:
                files.write(path, make(report))
        if old:
            click.echo(f"\n{comparing.text(old, report)}")
    sys.exit(status or (1 if report.errors else 0))


def _new_report(settings: Settings, wanted: Wanted, profile: str | None) -> Report:
    made_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    targets = {
        "profile": profile,
        "targets": wanted.ours,
        "bare": wanted.bare,
        "bare_arguments": wanted.bare_arguments,
        "against": wanted.against,
    }
    return Report(made_at, describe_machine(), settings_record(settings, **targets))


async def _run(settings: Settings, wanted: Wanted, shared: tuple[list[int], list[int]] | None, report: Report) -> int:
    """The exit status; the report is filled as far as it went."""
    report.note_load()
    with tempfile.TemporaryDirectory(prefix="turnpike-bench-") as folder, on_cores(shared[1] if shared else None):
        stage: Stage | None = None
        try:
            async with Supervisor() as supervisor:
                stage = Stage(supervisor, Path(folder), settings, wanted, shared)
                _tell("starting what is measured")
                targets = await stage.start_all()
                await supervisor.alive(rounds.run_all(settings, targets, report.results, _tell))
                report.complete = True
        except Ended as ended:
            _tell("")
            if ended.status == 0:
                return INTERRUPTED
            click.echo(stage.log_tails() if stage else "", err=True)
            return ended.status
        finally:
            _tell("")
            report.note_load()
    return 0


def _tell(text: str) -> None:
    """One line on a terminal, in the place of the last; nothing where nobody looks."""
    if sys.stderr.isatty():
        width = max(20, _columns() - 1)
        click.echo(f"\r\x1b[K{text[:width]}", nl=False, err=True)


def _columns() -> int:
    return shutil.get_terminal_size().columns
