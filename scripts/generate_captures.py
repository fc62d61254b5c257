"""Writes captures to measure with: many made-up calls, as if recorded over months.

    python scripts/generate_captures.py --out big.db                      # 250 000 calls, about 10 GB: a quarter of an hour
    python scripts/generate_captures.py --out small.db --calls 2000

The same seed and the same `--until` give the same calls. Run again on a file that is not whole, it writes what is missing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import click

from addons.config_types import parse_size
from addons.core.call import StoredCall
from addons.storage.database import StoreError
from addons.storage.prepared import prepare
from addons.storage.store import Store
from scripts.generating.traffic import Traffic
from scripts.progress import progress

BATCH = 1000
"""Calls per transaction, about 40 MB of pages: fewer would pay for the indexes' pages more often."""

CACHE_KIB = 512 * 1024


class BulkStore(Store):
    """A store that is in a hurry, and writes as if it had done so when each call was made."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._connection.execute("PRAGMA synchronous = OFF")  # after a crash the file is made anew
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    def count(self) -> int:
        """Calls that are there."""
        return int(self._connection.execute("SELECT count(*) FROM calls").fetchone()[0])

    def write_past(self, calls: list[StoredCall]) -> None:
        """Like `write`, all or nothing."""
        with self._transaction():
            self._add([prepare(call) for call in calls])
            times = [(call.row["started_at"], call.row["id"]) for call in calls]
            self._connection.executemany("UPDATE calls SET stored_at = ? WHERE id = ?", times)
            self._connection.execute("UPDATE calls SET pinned = 1 WHERE id = ?", (times[0][1],))
        self._contents.forget()


def batches(traffic: Traffic, present: int, calls: int) -> Iterator[list[StoredCall]]:
    """All conversations from the `present`th call on, in lists of about BATCH calls; the last is cut at `calls`."""
    batch: list[StoredCall] = []
    done = 0
    for number in count():
        if done >= calls:
            break
        length = traffic.length(number)
        if done >= present:
            batch += traffic.conversation(number, done)[: calls - done]
        done += length
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _time(_context: click.Context, _parameter: click.Parameter, value: datetime | None) -> int:
    """Unix time in milliseconds; today 0:00 UTC where none is given, so that a run that broke off goes on as it began."""
    moment = value or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def _size(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    try:
        return int(parse_size(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The database to write.")
@click.option("--calls", default=250_000, show_default=True, type=click.IntRange(1), help="How many calls.")
@click.option(
    "--body-bytes",
    default="10 GB",
    show_default=True,
    callback=_size,
    help="Bodies in all, as they are stored: packed, and what repeats once.",
)
@click.option("--days", default=90.0, show_default=True, type=click.FloatRange(0.001), help="Over how long they are spread.")
@click.option("--until", "until_ms", type=click.DateTime(), callback=_time, help="When the last one was made (UTC); else today, 0:00.")
@click.option("--seed", default=1, show_default=True, help="Another one gives other calls.")
def command(*, out: Path, calls: int, body_bytes: int, days: float, until_ms: int, seed: int) -> None:
    """Writes made-up captures: conversations with their history, streams, images, failed tries, in a realistic mix."""
    traffic = Traffic(seed=seed, calls=calls, body_bytes=body_bytes, days=days, until_ms=until_ms)
    begun = time.monotonic()
    try:
        with closing(BulkStore(out)) as store, progress("calls", calls) as advance:
            written = present = store.count()
            for batch in batches(traffic, present, calls):
                store.write_past(batch)
                written += len(batch)
                advance(written)
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    megabytes = out.stat().st_size / 1e6
    click.echo(f"{out}: {written} calls, {written - present} of them new, {megabytes:.0f} MB, in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    sys.exit(command())
