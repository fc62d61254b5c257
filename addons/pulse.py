"""How late is the event loop? Everything that a client waits for runs on it, so what holds it up holds up all calls."""

from __future__ import annotations

import asyncio

from addons.state import State

BEAT_S = 0.1


class Pulse:
    """Sleeps a moment again and again, and notes by how much each sleep was too long: some 5 µs of work, ten times a second."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        """The proxy is up."""
        self._task = asyncio.create_task(self._beat())

    def done(self) -> None:
        """It ends."""
        if self._task:
            self._task.cancel()

    async def _beat(self) -> None:
        clock, lag = asyncio.get_running_loop().time, self.state.tallies.lag
        while True:
            due = clock() + BEAT_S
            await asyncio.sleep(BEAT_S)
            lag.note(max(0.0, clock() - due))
