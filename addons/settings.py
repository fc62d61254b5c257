"""Reads the configuration, sets what mitmproxy should do by default, and reads the file again when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from addons.accesslog import FILE as ACCESS_LOG
from addons.accesslog import access_line
from addons.applog import AppLog
from addons.calllines import call_line, log_lines, shown_by
from addons.config import ConfigError, ConfigFile, restart_needed
from addons.config_checks import doubts
from addons.core.call import StoredCall
from addons.core.speeds import measured
from addons.logfiles import Place
from addons.loglines import MaskedLines
from addons.proxycore.install import install
from addons.state import State
from addons.storage.database import StoreError
from addons.storage.retention import Limits
from addons.storage.upkeep import Upkeep
from addons.storage.writer import Writer

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
LOG_LEVELS = {"debug": "debug", "info": "info", "warning": "warn", "error": "error"}
FILTERED = ("mitmproxy.proxy.server", "mitmproxy.proxy.layer")
NOISE = (
    "client connect",
    "client disconnect",
    "server connect",
    "server disconnect",
    "error establishing server",
    "Closing connection due",
    "Streaming request to",
    "Streaming response from",
    "Lowercased ",
)
"""How mitmproxy's own lines begin that name a host or a peer, also of tunnelled connections."""


class Settings:
    """First in the list, since every other room reads what it sets. `mitmdump -s addons/router.py` needs no option for it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.file: ConfigFile | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.ours: set[str] = set()  # the options that are ours to set
        self.lines = MaskedLines(self._masked)
        self.app_log = AppLog(state.logs.put)

    def load(self, loader: Loader) -> None:
        """Register our option, and put our stream in mitmproxy's HTTP layer; a failure ends the process with one line."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # a log that goes to a file or a pipe is read while it is written
            sys.stdout.reconfigure(line_buffering=True)
        text = "Turnpike's configuration file (default: TURNPIKE_CONFIG or config/turnpike.yml)."
        try:
            loader.add_option("turnpike_config", str, "", text)
            ctx.options.process_deferred()  # raises for an option of ours given twice; mitmproxy itself does this only after `load`
            install()
        except (exceptions.OptionsError, RuntimeError) as error:  # mitmproxy would go on without us, as an open proxy on all interfaces
            _end(str(error))
        for name in FILTERED:
            logging.getLogger(name).addFilter(self.clean_line)
        self.app_log.install(logging.INFO)
        self.lines.install()

    def _masked(self, text: str) -> str:
        return self.state.redactor.text(text, "log")[0] if self.file else text  # before there is one nothing has crossed the wire

    def clean_line(self, record: logging.LogRecord) -> bool:
        """Mitmproxy's own lines: those that name hosts are left out, and the others masked, since they may quote what crossed the wire."""
        return not record.getMessage().startswith(NOISE) and self.lines.filter(record)

    def configure(self, updated: set[str]) -> None:
        """Read the file that the option names; a broken one ends the process with one line (DESIGN §2.14)."""
        if "turnpike_config" not in updated:
            return
        if self.file:
            logger.error("turnpike_config can't be changed while the proxy runs; start it again, or change the file itself")
            return
        try:
            self.file = ConfigFile(ctx.options.turnpike_config or None, os.environ)
        except ConfigError as error:
            _end(str(error))
        self.state.adopt(self.file.current)
        database = self.file.current.capture.database
        self.state.writer = Writer(
            database,
            self.state.digest_record,
            self._stored,
            digest_each=self.state.digest_each,
            limit_bytes=self.file.current.capture.max_queue,
            upkeep=Upkeep(database, self._limits),
        )
        try:
            self.state.writer.start()
        except StoreError as error:
            _end(f"capture.database: {error}")
        try:
            self.state.open_statefile()
        except StoreError as error:
            _end(f"state.url: {error}")
        self._set_options()
        self._tell_doubts()
        if not self.file.current.upstreams:
            logger.warning("%s names no upstreams: nothing will be opened, routed or recorded", self.file.current.source)

    def _stored(self, calls: Sequence[StoredCall]) -> None:
        """In the writer's thread, after each commit."""
        now = time.monotonic()
        is_told = bool(shown_by(logger))
        told: list[str] = []
        access: list[str] = []
        for call in calls:
            try:
                self.state.tallies.stored(call)
                if seen := measured(call):
                    self.state.speeds.note(seen.upstream, seen.model, seen.ttft_ms, seen.tokens_per_s, now)
                access.append(access_line(call))
                if is_told:
                    told.append(call_line(call))
            except Exception as error:  # the row is safe, and so are the lines of the others
                logger.error("after storing call %s: %s", call.row.get("id"), type(error).__name__)
        self.state.logs.put(ACCESS_LOG, *access)
        log_lines(logger, told)

    def _limits(self) -> Limits:
        """In the writer's thread: how long captures stay, by the configuration that is valid now."""
        return self.state.config.capture.keep.limits

    def _use_logs(self) -> None:
        logs = self.state.config.logs
        self.state.logs.use(Place(logs.folder, logs.keep_days, logs.max_size))

    def _tell_doubts(self) -> None:
        for line in doubts(self.state.config):
            logger.warning("%s", line)

    def _set_options(self) -> None:
        """Set the options that the user has left at their default (mitmweb has no `flow_detail`); some follow from our file."""
        self.app_log.setLevel(self.state.config.logs.level.upper())
        values = self._defaults()
        self.ours |= {name for name in values if name in ctx.options and _is_default(name)}
        ctx.options.update(**{name: values[name] for name in self.ours if getattr(ctx.options, name) != values[name]})

    def _defaults(self) -> dict[str, Any]:
        config = self.state.config
        return {
            "connection_strategy": "lazy",  # a host that is routed elsewhere is never contacted
            "flow_detail": 0,  # mitmproxy's line per flow would print query strings with keys in them
            "stream_large_bodies": str(config.proxy.max_held_body),
            "termlog_verbosity": LOG_LEVELS[config.logs.level],
            # so that `-w` saves streamed answers whole; without it they would take memory for nothing
            "store_streamed_bodies": ctx.options.save_stream_file is not None,
        }

    async def running(self) -> None:
        """Listen on loopback only, where neither the user nor the configuration says otherwise, and begin to watch the file.

        The listener is open by now: mitmproxy reads where to listen before it loads scripts. The Gate refuses peers from
        elsewhere until it is moved.
        """
        self.watcher = asyncio.create_task(self._watch())
        self.lines.install()  # on the handlers that other add-ons have brought
        self._use_logs()
        addresses = ctx.master.addons.get("proxyserver").listen_addrs()
        anywhere = self.state.config.proxy.allow_remote or not _is_default("listen_host")
        if not anywhere and ctx.options.mode == ["regular"] and addresses:
            ctx.options.update(mode=[f"regular@127.0.0.1:{addresses[0][1]}"])

    def done(self) -> None:
        """Stop watching, and let go of mitmproxy's loggers: a script that is loaded again brings its own."""
        if self.watcher:
            self.watcher.cancel()
        for name in FILTERED:
            logging.getLogger(name).removeFilter(self.clean_line)

    async def _watch(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(POLL_SECONDS)
                try:
                    if self.file and self.file.changed():
                        self.reload()
                except Exception as error:  # its text may quote the file; the next change is tried again
                    self.state.config_error = f"the changed configuration can't be read: {type(error).__name__}"
                    logger.error("%s", self.state.config_error)

    def reload(self) -> None:
        """Take the changed file into use, between two calls; a broken one leaves the old in place."""
        if self.file is None:
            return
        old = self.file.current
        try:
            new = self.file.reload()
        except ConfigError as error:
            self.state.config_error = str(error)
            logger.error("configuration not taken over, the old one stays: %s", error)
            return
        self.state.config_error = None
        self.state.adopt(new)
        self._set_options()
        self._use_logs()
        self._tell_doubts()
        waiting = restart_needed(old, new)
        logger.info("configuration read again%s", f"; needs a restart: {', '.join(waiting)}" if waiting else "")


def _end(reason: str) -> NoReturn:
    """One line and out; mitmproxy would make a traceback of an OptionsError here (DESIGN §2.14)."""
    print(f"turnpike: {reason}", file=sys.stderr)
    raise SystemExit(1)


def _is_default(name: str) -> bool:
    return not ctx.options._options[name].has_changed()  # optmanager has no public way to ask
