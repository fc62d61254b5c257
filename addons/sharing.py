"""The room of a process that is not alone: listens to the state that it shares with others, and tells them what it has counted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time

from addons.metrics import exposition
from addons.proxycore.reuseport import open_port
from addons.reports import EVERY_S, Report, Reports
from addons.state import State

logger = logging.getLogger(__name__)


class Sharing:
    """Begins when the proxy runs. One that is alone writes no reports."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._task: asyncio.Task[None] | None = None

    async def running(self) -> None:
        """From here on others are heard, and hear of us; and a port that is shared takes connections, since all rooms are there."""
        if self.state.slotting:
            self.state.slotting.begin(asyncio.get_running_loop())
        if self.state.worker.folder:
            self.state.reports = Reports(self.state.worker.folder, self.state.worker)
            self._task = asyncio.create_task(self._report(self.state.reports))
        await open_port()

    def done(self) -> None:
        """Nobody counts us any more."""
        if self._task:
            self._task.cancel()
        if self.state.reports:
            with contextlib.suppress(OSError):
                self.state.reports.remove()

    async def _report(self, reports: Reports) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                try:
                    reports.write(report_of(self.state))
                except OSError as error:
                    logger.debug("the other workers are not told of this one: %s", type(error).__name__)
                await asyncio.sleep(EVERY_S)


def report_of(state: State) -> Report:
    """What this process has counted."""
    now = time.time()
    keys = {name: [(key.in_flight, key.used) for key in pool.states(now)] for name, pool in state.pools.items()}
    return Report(state.worker.number, os.getpid(), exposition(state), keys)
