"""How late the event loop is."""

from __future__ import annotations

import asyncio
import time

import pytest

from addons import pulse
from addons.pulse import Pulse
from tests.rooms import Journey


async def test_what_blocks_the_loop_is_seen(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that comes late is noted by how late it was; after the end no more is noted."""
    monkeypatch.setattr(pulse, "BEAT_S", 0.01)
    room, lag = Pulse(journey.state), journey.state.tallies.lag
    room.running()
    async with asyncio.timeout(5):
        while not sum(lag.counts):
            await asyncio.sleep(0.005)
    time.sleep(0.2)
    async with asyncio.timeout(5):
        while lag.total < 0.15:
            await asyncio.sleep(0.005)
    room.done()
    await asyncio.sleep(0)
    noted = sum(lag.counts)
    await asyncio.sleep(0.03)
    assert sum(lag.counts) == noted
