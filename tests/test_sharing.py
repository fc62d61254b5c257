"""The room of a process that is not alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from addons.reports import Reports
from addons.sharing import Sharing, report_of
from addons.worker import Worker
from tests.conftest import MakeJourney
from tests.rooms import UPSTREAMS, Journey, answered, base_url_call, call, new_key


async def test_what_was_counted_is_told_until_the_end(journey: Journey, tmp_path: Path) -> None:
    """In the folder of the run."""
    journey.state.worker = Worker(1, 2, "run", b"", tmp_path)
    room = Sharing(journey.state)
    await room.running()
    journey.answer(journey.send(call()), 200)
    others = Reports(tmp_path, Worker(2, 2, "run", b"", tmp_path))
    async with asyncio.timeout(10):
        while not (found := others.others()) or "turnpike_calls_total{" not in found[0].metrics:
            await asyncio.sleep(0.01)
    room.done()
    assert others.others() == []


async def test_alone_it_tells_nobody(journey: Journey) -> None:
    """And does nothing."""
    room = Sharing(journey.state)
    await room.running()
    room.done()
    assert journey.state.reports is None


def test_others_are_added_to_what_is_answered(make_journey: MakeJourney, tmp_path: Path) -> None:
    """Metrics of each, calls of keys together, and who runs."""
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": new_key()})
    state = journey.state
    journey.answer(journey.send(call()), 200)
    state.worker = Worker(1, 2, "run", b"", tmp_path)
    other = Reports(tmp_path, Worker(2, 2, "run", b"", tmp_path))
    report = report_of(state)
    assert report.keys["openai"] == [(0, 1)]
    other.write(type(report)(2, 1234, report.metrics, {"openai": [(3, 40)], "anthropic": [(1, 1)]}))
    state.reports = Reports(tmp_path, state.worker)
    [openai] = [of for of in local(journey, "/proxy/v1/quota-stats")["data"] if of["upstream"] == "openai"]
    assert [(key["in_flight"], key["used"]) for key in openai["keys"]] == [(3, 41)]
    worker = local(journey, "/ready")["worker"]
    assert (worker["number"], worker["of"], worker["running"]) == (1, 2, [1, 2])


def local(journey: Journey, path: str) -> Any:
    return answered(journey.send(base_url_call(path, method="GET")))[1]
