"""Stopping in two steps. What clients see of it is in `e2e/test_draining.py`."""

from __future__ import annotations

import asyncio
import signal

import pytest
from mitmproxy import ctx
from mitmproxy.test import taddons

from addons.draining import Draining
from tests.conftest import MakeJourney
from tests.rooms import UPSTREAMS, Journey, base_url_call, call, code, make_flow, records


class Master:
    """Notes that it was told to end."""

    def __init__(self, context: taddons.context) -> None:
        self.addons = context.master.addons
        self.ended = asyncio.Event()

    def shutdown(self) -> None:
        self.ended.set()


async def test_it_ends_with_the_last_call(make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before."""
    journey = make_journey(f"{UPSTREAMS}proxy: {{shutdown_grace: 60}}\n")
    master = Master(taddons.context(loadcore=False))
    monkeypatch.setattr(ctx, "master", master)
    flow = journey.send(call())
    Draining(journey.state).stop()
    await asyncio.sleep(0)
    assert not master.ended.is_set()
    journey.answer(flow)
    async with asyncio.timeout(5):
        await master.ended.wait()


@pytest.mark.parametrize(("grace_s", "times"), [(0, 1), (60, 2), (0.01, 1)])
async def test_it_does_not_wait_for_ever(grace_s: float, times: int, make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a time of grace, asked a second time, or when the time is over."""
    journey = make_journey(f"{UPSTREAMS}proxy: {{shutdown_grace: {grace_s}}}\n")
    master = Master(taddons.context(loadcore=False))
    monkeypatch.setattr(ctx, "master", master)
    journey.send(call())
    draining = Draining(journey.state)
    for _ in range(times):
        draining.stop()
    async with asyncio.timeout(5):
        await master.ended.wait()
    assert journey.state.live


async def test_signals_are_taken_over(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """From mitmproxy, which ends at the first; where it asks its user first, Ctrl-C is left to it."""
    taken: list[int] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", lambda number, _: taken.append(number))
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    master = Master(taddons.context(loadcore=False))
    monkeypatch.setattr(ctx, "master", master)
    Draining(journey.state).running()
    assert taken == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    taken.clear()
    monkeypatch.setattr(master, "prompt_for_exit", lambda: None, raising=False)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_IGN)
    Draining(journey.state).running()
    assert taken == [signal.SIGTERM]


def test_new_calls_are_refused_and_recorded(journey: Journey) -> None:
    """503 with the time to come back and the end of the connection; side calls too, local endpoints not."""
    journey.state.draining_until = 0.0
    flow = journey.send(base_url_call("/proxy/v1/chat/completions"))
    assert code(flow) == (503, "shutting_down")
    assert flow.response
    assert (flow.response.headers["retry-after"], flow.response.headers["connection"]) == ("1", "close")
    assert [(record.outcome, record.error_type, record.attempts) for record in records(journey.state)] == [("blocked", "shutting_down", [])]
    side = journey.send(make_flow("GET", "https://api.openai.com/nothing"))
    assert side.response
    assert side.response.status_code == 503
    assert journey.send(base_url_call("/healthz", method="GET")).response.status_code == 200  # type: ignore[union-attr]
    assert journey.send(base_url_call("/ready", method="GET")).response.status_code == 503  # type: ignore[union-attr]


def test_answers_of_running_calls_close_their_connection(journey: Journey) -> None:
    """So that their clients come back somewhere else."""
    flow = journey.send(call())
    journey.state.draining_until = 0.0
    journey.begin_answer(flow)
    assert flow.response
    assert flow.response.headers["connection"] == "close"
