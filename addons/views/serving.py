"""Datasette on the captures: always as database `turnpike`, read-only, while the proxy writes or when it does not run."""

from __future__ import annotations

import logging
import signal
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from inspect import signature
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from datasette.app import Datasette
from datasette.database import Database
from datasette.utils import BadMetadataError, parse_metadata
from datasette.utils.sqlite import sqlite3

from addons.storage.database import BUSY_TIMEOUT_MS, StoreError
from addons.storage.store import Store
from addons.views.access import DATABASE
from addons.views.guard import Guard

METADATA = Path(__file__).parents[2] / "datasette-metadata.yml"

STOP_S = 0.2  # how long pages that are still being answered hold up the end

SETTINGS = {
    "suggest_facets": False,  # tries every column of every table that is looked at: slow on large files
    "facet_time_limit_ms": 1500,
    "sql_time_limit_ms": 5000,
    "max_returned_rows": 2000,
    "default_page_size": 50,
    "default_facet_size": 8,
    "truncate_cells_html": 160,  # two or three lines of a prompt; the call's own page shows all that is kept
    "allow_download": False,
    "default_cache_ttl": 0,  # captures are private, and grow while one looks
    "max_csv_mb": 0,  # no limit: it is streamed
}


class CannotServe(Exception):
    """The captures, or the descriptions of them, cannot be read; the text is one line."""


class Captures(Database):  # type: ignore[misc] # Datasette has no types
    """A database that is only ever read.

    Datasette's own `connect` builds its URI from the bare path, which fails for a path with `?`, `#` or `%`.
    """

    def connect(self, write: bool = False, **_: object) -> sqlite3.Connection:
        """`mode=ro` reads a WAL database beside its writer. Raises sqlite3.OperationalError when asked to write."""
        if write:
            raise sqlite3.OperationalError("captures are served read-only")
        uri = f"{Path(self.path).absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
        self._opened.append(connection)
        return connection

    def interrupt(self) -> None:
        """Ends all queries that are running; each raises sqlite3.OperationalError in its thread."""
        for connection in tuple(self._opened):
            with suppress(sqlite3.ProgrammingError):  # closed meanwhile: nothing to end
                connection.interrupt()

    @property
    def _opened(self) -> list[sqlite3.Connection]:
        """Where Datasette keeps the connections that it closes in the end; the list has another name since 1.0."""
        opened: list[sqlite3.Connection] = self._all_connections if hasattr(self, "_all_connections") else self._all_file_connections
        return opened


def open_captures(path: Path, config: Path | None = None) -> Any:
    """Datasette on the captures at `path`, their schema brought up to date; an empty database is made where there is none, so
    that one can look before the first call. `config` is named in commands that pages show. Raises CannotServe."""
    try:
        Store(path).close()
    except StoreError as error:
        raise CannotServe(str(error)) from error
    datasette = make_datasette(path)
    datasette.get_database(DATABASE).config = config
    return datasette


def make_datasette(database: Path, metadata: Path = METADATA) -> Any:
    """A Datasette that serves this file alone, as `turnpike`. The file must exist. Raises CannotServe."""
    told = _read(metadata)
    # Datasette 1.0 takes descriptions from the metadata, but queries, sorting and facets from the configuration
    both = {"config": told} if "config" in signature(Datasette).parameters else {}
    datasette = Datasette([], metadata=told, settings=SETTINGS, **both)
    datasette.remove_database("_memory")  # it comes where no file is named
    datasette.add_database(Captures(datasette, path=str(database), is_mutable=True), name=DATABASE)
    return datasette


class _Server(uvicorn.Server):
    """Ends soon, whatever is open: pages get `STOP_S` to be finished, then queries are interrupted and the rest is cut off."""

    def __init__(self, config: uvicorn.Config, captures: Any) -> None:
        super().__init__(config)
        self.captures = captures

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn on the first signal."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # that pages are cut off now was asked for
        Thread(target=self._interrupt, daemon=True).start()
        await super().shutdown(sockets)

    def _interrupt(self) -> None:
        """Again and again: those that waited for a thread begin when others are interrupted, and Datasette 1.0 waits for all of them,
        with the event loop standing still."""
        while True:
            time.sleep(STOP_S)
            self.captures.interrupt()


def serve(datasette: Any, listener: socket.socket, *, names: Collection[str], password: str | None) -> None:
    """Answers until SIGINT or SIGTERM, under `names` and those of `Guard`. For the main thread, which alone gets signals.

    A thread may still read when this returns, which the interpreter would wait for.
    """
    application = Guard(datasette.app(), names, password)
    options = uvicorn.Config(application, log_level="warning", access_log=False, ws="none")
    options.timeout_graceful_shutdown = STOP_S  # type: ignore[assignment] # it is handed to asyncio.wait_for
    # uvicorn raises the signal that ended it once more, for whoever handled it before: nobody, since that end was asked for
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _Server(options, datasette.get_database(DATABASE)).run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read(metadata: Path) -> dict[str, Any]:
    try:
        return dict(parse_metadata(metadata.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, BadMetadataError) as error:
        raise CannotServe(f"cannot read {metadata}: {' '.join(str(error).split())}") from error
