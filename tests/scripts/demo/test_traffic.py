"""Samples on their way: who asks, on what credential, and how it is told when something goes otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.demo.traffic import Traffic, headers_of
from scripts.demo.wire import Sample
from scripts.fake_provider.server import FakeProvider
from scripts.fake_provider.tls import make_context

HELLO = Sample("tester/1.0", "chat", "gpt-4o", "Hello", "Hi there", way="base")


def test_headers_name_client_placeholder_and_answer() -> None:
    """The key is the placeholder that a pool key replaces, in the dialect's own header."""
    headers = headers_of(Sample("tester/1.0", "messages", "m", "Hello", "Hi", stream=True, headers={"X-Turnpike-Tag": "t"}))
    assert headers["User-Agent"] == "tester/1.0" and headers["x-api-key"] == "turnpike" and headers["X-Turnpike-Tag"] == "t"
    assert headers["X-Fake-text"] == "Hi" and float(headers["X-Fake-delay"]) > 0
    assert headers_of(HELLO)["Authorization"] == "Bearer turnpike"


async def test_lanes_are_sent_whole_and_in_order(tmp_path: Path) -> None:
    """Each sample once, those of one lane in their order; `sent` is called for each."""
    provider = FakeProvider()
    await provider.start()
    counted = []
    lane = tuple(Sample("tester/1.0", "chat", f"m-{n}", "Hello", way="base") for n in range(3))
    async with Traffic(provider.url, "", make_context(tmp_path)[1]) as traffic:
        await traffic.send_all([lane, (HELLO,)], lambda: counted.append(1))
    await provider.stop()
    models = [request.body.split(b'"')[3].decode() for request in provider.requests]
    assert len(counted) == 4 and [name for name in models if name.startswith("m-")] == ["m-0", "m-1", "m-2"]
    assert traffic.unexpected == []


@pytest.mark.parametrize(
    ("knobs", "expect", "told"),
    [({"status": "500"}, 200, "500 instead of 200"), ({}, 429, "200 instead of 429"), ({"reset": "1"}, 200, "Error")],
)
async def test_what_goes_otherwise_is_told(tmp_path: Path, knobs: dict[str, str], expect: int, told: str) -> None:
    """Another status than expected, or no answer."""
    provider = FakeProvider()
    await provider.start()
    async with Traffic(provider.url, "", make_context(tmp_path)[1]) as traffic:
        await traffic.send_all([(Sample("t/1", "chat", "gpt-4o", "Hello", way="base", knobs=knobs, expect=expect),)], lambda: None)
    await provider.stop()
    assert len(traffic.unexpected) == 1 and told in traffic.unexpected[0] and "gpt-4o" in traffic.unexpected[0]


async def test_a_cut_that_was_ordered_is_expected(tmp_path: Path) -> None:
    """An answer that breaks off because its sample says so is no news."""
    provider = FakeProvider()
    await provider.start()
    async with Traffic(provider.url, "", make_context(tmp_path)[1]) as traffic:
        cut = Sample("t/1", "chat", "gpt-4o", "Hello", stream=True, way="base", knobs={"chunks": "5", "cut": "2"})
        await traffic.send_all([(cut,)], lambda: None)
    await provider.stop()
    assert traffic.unexpected == []
