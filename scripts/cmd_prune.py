"""Takes old calls out of the captures, as the running proxy does by itself, and makes the file smaller."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from math import isfinite
from pathlib import Path

import click

from addons.config import Keep
from addons.config_types import parse_size
from addons.core.wording import counted
from addons.storage.database import StorageFailure, StoreError, open_reader, open_writer
from addons.storage.migrations import CAPTURES, ForeignDatabase, check_ours
from addons.storage.retention import MIB, Limits, Pruner, read_number, told
from addons.storage.retention_plan import Plan, due, plan
from scripts.progress import progress
from scripts.running import load_config

PAUSE_S = 0.02
"""After each step, while another process writes: if it waits for the lock it gets it then."""

BUSY_S = 2.0
"""For so long after a write another one is reckoned with."""

LOCK_S = 0.008
"""Less than the proxy's own steps have, since it must wait for these."""

CHECKPOINT_EVERY = 50
TRIES = 10

EPILOG = """\b
Examples:
  turnpike prune --dry-run                      # what would go, by capture.keep
  turnpike prune --days 7
  turnpike prune --max-size 2GiB --database old-captures.db
"""


def _read_size(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}") from error


def _finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """click takes `nan` and `inf` for numbers, also within its ranges."""
    if value is not None and not isfinite(value):
        raise click.BadParameter(f"{value} is no number of days; capture.keep.days: forever keeps all")
    return value


@click.command("prune", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration; its capture.keep holds.")
@click.option("--database", type=click.Path(dir_okay=False, path_type=Path), help="The captures, other than the configured ones.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), callback=_finite, help="Instead of capture.keep.days.")
@click.option("--max-size", "max_bytes", metavar="SIZE", callback=_read_size, help="Instead of capture.keep.max_size, e.g. 2GiB.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--rebuild", is_flag=True, help="Write the file anew afterwards (VACUUM): nothing can be recorded while that lasts.")
def command(*, config: Path | None, database: Path | None, days: float | None, max_bytes: int | None, dry_run: bool, rebuild: bool) -> None:
    """Takes calls out that are older than `capture.keep.days` (since they were stored), and the oldest ones while the database
    is larger than `capture.keep.max_size`, with all that no other call shares. Pinned calls stay, and their size does not count.
    Works beside a running proxy.
    """
    settings = load_config(config)
    path, limits = (database or settings.capture.database).absolute(), limits_of(settings.capture.keep, days, max_bytes)
    if not path.exists():
        raise click.ClickException(f"there is no database {path}")
    try:
        if dry_run:
            click.echo(described(look(path, limits)))
            return
        prune(path, limits)
        if rebuild:
            rebuild_file(path)
    except ForeignDatabase as error:
        raise click.ClickException(f"{path} is no database of captures: {error}") from error
    except StoreError as error:
        if dry_run or not isinstance(error, StorageFailure):  # nothing was begun
            raise click.ClickException(str(error)) from error
        raise click.ClickException(f"{path}: {error}; what was pruned stays pruned, run it again for the rest") from error
    except sqlite3.Error as error:
        raise click.ClickException(f"{path}: {error}; what was pruned stays pruned, run it again for the rest") from error


def limits_of(keep: Keep, days: float | None, max_bytes: int | None) -> Limits:
    """The configured ones, but for those that the command line names."""
    configured = keep.limits
    return Limits(configured.days if days is None else days, configured.max_bytes if max_bytes is None else max_bytes)


def look(path: Path, limits: Limits) -> Plan:
    """What would go; nothing is written, so the schema has to be this version's. Raises ClickException where it is an older one."""
    with closing(open_reader(path)) as captures:
        check_ours(captures)
        version = read_number(captures, "user_version")
        if version < len(CAPTURES.migrations):
            raise click.ClickException(
                f"{path} is of an older version (schema {version}, this version has {len(CAPTURES.migrations)}), and a dry run changes "
                "nothing; the running proxy, `turnpike browse` and `turnpike prune` itself bring it up to date"
            )
        now_ms = time.time_ns() // 1_000_000
        with progress("calls", due(captures, limits, now_ms)) as advance:
            return plan(captures, limits, now_ms, advance)


def prune(path: Path, limits: Limits) -> None:
    """All that is due, then the free pages; says what went."""
    now_ms = time.time_ns() // 1_000_000
    with closing(Pruner(path, limits, now_ms, spare=0)) as pruner:
        run, before = Run(pruner), pruner.space()
        with closing(open_reader(path)) as captures:
            calls = due(captures, limits, now_ms)
        with progress("calls", calls) as advance:
            while run.step() and pruner.deleting:
                advance(min(pruner.tally.calls, calls))
        free = pruner.space().free
        with progress("file", free) as advance:
            while run.step():
                advance(max(0, free - pruner.space().free))
        pruner.checkpoint()
        after, tally, can_shrink = pruner.space(), pruner.tally, pruner.can_shrink
    click.echo(told(tally, before, after))
    if not can_shrink and after.free:
        click.echo(
            f"{path} was made without auto_vacuum and cannot give free pages back; new calls use them first, "
            "and `turnpike prune --rebuild` writes it anew, once",
            err=True,
        )


class Run:
    """Step after step, with room between them for whoever else writes."""

    def __init__(self, pruner: Pruner) -> None:
        self._pruner = pruner
        self._busy_until = 0.0

    def step(self) -> bool:
        """One step and a pause. False: nothing was left. Raises StorageFailure: a lock is held for long, or the disk is in the way."""
        for attempt in range(TRIES):
            try:
                more = self._pruner.step(LOCK_S)
                break
            except StorageFailure:
                if attempt == TRIES - 1:
                    raise
        if self._pruner.steps % CHECKPOINT_EVERY == 0:
            self._pruner.checkpoint()
        if self._pruner.others_write():
            self._busy_until = time.monotonic() + BUSY_S
        if more and time.monotonic() < self._busy_until:
            time.sleep(PAUSE_S)
        return more


def rebuild_file(path: Path) -> None:
    """VACUUM, after which the file can shrink by itself. Raises ClickException where the disk has no room for a second one."""
    needed, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise click.ClickException(f"{path.parent} has {free / MIB:.0f} MiB free; writing {path.name} anew takes up to {needed / MIB:.0f}")
    with closing(open_writer(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    click.echo(f"written anew: {path.stat().st_size / MIB:.1f} MiB")


def described(found: Plan) -> str:
    """What a dry run says."""
    used, pinned = f"{found.space.used / MIB:.1f} MiB", ""
    if found.pinned:
        pinned = f", {found.pinned} of them pinned (about {found.pinned_bytes / MIB:.1f} MiB, which do not count for the size)"
    kept = f"{counted(found.kept, 'call')}{pinned}"
    if not found.calls:
        return f"nothing to prune: {kept}, {used}"
    return (
        f"would prune {counted(found.calls, 'call')}, stored {found.oldest} to {found.newest}, about {found.bytes / MIB:.1f} MiB\n"
        f"would keep {kept}, about {(found.space.used - found.bytes) / MIB:.1f} MiB of {used}"
    )
