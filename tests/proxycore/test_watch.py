"""One timer for all streams of a connection."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.test.taddons import context as addons_context
from mitmproxy.test.tflow import tclient_conn

from addons.proxycore.watch import NEVER, Alarm, Watch


async def test_an_alarm_may_be_moved_nearer() -> None:
    """While it is slept on; it never rings before its time."""
    alarm = Alarm(NEVER)
    sleeping = asyncio.create_task(alarm.sleep())
    await asyncio.sleep(0)
    alarm.move(time.monotonic() + 0.05)
    alarm.move(time.monotonic() + 60)
    due = alarm.due
    async with asyncio.timeout(3):
        await sleeping
    assert time.monotonic() >= due


async def test_an_alarm_whose_time_has_come_rings_at_once() -> None:
    """Also one that was moved into the past."""
    await Alarm(0.0).sleep()


def stream(stream_id: int, due: float) -> Any:
    return SimpleNamespace(stream_id=stream_id, due=due)


def watch_over(streams: dict[int, Any]) -> Watch:
    with addons_context() as context:
        return Watch(Context(tclient_conn(), context.options), SimpleNamespace(streams=streams))  # type: ignore[arg-type]


def test_those_are_told_whose_time_has_come() -> None:
    """Each once, also under the number of a further attempt; the next alarm is for the earliest of the rest."""
    now = time.monotonic()
    late, soon, never = stream(1, now - 1), stream(3, now + 50), stream(5, NEVER)
    watch = watch_over({1: late, 1_000_001: late, 3: soon, 5: never})
    told = list(watch.handle_event(events.Start()))
    assert [command.event.stream_id for command in told if isinstance(command, ReceiveHttp)] == [1]
    assert late.due == NEVER
    (alarm,) = [command for command in told if isinstance(command, Alarm)]
    assert alarm.due == soon.due
    watch.ask(now + 5)
    assert alarm.due == now + 5


def test_with_nothing_to_wait_for_the_alarm_never_rings() -> None:
    """It stands by."""
    (alarm,) = watch_over({}).handle_event(events.Start())
    assert isinstance(alarm, Alarm)
    assert alarm.due == NEVER
