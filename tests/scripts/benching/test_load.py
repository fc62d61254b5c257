"""The load, on real connections."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from time import perf_counter

import pytest

from scripts.benching.load import Load
from scripts.benching.schedule import Closed, Open
from scripts.benching.shapes import Answers, Cell, Connections, Door
from tests.e2e.harness import refusing_port
from tests.scripts.benching.serving import HOST, job, scripted, upstream


@pytest.mark.parametrize("connections", ["kept", "new"])
@pytest.mark.parametrize("answers", ["whole", "stream"])
async def test_all_are_answered(answers: Answers, connections: Connections) -> None:
    """So many as were to be sent, by all clients together; every event counts."""
    async with upstream() as door:
        load = Load(job(door, Cell("base", answers, connections, 1000, 4)))
        tally = await load.run(Closed(perf_counter(), 1.0, requests=30))
        result = tally.to_json()
        await load.close()
    assert (result["requests"], result["errors"]) == (30, {})
    assert result["chunks"] == (180 if answers == "stream" else 0)
    assert (result["ttft_ms"] is not None) == (answers == "stream")
    assert result["latency_ms"]["p50"] <= result["latency_ms"]["max"]


async def test_an_open_loop_counts_from_when_calls_were_due() -> None:
    """One client and answers that take 50 ms, due every 10 ms: those behind wait, and their times show it."""
    async with upstream(delay_ms=50.0) as door:
        load = Load(job(door, Cell("base", "whole", "kept", 1000, 1, 100.0)))
        tally = await load.run(Open(perf_counter(), 100.0, 0.1))
        await load.close()
    times = list(tally.latency)
    assert len(times) == 10
    assert times == sorted(times)
    assert times[-1] >= 10 * 0.05 - 0.09 - 0.001  # the tenth was due after 90 ms, and nine came before it


async def test_what_is_due_long_ago_is_not_sent() -> None:
    """It counts as failed, so that the run ends."""
    async with upstream() as door:
        load = Load(job(door, Cell("base", "whole", "kept", 1000, 1, 100.0), timeout_s=0.5))
        tally = await load.run(Open(perf_counter() - 100.0, 100.0, 0.1))
        await load.close()
    assert tally.errors.total() == 10
    assert "does not follow the rate" in next(iter(tally.errors))


async def test_failures_are_counted_by_kind() -> None:
    """And have no part in the times."""
    async with scripted(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as door:
        tally = await Load(job(door)).run(Closed(perf_counter(), 1.0, requests=4))
    assert (dict(tally.errors), len(tally.latency)) == ({"status 503": 4}, 0)
    with refusing_port() as port:
        tally = await Load(job(Door(HOST, port))).run(Closed(perf_counter(), 1.0, requests=4))
    assert tally.errors.total() == 4
    assert next(iter(tally.errors)).startswith("cannot connect")


async def test_what_takes_too_long_is_given_up() -> None:
    """A stream that stays open without an end."""
    async with scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", close=False) as door:
        tally = await Load(job(door, timeout_s=0.2)).run(Closed(perf_counter(), 1.0, requests=4))
    assert dict(tally.errors) == {"no whole answer within 0.2 s": 4}


async def test_the_process_speaks_in_lines() -> None:
    """It waits between warm-up and measurement until it is told to go on."""
    async with upstream() as door:
        given = replace(job(door), warmup_s=0.05, requests=20)
        arguments = [sys.executable, "-m", "scripts.benching.load", given.to_json()]
        process = await asyncio.create_subprocess_exec(*arguments, stdin=PIPE, stdout=PIPE)
        assert process.stdout is not None and process.stdin is not None
        assert json.loads(await process.stdout.readline()) == {"warm": True}
        process.stdin.write(b"\n")
        messages = [json.loads(line) async for line in process.stdout]
        assert await process.wait() == 0
    assert next(message for message in messages if "done" not in message) == {"ended": 20}
    assert messages[-1]["result"]["requests"] == 20
